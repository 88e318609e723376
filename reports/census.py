"""Counts a dataset from the headers of its images: types, sizes, resolutions, and what is wrong with them.

Opens every image's header, since only that tells whether the content is what the name says, and never decodes a pixel.
Holds one topic's names at a time; what stays in memory grows with topics and distinct resolutions, not with images.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import images, tree
from common.image_formats import format_of_content
from common.reporter import Reporter
from common.topics import Topic
from reports import quantiles
from reports.caption_checks import Checks

MEGAPIXEL = 1_000_000
SMALL, LARGE = 500_000, 2_000_000  # pixels: medium is from SMALL to LARGE, both included
SPLIT = 15  # images that a topic needs for 10 to train on and 5 to validate
LISTED = 10_000  # files named in each list; beyond it they are only counted
SHORT_SIDES = (256, 512, 768, 1024)  # what training pipelines resize to

Extent = tuple[int, int]


@dataclass(frozen=True)
class Finding:
    """One image that needs attention, and why."""

    topic: Topic
    name: str
    why: str

    @property
    def path(self) -> str:
        return self.topic.path_of(self.name)


@dataclass
class TopicCounts:
    """What one topic holds."""

    images: int = 0
    bytes: int = 0
    unreadable: int = 0


@dataclass
class Census:
    topics: dict[Topic, TopicCounts] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)  # by extension, as all file counts are
    type_bytes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)  # by content
    resolutions: Counter[Extent] = field(default_factory=Counter)  # upright width and height
    examples: dict[Extent, str] = field(default_factory=dict)  # the first image of each resolution
    misnamed: list[Finding] = field(default_factory=list)
    misnamed_count: int = 0
    unreadable: list[Finding] = field(default_factory=list)
    checks: Checks = field(default_factory=Checks)

    @property
    def images(self) -> int:
        return sum(held.images for held in self.topics.values())

    @property
    def unreadable_count(self) -> int:
        return sum(held.unreadable for held in self.topics.values())


def take_census(topics: Sequence[Topic], max_pixels: int, talk: Reporter) -> Census:
    """The census of the topics' images as they are now; each unreadable one also goes to `talk.report_unreadable`."""
    census = Census()
    with talk.progress(sum(topic.image_count for topic in topics)) as progress:
        for topic in topics:
            census.topics[topic] = TopicCounts()
            names = topic.image_names()
            census.checks.look(topic, names)
            for name in names:
                _count(census, topic, name, max_pixels, talk)
                progress.update()
    return census


def _count(census: Census, topic: Topic, name: str, max_pixels: int, talk: Reporter) -> None:
    path, kind, held = topic.path_of(name), name.rpartition(".")[2].lower(), census.topics[topic]
    try:
        size = os.stat(path).st_size
    except OSError:  # gone since the folder was listed: the header says so
        size = 0
    held.images += 1
    held.bytes += size
    census.types[kind] += 1
    census.type_bytes[kind] += size
    try:
        header = images.read_header(path, max_pixels)
    except images.Unreadable as error:
        held.unreadable += 1
        talk.report_unreadable(path, str(error))
        _note(census.unreadable, topic, name, str(error))
        return
    extent, content = (header.width, header.height), format_of_content(header.format)
    census.resolutions[extent] += 1
    census.examples.setdefault(extent, path)
    census.formats[content.name] += 1
    for trait in header.traits:
        census.checks.note(trait, topic, name)
    if f".{kind}" not in content.endings:
        census.misnamed_count += 1
        _note(census.misnamed, topic, name, content.name)


def _note(noted: list[Finding], topic: Topic, name: str, why: str) -> None:
    if len(noted) < LISTED:
        noted.append(Finding(topic, name, why))


def census_json(census: Census) -> dict[str, Any]:
    """Everything the census found, as it goes into the JSON file."""
    topics, resolutions = list(census.topics), census.resolutions
    label = {group[0]: path for path, group in tree.group_by_level(topics, "topic").items()}
    usable = {topic: held.images - held.unreadable for topic, held in census.topics.items()}
    return {
        "total_files": census.images,
        "bytes": sum(held.bytes for held in census.topics.values()),
        "file_type_counts": dict(census.types),
        "file_type_bytes": dict(census.type_bytes),
        "format_counts": dict(census.formats),
        "cluster_image_counts": _by_cluster_name(census),
        "resolution_counts": {f"{width}x{height}": n for (width, height), n in resolutions.items()},
        "resolution_groups": resolution_groups(resolutions),
        "megapixels": quantiles.summarize(_spread(resolutions, in_megapixels)),
        "aspect_ratios": quantiles.summarize(_spread(resolutions, aspect_ratio)),
        "short_sides": quantiles.summarize(_spread(resolutions, min)),
        "short_side_at_least": {
            str(side): sum(n for extent, n in resolutions.items() if min(extent) >= side)
            for side in SHORT_SIDES
        },
        "orientations": {
            "landscape": sum(n for (width, height), n in resolutions.items() if width > height),
            "portrait": sum(n for (width, height), n in resolutions.items() if width < height),
            "square": sum(n for (width, height), n in resolutions.items() if width == height),
        },
        **{
            f"{level}s": {
                path: _sum(census, group)
                for path, group in tree.group_by_level(topics, level).items()
            }
            for level in tree.LEVEL_NAMES
        },
        "empty_topics": [label[topic] for topic, held in census.topics.items() if not held.images],
        "small_topics": {
            label[topic]: n
            for topic, n in usable.items()
            if census.topics[topic].images and n < SPLIT
        },
        "misnamed": census.misnamed_count,
        "misnamed_files": [
            {"path": f"{label[noted.topic]}/{noted.name}", "format": noted.why}
            for noted in census.misnamed
        ],
        "unreadable": census.unreadable_count,
        "unreadable_files": [
            {"path": f"{label[noted.topic]}/{noted.name}", "reason": noted.why}
            for noted in census.unreadable
        ],
        "for_trainers": census.checks.report(label),
    }


def resolution_groups(resolutions: Counter[Extent]) -> dict[str, int]:
    """Images a resolution group: small (below 0.5 MP), medium (to 2 MP, both borders included), large."""
    found = {"small": 0, "medium": 0, "large": 0}
    for (width, height), count in resolutions.items():
        pixels = width * height
        found["small" if pixels < SMALL else "large" if pixels > LARGE else "medium"] += count
    return found


def in_megapixels(extent: Extent) -> float:
    return round(extent[0] * extent[1] / MEGAPIXEL, 4)


def aspect_ratio(extent: Extent) -> float:
    """Width divided by height: above 1 is landscape."""
    return round(extent[0] / extent[1], 4)


def _spread(resolutions: Counter[Extent], value: Any) -> Counter[float]:
    spread = Counter[float]()
    for extent, count in resolutions.items():
        spread[value(extent)] += count
    return spread


def _by_cluster_name(census: Census) -> dict[str, int]:
    found = Counter[str]()
    for topic, held in census.topics.items():
        found[topic.cluster] += held.images
    return dict(found)


def _sum(census: Census, group: Iterable[Topic]) -> dict[str, int]:
    held = [census.topics[topic] for topic in group]
    return {
        "topics": len(held),
        "images": sum(one.images for one in held),
        "bytes": sum(one.bytes for one in held),
        "unreadable": sum(one.unreadable for one in held),
    }
