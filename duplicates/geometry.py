"""Affine maps between two images, in shares of their width and height.

A map leads from a place in one image to a place in another. It holds at any size. Sizes are
(width, height) in pixels; masks have shape (rows, columns).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Affine = Array  # shape (2, 3), float64
Size = tuple[int, int]

IDENTITY: Affine = np.hstack([np.eye(2), np.zeros((2, 1))])
ROUNDING_SHARE = 1e-9  # a place so little outside the image counts as inside
COVERAGE_SIDE = 32  # points along each axis that estimate a covered area


def inverse(affine: Affine) -> Affine:
    """Return the map that leads back."""
    whole: Affine = np.linalg.inv(np.vstack([affine, [0, 0, 1]]))[:2]
    return whole


def compose(affine: Affine, first: Affine) -> Affine:
    """Return the map that applies `first` and then `affine`."""
    whole: Affine = affine @ np.vstack([first, [0, 0, 1]])
    return whole


def zoom(share: float) -> Affine:
    """Return the map that shows the middle `share` of an image."""
    margin = (1 - share) / 2
    return np.array([[share, 0, margin], [0, share, margin]])


def edge_shift(affine: Affine) -> float:
    """Return how far the map moves a corner along an axis, at most, as a share of that axis.

    Of the two images the one with the longer axis counts: both orders give the same.
    """
    return min(_largest_shift(affine), _largest_shift(inverse(affine)))


def _largest_shift(affine: Affine) -> float:
    corners = affine @ [[0, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    return float(np.abs(corners - [[0, 1, 0, 1], [0, 0, 1, 1]]).max())


def overlap_share(affine: Affine) -> float:
    """Return the share of the unit square that the map takes into the unit square."""
    return float(pixels_inside((COVERAGE_SIDE, COVERAGE_SIDE), affine).mean())


def pixels_inside(size: Size, affine: Affine) -> Array:
    """Return a mask of the pixels whose centres the map takes into the other image."""
    width, height = size
    return _is_inside(size, affine, np.arange(width) + 0.5, np.arange(height) + 0.5)


def cells_inside(size: Size, affine: Affine, cell: int) -> Array:
    """Return a mask of the cells that the map takes wholly into the other image."""
    width, height = size
    corner = _is_inside(size, affine, np.arange(0, width + 1, cell), np.arange(0, height + 1, cell))
    return corner[1:, 1:] & corner[1:, :-1] & corner[:-1, 1:] & corner[:-1, :-1]


def cells_outside(size: Size, affine: Affine, cell: int) -> Array:
    """Return a mask of the cells that the map takes wholly out of the other image."""
    width, height = size
    inside = pixels_inside(size, affine).reshape(height // cell, cell, width // cell, cell)
    return np.logical_not(inside.any(axis=(1, 3)))


def _is_inside(size: Size, affine: Affine, columns: Array, rows: Array) -> Array:
    """Return whether the map takes each point of a grid, in pixels, into the unit square."""
    inside = np.ones((len(rows), len(columns)), bool)
    for x_factor, y_factor, offset in affine:
        place = x_factor * columns / size[0] + y_factor * rows[:, None] / size[1] + offset
        inside &= (place >= -ROUNDING_SHARE) & (place <= 1 + ROUNDING_SHARE)
    return inside
