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
MIN_CONTRAST_LEVELS = 4.0  # from which a window shows something
STRONG_CONTRAST_LEVELS = 32.0  # median over all windows: ridges have 42, photos up to 30
MAX_STRONG_UNLIKENESS = 0.42  # then: 180 pairs of drawn fingerprints have 0.46 or more
AGREEING_PERCENTILE = 25  # of the windows: a text may cover the others


@dataclass(frozen=True)
class SoftDetail:
    """What is left of two images at 128 pixels; zeros if they are too small, or show nothing."""

    contrast_levels: float = 0.0  # of the image that has more, median over all windows
    unlikeness: float = 0.0  # sine of the angle between windows; a quarter of them has less

    @property
    def has_other_ridges(self) -> bool:
        """Whether there is strong detail everywhere, and less than a quarter of it agrees."""
        is_strong = self.contrast_levels >= STRONG_CONTRAST_LEVELS
        return is_strong and self.unlikeness > MAX_STRONG_UNLIKENESS


NO_SOFT_DETAIL = SoftDetail()


def measure_soft_detail(larger: Raster, lesser: Raster, affine: Affine) -> SoftDetail:
    """Compare the detail of `lesser` and of its place in `larger`, which `affine` gives."""
    from duplicates.window_likeness import DetailPair, inner_pixels  # OpenCV

    size = _common_size(larger, lesser, affine)
    if size is None:
        return NO_SOFT_DETAIL
    pair = DetailPair(_detail(larger.warp(size, affine)), _detail(lesser.warp(size)))
    valid = inner_pixels(geometry.pixels_inside(size, affine))
    shows = valid & (pair.contrast >= MIN_CONTRAST_LEVELS)
    if not shows.any():
        return NO_SOFT_DETAIL
    unlikeness = float(np.percentile(pair.unlikeness[shows], AGREEING_PERCENTILE))
    return SoftDetail(float(np.median(pair.contrast[valid])), unlikeness)


def _common_size(larger: Raster, lesser: Raster, affine: Affine) -> geometry.Size | None:
    """Return the size of the lesser image at COMPARED_SIDE; None if one of them has not so much."""
    shown = np.linalg.norm(affine[:, :2] * np.array(larger.size)[:, None], axis=0).max()
    longer = max(lesser.size)
    if min(shown, longer) < COMPARED_SIDE:
        return None
    width, height = (max(1, round(side * COMPARED_SIDE / longer)) for side in lesser.size)
    return width, height


def _detail(pixels: Array) -> Array:
    from duplicates.full_tones import blur  # OpenCV
    from duplicates.window_likeness import DETAIL_SIGMA, GRAIN_SIGMA

    luma = blur(colours.luma(pixels.astype(np.float32)), GRAIN_SIGMA)
    detail: Array = luma - blur(luma, DETAIL_SIGMA)
    return detail
