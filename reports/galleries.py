"""The best and the worst images of a ranking, and some of each score, to look at on its page."""

from __future__ import annotations

import bisect
import itertools
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from markupsafe import Markup

from common import atomic_files, terminal, tree
from common.topic_scores import load_topic_scores
from common.topics import Topic, stamp_of
from keeping import decisions
from reports.page import image_url, script_path

BIN_IMAGES = 12  # shown of each bar of the histogram


class ScoredImage(NamedTuple):
    score: float
    path: str
    dataset: str  # path


def _best_first(image: ScoredImage) -> tuple[float, str]:
    return -image.score, image.path


@dataclass
class Gallery:
    """The best and worst images of a folder. `size` is the most of each that are kept."""

    title: str
    size: int
    best: list[ScoredImage] = field(default_factory=list)
    worst: list[ScoredImage] = field(default_factory=list)
    total: int = 0

    def add(self, images: Sequence[ScoredImage]) -> None:
        self.total += len(images)
        best = sorted([*self.best, *images], key=_best_first)
        # In exactly the other order, so that no image is in both.
        worst = sorted([*self.worst, *images], key=_best_first, reverse=True)
        self.best, self.worst = best[: self.size], worst[: self.size]

    def parts(self) -> dict[str, list[ScoredImage]]:
        """Return the images by title. A small folder has no image in both parts."""
        worst_count = min(self.size, self.total // 2)
        best_count = min(self.size, self.total - worst_count)
        return {"Best": self.best[:best_count], "Worst": self.worst[:worst_count]}


@dataclass
class Galleries:
    """All galleries of a page: of all images, of each bar of the histogram, of each cluster."""

    overall: Gallery
    clusters: dict[str, Gallery]
    bins: list[list[ScoredImage]]  # samples, in the order of the histogram

    def images_to_show(self) -> list[str]:
        """Return paths in the order in which they get thumbnails: of all, bars, each cluster."""
        paths: dict[str, None] = {}
        for part in self.overall.parts().values():
            paths.update(dict.fromkeys(image.path for image in part))
        for sample in self.bins:
            paths.update(dict.fromkeys(image.path for image in sample))
        parts: list[list[ScoredImage]] = []
        for gallery in self.clusters.values():
            parts += gallery.parts().values()
        for row in itertools.zip_longest(*parts):
            paths.update(dict.fromkeys(image.path for image in row if image))
        return list(paths)

    def titles_and_parts(self) -> Iterator[tuple[str, dict[str, list[ScoredImage]]]]:
        """Yield each gallery: its title, and its images by the title of their part."""
        yield self.overall.title, self.overall.parts()
        for gallery in self.clusters.values():
            yield gallery.title, gallery.parts()
        for sample in self.bins:
            yield "", {"Examples": sorted(sample, key=_best_first)}


def collect_galleries(
    topics: Sequence[Topic], data: Mapping[str, Any], size: int
) -> Galleries | None:
    """Collect the galleries of a ranking; None if `size`, the images of each part, is 0."""
    if not size:
        return None
    lows = [entry["from"] for entry in data["overall"]["histogram"]]
    overall = Gallery("All images", size)
    clusters: dict[str, Gallery] = {}
    bins: list[list[ScoredImage]] = [[] for _ in lows]
    for label, group in tree.group_by_level(topics, "cluster").items():
        clusters[label] = Gallery(label, size)
        for topic in group:
            images = _images_with_score(topic)
            overall.add(images)
            clusters[label].add(images)
            _add_to_bins(images, lows, bins)
    shown = {label: gallery for label, gallery in clusters.items() if gallery.total}
    return Galleries(overall, shown if len(shown) > 1 else {}, bins)


def _images_with_score(topic: Topic) -> list[ScoredImage]:
    try:
        scores = load_topic_scores(topic).usable
    except atomic_files.Damaged:  # since it was ranked
        return []
    images = []
    for name, score in scores.items():
        images.append(ScoredImage(score, topic.path_of(name), topic.dataset_path))
    return images


def _add_to_bins(
    images: Sequence[ScoredImage], lows: Sequence[float], bins: list[list[ScoredImage]]
) -> None:
    """Add to the sample of each bin: those images whose paths have the lowest checksums."""
    for image in images:
        number = max(0, bisect.bisect_right(lows, image.score) - 1)
        bins[number].append(image)
    for sample in bins:
        sample.sort(key=lambda image: (zlib.crc32(os.fsencode(image.path)), image.path))
        del sample[BIN_IMAGES:]


def gallery_json(
    galleries: Galleries | None,
    thumbnails: Mapping[str, str],
    page_folder: str,
    max_images: int,
    level_option: str,
) -> Markup:
    """Return the input of the page's script: JSON that is safe inside HTML.

    Has only images with a thumbnail, in galleries of `max_images` in all. `level_option` is for
    commands: see page.level_option.
    """
    numbers: dict[ScoredImage, int] = {}
    listed = []
    images_left = max_images
    for title, parts in galleries.titles_and_parts() if galleries else ():
        numbered = []
        for name, images in parts.items():
            shown = [image for image in images if thumbnails.get(image.path)][:images_left]
            images_left -= len(shown)
            members = [numbers.setdefault(image, len(numbers)) for image in shown]
            numbered.append((name, members))
        listed.append({"title": title, "parts": numbered})
    datasets = list(dict.fromkeys(image.dataset for image in numbers))
    dropped = decisions.dropped_paths(datasets)
    described = []
    for image in numbers:
        description = _describe(image, datasets, page_folder)
        description["thumbnail"] = thumbnails[image.path]
        description["dropped"] = image.path in dropped
        described.append(description)
    content = {
        "script": script_path("aesthetic_stats.py"),
        "level_option": level_option,
        "datasets": [{"name": os.path.basename(path), "path": path} for path in datasets],
        "images": described,
        "galleries": listed,
    }
    return Markup(json.dumps(content, separators=(",", ":")).replace("<", r"\u003c"))


def _describe(image: ScoredImage, datasets: Sequence[str], page_folder: str) -> dict[str, Any]:
    size, time_ns = stamp_of(image.path) or (0, 0)
    folder = os.path.relpath(os.path.dirname(image.path), os.path.dirname(image.dataset))
    return {
        "dataset": datasets.index(image.dataset),
        "path": os.path.relpath(image.path, image.dataset),
        "name": terminal.escape(os.path.basename(image.path)),
        "place": terminal.escape(folder),
        "url": image_url(image.path, page_folder),
        "score": f"{image.score:.2f}",
        "stamp": [size, str(time_ns)],
    }
