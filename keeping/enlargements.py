"""Whether one copy is an enlargement of another, by their spectra, and how much detail is real."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import log2
from statistics import linear_regression

from keeping.copy_traits import ImageTraits, image_text
from keeping.worth_rules import RULES

MIN_CYCLES = 8  # along the longer side, where a spectrum begins
BINS_PER_OCTAVE = 8
MAX_COMPARED_COPIES = 200  # that each is compared with; more would take minutes in a set of 5,000
FIRST_SHARP_BIN = 19  # 40 cycles: coarser things say nothing of sharpness


def places_to_compare(images: Sequence[ImageTraits]) -> list[int]:
    """Return the places of the images that each is compared with: all, or some of a large set."""
    places = range(len(images))
    if len(images) <= MAX_COMPARED_COPIES:
        return list(places)
    by_size = sorted(
        places, key=lambda place: (images[place].side, image_text((0, 0), images[place]))
    )
    step = len(images) / MAX_COMPARED_COPIES
    return [by_size[int(number * step)] for number in range(MAX_COMPARED_COPIES)]


def band_level(traits: ImageTraits, low: float, high: float) -> float | None:
    """Mean level in dB from `low` to `high` cycles; None where the spectrum has ended."""
    first = round(BINS_PER_OCTAVE * log2(max(1, low / MIN_CYCLES)))
    last = round(BINS_PER_OCTAVE * log2(max(1, high / MIN_CYCLES)))
    levels = traits.spectrum[first:last]
    return sum(levels) / len(levels) / 10 if levels else None


def band_gap(large: ImageTraits, small: ImageTraits, low: float, high: float) -> float | None:
    """Mean level in dB by which the smaller image is above the larger one; None past an end."""
    levels = [band_level(image, low, high) for image in (small, large)]
    return None if None in levels else levels[0] - levels[1]  # type: ignore[operator]


def is_upscale(large: ImageTraits, small: ImageTraits) -> bool:
    """Say whether the larger image is the smaller one enlarged.

    Its spectrum then breaks off where that of the smaller one ends, and the filter that enlarged
    it took something just before that. A soft photo falls slowly, and its reduced copy is the one
    that lacks something there.
    """
    ratio = large.side / small.side
    if ratio < RULES.min_upscale:
        return False
    if abs(large.repeat_share * ratio - 1) < RULES.same_size:
        return True
    limit = small.side / 2
    inner = band_level(large, 0.55 * limit, 0.85 * limit)
    outer = band_level(large, min(1.25, 0.475 * (1 + ratio)) * limit, min(1.75, ratio) * limit)
    edge_gap = band_gap(large, small, 0.72 * limit, 0.97 * limit)
    middle_gap = band_gap(large, small, 0.4 * limit, 0.65 * limit)
    if inner is None or outer is None or edge_gap is None or middle_gap is None:
        return False
    return (
        inner - outer + edge_gap > RULES.upscale_drop_db
        and edge_gap - middle_gap > RULES.upscale_bend_db
        and softness_slope(small) > RULES.max_soft_slope_db
    )


def softness_slope(image: ImageTraits) -> float:
    """Change in dB with the square of the frequency, of which 1 is the highest of the image.

    A soft lens gives a straight line. 0 if there is too little to see.
    """
    limit = image.side / 2
    squares, levels = [], []
    for place, level in enumerate(image.spectrum):
        frequency = MIN_CYCLES * 2 ** ((place + 0.5) / BINS_PER_OCTAVE) / limit
        if 0.2 < frequency < 0.8:
            squares.append(frequency**2)
            levels.append(level / 10)
    return linear_regression(squares, levels).slope if len(squares) > 2 else 0.0


def full_detail(images: Sequence[ImageTraits]) -> list[int]:
    """Spectrum of the picture with all its detail: the highest of its clean copies, 0 at least."""
    clean = [image for image in images if not image.palette]
    clean = [image for image in clean if image.grain_levels <= RULES.max_clean_grain]
    spectra = [image.spectrum for image in clean or images]
    return [max(0, *levels) for levels in zip_longest(*spectra, fillvalue=0)]


def side_with_detail(image: ImageTraits, full: Sequence[int]) -> float:
    """Pixels of the longer side that hold detail: their part of the spectrum has not fallen."""
    shown = total = 0.0
    for place, level in enumerate(image.spectrum):
        cycles = 2 ** (place / BINS_PER_OCTAVE)
        below = (full[place] if place < len(full) else 0) - level
        total += cycles
        shown += cycles * min(1.0, 10 ** ((RULES.fallen_db - below / 10) / 20))
    return image.side * (shown / total if total else 1.0)
