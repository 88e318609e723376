"""What is around the place of one image in another: a frame, a caption, or more of the picture.

Levels are 0 to 255. A cell has 8 x 8 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duplicates import cells, colours, geometry
from duplicates.comparison import CELL
from duplicates.corners import count_cut_corners
from duplicates.geometry import Affine, Array
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds

COMPARED_SIDE = 192  # pixels
RIM_SHARE = 0.06  # of a side, that is looked at around the place
EDGE_STEP = 3  # pixels from an edge at which neighbours are compared
MIN_BORDER_SHARE = 0.5  # of an edge, that must have something beyond it
MARGIN_SHARE = 0.016  # of a side next to the place that does not count: resizing blurs the edge
STRONG_TEXTURE_LEVELS = 16.0  # standard deviation of a cell: letters have it, blurred bars have not
RIM_CELLS = 2  # along the edges of the lesser image
NOTHING_BEYOND_RATIO = 1.0


@dataclass(frozen=True)
class Surroundings:
    """What is around the place that one image has in a larger one."""

    bordered_sides: int  # on which there is something
    border_contrast: float  # difference across an edge to that beside it, median of the sides
    texture_share: float  # of the cells around it that have a texture
    strong_texture_share: float  # of them that have much
    rim_texture_share: float  # of the cells along the edges of the lesser image
    beyond_ratio: float  # variation along the edges, just beyond them to just within
    cut_corners: int  # of one tone in one image only: in the larger one, or negative in the lesser


NOT_MEASURED = Surroundings(0, 0.0, 0.0, 0.0, 0.0, NOTHING_BEYOND_RATIO, 0)


def measure_surroundings(
    larger: Raster, lesser: Raster, affine: Affine, limits: Thresholds = THRESHOLDS
) -> Surroundings:
    """Measure what is in `larger` around the place that `affine` gives `lesser`."""
    contrasts, beyond_ratio = _compare_across_edges(larger, affine)
    levels = _texture_levels(larger)[_cells_around(larger, affine)]
    return Surroundings(
        bordered_sides=len(contrasts),
        border_contrast=float(np.median(contrasts)) if contrasts else 0.0,
        texture_share=_share(levels >= limits.min_texture_levels),
        strong_texture_share=_share(levels >= STRONG_TEXTURE_LEVELS),
        rim_texture_share=_share(_rim(_texture_levels(lesser)) >= limits.min_texture_levels),
        beyond_ratio=beyond_ratio,
        cut_corners=count_cut_corners(larger, lesser, affine),
    )


def _share(mask: Array) -> float:
    """Return the share of entries that are set; 0 if there is no entry."""
    return float(mask.mean()) if mask.size else 0.0


def _texture_levels(image: Raster) -> Array:
    """Return the standard deviation of each whole cell; (0, 0) if the image is smaller than one."""
    height, width = (side // CELL * CELL for side in image.pixels.shape[:2])
    if not height or not width:
        return np.empty((0, 0))
    whole = image.pixels[:height, :width].astype(np.float32)
    return cells.cell_deviations(colours.luma(whole), CELL)


def _cells_around(larger: Raster, affine: Affine) -> Array:
    """Return a mask of the cells that are clear of the place."""
    height, width = (side // CELL * CELL for side in larger.pixels.shape[:2])
    if not height or not width:
        return np.zeros((0, 0), bool)
    place = geometry.compose(affine, geometry.zoom(1 + 2 * MARGIN_SHARE))
    return geometry.cells_outside((width, height), geometry.inverse(place), CELL)


def _rim(levels: Array) -> Array:
    """Return the entries along the edges."""
    is_rim = np.ones(levels.shape, bool)
    is_rim[RIM_CELLS:-RIM_CELLS, RIM_CELLS:-RIM_CELLS] = False
    return levels[is_rim]


def _compare_across_edges(larger: Raster, affine: Affine) -> tuple[list[float], float]:
    """Return the contrast across each edge that has a beyond, and beyond_ratio of all of them."""
    wider = geometry.compose(affine, geometry.zoom(1 + 2 * RIM_SHARE))
    size = (COMPARED_SIDE, COMPARED_SIDE)
    pixels = larger.warp(size, wider).astype(np.float32)
    inside = geometry.pixels_inside(size, wider)
    edge = round(COMPARED_SIDE * RIM_SHARE / (1 + 2 * RIM_SHARE))
    contrasts = []
    variances = []
    for quarter in range(4):
        turned = np.rot90(pixels, quarter)[:, edge:-edge]
        has_beyond = np.rot90(inside, quarter)[edge - EDGE_STEP, edge:-edge]
        if has_beyond.mean() < MIN_BORDER_SHARE:
            continue
        beyond = turned[edge - EDGE_STEP, has_beyond]
        within = turned[edge + EDGE_STEP, has_beyond]
        deeper = turned[edge + 3 * EDGE_STEP, has_beyond]
        across_edge = np.abs(beyond - within).mean() + 1
        contrasts.append(float(across_edge / (np.abs(within - deeper).mean() + 2)))
        variances.append([line.var(axis=0).sum() for line in (beyond, within)])
    if not variances:
        return [], NOTHING_BEYOND_RATIO
    beyond_levels, within_levels = np.sqrt(np.mean(variances, axis=0))
    return contrasts, float((beyond_levels + 1) / max(within_levels, 1e-3))
