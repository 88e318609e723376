"""Refine how one image lies on another, on small squares of both."""

from __future__ import annotations

import numpy as np

from duplicates.colours import luma
from duplicates.geometry import IDENTITY, Affine, Array, compose, pixels_inside
from duplicates.raster import Raster

OUTLIER_LEVELS = 15.0  # of difference, at which a pixel has half its weight
MAX_STEP_SHARE = 0.05  # by which one step moves or stretches at most
MIN_GAIN = 0.2  # of contrast, below which a step is not scaled up any further
RIDGE = 1e-3  # of the mean diagonal: keeps the system solvable if there is no texture


def register(one: Raster, other: Raster, affine: Affine, side: int, steps: int) -> Affine:
    """Improve `affine` on squares of `side` pixels by Gauss-Newton (Lucas and Kanade 1981).

    Works on luminance and fits a gain and an offset along. Pixels that differ much count little.
    """
    size = (side, side)
    target = luma(other.warp(size)).ravel().astype(np.float32)
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = (grid.ravel() for grid in np.meshgrid(centres, centres))
    for _ in range(steps):
        warped = luma(one.warp(size, affine)).astype(np.float32)
        slope_y, slope_x = (slope.ravel() * side for slope in np.gradient(warped))
        inside = pixels_inside(size, affine).ravel()
        columns = np.stack(
            [
                slope_x * across,
                slope_x * down,
                slope_x,
                slope_y * across,
                slope_y * down,
                slope_y,
                warped.ravel(),
                np.ones_like(across),
            ]
        )[:, inside]
        if columns.shape[1] < side:
            return affine
        solution = _solve_robustly(columns, target[inside])
        step = (solution[:6] / max(solution[6], MIN_GAIN)).reshape(2, 3)
        affine = compose(affine, IDENTITY + np.clip(step, -MAX_STEP_SHARE, MAX_STEP_SHARE))
    return affine


def _solve_robustly(columns: Array, target: Array) -> Array:
    """Fit the target by the columns, shape (8, pixels): twice, outliers weighing less then."""
    weight = np.ones_like(target)
    for _ in range(2):
        weighted = columns * weight
        normal = (weighted @ columns.T).astype(np.float64)
        normal[range(8), range(8)] += 1  # a black image must not make the system singular
        normal[range(6), range(6)] += RIDGE * np.trace(normal[:6, :6]) / 6
        solution: Array = np.linalg.solve(normal, weighted @ target)
        residual = solution.astype(np.float32) @ columns - target
        weight = 1 / (1 + (residual / OUTLIER_LEVELS) ** 2)
    return solution


def luma_correlation(one: Raster, other: Raster, affine: Affine, side: int) -> float:
    """Return the correlation of luminance on squares of `side` pixels, where both images are."""
    size = (side, side)
    inside = pixels_inside(size, affine)
    x = luma(one.warp(size, affine))[inside].astype(np.float32)
    y = luma(other.warp(size))[inside].astype(np.float32)
    x = x - x.mean()
    y = y - y.mean()
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum() + 1e-6))
