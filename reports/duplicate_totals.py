"""The totals of duplicates, as JSON."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from common import json_files, tree
from common.topics import Topic
from reports.duplicate_counts import DuplicateTotals


def counts_json(
    topics: Sequence[Topic], counts: Sequence[DuplicateTotals], top: int
) -> dict[str, Any]:
    """Return the object that --json prints, without pairs across topics."""
    by_path = dict(zip((topic.path for topic in topics), counts, strict=True))
    by_label = {}
    for label, group in tree.group_by_level(topics, "topic").items():
        by_label[label] = by_path[group[0].path]
    clusters = {}
    for label, group in tree.group_by_level(topics, "cluster").items():
        clusters[label] = sum_counts([by_path[topic.path] for topic in group])
    images_per_cluster = [cluster["images"] for cluster in clusters.values()]
    duplicates_per_cluster = [cluster["duplicate_entries"] for cluster in clusters.values()]
    return {
        **sum_counts(counts),
        "sets_by_size": sum(count.sets_by_size for count in counts),
        "median_images_per_cluster": statistics.median(images_per_cluster),
        "median_duplicates_per_cluster": statistics.median(duplicates_per_cluster),
        "clusters": clusters,
        "worst_topics": worst_topics_json(by_label, top),
        **warnings_json(by_label),
        "strays": list_orphans(topics),
    }


def sum_counts(counts: Sequence[DuplicateTotals]) -> dict[str, Any]:
    variants = Counter[str]()
    for count in counts:
        variants += count.variants
    return {
        "topics": len(counts),
        "images": sum(count.images for count in counts),
        "searched": sum(count.searched for count in counts),
        "unreadable": sum(count.unreadable for count in counts),
        "duplicate_entries": sum(count.entries for count in counts),
        "redundant_images": sum(count.redundant for count in counts),
        "variants": dict(variants),
    }


def worst_topics_json(by_label: Mapping[str, DuplicateTotals], top: int) -> list[dict[str, Any]]:
    """Return the topics with most redundant images. Ties are broken by entries, then by name."""

    def sort_key(label: str) -> tuple[int, int, str]:
        return -by_label[label].redundant, -by_label[label].entries, label

    with_duplicates = [label for label, count in by_label.items() if count.entries]
    worst = sorted(with_duplicates, key=sort_key)[:top]
    return [{"topic": label, **sum_counts([by_label[label]])} for label in worst]


def warnings_json(by_label: Mapping[str, DuplicateTotals]) -> dict[str, Any]:
    not_searched = []
    outdated = {}
    damaged = {}
    for label, count in by_label.items():
        if count.damaged:
            damaged[label] = count.damaged
        elif count.images and not count.is_searched:
            not_searched.append(label)
        if count.outdated:
            outdated[label] = count.outdated
    return {"not_searched": not_searched, "outdated": outdated, "damaged": damaged}


def list_orphans(topics: Sequence[Topic]) -> list[str]:
    """Return result files whose topic is gone."""
    orphans = []
    for folder in dict.fromkeys(os.path.dirname(topic.path) for topic in topics):
        orphans += json_files.list_orphans(folder)
    return orphans
