"""Medians, quantiles and histograms of numbers that are counted, not listed.

Knows numbers only. A distribution is a Counter of its values: the megapixels of a million images are a few thousand
distinct numbers, scores have four decimals. So memory grows with distinct values, and nothing is estimated.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

QUANTILES = {"min": 0.0, "p5": 0.05, "q1": 0.25, "median": 0.5, "q3": 0.75, "p95": 0.95, "max": 1.0}


def quantiles(counts: Mapping[float, int], shares: Sequence[float]) -> list[float]:
    """The values below which each share (0 to 1) of the numbers lies; between two numbers it interpolates linearly.

    The same as numpy.quantile with its default method. `counts` must not be empty.
    """
    values = sorted(counts)
    ends = list(
        itertools.accumulate(map(counts.__getitem__, values))
    )  # values[i] holds the places below ends[i]
    found = []
    for share in shares:
        place = share * (ends[-1] - 1)
        low = values[bisect_right(ends, math.floor(place))]
        high = values[bisect_right(ends, math.ceil(place))]
        part = place - math.floor(place)
        found.append((low + high) / 2 if part == 0.5 else low + (high - low) * part)
    return found


def summarize(counts: Mapping[float, int]) -> dict[str, float]:
    """QUANTILES by name, for JSON; empty where there are no numbers."""
    return (
        dict(zip(QUANTILES, quantiles(counts, list(QUANTILES.values())), strict=True))
        if counts
        else {}
    )


@dataclass(frozen=True)
class Bin:
    """The numbers from `low` on and below `high`; the last bin of a histogram holds `high` too."""

    low: float
    high: float
    count: int


def histogram(counts: Mapping[float, int], most: int = 16) -> list[Bin]:
    """Bins with round borders that cover all numbers, without a gap: as narrow as `most` (two or more) bins allow."""
    if not counts:
        return []
    low, high = min(counts), max(counts)
    step, first, last = next(
        (step, first, last)
        for step in _round_steps((high - low) / most)
        for first, last in [_border_range(low, high, step)]
        if last - first <= most
    )
    borders = [_border(place, step) for place in range(first, last + 1)]
    filled = Counter[int]()
    for value, count in counts.items():
        filled[min(bisect_right(borders, value), last - first) - 1] += count
    return [Bin(*pair, filled[i]) for i, pair in enumerate(itertools.pairwise(borders))]


def _border_range(low: float, high: float, step: float) -> tuple[int, int]:
    """The places of the borders around all numbers; a number on the last border needs no bin of its own."""
    first, last = (
        math.floor(low / step),
        math.ceil(high / step),
    )  # right but for the rounding of a division
    first += (_border(first + 1, step) <= low) - (_border(first, step) > low)
    last += (_border(last, step) < high) - (_border(last - 1, step) >= high)
    return first, max(first + 1, last)


def _border(place: int, step: float) -> float:
    return round(place * step, 12)


def _round_steps(least: float) -> list[float]:
    """1, 2, 5 times a power of ten, from about `least` on."""
    power = math.floor(math.log10(least)) if least > 0 else -1
    return [
        round(factor * 10.0**exponent, 12)
        for exponent in range(power, power + 3)
        for factor in (1, 2, 5)
    ]
