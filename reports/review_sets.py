"""Collect the sets of matching images, for the review page, from what find_duplicates.py wrote."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from common import (
    across_file,
    atomic_files,
    cache,
    captions,
    image_identity,
    images,
    json_files,
    keepers,
    terminal,
    topic_relations,
)
from common.across_file import Across
from common.json_files import COPY, DOUBTFUL
from common.keepers import Candidate
from common.topics import Stamp, Topic

SECTIONS = ("copies", "variants", "doubtful", "across", "references")
MAX_CAPTION_BYTES = 600  # shown of each caption
SECTION_OF_KIND = {COPY: "copies", DOUBTFUL: "doubtful"}  # within a topic; all others are variants


@dataclass(frozen=True)
class ReviewPair:
    """Two images that match, by absolute path. `likeness` is 0 to 1, or None if not known."""

    first: str
    second: str
    kind: str
    likeness: float | None

    @property
    def sort_key(self) -> tuple[float, str, str]:
        """The least similar pairs come first."""
        likeness = 1.0 if self.likeness is None else self.likeness
        return likeness, self.first, self.second


@dataclass(frozen=True)
class ReviewSet:
    """Images that are connected by pairs of one section, in the order of the keeper rule."""

    section: str
    images: list[str]
    pairs: list[ReviewPair]  # least similar first


@dataclass
class ReviewData:
    """All images and pairs to review."""

    page_folder: str
    datasets: list[str]
    # What the page knows of each image, by path, in the order of the keeper rule.
    photos: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: dict[str, list[ReviewPair]] = field(
        default_factory=lambda: {section: [] for section in SECTIONS}
    )
    dropped: set[str] = field(default_factory=set)  # by a merge

    def sets(self) -> Iterator[ReviewSet]:
        """Yield the connected components of each section."""
        positions = {path: number for number, path in enumerate(self.photos)}
        for section, pairs in self.pairs.items():
            for component in _connected_pairs(pairs):
                paths = {path for pair in component for path in (pair.first, pair.second)}
                yield ReviewSet(
                    section,
                    sorted(paths, key=positions.__getitem__),
                    sorted(component, key=lambda pair: pair.sort_key),
                )


def _connected_pairs(pairs: list[ReviewPair]) -> list[list[ReviewPair]]:
    """Group pairs that share images, directly or through other pairs."""
    component_of: dict[str, list[ReviewPair]] = {}  # images of one component share a list
    for pair in pairs:
        first = component_of.get(pair.first, [])
        second = component_of.get(pair.second, [])
        smaller, larger = sorted((first, second), key=len)
        moved = [pair] if smaller is larger else [*smaller, pair]
        larger += moved
        for each in moved:
            component_of[each.first] = larger
            component_of[each.second] = larger
    distinct = {id(component): component for component in component_of.values()}
    return list(distinct.values())


def read_review_data(page_path: str, topics: list[Topic]) -> ReviewData:
    """Read the pairs of the topics, of images across topics, and with references.

    Damaged files are skipped: the script has already reported them.
    """
    page_folder = os.path.dirname(os.path.abspath(page_path))
    data = ReviewData(page_folder, list(dict.fromkeys(topic.dataset_path for topic in topics)))
    across = across_file.read_across(topics, _ignore)
    for topic in topics:
        _add_topic(topic, across, data)
    _add_pairs_across(across, data)
    return data


def _ignore(*_: str) -> None:
    """Ignore a warning that the script has already printed."""


def _add_topic(topic: Topic, across: Across, data: ReviewData) -> None:
    """Add a topic's pairs, and its images that have any, in the topic or across."""
    cached = cache.load_cache(topic)
    stamps = image_identity.stamps_as_recorded(topic, cached.files)
    try:
        relations = topic_relations.read_topic_relations(topic, stamps, cached)
    except atomic_files.Damaged:
        return
    kinds = relations.kinds((COPY, *json_files.VARIANT_KINDS))
    _add_topic_pairs(topic, kinds, data)
    shown = {name for name in stamps if name in kinds or topic.path_of(name) in across.kinds}
    scores = keepers.scores_for_ranking(topic, _ignore)
    candidates = keepers.make_candidates(topic, stamps, cached, scores, _ignore, shown)
    scores_count = keepers.all_scored(candidates)
    kept = {candidate.name for candidate in candidates if candidate.keep}
    # The page's script puts images to keep first, because it knows newer decisions.
    undecided = [replace(candidate, keep=False) for candidate in candidates]
    for candidate in keepers.rank_candidates(undecided):
        name = candidate.name
        if name in shown:
            extent = keepers.image_extent(topic, name, stamps[name], cached, _ignore) or (0, 0)
            path = topic.path_of(name)
            photo = _describe(path, extent, stamps[name], data)
            photo |= _describe_rank(candidate, extent, name in kept, scores_count)
            if candidate.score is not None:
                photo["facts"][-1] = f"score {candidate.score:.2f}"
            data.photos[path] = photo
    dropped = keepers.select_redundant(candidates, relations.copies or {})
    data.dropped.update(map(topic.path_of, dropped))


def add_captions(data: ReviewData, topics: list[Topic]) -> None:
    """Add the start of the captions of all images in the topics."""
    names_by_folder: dict[str, list[str]] = {}
    for path in data.photos:
        folder, name = os.path.split(path)
        names_by_folder.setdefault(folder, []).append(name)
    for topic in topics:
        names = names_by_folder.get(topic.path, [])
        caption_of, _ = captions.match_captions(topic, names)
        for name, caption in caption_of.items():
            try:
                content = captions.read_caption(topic.path_of(caption), MAX_CAPTION_BYTES)
            except OSError:
                continue
            text = content.decode("utf-8", errors="replace").strip("\ufeff\ufffd \n")
            data.photos[topic.path_of(name)]["caption"] = terminal.escape(text)


def _add_topic_pairs(topic: Topic, kinds: json_files.Kinds, data: ReviewData) -> None:
    likeness = topic_relations.read_pair_likeness(topic)
    for name, others in kinds.items():
        for other, kind in others.items():
            if name < other:
                section = SECTION_OF_KIND.get(kind, "variants")
                first = topic.path_of(name)
                second = topic.path_of(other)
                pair = ReviewPair(first, second, kind, likeness.get((first, second)))
                data.pairs[section].append(pair)


def _add_pairs_across(across: Across, data: ReviewData) -> None:
    """Add pairs of the images so far with those in other topics and in reference folders."""
    likeness: dict[tuple[str, str], float] = {}
    for dataset in data.datasets:
        likeness |= topic_relations.read_pair_likeness(across_file.dataset_as_topic(dataset))
    given = set(data.photos)
    for first, others in across.kinds.items():
        for second, kind in others.items():
            both = {first, second}
            if first > second or not both & given:
                continue
            references = both & across.references
            section = "references" if references else "across"
            pair = ReviewPair(first, second, kind, likeness.get((first, second)))
            data.pairs[section].append(pair)
            for path in both - data.photos.keys():
                data.photos[path] = _describe_outsider(path, data)
            if references and kind == COPY:
                for path in both - references:
                    if not data.photos[path]["kept"]:
                        data.dropped.add(path)


def _describe_outsider(path: str, data: ReviewData) -> dict[str, Any]:
    """Describe an image that is in none of the topics."""
    extent = stamp = (0, 0)
    try:
        status = os.stat(path)
        header = images.read_header(path)
    except (OSError, images.Unreadable):
        pass
    else:
        extent = header.width, header.height
        stamp = status.st_size, status.st_mtime_ns
    photo = _describe(path, extent, stamp, data)
    is_reference = photo["dataset"] < 0
    outsider = Candidate(os.path.basename(path), extent[0] * extent[1], stamp[0], None)
    return photo | _describe_rank(outsider, extent, is_reference, False)


def _describe(path: str, extent: cache.Extent, stamp: Stamp, data: ReviewData) -> dict[str, Any]:
    """Return what the page shows of any image, and what decisions.json says of it."""
    width, height = extent
    size, time_ns = stamp
    dataset = _dataset_of(path, data.datasets)
    folder = os.path.dirname(path)
    image_format = os.path.splitext(path)[1][1:].upper()
    if dataset:
        folder = os.path.relpath(folder, os.path.dirname(dataset))
    return {
        "dataset": data.datasets.index(dataset) if dataset else -1,
        "path": os.path.relpath(path, dataset) if dataset else path,
        "place": terminal.escape(folder),
        "name": terminal.escape(os.path.basename(path)),
        "url": _image_url(path, data.page_folder),
        "facts": [
            f"{width} × {height}",
            terminal.format_bytes(size),
            image_format,
            time.strftime("%Y-%m-%d", time.localtime(time_ns / 1e9)),
            _bits_per_pixel(size, width * height),
            "",  # the score
        ],
        "caption": "",
        "pixels": width * height,
        "bytes": size,
        "time": str(time_ns),
    }


def _bits_per_pixel(size: int, pixels: int) -> str:
    """Return how much a file is compressed: fewer bits are less detail of the same image."""
    return f"{8 * size / pixels:.1f} bits per pixel" if pixels else ""


def _dataset_of(path: str, datasets: list[str]) -> str:
    """Return the dataset of an image; '' for a reference."""
    for dataset in datasets:
        if path.startswith(os.path.join(dataset, "")):
            return dataset
    return ""


def _image_url(path: str, page_folder: str) -> str:
    """Return a relative URL if the image is below the page, because both may move together."""
    relative = os.path.relpath(path, page_folder)
    if relative.partition(os.sep)[0] == os.pardir:
        return f"file://{quote(os.fsencode(path))}"
    return quote(os.fsencode(relative))


def _describe_rank(
    candidate: Candidate, extent: cache.Extent, is_kept: bool, scores_count: bool
) -> dict[str, Any]:
    """Return what decides about the keeper.

    `is_kept` cannot be changed on the page; `scores_count` is whether scores rank its topic.
    """
    width, height = extent
    worth: float = width * height
    if scores_count and candidate.score:
        worth *= candidate.score
    return {"worth": worth, "scored": scores_count, "kept": is_kept}


# What a bulk rule keeps of a set, and how it ranks images: larger values first. Ties keep the order
# of the keeper rule.
BULK_RULES: dict[str, tuple[str, Callable[[dict[str, Any]], float]]] = {
    "pixels": ("with most pixels", lambda photo: photo["pixels"]),
    "bytes": ("with most bytes", lambda photo: photo["bytes"]),
    "oldest": ("with the oldest file", lambda photo: -int(photo["time"])),
    "caption": ("with a caption", lambda photo: bool(photo["caption"])),
}


def bulk_orders(each: ReviewSet, data: ReviewData) -> dict[str, list[str]]:
    """Return the images of a set, best first, for each bulk rule that ranks them differently."""
    orders = {}
    for rule, (_, value) in BULK_RULES.items():
        order = sorted(each.images, key=lambda image: -value(data.photos[image]))
        if order != each.images:
            orders[rule] = order
    return orders


def is_identical(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether all files of a set have the same bytes."""
    sizes = {data.photos[image]["bytes"] for image in each.images}
    if len(sizes) > 1:
        return False
    digests = set()
    for image in each.images:
        try:
            with open(image, "rb") as file:
                digests.add(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            return False
        if len(digests) > 1:
            return False
    return True


def is_decided_by_name(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether the two best images differ in nothing that the keeper rule weighs."""
    first, second = (data.photos[image] for image in each.images[:2])
    return bool(first["worth"] == second["worth"] and first["bytes"] == second["bytes"])


def captions_differ(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether two images of a set have captions that are not the same."""
    texts = {data.photos[image]["caption"] for image in each.images}
    return len(texts - {""}) > 1
