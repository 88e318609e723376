"""Which of two variants is the clean one: without frame, text or overlay, the whole, in colour."""

from __future__ import annotations

import numpy as np

from duplicates import colours
from duplicates.aligned_pair import AlignedPair
from duplicates.border_rules import is_bordered
from duplicates.geometry import Affine, Array
from duplicates.raster import Raster
from duplicates.surroundings import Surroundings
from duplicates.thresholds import THRESHOLDS
from keeping.directions import NO_DIRECTION, Direction

COMPARED_SIDE = 256  # pixels of the longer side
MIN_OVERLAY_LEVELS = 10.0  # by which an overlaid pixel differs
MIN_OVERLAY_OUTLIER = 4.0  # the same, in usual differences of the two pictures
MIN_OUTLINE_PIXELS = 20
MIN_OUTLINE_RATIO = 1.1  # of slopes along the outline of an overlay, in the picture that has it
MIN_AREA_GAP = 0.02  # share of the area by which the whole picture shows more than a cropped one
# Around 58 of 64 planted crops the contrast was at most 1.3 and the variation 0.8 to 1.4.
MAX_WHOLE_BORDER_CONTRAST = 1.4  # across the edges of a crop, in the whole picture
USUAL_BORDER_CONTRAST = 1.0  # of a picture that goes on
WHOLE_BEYOND_RATIO = (0.75, 1.5)  # of the variation beyond the edges to that within
# Of 10 pictures sepia had 2.4 to 45 times less, other contrasts and hues at most 1.7 times.
MIN_COLOUR_RATIO = 2.0  # of the spread of colours, in the picture that has all of them
MIN_COLOUR_LEVELS = 3.0  # of that spread; a grey picture has none to lose, sepia of it had 1.9
TONE_LEVELS = 8  # of luminance, in which one tint has one colour


def find_direction(kind: str, pair: AlignedPair, one: Raster, other: Raster) -> Direction:
    """Return which of two variants of a kind is clean; mirrored ones have none."""
    larger_sign = 1 if pair.is_first_larger else -1
    shares = pair.seen.overlap
    if kind == "framed" and not is_bordered(pair, THRESHOLDS):
        larger_is_cut = pair.around.cut_corners > 0
        return Direction(-larger_sign if larger_is_cut else larger_sign, min(shares))
    if kind in ("framed", "contained", "captioned"):
        return Direction(-larger_sign, min(shares))
    if kind == "turned" and is_bordered(pair, THRESHOLDS):  # its corners are filled
        return Direction(-larger_sign, min(shares))
    larger, lesser = (one, other) if pair.is_first_larger else (other, one)
    if kind == "cropped" and max(shares) - min(shares) >= MIN_AREA_GAP:
        is_whole = goes_on(pair.around)
        if is_whole is None:
            return NO_DIRECTION
        return Direction(larger_sign) if is_whole else Direction(-larger_sign, min(shares))
    in_one_framing = find_direction_in_one_framing(kind, larger, lesser, pair.seen.affine)
    return Direction(larger_sign * in_one_framing.clean)


def find_direction_in_one_framing(
    kind: str, one: Raster, other: Raster, affine: Affine
) -> Direction:
    """Return which of two variants in one framing is clean; `affine` lays `other` on `one`."""
    if kind == "overlaid":
        return Direction(-_compare_overlay(*_lay_on(one, other, affine)))
    if kind == "recoloured":
        return Direction(_compare_colours(one, other))
    return NO_DIRECTION


def goes_on(around: Surroundings) -> bool | None:
    """Whether the lesser image is a crop of the larger: the picture goes on beyond its edges.

    False if a border shows, None if it is uncertain.
    """
    least, most = WHOLE_BEYOND_RATIO
    if around.border_contrast > MAX_WHOLE_BORDER_CONTRAST:
        return False
    if least <= around.beyond_ratio <= most:
        return True
    return False if around.border_contrast > USUAL_BORDER_CONTRAST else None


def _lay_on(one: Raster, other: Raster, affine: Affine) -> tuple[Array, Array]:
    """Return the luminance of both where `other` is, float32."""
    width, height = other.size
    scale = min(1.0, COMPARED_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    laid = one.warp(size, affine).astype(np.float32)
    return colours.luma(laid), colours.luma(other.warp(size).astype(np.float32))


def _compare_overlay(first: Array, second: Array) -> int:
    """Return 1 if the first has something laid over it, -1 if the second has, else 0.

    What is laid over a picture has an outline, which the other does not have there.
    """
    import cv2

    difference = np.abs(first - second)
    usual = float(np.median(difference)) + 0.5
    limit = max(MIN_OVERLAY_LEVELS, MIN_OVERLAY_OUTLIER * usual)
    mask = (difference > limit).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    outline = cv2.dilate(mask, square) > cv2.erode(mask, square)
    if outline.sum() < MIN_OUTLINE_PIXELS:
        return 0
    slopes = []
    for luma in (first, second):
        slope = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
        slopes.append(float(slope[outline].mean()) + 1e-3)
    is_first = slopes[0] > MIN_OUTLINE_RATIO * slopes[1]
    is_second = slopes[1] > MIN_OUTLINE_RATIO * slopes[0]
    return int(is_first) - int(is_second)


def _compare_colours(first: Raster, second: Raster) -> int:
    """Return 1 if only the first is in full colour, -1 if only the second is, else 0."""
    levels = [_colour_spread(image) for image in (first, second)]
    if max(levels) < MIN_COLOUR_LEVELS:
        return 0
    is_first = levels[0] > MIN_COLOUR_RATIO * levels[1]
    is_second = levels[1] > MIN_COLOUR_RATIO * levels[0]
    return int(is_first) - int(is_second)


def _colour_spread(image: Raster) -> float:
    """Return the spread of colours among pixels of one brightness, in levels; of a tint it is 0."""
    samples = image.pixels[::3, ::3].reshape(-1, 3).astype(np.float32)
    luma = samples @ colours.LUMA_WEIGHTS
    tone = (luma / TONE_LEVELS).astype(int)
    counts = np.maximum(1, np.bincount(tone))
    square = 0.0
    for channel in (0, 2):
        chroma = samples[:, channel] - luma
        means = np.bincount(tone, chroma) / counts
        square += float(((chroma - means[tone]) ** 2).mean())
    return float(np.sqrt(square / 2))
