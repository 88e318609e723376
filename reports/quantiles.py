"""Medians, quantiles and histograms of counted numbers.

A distribution is a Counter of its values: the megapixels of a million images are a few thousand
distinct numbers, and scores have four decimals. So memory grows with distinct values, and nothing
is estimated.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

QUANTILES = {"min": 0.0, "p5": 0.05, "q1": 0.25, "median": 0.5, "q3": 0.75, "p95": 0.95, "max": 1.0}
BORDER_DECIMALS = 12  # rounding removes the error of a product of a step


def quantiles(counts: Mapping[float, int], shares: Sequence[float]) -> list[float]:
    """Return the value below which each share (0 to 1) of the numbers is.

    Interpolates linearly between two numbers, like numpy.quantile by default. `counts` must not be
    empty.
    """
    values = sorted(counts)
    # In sorted order, values[i] is at the positions from ends[i - 1] up to, not including, ends[i].
    ends = list(itertools.accumulate(counts[value] for value in values))
    results = []
    for share in shares:
        position = share * (ends[-1] - 1)
        low = values[bisect_right(ends, math.floor(position))]
        high = values[bisect_right(ends, math.ceil(position))]
        fraction = position - math.floor(position)
        if fraction == 0.5:
            results.append((low + high) / 2)
        else:
            results.append(low + (high - low) * fraction)
    return results


def summarize(counts: Mapping[float, int]) -> dict[str, float]:
    """Return the QUANTILES by name, for JSON; an empty dict if there are no numbers."""
    if not counts:
        return {}
    values = quantiles(counts, list(QUANTILES.values()))
    return dict(zip(QUANTILES, values, strict=True))


@dataclass(frozen=True)
class Bin:
    """The numbers from `low` up to, not including, `high`; a last bin includes `high`."""

    low: float
    high: float
    count: int


def histogram(counts: Mapping[float, int], max_bins: int = 16) -> list[Bin]:
    """Count all numbers in adjacent bins with round borders, as narrow as `max_bins` allows.

    `max_bins` is at least 2.
    """
    if not counts:
        return []
    low = min(counts)
    high = max(counts)
    for step in _round_steps((high - low) / max_bins):
        first, last = _border_range(low, high, step)
        if last - first <= max_bins:
            break
    borders = [_border(number, step) for number in range(first, last + 1)]
    bin_counts = [0] * (last - first)
    for value, count in counts.items():
        bin_number = min(bisect_right(borders, value), last - first) - 1
        bin_counts[bin_number] += count
    bins = []
    for (left, right), count in zip(itertools.pairwise(borders), bin_counts, strict=True):
        bins.append(Bin(left, right, count))
    return bins


def _border_range(low: float, high: float, step: float) -> tuple[int, int]:
    """Return the numbers of the first and last border, in steps, around `low` and `high`.

    A value on the last border needs no bin of its own.
    """
    # The divisions may round to the wrong side of a border.
    first = math.floor(low / step)
    if _border(first + 1, step) <= low:
        first += 1
    elif _border(first, step) > low:
        first -= 1
    last = math.ceil(high / step)
    if _border(last, step) < high:
        last += 1
    elif _border(last - 1, step) >= high:
        last -= 1
    return first, max(first + 1, last)


def _border(number: int, step: float) -> float:
    return round(number * step, BORDER_DECIMALS)


def _round_steps(least: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten, from about `least` on."""
    power = math.floor(math.log10(least)) if least > 0 else -1
    steps = []
    for exponent in range(power, power + 3):
        for factor in (1, 2, 5):
            steps.append(round(factor * 10.0**exponent, BORDER_DECIMALS))
    return steps
