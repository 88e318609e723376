"""What the page of a dataset's census shows: charts of sizes and types, folders, and the images that stand out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common import terminal, tree
from common.reporter import Reporter
from reports import caption_checks, census, page, quantiles
from reports.census import Census, Extent

STANDOUTS = 14  # thumbnails for each kind of image that stands out
WIDE, HIGH = 560, 540  # the scatter's drawing units
LEFT, FOOT, EDGE = 58, 30, 30  # room for its scales, and for half a tick at their ends
GRID = 6  # resolutions that are closer on the scatter share a dot
TICKS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
GROUPS = (
    ("small", "a", "Small, < 0.5 MP"),
    ("medium", "b", "Medium, 0.5 to 2 MP"),
    ("large", "c", "Large, > 2 MP"),
)


def write_page(
    path: str, taken: Census, data: Mapping[str, Any], max_pixels: int, talk: Reporter
) -> None:
    standouts = _standouts(taken)
    misnamed = [
        _figure(noted.path, f"is {noted.why}", noted.name) for noted in taken.misnamed[:STANDOUTS]
    ]
    listed = [image for _, figures in standouts for image in figures]
    wanted = [image["path"] for image in misnamed] + [
        image["path"] for image in _in_turn(standouts)
    ]

    def context(rows: int) -> dict[str, Any]:
        return {
            "title": terminal.list_few(data["datasets"]),
            "cards": _cards(data),
            "attention": _attention(data, misnamed),
            "scatter": _scatter(taken.resolutions),
            "groups": _groups(data),
            "resolutions": _bars(
                data["resolution_counts"], data["total_files"] - data["unreadable"]
            ),
            "types": _bars(data["file_type_counts"], data["total_files"]),
            "type_sizes": _bars(data["file_type_bytes"], data["bytes"], terminal.format_bytes),
            "clusters": _bars(data["cluster_image_counts"], data["total_files"]),
            "megapixels": _logarithmic(taken.resolutions, census.in_megapixels),
            "aspect_ratios": _logarithmic(taken.resolutions, census.aspect_ratio),
            "quantiles": _quantiles(data),
            "standouts": standouts if listed else [],
            **_folders(taken, rows),
            "notes": [
                "Sizes are read from the headers of image files, upright as EXIF says; 1 MP = 1,000,000 pixels."
            ],
        }

    page.write_page(path, "dataset.html", context, wanted, talk, max_pixels)


def _cards(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    small = len(data["small_topics"]) + len(data["empty_topics"])
    return [
        (terminal.thousands(data["total_files"]), "images"),
        (terminal.format_bytes(data["bytes"]), "on disk"),
        (terminal.thousands(len(data["clusters"])), "clusters"),
        (terminal.thousands(len(data["topics"])), "topics"),
        (f"{data['megapixels'].get('median', 0):.2f} MP", "median size"),
        (terminal.thousands(data["unreadable"]), "unreadable"),
        (terminal.thousands(small), "topics too small"),
    ]


def _attention(
    data: Mapping[str, Any], misnamed: Sequence[Mapping[str, str]]
) -> list[dict[str, Any]]:
    unreadable = [(file["path"], file["reason"]) for file in data["unreadable_files"]]
    other = [(file["path"], f"is {file['format']}") for file in data["misnamed_files"]]
    small = sorted(data["small_topics"].items(), key=lambda entry: (entry[1], entry[0]))
    empty = [(topic, "") for topic in data["empty_topics"]]
    few = [(topic, terminal.plural(images, "image")) for topic, images in small]
    found = [
        (
            terminal.plural(data["unreadable"], "unreadable image"),
            unreadable,
            data["unreadable"],
            [],
        ),
        (
            f"{terminal.plural(data['misnamed'], 'image')} not of the format in the name",
            other,
            data["misnamed"],
            misnamed,
        ),
        (terminal.plural(len(empty), "empty topic"), empty, len(empty), []),
        (f"{terminal.plural(len(few), 'topic')} too small for a 10 + 5 split", few, len(few), []),
        *(
            (*entry, [])
            for entry in caption_checks.attention(data["for_trainers"], caption_checks.EXAMPLES)
        ),
    ]
    return [
        {"title": title, "places": places, "count": count, "images": figures}
        for title, places, count, figures in found
        if count
    ]


def _bars(
    counts: Mapping[str, int], total: int, said: Any = terminal.thousands, most: int = 12
) -> list[dict[str, Any]]:
    names = sorted(counts, key=lambda name: (-counts[name], name))
    full = max(counts.values(), default=0) or 1
    rows = [
        {
            "label": name or "(no name)",
            "percent": 100 * counts[name] / full,
            "value": f"{said(counts[name])} · {terminal.format_percent(counts[name], total)}",
        }
        for name in names[:most]
    ]
    if len(names) > most:
        rest = sum(counts[name] for name in names[most:])
        value = f"{said(rest)} · {terminal.format_percent(rest, total)}"
        rows.append({"label": f"{len(names) - most:,} more", "percent": 0, "value": value})
    return rows


def _groups(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    counts = data["resolution_groups"]
    total = sum(counts.values()) or 1
    return [
        {
            "title": title,
            "kind": kind,
            "percent": 100 * counts[name] / total,
            "value": f"{counts[name]:,} · {terminal.format_percent(counts[name], total)}",
        }
        for name, kind, title in GROUPS
    ]


def _logarithmic(resolutions: Mapping[Extent, int], value: Any) -> list[quantiles.Bin]:
    """A histogram with four bins a doubling, as sizes and shapes are felt."""
    found = Counter[int]()
    for extent, count in resolutions.items():
        found[math.floor(math.log2(max(value(extent), 1e-4)) * 4 + 1e-9)] += count
    if not found:
        return []
    return [
        quantiles.Bin(
            float(f"{2 ** (step / 4):.3g}"), float(f"{2 ** ((step + 1) / 4):.3g}"), found[step]
        )
        for step in range(min(found), max(found) + 1)
    ]


def _quantiles(data: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    kinds = (
        ("Megapixels", "megapixels", 2),
        ("Width / height", "aspect_ratios", 2),
        ("Short side, px", "short_sides", 0),
    )
    return [
        (title, [f"{data[key][name]:,.{digits}f}" for name in quantiles.QUANTILES])
        for title, key, digits in kinds
        if data[key]
    ]


def _scatter(resolutions: Mapping[Extent, int]) -> dict[str, Any]:
    """Dots for resolutions on logarithmic scales, both alike, so that equal areas lie on straight lines."""
    if not resolutions:
        return {}
    sides = [side for extent in resolutions for side in extent]
    low, high = math.log2(min(sides)) - 0.4, math.log2(max(sides)) + 0.4

    def across(width: float) -> float:
        return LEFT + (math.log2(width) - low) / (high - low) * (WIDE - LEFT)

    def up(height: float) -> float:
        return (HIGH - FOOT) * (1 - (math.log2(height) - low) / (high - low))

    dots: dict[tuple[int, int], Counter[Extent]] = {}
    for (width, height), count in resolutions.items():
        place = round(across(width) / GRID) * GRID, round(up(height) / GRID) * GRID
        dots.setdefault(place, Counter())[width, height] += count
    most = max(dot.total() for dot in dots.values())
    ticks = [side for side in TICKS if low <= math.log2(side) <= high]
    ticks = ticks[:: 1 + len(ticks) // 8]  # more do not fit on a phone
    return {
        "dots": [
            {
                "x": x,
                "y": y,
                "r": round(3 + 15 * math.sqrt(dot.total() / most), 1),
                "title": _dot_title(dot),
                "kind": _kind(dot),
            }
            for (x, y), dot in sorted(dots.items(), key=lambda entry: -entry[1].total())
        ],
        "across": [(round(across(side), 1), side) for side in ticks],
        "up": [(round(up(side), 1), side) for side in ticks],
        "lines": [
            [
                round(at, 1)
                for at in (
                    across(2**low),
                    up(pixels / 2**low),
                    across(2**high),
                    up(pixels / 2**high),
                )
            ]
            for pixels in (census.SMALL, census.LARGE)
        ],
        "labels": [
            (round(across(width) - 14, 1), round(up(height) - 4, 1), title)
            for pixels, title in ((census.SMALL, "0.5 MP"), (census.LARGE, "2 MP"))
            for width, height in [_end(pixels, 2 ** (low + 0.2), 2 ** (high - 0.1))]
            if 2**low < min(width, height) and max(width, height) < 2**high
        ],
        "box": (LEFT, 0, WIDE - LEFT, HIGH - FOOT),
        "size": (WIDE, HIGH),
        "view": (-EDGE // 2, -EDGE // 2, WIDE + 3 * EDGE // 2, HIGH + EDGE // 2),
        "distinct": len(resolutions),
    }


def _end(pixels: int, low: float, high: float) -> tuple[float, float]:
    """Where the line of equal area leaves the scatter: at its right border or at its foot."""
    height = max(low, pixels / high)
    return pixels / height, height


def _dot_title(dot: Counter[Extent]) -> str:
    (width, height), _ = dot.most_common(1)[0]
    around = (
        "" if len(dot) == 1 else f" and {terminal.plural(len(dot) - 1, 'resolution')} close to it"
    )
    return f"{width} × {height}{around}: {terminal.plural(dot.total(), 'image')}"


def _kind(dot: Counter[Extent]) -> str:
    counts = census.resolution_groups(dot)
    return next(kind for name, kind, _ in GROUPS if counts[name] == max(counts.values()))


def _folders(taken: Census, rows: int) -> dict[str, Any]:
    """Subclusters with their topics, at most `rows` topics: those with most images where not all fit."""
    topics = list(taken.topics)
    kept = set(sorted(topics, key=lambda topic: -taken.topics[topic].images)[:rows])
    most = max(held.images for held in taken.topics.values()) or 1
    folders = []
    for label, group in tree.group_by_level(topics, "subcluster").items():
        held = [taken.topics[topic] for topic in group]
        folders.append(
            {
                "label": label,
                "images": sum(one.images for one in held),
                "bytes": sum(one.bytes for one in held),
                "count": len(group),
                "percent": 100 * sum(one.images for one in held) / (taken.images or 1),
                "topics": [
                    {
                        "label": f"{label}/{topic.name}",
                        "held": taken.topics[topic],
                        "percent": 100 * taken.topics[topic].images / most,
                        "small": taken.topics[topic].images - taken.topics[topic].unreadable
                        < census.SPLIT,
                    }
                    for topic in group
                    if topic in kept
                ],
            }
        )
    return {"folders": folders[:rows], "topics_left_out": len(topics) - len(kept)}


def _standouts(taken: Census) -> list[tuple[str, list[dict[str, str]]]]:
    """An example each of the smallest, the largest and the most drawn-out resolutions."""

    def figures(extents: Iterable[Extent]) -> list[dict[str, str]]:
        return [
            _figure(taken.examples[one], f"{one[0]} × {one[1]}", taken.examples[one])
            for one in extents
        ]

    by_size = sorted(taken.examples, key=lambda extent: (extent[0] * extent[1], extent))
    by_shape = sorted(taken.examples, key=lambda extent: (census.aspect_ratio(extent), extent))
    count = min(STANDOUTS, len(by_size) // 2)
    return [
        ("Smallest", figures(by_size[:count])),
        ("Largest", figures(by_size[::-1][:count])),
        ("Widest", figures(by_shape[::-1][:count])),
        ("Tallest", figures(by_shape[:count])),
    ]


def _in_turn(kinds: Sequence[tuple[str, Sequence[dict[str, str]]]]) -> list[dict[str, str]]:
    """The first of each kind, then the second of each."""
    return [
        images[place] for place in range(STANDOUTS) for _, images in kinds if place < len(images)
    ]


def _figure(path: str, number: str, title: str) -> dict[str, str]:
    return {"path": path, "number": number, "title": title, "caption": title.rpartition("/")[2]}
