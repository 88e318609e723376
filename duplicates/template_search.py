"""Search for one small image in another, upright, where there are few features to match.

Most pairs are ruled out by outlines, which are 48 pixels wide and made when an image is read: a
search takes 4 ms, a comparison of outlines 0.5. Imports OpenCV inside its functions.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from duplicates.geometry import Affine, Array, Size, inverse
from duplicates.raster import Raster

FEW_FEATURES = 80  # of an image; with fewer, it is also searched for
SEARCH_SIDE = 96  # pixels of the longer side of the larger image
SEARCH_SHARES = tuple(1.075**-step for step in range(10))  # sizes tried: all of it to a half
MIN_SEARCH_CORRELATION = 0.75
MIN_TEMPLATE_SIDE = 8  # pixels

OUTLINE_SIDE = 48  # pixels of the longer side
MIN_OUTLINE_TEMPLATE_SIDE = 4  # pixels
# Of 160 pairs of photos and drawings whose search proposed a map, none had less.
MIN_OUTLINE_CORRELATION = 0.65
MIN_OUTLINE_LEVELS = 1.0  # standard deviation; below it an image is flat, and is like any other


def make_outline(pixels: Array) -> Array:
    """Return the luminance of an image, uint8 RGB, at OUTLINE_SIDE: uint8 (height, width)."""
    height, width = pixels.shape[:2]
    scale = OUTLINE_SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    grey = Image.fromarray(pixels).convert("L")
    return np.asarray(grey.resize(size, Image.Resampling.BOX))


def may_be_inside(one: Array, other: Array, one_size: Size, other_size: Size) -> bool:
    """Whether one of two images may be in the other, by their outlines.

    one_size, other_size: of the images, (width, height) in pixels.
    """
    if min(one.std(), other.std()) < MIN_OUTLINE_LEVELS:
        return False
    return _outline_fits(one, other, other_size) or _outline_fits(other, one, one_size)


def _outline_fits(larger: Array, lesser: Array, lesser_size: Size) -> bool:
    """Whether the lesser image correlates with a place in the larger one at any size."""
    import cv2

    height, width = larger.shape
    for size in _template_sizes((width, height), lesser_size, MIN_OUTLINE_TEMPLATE_SIDE):
        template = cv2.resize(lesser, size, interpolation=cv2.INTER_AREA)
        scores = cv2.matchTemplate(larger, template, cv2.TM_CCOEFF_NORMED)
        if scores.max() >= MIN_OUTLINE_CORRELATION:
            return True
    return False


def _template_sizes(ground: Size, lesser: Size, min_side: int) -> list[Size]:
    """Return the sizes at which an image is searched for on a ground, largest first."""
    sizes = []
    for share in SEARCH_SHARES:
        scale = share * min(ground[0] / lesser[0], ground[1] / lesser[1])
        across, down = (max(min_side, int(side * scale)) for side in lesser)
        if across <= ground[0] and down <= ground[1]:
            sizes.append((across, down))
    return sizes


def maps_from_template_search(one: Raster, other: Raster) -> list[Affine]:
    """Search each image, upright, in the other: for images with few features to match.

    Returns the map with the best correlation, or nothing if none is good.
    """
    inwards, correlation = _search_template(one, other, MIN_SEARCH_CORRELATION)
    outwards, _ = _search_template(other, one, correlation)
    if outwards is not None:
        return [inverse(outwards)]
    return [] if inwards is None else [inwards]


def _search_template(
    larger: Raster, lesser: Raster, min_correlation: float
) -> tuple[Affine | None, float]:
    """Return where the lesser image is in the larger, and the correlation there.

    The map is None if no place correlates by more than `min_correlation`.
    """
    import cv2

    best: Affine | None = None
    longer = max(larger.size)
    width, height = (max(MIN_TEMPLATE_SIDE, round(n * SEARCH_SIDE / longer)) for n in larger.size)
    ground = cv2.cvtColor(larger.warp((width, height)), cv2.COLOR_RGB2GRAY)
    for across, down in _template_sizes((width, height), lesser.size, MIN_TEMPLATE_SIDE):
        template = cv2.cvtColor(lesser.warp((across, down)), cv2.COLOR_RGB2GRAY)
        scores = cv2.matchTemplate(ground, template, cv2.TM_CCOEFF_NORMED)
        _, correlation, _, (left, top) = cv2.minMaxLoc(scores)
        if correlation > min_correlation:
            min_correlation = correlation
            best = np.array([[across / width, 0, left / width], [0, down / height, top / height]])
    return best, min_correlation
