"""The part of an image that another one shows: a collage shows photos cropped, others beside them.

duplicates/variant_rules.py decides whether that part is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from duplicates import cells, geometry
from duplicates.comparison import CELL
from duplicates.geometry import Affine, Array
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds

COMPARED_SIDE = 256  # pixels of the longer side
MAX_LINE_SHARE = 0.3  # of the cells of a row or column of the part, that may differ
MIN_PART_CELLS = 3  # along each side
ROUNDS = 3  # in which columns and rows are trimmed in turn


@dataclass(frozen=True)
class SharedPart:
    """A part of an image, and the map from its unit square to that of the image."""

    raster: Raster
    to_whole: Affine

    @property
    def area(self) -> float:
        """Share of the image."""
        return float(self.to_whole[0, 0] * self.to_whole[1, 1])


def find_shared_part(
    larger: Raster, lesser: Raster, affine: Affine, limits: Thresholds = THRESHOLDS
) -> SharedPart | None:
    """Find the part of the lesser image that the larger one shows, laid on it by `affine`.

    None if there is no such rectangle, or if much agrees beyond it: one scene, and not one cut out.
    """
    agrees, is_inside = _compare_cells(larger, lesser, affine, limits)
    box = _largest_box(agrees)
    if box is None:
        return None
    beyond = is_inside.copy()
    beyond[box] = False
    if beyond.any() and agrees[beyond].mean() > limits.max_beyond_agreement:
        return None
    return _cut_out(lesser, box, agrees.shape)


def _compare_cells(
    larger: Raster, lesser: Raster, affine: Affine, limits: Thresholds
) -> tuple[Array, Array]:
    """Return masks of the lesser image's cells: of the same colour, and inside the larger one."""
    scale = min(1.0, COMPARED_SIDE / max(lesser.size))
    columns, rows = (max(1, round(side * scale / CELL)) for side in lesser.size)
    size = columns * CELL, rows * CELL
    is_inside = geometry.cells_inside(size, affine, CELL)
    means = []
    for pixels in (larger.warp(size, affine), lesser.warp(size)):
        means.append(cells.cell_means(pixels.astype(np.float32), CELL))
    levels = np.abs(means[0] - means[1]).max(-1)
    return is_inside & (levels <= limits.max_small_levels), is_inside


def _largest_box(agrees: Array) -> tuple[slice, slice] | None:
    """Return rows and columns in which nearly all cells agree."""
    rows, columns = slice(0, agrees.shape[0]), slice(0, agrees.shape[1])
    for _ in range(ROUNDS):
        columns = _longest_run(agrees[rows].mean(0) >= 1 - MAX_LINE_SHARE)
        if columns.stop - columns.start < MIN_PART_CELLS:
            return None
        rows = _longest_run(agrees[:, columns].mean(1) >= 1 - MAX_LINE_SHARE)
        if rows.stop - rows.start < MIN_PART_CELLS:
            return None
    return rows, columns


def _longest_run(mask: Array) -> slice:
    """Return the longest run of set entries; the first of equal ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    longest = int((stops - starts).argmax())
    return slice(int(starts[longest]), int(stops[longest]))


def _cut_out(image: Raster, box: tuple[slice, slice], shape: tuple[int, ...]) -> SharedPart:
    """Cut a box of cells out of an image that has `shape` cells."""
    bounds = []
    for span, count, side in zip(box, shape, image.size[::-1], strict=True):
        bounds.append((round(span.start * side / count), round(span.stop * side / count)))
    (top, bottom), (left, right) = bounds
    width, height = image.size
    to_whole = np.array(
        [
            [(right - left) / width, 0, left / width],
            [0, (bottom - top) / height, top / height],
        ]
    )
    return SharedPart(Raster(image.pixels[top:bottom, left:right].copy()), to_whole)
