"""The scatter chart of resolutions: dots on two equal logarithmic scales, so that lines of equal
area are straight.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common import terminal
from reports import census
from reports.census import Extent

# All in drawing units.
WIDTH = 560
HEIGHT = 540
LEFT_MARGIN = 58  # for the scale of heights
BOTTOM_MARGIN = 30  # for the scale of widths
TICK_MARGIN = 30  # for half a tick at the ends of a scale
GRID = 6  # resolutions that are closer share a dot
MIN_RADIUS = 3
MAX_EXTRA_RADIUS = 15

PLOT_WIDTH = WIDTH - LEFT_MARGIN
PLOT_HEIGHT = HEIGHT - BOTTOM_MARGIN
TICKS_PX = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
MAX_TICKS = 8  # more do not fit on a phone
AREA_LINES = ((census.MIN_MEDIUM_PIXELS, "0.5 MP"), (census.MAX_MEDIUM_PIXELS, "2 MP"))
SHADES = {"small": "a", "medium": "b", "large": "c"}  # CSS classes of resolution groups


@dataclass(frozen=True)
class Scale:
    """Both scales of the chart. `low` and `high` are logarithms to base 2 of pixels."""

    low: float
    high: float

    def x(self, width: float) -> float:
        return LEFT_MARGIN + self._share(width) * PLOT_WIDTH

    def y(self, height: float) -> float:
        return PLOT_HEIGHT * (1 - self._share(height))

    def _share(self, pixels: float) -> float:
        return (math.log2(pixels) - self.low) / (self.high - self.low)


def draw_scatter(resolutions: Mapping[Extent, int]) -> dict[str, Any]:
    """Return what the template draws; an empty dict if there are no resolutions."""
    if not resolutions:
        return {}
    sides = [side for extent in resolutions for side in extent]
    scale = Scale(math.log2(min(sides)) - 0.4, math.log2(max(sides)) + 0.4)
    ticks = [side for side in TICKS_PX if scale.low <= math.log2(side) <= scale.high]
    ticks = ticks[:: 1 + len(ticks) // MAX_TICKS]
    half_margin = TICK_MARGIN // 2
    return {
        "dots": _dots(resolutions, scale),
        "across": [(round(scale.x(side), 1), side) for side in ticks],
        "up": [(round(scale.y(side), 1), side) for side in ticks],
        "lines": [_area_line(pixels, scale) for pixels, _ in AREA_LINES],
        "labels": _area_labels(scale),
        "box": (LEFT_MARGIN, 0, PLOT_WIDTH, PLOT_HEIGHT),
        "size": (WIDTH, HEIGHT),
        "view": (
            -half_margin,
            -half_margin,
            WIDTH + TICK_MARGIN + half_margin,
            HEIGHT + half_margin,
        ),
        "distinct": len(resolutions),
    }


def _dots(resolutions: Mapping[Extent, int], scale: Scale) -> list[dict[str, Any]]:
    """Return the dots, largest first, so that small ones are drawn on top."""
    clusters: dict[tuple[int, int], Counter[Extent]] = {}
    for (width, height), count in resolutions.items():
        position = _snap(scale.x(width)), _snap(scale.y(height))
        clusters.setdefault(position, Counter())[width, height] += count
    most = max(cluster.total() for cluster in clusters.values())
    dots = []
    for (x, y), cluster in sorted(clusters.items(), key=lambda entry: -entry[1].total()):
        radius = MIN_RADIUS + MAX_EXTRA_RADIUS * math.sqrt(cluster.total() / most)
        dots.append(
            {
                "x": x,
                "y": y,
                "r": round(radius, 1),
                "title": _dot_title(cluster),
                "kind": _dot_shade(cluster),
            }
        )
    return dots


def _snap(position: float) -> int:
    return round(position / GRID) * GRID


def _dot_title(cluster: Counter[Extent]) -> str:
    (width, height), _ = cluster.most_common(1)[0]
    title = f"{width} × {height}"
    if len(cluster) > 1:
        title += f" and {terminal.plural(len(cluster) - 1, 'similar resolution')}"
    return f"{title}: {terminal.plural(cluster.total(), 'image')}"


def _dot_shade(cluster: Counter[Extent]) -> str:
    counts = census.resolution_groups(cluster)
    largest = max(counts, key=counts.__getitem__)  # the first of equals
    return SHADES[largest]


def _area_line(pixels: int, scale: Scale) -> list[float]:
    """Return x1, y1, x2, y2 of the line of all resolutions with that area."""
    narrow = 2**scale.low
    wide = 2**scale.high
    ends = (scale.x(narrow), scale.y(pixels / narrow), scale.x(wide), scale.y(pixels / wide))
    return [round(coordinate, 1) for coordinate in ends]


def _area_labels(scale: Scale) -> list[tuple[float, float, str]]:
    """Return x, y and text at the right or lower end of each line that crosses the chart."""
    labels = []
    for pixels, title in AREA_LINES:
        height = max(2 ** (scale.low + 0.2), pixels / 2 ** (scale.high - 0.1))
        width = pixels / height
        is_inside = 2**scale.low < min(width, height) and max(width, height) < 2**scale.high
        if is_inside:
            x = round(scale.x(width) - 14, 1)
            y = round(scale.y(height) - 4, 1)
            labels.append((x, y, title))
    return labels
