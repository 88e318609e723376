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
    """Whether one is small and drawn, or both are drawn and show only something small."""
    if not (is_graphic(one, limits) or is_graphic(other, limits)):
        return False
    small = limits.max_icon_side_pixels
    if any(max(image.shape[:2]) <= small and is_graphic(image, limits) for image in (one, other)):
        return True
    return all(drawing_side(image, limits) <= small for image in (one, other))


def shows_small_drawing(one: Array, other: Array, limits: ConfirmationLimits) -> bool:
    """Whether one is drawn, and the lesser of the two shows only something small on its ground."""
    if not (is_graphic(one, limits) or is_graphic(other, limits)):
        return False
    lesser = min(one, other, key=lambda image: image.size)
    return drawing_side(lesser, limits) <= limits.max_icon_side_pixels


def has_same_drawing(one: Array, other: Array, limits: ConfirmationLimits) -> bool:
    """Whether two images with a small drawing agree in most pixels of it."""
    return equal_share(one, other, MAX_SMALL_DRAWING_LEVELS, limits) >= MIN_SMALL_DRAWING_SHARE


def drawing_side(image: Array, limits: ConfirmationLimits) -> int:
    """Return the longer side of all that is not ground, in pixels."""
    rows, columns = part_with_drawing(image, limits)
    return int(max(rows.stop - rows.start, columns.stop - columns.start))


def equal_share(one: Array, other: Array, max_levels: int, limits: ConfirmationLimits) -> float:
    """Return the share of the pixels of two drawings that differ by at most so many levels.

    At the lesser's size, with the tones matched, where one of them shows something.
    """
    lesser, larger = sorted((one, other), key=lambda image: image.size)
    shrunk = resize(larger, (lesser.shape[1], lesser.shape[0]))
    shown = np.zeros(lesser.shape[:2], bool)
    for image in (lesser, shrunk):
        shown[part_with_drawing(image, limits)] = True
    everywhere = np.ones_like(shown)
    x, y = match_tones(lesser.astype(np.float32), shrunk.astype(np.float32), everywhere)
    is_equal = cv2.absdiff(x, y).max(-1) <= max_levels
    return float(is_equal[shown].mean())
