"""What two aligned images show at 128 pixels, where neither grain nor compression reaches.

Soft images of one kind, such as X-rays, agree in most windows: their texture is low, and the same
everywhere. Where each shows its own, they are different pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duplicates import colours, geometry
from duplicates.geometry import Affine, Array
from duplicates.raster import Raster

COMPARED_SIDE = 128  # pixels of the longer side
GRAIN_SIGMA = 0.7  # pixels by which both are blurred against noise
DETAIL_SIGMA = 6.0  # pixels: what is coarser is light, not detail
WINDOW_SIGMA = 2.5  # pixels that are judged together
MIN_CONTRAST_LEVELS = 4.0  # from which a window shows something
AGREEING_PERCENTILE = 25  # of the windows: a text may cover the others


@dataclass(frozen=True)
class SoftDetail:
    """What is left of two images at 128 pixels; zeros if they are too small, or show nothing."""

    contrast_levels: float = 0.0  # of the image that has more, median over all windows
    unlikeness: float = 0.0  # sine of the angle between windows; a quarter of them has less


NO_SOFT_DETAIL = SoftDetail()


def measure_soft_detail(larger: Raster, lesser: Raster, affine: Affine) -> SoftDetail:
    """Compare the detail of `lesser` and of its place in `larger`, which `affine` gives."""
    size = _common_size(larger, lesser, affine)
    if size is None:
        return NO_SOFT_DETAIL
    first, second = (_detail(each) for each in (larger.warp(size, affine), lesser.warp(size)))
    mean_first, mean_second = _blur(first, WINDOW_SIGMA), _blur(second, WINDOW_SIGMA)
    first_square = (_blur(first * first, WINDOW_SIGMA) - mean_first**2).clip(0)
    second_square = (_blur(second * second, WINDOW_SIGMA) - mean_second**2).clip(0)
    product = _blur(first * second, WINDOW_SIGMA) - mean_first * mean_second
    correlation = (product / np.sqrt((first_square + 1) * (second_square + 1))).clip(0, 1)
    contrast = np.sqrt(np.maximum(first_square, second_square))
    valid = _inner_pixels(size, affine)
    shows = valid & (contrast >= MIN_CONTRAST_LEVELS)
    if not shows.any():
        return NO_SOFT_DETAIL
    unlikeness = np.sqrt(1 - correlation[shows] ** 2)
    return SoftDetail(
        float(np.median(contrast[valid])), float(np.percentile(unlikeness, AGREEING_PERCENTILE))
    )


def _common_size(larger: Raster, lesser: Raster, affine: Affine) -> geometry.Size | None:
    """Return the size of the lesser image at COMPARED_SIDE; None if one of them has not so much."""
    shown = np.linalg.norm(affine[:, :2] * np.array(larger.size)[:, None], axis=0).max()
    longer = max(lesser.size)
    if min(shown, longer) < COMPARED_SIDE:
        return None
    width, height = (max(1, round(side * COMPARED_SIDE / longer)) for side in lesser.size)
    return width, height


def _detail(pixels: Array) -> Array:
    luma = _blur(colours.luma(pixels.astype(np.float32)), GRAIN_SIGMA)
    detail: Array = luma - _blur(luma, DETAIL_SIGMA)
    return detail


def _inner_pixels(size: geometry.Size, affine: Affine) -> Array:
    """Return a mask of the pixels that both images show, but for those at an edge."""
    import cv2

    inside = geometry.pixels_inside(size, affine).astype(np.uint8)
    return cv2.erode(inside, np.ones((5, 5), np.uint8), borderValue=0).astype(bool)


def _blur(values: Array, sigma: float) -> Array:
    import cv2

    return cv2.GaussianBlur(values, (0, 0), sigma)
