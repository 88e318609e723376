"""Small drawings: icons, and emblems in thumbnails. What is left of them is compared by pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from duplicates.confirmation_limits import (
    MAX_SMALL_DRAWING_LEVELS,
    MIN_SMALL_DRAWING_SHARE,
    ConfirmationLimits,
)
from duplicates.full_colours import is_graphic, part_with_drawing
from duplicates.full_registration import resize
from duplicates.full_tones import match_tones

Array = np.ndarray[Any, np.dtype[Any]]


def are_icons(one: Array, other: Array, limits: ConfirmationLimits) -> bool:
    """Whether one of two images is small and drawn, or both show only something small.

    One of them is drawn.
    """
    small = limits.max_icon_side_pixels
    if any(max(image.shape[:2]) <= small and is_graphic(image, limits) for image in (one, other)):
        return True
    return all(_drawing_side(image, limits) <= small for image in (one, other))


def has_other_drawing(one: Array, other: Array, limits: ConfirmationLimits) -> bool:
    """Whether the lesser of two images shows only something small, which the other does not.

    One of them is drawn.
    """
    lesser, larger = sorted((one, other), key=lambda image: image.size)
    if _drawing_side(lesser, limits) > limits.max_icon_side_pixels:
        return False
    shrunk = resize(larger, (lesser.shape[1], lesser.shape[0]))
    return equal_share(lesser, shrunk, MAX_SMALL_DRAWING_LEVELS, limits) < MIN_SMALL_DRAWING_SHARE


def equal_share(one: Array, other: Array, max_levels: int, limits: ConfirmationLimits) -> float:
    """Return the share of the pixels of two drawings that differ by at most so many levels.

    They have one size. Tones are matched; only the parts count where one of them shows something.
    """
    shown = np.zeros(one.shape[:2], bool)
    for image in (one, other):
        shown[part_with_drawing(image, limits)] = True
    everywhere = np.ones_like(shown)
    x, y = match_tones(one.astype(np.float32), other.astype(np.float32), everywhere)
    is_equal = cv2.absdiff(x, y).max(-1) <= max_levels
    return float(is_equal[shown].mean())


def _drawing_side(image: Array, limits: ConfirmationLimits) -> int:
    """Return the longer side of all that is not ground, in pixels."""
    rows, columns = part_with_drawing(image, limits)
    return int(max(rows.stop - rows.start, columns.stop - columns.start))
