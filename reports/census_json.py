"""A census as JSON: the content of datasets_image_statistics.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from common import tree
from common.topics import LEVEL_NAMES, Topic
from reports import quantiles
from reports.census import Census, Extent, Finding, aspect_ratio, megapixels, resolution_groups

MIN_SPLIT_IMAGES = 15  # 10 to train on and 5 to validate
SHORT_SIDES_PX = (256, 512, 768, 1024)  # what training pipelines resize to


def census_json(census: Census) -> dict[str, Any]:
    """Return everything that was counted, as it is written to the JSON file."""
    groups = tree.group_by_level(list(census.topics), "topic")
    labels = {group[0]: label for label, group in groups.items()}
    return {
        "total_files": census.images,
        "bytes": sum(counts.bytes for counts in census.topics.values()),
        "file_type_counts": dict(census.types),
        "file_type_bytes": dict(census.type_bytes),
        "format_counts": dict(census.formats),
        "cluster_image_counts": _images_by_cluster_name(census),
        **_resolutions_json(census.resolutions),
        **_folders_json(census),
        **_small_topics_json(census, labels),
        "misnamed": census.misnamed_count,
        "misnamed_files": _files_json(census.misnamed, labels, "format"),
        "unreadable": census.unreadable_count,
        "unreadable_files": _files_json(census.unreadable, labels, "reason"),
        "for_trainers": census.checks.as_json(labels),
    }


def _images_by_cluster_name(census: Census) -> dict[str, int]:
    images_by_name = Counter[str]()
    for topic, counts in census.topics.items():
        images_by_name[topic.cluster or topic.dataset] += counts.images
    return dict(images_by_name)


def _resolutions_json(resolutions: Counter[Extent]) -> dict[str, Any]:
    orientations = Counter({"landscape": 0, "portrait": 0, "square": 0})
    at_least = dict.fromkeys(map(str, SHORT_SIDES_PX), 0)
    for (width, height), count in resolutions.items():
        orientations[_orientation(width, height)] += count
        for side in SHORT_SIDES_PX:
            if min(width, height) >= side:
                at_least[str(side)] += count
    return {
        "resolution_counts": {f"{width}x{height}": n for (width, height), n in resolutions.items()},
        "resolution_groups": resolution_groups(resolutions),
        "megapixels": quantiles.summarize(_count_by(megapixels, resolutions)),
        "aspect_ratios": quantiles.summarize(_count_by(aspect_ratio, resolutions)),
        "short_sides": quantiles.summarize(_count_by(min, resolutions)),
        "short_side_at_least": at_least,
        "orientations": dict(orientations),
    }


def _orientation(width: int, height: int) -> str:
    if width == height:
        return "square"
    return "landscape" if width > height else "portrait"


def _count_by(measure: Callable[[Extent], float], resolutions: Counter[Extent]) -> Counter[float]:
    """Count images by a number that depends on their resolution alone."""
    counts = Counter[float]()
    for extent, count in resolutions.items():
        counts[measure(extent)] += count
    return counts


def _folders_json(census: Census) -> dict[str, dict[str, dict[str, int]]]:
    """Return the totals of every dataset, cluster, subcluster and topic."""
    topics = list(census.topics)
    folders = {}
    for level in LEVEL_NAMES:
        totals = {}
        for label, group in tree.group_by_level(topics, level).items():
            totals[label] = _folder_totals(census, group)
        folders[f"{level}s"] = totals
    return folders


def _folder_totals(census: Census, topics: Iterable[Topic]) -> dict[str, int]:
    counts = [census.topics[topic] for topic in topics]
    return {
        "topics": len(counts),
        "images": sum(topic.images for topic in counts),
        "bytes": sum(topic.bytes for topic in counts),
        "unreadable": sum(topic.unreadable for topic in counts),
    }


def _small_topics_json(census: Census, labels: dict[Topic, str]) -> dict[str, Any]:
    empty = []
    small = {}
    for topic, counts in census.topics.items():
        if not counts.images:
            empty.append(labels[topic])
        elif counts.readable < MIN_SPLIT_IMAGES:
            small[labels[topic]] = counts.readable
    return {"empty_topics": empty, "small_topics": small}


def _files_json(
    findings: Sequence[Finding], labels: dict[Topic, str], reason_key: str
) -> list[dict[str, str]]:
    files = []
    for finding in findings:
        path = f"{labels[finding.topic]}/{finding.name}"
        files.append({"path": path, reason_key: finding.reason})
    return files
