"""How the colours of two images differ, cell by cell. Levels are 0 to 255, colours RGB.

Imports OpenCV inside its functions.
"""

from __future__ import annotations

import numpy as np

from duplicates.geometry import Array
from duplicates.thresholds import THRESHOLDS, Thresholds

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
MIN_CELLS_TO_FIT = 20  # below which colours are compared as they are
FIT_ROUNDS = 4
MIN_RESIDUAL_LEVELS = 4  # a smaller one gives a cell no more weight
RIDGE = 1e-4  # per cell: keeps the fit solvable if all cells have one colour


def luma(pixels: Array) -> Array:
    """Return the luminance of RGB pixels, (height, width, 3) to (height, width), same type."""
    import cv2

    return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def colour_residual(
    one: Array, other: Array, kept: Array, limits: Thresholds = THRESHOLDS
) -> Array:
    """Return by how many levels the colour of each cell differs from what the others predict.

    A map of colours is fitted in both directions, and the one that explains more counts. A cell
    that is as it was differs by nothing. Colours that one image has lost in its brightest white
    count less. Mean colours have shape (rows, columns, 3), `kept` and the result (rows, columns).
    """
    residual: Array = np.abs(one - other).max(-1)
    both = np.stack([one, other])
    is_burnt = (both.max(0) >= limits.min_burnt_levels).any(-1)
    is_burnt &= (both.min(0) < limits.min_burnt_levels).any(-1)
    if kept.sum() >= MIN_CELLS_TO_FIT:
        forwards = _fit_residual(one[kept], other[kept])
        backwards = _fit_residual(other[kept], one[kept])
        best = min(forwards, backwards, key=np.mean)
        residual[kept] = np.minimum(residual[kept], best)
    residual[is_burnt] *= limits.burnt_weight
    return residual


def _fit_residual(one: Array, other: Array) -> Array:
    """Return what the best map from colours (n, 3) to colours (n, 3) leaves, in levels (n,).

    The map is linear in the colours and quadratic in luminance, and clipped to 0 to 255. Outliers
    weigh little: least absolute values by reweighting.
    """
    luminance = one @ LUMA_WEIGHTS
    columns = np.column_stack([one / 255, (luminance / 255) ** 2, np.ones(len(one))])
    columns = columns.astype(np.float32)
    weight: Array = np.ones((len(one), 1), np.float32)
    for _ in range(FIT_ROUNDS):
        weighted = columns * weight
        normal = weighted.T @ columns + RIDGE * len(one) * np.eye(5)
        coefficients = np.linalg.solve(normal, weighted.T @ other).astype(np.float32)
        predicted = (columns @ coefficients).clip(0, 255)
        residual: Array = np.abs(predicted - other).max(1)
        weight = (1 / np.maximum(MIN_RESIDUAL_LEVELS, residual))[:, None]
    return residual


def colour_cosine(one: Array, other: Array, limits: Thresholds = THRESHOLDS) -> float:
    """Return the cosine of the colours (n, 3) around grey; 1 if one image has none to speak of."""
    x = one - (one @ LUMA_WEIGHTS)[:, None]
    y = other - (other @ LUMA_WEIGHTS)[:, None]
    x_power = float((x * x).sum())
    y_power = float((y * y).sum())
    if min(x_power, y_power) < limits.min_colour_levels**2 * max(1, len(x)):
        return 1.0
    return float((x * y).sum() / np.sqrt(x_power * y_power))
