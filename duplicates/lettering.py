"""Text laid across an image in the same framing: what it adds, and what it leaves of the image.

Text adds many pieces over a wide area. All that the plainer image shows is still there, or lies
under a tone that it does not have at that place. Another drawing of the same style lacks some of
it: there the ground is bare. duplicates/classification.py asks this of pairs that the rules of
duplicates/variant_rules.py do not link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from duplicates.comparison import measure
from duplicates.geometry import Array, Size
from duplicates.raster import Raster
from duplicates.thumbnails import Hints

COMPARED_SIDE = 256  # pixels of the longer side
MIN_COMPARED_SIDE = 128  # pixels; smaller images show too little
MAX_SHAPE_RATIO = 1.03  # between the two ratios of width to height
MAX_OUTLINE_LEVELS = 8  # of luminance, by which an equal pixel of an outline is off
MIN_OUTLINE_SHARE = 0.55  # of equal pixels: under text over 48 drawings and photos 0.65 or more

MIN_SLOPE_LEVELS = 6.0  # per pixel: less is no detail
MAX_EQUAL_LEVELS = 12.0  # by which a pixel may be off from all of the other image around it
MIN_KEPT_SLOPE_RATIO = 0.5
TONE_LEVELS = 16  # of each channel, that are one tone
TONES_PER_CHANNEL = 256 // TONE_LEVELS
MIN_TONE_SHARE = 5e-4  # of the pixels, that a tone of an image has
MIN_PART_PIXELS = 6  # of what is added

# Of 96 texts over 48 drawings and photos 88 are linked, and of 9,000 pairs of different charts,
# screenshots, pages and icons none: those next to it have 0.013 of bare detail.
MIN_DETAIL_PIXELS = 300  # of the plainer image
MIN_KEPT_SHARE = 0.8  # of its detail
MAX_BARE_SHARE = 0.01  # of its detail, gone where nothing new is
MIN_THING_PIXELS = 30  # of connected detail
MAX_COVERED_THINGS_SHARE = 0.05  # of its detail, in things of which most is gone
ADDED_SHARES = (0.02, 0.35)  # of the area, at least and at most
MIN_ADDED_PARTS = 5
MIN_ADDED_SPAN = 0.4  # of the width or height
# Drawings of one kind add more of the same: text has other tones, or lies over much detail.
MIN_NEW_TONE_SHARE = 0.1  # of what is added
MIN_AGREEING_WINDOWS = 25


@dataclass(frozen=True)
class Lettering:
    """What one of two images adds to the other, the plainer one."""

    is_first_plainer: bool  # whether it has less detail
    detail_pixels: int  # of the plainer image
    kept_share: float  # of them, that the other image shows too
    bare_share: float  # of them, that are gone where the other image shows nothing new
    covered_things_share: float  # of them, in connected things of which most is gone
    added_share: float  # of the area
    added_parts: int
    added_span: float  # of the width or of the height, whichever is more
    new_tone_share: float  # of what is added, in tones that the plainer image does not have


def may_have_lettering(one: Hints, other: Hints) -> bool:
    """Whether two images have one shape and are equal in much, by their outlines."""
    if max(*one.size) < MIN_COMPARED_SIDE or max(*other.size) < MIN_COMPARED_SIDE:
        return False
    ratio = one.size[0] * other.size[1] / (one.size[1] * other.size[0])
    if not 1 / MAX_SHAPE_RATIO <= ratio <= MAX_SHAPE_RATIO:
        return False
    rows, columns = np.minimum(one.outline.shape, other.outline.shape)
    first = one.outline[:rows, :columns].astype(np.int16)
    difference = np.abs(first - other.outline[:rows, :columns])
    return float((difference <= MAX_OUTLINE_LEVELS).mean()) >= MIN_OUTLINE_SHARE


def is_lettering(added: Lettering, one: Raster, other: Raster) -> bool:
    """Whether what is added is text across an image, all of which is there or below it."""
    is_image = added.detail_pixels >= MIN_DETAIL_PIXELS
    is_all_there = (
        added.kept_share >= MIN_KEPT_SHARE
        and added.bare_share <= MAX_BARE_SHARE
        and added.covered_things_share <= MAX_COVERED_THINGS_SHARE
    )
    least, most = ADDED_SHARES
    is_spread = added.added_parts >= MIN_ADDED_PARTS and added.added_span >= MIN_ADDED_SPAN
    if not (is_image and is_all_there and is_spread and least <= added.added_share <= most):
        return False
    if added.new_tone_share >= MIN_NEW_TONE_SHARE:
        return True
    seen = measure(one, other)
    return seen.structured_windows * seen.structure_agreement >= MIN_AGREEING_WINDOWS


def measure_lettering(one: Raster, other: Raster) -> Lettering:
    """Measure what is added to the image with less detail."""
    size = _common_size(one, other)
    images = [image.warp(size).astype(np.float32) for image in (one, other)]
    slopes = [_slopes(image) for image in images]
    details = [int((each >= MIN_SLOPE_LEVELS).sum()) for each in slopes]
    is_first_plainer = details[0] <= details[1]
    if not is_first_plainer:
        images.reverse()
        slopes.reverse()
    return _measure_added(images, slopes, is_first_plainer)


def _common_size(one: Raster, other: Raster) -> Size:
    longer = min(COMPARED_SIDE, max(one.size), max(other.size))
    width, height = (max(1, round(side * longer / max(other.size))) for side in other.size)
    return width, height


def _measure_added(
    images: Sequence[Array], slopes: Sequence[Array], is_first_plainer: bool
) -> Lettering:
    """Measure what the second image adds to the first; float32 RGB of one size, their slopes."""
    import cv2

    plainer, other = images
    detail = slopes[0] >= MIN_SLOPE_LEVELS
    differs = cv2.max(_levels_off(plainer, other, 3), _levels_off(other, plainer, 3))
    has_slope = _widen(slopes[1], 3) >= MIN_KEPT_SLOPE_RATIO * slopes[0]
    kept = detail & has_slope & (differs <= MAX_EQUAL_LEVELS)
    added = _levels_off(other, plainer, 5) > MAX_EQUAL_LEVELS
    bare = detail & ~kept & (_widen(added.astype(np.uint8), 5) == 0)
    _, _, parts, _ = cv2.connectedComponentsWithStats(added.astype(np.uint8))
    count = max(1, int(detail.sum()))
    return Lettering(
        is_first_plainer=is_first_plainer,
        detail_pixels=int(detail.sum()),
        kept_share=float(kept.sum() / count),
        bare_share=float(bare.sum() / count),
        covered_things_share=_covered_things(detail, kept) / count,
        added_share=float(added.mean()),
        added_parts=int((parts[1:, cv2.CC_STAT_AREA] >= MIN_PART_PIXELS).sum()),
        added_span=max(_span(added.any(0)), _span(added.any(1))),
        new_tone_share=_new_tone_share(plainer, other[added]),
    )


def _slopes(image: Array) -> Array:
    """Return the steepest slope of the three channels at each pixel, in levels per pixel."""
    import cv2

    across = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=1 / 8)
    return _most_of_channels(cv2.magnitude(across, down))


def _most_of_channels(values: Array) -> Array:
    import cv2

    red, green, blue = cv2.split(values)
    return cv2.max(cv2.max(red, green), blue)


def _levels_off(image: Array, other: Array, side: int) -> Array:
    """Return how far each pixel is out of the range of the other image's square around it."""
    import cv2

    square = np.ones((side, side), np.uint8)
    below = cv2.subtract(cv2.erode(other, square), image)
    above = cv2.subtract(image, cv2.dilate(other, square))
    return _most_of_channels(cv2.max(below, above))


def _widen(values: Array, side: int) -> Array:
    """Return the largest value in the square around each pixel."""
    import cv2

    return cv2.dilate(values, np.ones((side, side), np.uint8))


def _covered_things(detail: Array, kept: Array) -> int:
    """Return the pixels of connected detail of which most is gone: no text covers a whole thing."""
    import cv2

    count, labels = cv2.connectedComponents(_widen(detail.astype(np.uint8), 3))
    pixels = np.bincount(labels[detail], minlength=count)
    kept_pixels = np.bincount(labels[kept], minlength=count)
    is_covered = (pixels >= MIN_THING_PIXELS) & (2 * kept_pixels < pixels)
    return int(pixels[is_covered].sum())


def _span(mask: Any) -> float:
    """Return the share of a line from the first to the last entry that is set."""
    places = np.flatnonzero(mask)
    return float((places[-1] - places[0] + 1) / len(mask)) if len(places) else 0.0


def _new_tone_share(plainer: Array, added: Array) -> float:
    """Return the share of added pixels (n, 3) in tones that are not next to one of the image."""
    if not len(added):
        return 0.0
    counts = _count_tones(plainer.reshape(-1, 3))
    is_tone = counts >= MIN_TONE_SHARE * counts.sum()
    around = np.lib.stride_tricks.sliding_window_view(np.pad(is_tone, 1), (3, 3, 3))
    is_tone = around.any((3, 4, 5))
    added_counts = _count_tones(added)
    return float(added_counts[~is_tone].sum() / len(added))


def _count_tones(colours: Array) -> Array:
    """Return how many of the colours, (n, 3), have each tone: (16, 16, 16)."""
    red, green, blue = (colours / TONE_LEVELS).astype(np.int32).T
    codes = (red * TONES_PER_CHANNEL + green) * TONES_PER_CHANNEL + blue
    counts = np.bincount(codes, minlength=TONES_PER_CHANNEL**3)
    return counts.reshape((TONES_PER_CHANNEL,) * 3)
