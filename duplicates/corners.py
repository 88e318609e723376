"""Corners that one of two images in one framing lacks: they are rounded or cut off."""

from __future__ import annotations

import numpy as np

from duplicates.geometry import Affine, Array
from duplicates.raster import Raster

COMPARED_SIDE = 256  # pixels of the square on which both are compared
CORNER_PIXELS = 4  # of the two legs of a corner: a rounding of 6 % of a side leaves so many
MAX_CORNER_SPREAD = 12.0  # levels, standard deviation of the pixels of corners that are cut off
MIN_CORNER_LEVELS = 24.0  # by which a corner differs from what the other image shows there


def count_cut_corners(larger: Raster, lesser: Raster, affine: Affine) -> int:
    """Return how many corners have one tone in one image alone; negative if it is the lesser."""
    size = (COMPARED_SIDE, COMPARED_SIDE)
    first = _corners(larger.warp(size, affine))
    second = _corners(lesser.warp(size))
    differing = np.abs(first - second).mean((1, 2)) >= MIN_CORNER_LEVELS
    count = int(differing.sum())
    is_first_plain, is_second_plain = (_has_one_tone(each[differing]) for each in (first, second))
    if is_first_plain == is_second_plain:
        return 0
    return count if is_first_plain else -count


def _corners(pixels: Array) -> Array:
    """Return the pixels of the four corners: float32 (4, pixels, 3)."""
    across, down = np.meshgrid(range(CORNER_PIXELS), range(CORNER_PIXELS))
    is_corner = across + down < CORNER_PIXELS
    corners = []
    for quarter in range(4):
        patch = np.rot90(pixels, quarter)[:CORNER_PIXELS, :CORNER_PIXELS]
        corners.append(patch[is_corner].astype(np.float32))
    return np.stack(corners)


def _has_one_tone(corners: Array) -> bool:
    if not len(corners):
        return False
    return bool(corners.reshape(-1, 3).std(0).max() <= MAX_CORNER_SPREAD)
