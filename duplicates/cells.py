"""What is counted and correlated in the cells of two images of one size.

Textures are float32 luminance, shape (height, width); masks and results have one entry per cell,
shape (rows, columns). Imports OpenCV inside its functions.
"""

from __future__ import annotations

import numpy as np

from duplicates.geometry import Array
from duplicates.thresholds import THRESHOLDS, Thresholds

# A cell is also compared after moving it by one pixel, down and across.
MOVES = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2))
TONE_BINS = 64  # of luminance; two neighbours count together


def cell_means(values: Array, cell: int) -> Array:
    """Return the mean of each square of `cell` pixels: (height, width, ...) to (rows, ...)."""
    import cv2

    size = (values.shape[1] // cell, values.shape[0] // cell)
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def cell_deviations(values: Array, cell: int) -> Array:
    """Return the standard deviation within each square of `cell` pixels."""
    mean = cell_means(values, cell)
    variance = cell_means(values * values, cell) - mean * mean
    deviation: Array = np.sqrt(np.maximum(variance, 0))
    return deviation


def remove_row_and_column_means(values: Array, window: int) -> Array:
    """Remove the mean of each row and column of each window: nothing is left of straight lines.

    So lines of text, bars and frames have no structure; what is left varies both ways.
    """
    height, width = values.shape
    windows = values.reshape(height // window, window, width // window, window)
    rows = windows.mean(3, keepdims=True)
    columns = windows.mean(1, keepdims=True)
    structure: Array = windows - rows - columns + rows.mean(1, keepdims=True)
    return structure.reshape(height, width)


def cell_correlations(
    one: Array, other: Array, cell: int, wanted: Array, limits: Thresholds = THRESHOLDS
) -> Array:
    """Return the correlation of each cell, the best of those with `other` moved by up to a pixel.

    Moving is only tried on wanted cells that do not agree, and only if enough others do.
    """
    covariance = cell_means(one * other, cell) - cell_means(one, cell) * cell_means(other, cell)
    deviations = cell_deviations(one, cell) * cell_deviations(other, cell)
    best: Array = covariance / np.maximum(deviations, 1)
    agreeing = true_share(best[wanted] >= limits.min_agreeing_correlation)
    if limits.min_moved_share <= agreeing < 1:
        row, column = np.nonzero(wanted & (best < limits.min_agreeing_correlation))
        moved = _correlations_after_moves(one, other, cell, row, column)
        best[row, column] = np.maximum(best[row, column], moved)
    return best


def _correlations_after_moves(
    one: Array, other: Array, cell: int, row: Array, column: Array
) -> Array:
    """Return the best correlation of each given cell, (n,), over all MOVES."""
    windows = np.lib.stride_tricks.sliding_window_view
    fixed = windows(one, (cell, cell))[row * cell, column * cell][:, None]
    around = windows(np.pad(other, 1, mode="edge"), (cell, cell))
    down, across = np.array(MOVES).T
    moved = around[row[:, None] * cell + down, column[:, None] * cell + across]
    fixed_mean = cell_means(one, cell)[row, column, None]
    fixed_deviation = cell_deviations(one, cell)[row, column, None]
    moved_mean = moved.mean((2, 3))
    moved_square = np.einsum("knij,knij->kn", moved, moved) / cell**2
    moved_deviation = np.sqrt(np.maximum(moved_square - moved_mean**2, 0))
    covariance = np.einsum("kmij,knij->kn", fixed, moved) / cell**2 - fixed_mean * moved_mean
    correlations = covariance / np.maximum(fixed_deviation * moved_deviation, 1)
    best: Array = correlations.max(1)
    return best


def flat_tone_share(luminance: Array) -> float:
    """Return the share of pixels in the two neighbouring bins of luminance that hold most."""
    bins = (luminance.ravel() * (TONE_BINS / 256)).astype(int)
    counts = np.bincount(bins, minlength=TONE_BINS + 1)
    return float((counts[1:] + counts[:-1]).max() / luminance.size)


def max_in_3x3(mask: Array) -> int:
    """Return how many cells are set in the square of 3 x 3 cells that has most."""
    padded = np.pad(mask.astype(np.int32), 1)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return int((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]).max())


def worst_quadrant_share(differs: Array, windows: Array, limits: Thresholds = THRESHOLDS) -> float:
    """Return the largest share of windows that differ, over all places of a quarter of the area.

    A quarter with few windows counts as if it had `min_quadrant_windows`.
    """
    half = (max(1, windows.shape[0] // 2), max(1, windows.shape[1] // 2))
    views = np.lib.stride_tricks.sliding_window_view
    differing = views(differs, half).sum((2, 3))
    present = views(windows, half).sum((2, 3))
    return float((differing / np.maximum(present, limits.min_quadrant_windows)).max())


def is_in_one_corner(mask: Array, limits: Thresholds = THRESHOLDS) -> bool:
    """Whether all cells that are set are in one of the four corners; also if none is."""
    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    if not len(rows):
        return True
    return _is_at_one_end(rows, mask.shape[0], limits.max_corner_height_share) and _is_at_one_end(
        columns, mask.shape[1], limits.max_corner_width_share
    )


def _is_at_one_end(positions: Array, length: int, share: float) -> bool:
    """Whether ascending positions are all within `share` of one end of the length."""
    return bool(positions[-1] < share * length or positions[0] >= (1 - share) * length - 1)


def true_share(mask: Array) -> float:
    """Return the share of entries that are set; 1 if there is no entry."""
    if not mask.size:
        return 1.0
    return float(mask.mean())
