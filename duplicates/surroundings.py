"""What is around the place of one image in another: a frame, a caption, other images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duplicates import cells, colours, geometry
from duplicates.comparison import CELL
from duplicates.geometry import Affine
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds

COMPARED_SIDE = 192  # pixels
RIM_SHARE = 0.06  # of a side, that is looked at around the place
EDGE_STEP = 3  # pixels from an edge at which neighbours are compared
MIN_BORDER_SHARE = 0.5  # of an edge, that must have something beyond it


@dataclass(frozen=True)
class Surroundings:
    """What is around the place that one image has in a larger one."""

    bordered_sides: int  # on which there is something
    border_contrast: float  # difference across the edge to that beside it, on the weakest side
    texture_share: float  # of the cells around it that have a texture


def measure_surroundings(
    one: Raster, affine: Affine, limits: Thresholds = THRESHOLDS
) -> Surroundings:
    """Measure what is in `one` around the place that `affine` gives the other image."""
    contrasts = _border_contrasts(one, affine)
    height, width = (side // CELL * CELL for side in one.pixels.shape[:2])
    weakest = min(contrasts, default=0.0)
    if not height or not width:  # it is smaller than a cell
        return Surroundings(len(contrasts), weakest, texture_share=0.0)
    whole = one.pixels[:height, :width].astype(np.float32)
    outside = geometry.cells_outside((width, height), geometry.inverse(affine), CELL)
    levels = cells.cell_deviations(colours.luma(whole), CELL)
    return Surroundings(
        bordered_sides=len(contrasts),
        border_contrast=weakest,
        texture_share=cells.true_share(levels[outside] >= limits.min_texture_levels),
    )


def _border_contrasts(one: Raster, affine: Affine) -> list[float]:
    """Return how much more pixels differ across each edge than beside it, if it has a beyond."""
    margin = np.array([[1 + 2 * RIM_SHARE, 0, -RIM_SHARE], [0, 1 + 2 * RIM_SHARE, -RIM_SHARE]])
    wider = geometry.compose(affine, margin)
    size = (COMPARED_SIDE, COMPARED_SIDE)
    luminance = colours.luma(one.warp(size, wider).astype(np.float32))
    inside = geometry.pixels_inside(size, wider)
    edge = round(COMPARED_SIDE * RIM_SHARE / (1 + 2 * RIM_SHARE))
    contrasts = []
    for quarter in range(4):
        turned = np.rot90(luminance, quarter)[:, edge:-edge]
        has_beyond = np.rot90(inside, quarter)[edge - EDGE_STEP, edge:-edge]
        if has_beyond.mean() < MIN_BORDER_SHARE:
            continue
        beyond = turned[edge - EDGE_STEP, has_beyond]
        within = turned[edge + EDGE_STEP, has_beyond]
        deeper = turned[edge + 3 * EDGE_STEP, has_beyond]
        across_edge = np.abs(beyond - within).mean() + 1
        contrasts.append(float(across_edge / (np.abs(within - deeper).mean() + 2)))
    return contrasts
