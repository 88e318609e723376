"""Compare two small copies of a picture: which shows more, and which has a mark or a mosaic.

Gives plain numbers for keeping/copy_order.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from duplicates.one_thread import limit_to_one_thread
from duplicates.originality import LUMA, cells
from duplicates.thumbnails import SmallImage
from keeping.copy_traits import PairTraits

Array = np.ndarray[Any, np.dtype[Any]]

REGISTRATION_SIDE = 192  # pixels
MIN_CORRELATION = 0.8  # of registered pictures, below which nothing is said of them
CELL = 4  # pixels
MIN_MARK_LEVELS = 8.0  # by which a cell of a mark or mosaic differs
MIN_MARK_OUTLIER = 5.0  # the same, in usual differences of these two pictures
MIN_MARK_CELLS = 4
MAX_MARK_AREA = 0.075  # share of the picture
MIN_MARK_SHARE = 0.7  # of all outliers that a mark holds: else the pictures differ everywhere
# Blurring takes a mosaic out of the difference, not a mark: its pixels are all lighter, or darker.
MOSAIC_PIXELS = 13
MAX_MOSAIC_REMAINING = 0.3  # share of the difference; 23 mosaics had 0.21 at most
MIN_MARK_REMAINING = 0.6  # of 61 texts 60 had more; tones that differ had 0.3 to 0.7
MIN_OUTLINE_RATIO = 1.25  # of slopes along the outline of a mark, in the picture that has it
MIN_DETAIL_RATIO = 1.15  # of fine detail, in the picture that has no mosaic


def compare_small_images(pairs: Sequence[tuple[SmallImage, SmallImage]]) -> list[PairTraits]:
    """Compare pairs of small images, in order."""
    with limit_to_one_thread():
        return [compare_thumbnails(one.raster.pixels, other.raster.pixels) for one, other in pairs]


def compare_thumbnails(first: Array, second: Array) -> PairTraits:
    """Compare two pictures, uint8 RGB of thumbnails.MAX_SIDE."""
    correlation, affine = register(first, second)
    if correlation < MIN_CORRELATION:
        return PairTraits()
    area = -np.log2(max(1e-3, np.linalg.det(affine[:, :2])))
    mark, mosaic = find_mark(*overlay(first, second, affine))
    return PairTraits(round(float(area), 3), mark, mosaic)


def register(first: Array, second: Array) -> tuple[float, Array]:
    """Correlation after registration, and the map that leads from the second to the first.

    The map is affine, (2, 3), between places as shares of width and height.
    """
    side = REGISTRATION_SIDE
    squares = []
    for picture in (second, first):
        square = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        squares.append(cv2.cvtColor(square, cv2.COLOR_RGB2GRAY))
    fixed, moved = squares
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-5)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        correlation, warp = cv2.findTransformECC(fixed, moved, start, cv2.MOTION_AFFINE, stop)
    except cv2.error:  # it does not converge
        return 0.0, np.eye(2, 3)
    affine = np.asarray(warp, float)
    affine[:, 2] = (affine[:, 2] + affine[:, :2] @ [0.5, 0.5] - 0.5) / side
    return float(correlation), affine


def overlay(first: Array, second: Array, affine: Array) -> tuple[Array, Array, Array]:
    """Lay the first on the second, in its tones. Returns both as luminance, and where both show."""
    height, width = second.shape[:2]
    sides = np.array([first.shape[1], first.shape[0]])
    scale = sides[:, None] * affine[:, :2] / [width, height]
    shift = affine[:, 2] * sides + scale @ [0.5, 0.5] - 0.5
    to_pixels = np.hstack([scale, shift[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(
        first, to_pixels, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    covered = cv2.warpAffine(
        np.full(first.shape[:2], 255, np.uint8), to_pixels, (width, height), flags=flags
    )
    other = second.astype(np.float32) @ LUMA
    return match_tones(laid.astype(np.float32) @ LUMA, other), other, covered > 250


def match_tones(luma: Array, wanted: Array) -> Array:
    """`luma` in the tones of `wanted`, by the cubic that fits best."""
    powers = np.stack([(luma / 255) ** power for power in range(4)], -1)
    sample = powers.reshape(-1, 4)[::3]
    fit = np.linalg.solve(sample.T @ sample + 1e-3 * np.eye(4), sample.T @ wanted.ravel()[::3])
    return powers @ fit.astype(np.float32)


def find_mark(first: Array, second: Array, covered: Array) -> tuple[int, int]:
    """Find what was added to one small place of either picture: PairTraits' mark and mosaic."""
    difference = first - second
    limit, place = locate_change(difference, covered)
    if place is None:
        return 0, 0
    changed, first, second = difference[place], first[place], second[place]
    blurred = cv2.blur(difference, (MOSAIC_PIXELS, MOSAIC_PIXELS))[place]
    remaining = np.abs(blurred).sum() / np.abs(changed).sum()
    if remaining > MIN_MARK_REMAINING:
        mask = (np.abs(changed) > limit).astype(np.uint8)
        square = np.ones((3, 3), np.uint8)
        outline = cv2.dilate(mask, square) > cv2.erode(mask, square)
        return greater(slopes(first)[outline], slopes(second)[outline], MIN_OUTLINE_RATIO), 0
    if remaining < MAX_MOSAIC_REMAINING:
        return 0, greater(fine_detail(second), fine_detail(first), MIN_DETAIL_RATIO)
    return 0, 0


def locate_change(difference: Array, covered: Array) -> tuple[float, tuple[slice, slice] | None]:
    """Find the one small place where two pictures differ; None if there is no such place.

    Also returns the difference from which a cell counts, in levels.
    """
    inside: Array = np.asarray(cells(covered, CELL).all((1, 3)))
    if inside.any():
        inside[[0, -1]] = inside[:, [0, -1]] = False
    if not inside.any():
        return 0.0, None
    gap = cells(difference, CELL).mean((1, 3))
    gap = np.where(inside, gap - cv2.blur(gap, (15, 15)), 0)
    usual = 1.48 * np.median(np.abs(gap[inside])) + 0.5
    limit = max(MIN_MARK_LEVELS, MIN_MARK_OUTLIER * usual)
    outliers = np.abs(gap) > limit
    if outliers.sum() < MIN_MARK_CELLS:
        return limit, None
    joined = cv2.dilate(outliers.astype(np.uint8), np.ones((3, 5), np.uint8))
    number, labels, boxes, _ = cv2.connectedComponentsWithStats(joined)
    weights = np.bincount(labels.ravel(), np.abs(gap * outliers).ravel(), number)
    left, top, width, height, _ = boxes[1 + weights[1:].argmax()] * CELL
    is_small = width * height <= MAX_MARK_AREA * difference.size
    if not is_small or weights[1:].max() < MIN_MARK_SHARE * weights.sum():
        return limit, None
    return limit, np.s_[top : top + height, left : left + width]


def greater(first: Array, second: Array, ratio: float) -> int:
    """1 if the first has a mean that is greater by that ratio, -1 if the second has, else 0."""
    one, other = (float(values.mean()) + 1e-3 if values.size else 1.0 for values in (first, second))
    return int(one > ratio * other) - int(other > ratio * one)


def slopes(luma: Array) -> Array:
    return np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))


def fine_detail(luma: Array) -> Array:
    return np.abs(cv2.Laplacian(cv2.GaussianBlur(luma, (0, 0), 0.7), cv2.CV_32F))
