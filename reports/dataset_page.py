"""The page of a census: charts of sizes and types, folders, and the most extreme images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from common import terminal, tree
from common.reporter import Reporter
from reports import (
    caption_checks,
    census,
    census_json,
    dataset_warnings,
    levels,
    page,
    quantiles,
    scatter,
)
from reports.census import Census, Extent

MAX_EXTREME_IMAGES = 14  # thumbnails of each kind
MAX_BARS = 12
BINS_PER_DOUBLING = 4
GROUP_TITLES = {
    "small": "Small, < 0.5 MP",
    "medium": "Medium, 0.5 to 2 MP",
    "large": "Large, > 2 MP",
}
QUANTILE_ROWS = (  # title, key in the JSON, decimals
    ("Megapixels", "megapixels", 2),
    ("Width / height", "aspect_ratios", 2),
    ("Short side, px", "short_sides", 0),
)

Figure = dict[str, str]


def write_page(
    path: str, counted: Census, data: Mapping[str, Any], max_pixels: int, reporter: Reporter
) -> None:
    """Write the page of a census and its JSON to `path`."""
    misnamed = []
    for finding in counted.misnamed[:MAX_EXTREME_IMAGES]:
        misnamed.append(_figure(finding.path, f"is {finding.reason}", finding.name))
    extremes = _extreme_images(counted)
    wanted = [figure["path"] for figure in [*misnamed, *_in_turn(extremes)]]

    def context(max_rows: int) -> dict[str, Any]:
        return {
            "title": terminal.list_few(data["datasets"]),
            "cards": _cards(data),
            "attention": _warnings(data, misnamed),
            "scatter": scatter.draw_scatter(counted.resolutions),
            "groups": _resolution_groups(data),
            **_bar_charts(data),
            "clusters_title": levels.level_title(data, "cluster"),
            "clusters_share_names": len(data["clusters"]) > len(data["cluster_image_counts"]),
            "megapixels": _log_histogram(counted.resolutions, census.megapixels),
            "aspect_ratios": _log_histogram(counted.resolutions, census.aspect_ratio),
            "quantile_names": [*quantiles.QUANTILES],
            "quantiles": _quantile_rows(data),
            "extremes": extremes,
            **_folders(counted, max_rows),
            "notes": ["Sizes are upright, as EXIF tags say; 1 MP = 1,000,000 pixels."],
        }

    page.write_page(path, "dataset.html", context, wanted, reporter, max_pixels)


def _cards(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    too_small = len(data["small_topics"]) + len(data["empty_topics"])
    return [
        (terminal.thousands(data["total_files"]), "images"),
        (terminal.format_bytes(data["bytes"]), "on disk"),
        (terminal.thousands(len(data["clusters"])), levels.level_title(data, "cluster").lower()),
        (terminal.thousands(len(data["topics"])), "topics"),
        (f"{data['megapixels'].get('median', 0):.2f} MP", "median size"),
        (terminal.thousands(data["unreadable"]), "unreadable"),
        (terminal.thousands(too_small), "topics too small"),
    ]


def _warnings(data: Mapping[str, Any], misnamed: Sequence[Figure]) -> list[dict[str, Any]]:
    warnings = []
    for title, places, count in dataset_warnings.list_warnings(data, caption_checks.MAX_EXAMPLES):
        if count:
            images = misnamed if title.endswith(dataset_warnings.MISNAMED_TITLE) else []
            warnings.append({"title": title, "places": places, "count": count, "images": images})
    return warnings


def _bar_charts(data: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return the charts of shares. All have one scale: the largest share is a full bar."""
    images = data["total_files"]
    shares = {
        "resolutions": (data["resolution_counts"], images - data["unreadable"]),
        "types": (data["file_type_counts"], images),
        "type_sizes": (data["file_type_bytes"], data["bytes"]),
        "clusters": (data["cluster_image_counts"], images),
    }
    largest = 0.0
    for counts, total in shares.values():
        largest = max(largest, max(counts.values(), default=0) / (total or 1))
    charts = {}
    for name, (counts, total) in shares.items():
        in_bytes = name == "type_sizes"
        format_count = terminal.format_bytes if in_bytes else terminal.thousands
        charts[name] = _bars(counts, total, largest, format_count)
    return charts


def _bars(
    counts: Mapping[str, int], total: int, full: float, format_count: Callable[[int], str]
) -> list[dict[str, Any]]:
    """Return one bar per entry, longest first; the entries after MAX_BARS share a last line.

    A share of `full` is a full bar.
    """
    names = sorted(counts, key=lambda name: (-counts[name], name))
    bars = []
    for name in names[:MAX_BARS]:
        value = f"{format_count(counts[name])} · {terminal.format_percent(counts[name], total)}"
        percent = 100 * counts[name] / ((total or 1) * (full or 1))
        bars.append({"label": name or "(no name)", "percent": percent, "value": value})
    if len(names) > MAX_BARS:
        rest = sum(counts[name] for name in names[MAX_BARS:])
        value = f"{format_count(rest)} · {terminal.format_percent(rest, total)}"
        bars.append({"label": f"{len(names) - MAX_BARS:,} more", "percent": 0, "value": value})
    return bars


def _resolution_groups(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = data["resolution_groups"]
    total = sum(counts.values()) or 1
    groups = []
    for name, title in GROUP_TITLES.items():
        groups.append(
            {
                "title": title,
                "kind": scatter.SHADES[name],
                "percent": 100 * counts[name] / total,
                "value": f"{counts[name]:,} · {terminal.format_percent(counts[name], total)}",
            }
        )
    return groups


def _log_histogram(
    resolutions: Mapping[Extent, int], measure: Callable[[Extent], float]
) -> list[quantiles.Bin]:
    """Count images in bins that grow by a constant factor, as sizes and shapes are perceived."""
    counts = Counter[int]()
    for extent, count in resolutions.items():
        steps = math.log2(max(measure(extent), 1e-4)) * BINS_PER_DOUBLING
        counts[math.floor(steps + 1e-9)] += count
    if not counts:
        return []
    bins = []
    for step in range(min(counts), max(counts) + 1):
        bins.append(quantiles.Bin(_bin_border(step), _bin_border(step + 1), counts[step]))
    return bins


def _bin_border(step: int) -> float:
    return float(f"{2 ** (step / BINS_PER_DOUBLING):.3g}")


def _quantile_rows(data: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    rows = []
    for title, key, decimals in QUANTILE_ROWS:
        if data[key]:
            values = [f"{data[key][name]:,.{decimals}f}" for name in quantiles.QUANTILES]
            rows.append((title, values))
    return rows


def _folders(counted: Census, max_rows: int) -> dict[str, Any]:
    """Return the subclusters with their topics; the largest `max_rows` topics if not all fit."""
    topics = list(counted.topics)
    by_size = sorted(topics, key=lambda topic: -counted.topics[topic].images)
    shown = set(by_size[:max_rows])
    largest = max(counts.images for counts in counted.topics.values()) or 1
    folders = []
    for label, group in tree.group_by_level(topics, "subcluster").items():
        counts = [counted.topics[topic] for topic in group]
        images = sum(topic.images for topic in counts)
        rows = []
        for topic in group:
            if topic in shown:
                rows.append(_topic_row(f"{label}/{topic.name}", counted.topics[topic], largest))
        folders.append(
            {
                "label": label,
                "images": images,
                "bytes": sum(topic.bytes for topic in counts),
                "count": len(group),
                "topics": rows,
            }
        )
    return {"folders": folders[:max_rows], "topics_left_out": len(topics) - len(shown)}


def _topic_row(label: str, counts: census.TopicCounts, largest: int) -> dict[str, Any]:
    return {
        "label": label,
        "counts": counts,
        "percent": 100 * counts.images / largest,
        "small": counts.readable < census_json.MIN_SPLIT_IMAGES,
    }


def _extreme_images(counted: Census) -> list[tuple[str, list[Figure]]]:
    """Return an image of each of the smallest, largest and most elongated resolutions."""

    def figures(extents: Iterable[Extent]) -> list[Figure]:
        results = []
        for width, height in extents:
            path = counted.examples[width, height]
            results.append(_figure(path, f"{width} × {height}", path))
        return results

    by_size = sorted(counted.examples, key=lambda extent: (extent[0] * extent[1], extent))
    by_shape = sorted(counted.examples, key=lambda extent: (census.aspect_ratio(extent), extent))
    count = min(MAX_EXTREME_IMAGES, len(by_size) // 2)
    return [
        ("Smallest", figures(by_size[:count])),
        ("Largest", figures(by_size[::-1][:count])),
        ("Widest", figures(by_shape[::-1][:count])),
        ("Tallest", figures(by_shape[:count])),
    ]


def _in_turn(kinds: Sequence[tuple[str, Sequence[Figure]]]) -> list[Figure]:
    """Return the first figure of each kind, then the second of each, and so on."""
    ordered = []
    for number in range(MAX_EXTREME_IMAGES):
        for _, figures in kinds:
            if number < len(figures):
                ordered.append(figures[number])
    return ordered


def _figure(path: str, number: str, title: str) -> Figure:
    return {"path": path, "number": number, "title": title, "caption": title.rpartition("/")[2]}
