"""Count a dataset from the headers of its images: types, sizes, resolutions and faulty files.

Opens the header of every image, because only it tells whether the content has the format that the
name says. Never decodes a pixel. Holds the names of one topic at a time: memory grows with topics
and distinct resolutions, not with images.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.image_formats import format_of_content
from common.reporter import Reporter
from common.topics import Topic
from imaging import images
from reports.caption_checks import Checks

PIXELS_PER_MEGAPIXEL = 1_000_000
MIN_MEDIUM_PIXELS = 500_000
MAX_MEDIUM_PIXELS = 2_000_000
MAX_LISTED_FILES = 10_000  # in each list; further files are only counted

Extent = tuple[int, int]  # upright width and height, pixels


@dataclass(frozen=True)
class Finding:
    """One image that needs attention, and why."""

    topic: Topic
    name: str
    reason: str

    @property
    def path(self) -> str:
        return self.topic.path_of(self.name)


@dataclass
class TopicCounts:
    """How much is in one topic."""

    images: int = 0
    bytes: int = 0
    unreadable: int = 0

    @property
    def readable(self) -> int:
        return self.images - self.unreadable


@dataclass
class Census:
    """What was counted in all topics."""

    topics: dict[Topic, TopicCounts] = field(default_factory=dict)
    types: Counter[str] = field(default_factory=Counter)  # by extension, like all file counts
    type_bytes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)  # by content
    resolutions: Counter[Extent] = field(default_factory=Counter)
    examples: dict[Extent, str] = field(default_factory=dict)  # first image of each resolution
    misnamed: list[Finding] = field(default_factory=list)
    misnamed_count: int = 0
    unreadable: list[Finding] = field(default_factory=list)
    checks: Checks = field(default_factory=Checks)

    @property
    def images(self) -> int:
        return sum(counts.images for counts in self.topics.values())

    @property
    def unreadable_count(self) -> int:
        return sum(counts.unreadable for counts in self.topics.values())


def take_census(topics: Sequence[Topic], max_pixels: int, reporter: Reporter) -> Census:
    """Count the images of the topics as they are now. Unreadable images are also reported."""
    census = Census()
    with reporter.progress(sum(topic.image_count for topic in topics)) as progress:
        for topic in topics:
            census.topics[topic] = TopicCounts()
            names = topic.image_names()
            census.checks.check_topic(topic, names)
            for name in names:
                _count_image(census, topic, name, max_pixels, reporter)
                progress.update()
    return census


def _count_image(
    census: Census, topic: Topic, name: str, max_pixels: int, reporter: Reporter
) -> None:
    path = topic.path_of(name)
    suffix = name.rpartition(".")[2].lower()
    counts = census.topics[topic]
    try:
        size = os.stat(path).st_size
    except OSError:  # gone since the folder was listed; reading the header reports it
        size = 0
    counts.images += 1
    counts.bytes += size
    census.types[suffix] += 1
    census.type_bytes[suffix] += size
    try:
        header = images.read_header(path, max_pixels)
    except images.Unreadable as error:
        counts.unreadable += 1
        reporter.report_unreadable(path, str(error))
        _append_limited(census.unreadable, Finding(topic, name, str(error)))
        return
    extent = header.width, header.height
    census.resolutions[extent] += 1
    census.examples.setdefault(extent, path)
    image_format = format_of_content(header.format)
    census.formats[image_format.name] += 1
    for trait in header.traits:
        census.checks.add(trait, topic, name)
    if f".{suffix}" not in image_format.endings:
        census.misnamed_count += 1
        _append_limited(census.misnamed, Finding(topic, name, image_format.name))


def _append_limited(findings: list[Finding], finding: Finding) -> None:
    if len(findings) < MAX_LISTED_FILES:
        findings.append(finding)


def resolution_groups(resolutions: Counter[Extent]) -> dict[str, int]:
    """Count the images of each group: small (< 0.5 MP), medium (0.5 to 2 MP), large (> 2 MP)."""
    groups = {"small": 0, "medium": 0, "large": 0}
    for (width, height), count in resolutions.items():
        pixels = width * height
        if pixels < MIN_MEDIUM_PIXELS:
            groups["small"] += count
        elif pixels <= MAX_MEDIUM_PIXELS:
            groups["medium"] += count
        else:
            groups["large"] += count
    return groups


def megapixels(extent: Extent) -> float:
    width, height = extent
    return round(width * height / PIXELS_PER_MEGAPIXEL, 4)


def aspect_ratio(extent: Extent) -> float:
    """Return width / height: above 1 is landscape."""
    width, height = extent
    return round(width / height, 4)
