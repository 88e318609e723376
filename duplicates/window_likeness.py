"""How alike two images are in small windows, by their detail; for both looks at a pair."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from duplicates.full_tones import Array, blur

GRAIN_SIGMA = 0.7  # pixels by which both are blurred against noise
DETAIL_SIGMA = 6.0  # pixels: what is coarser is no detail
WINDOW_SIGMA = 2.5  # pixels that are judged together


@dataclass(frozen=True)
class DetailPair:
    """The detail of two images, one laid on the other: levels, (height, width)."""

    source: Array
    target: Array

    @functools.cached_property
    def contrast(self) -> Array:
        """Of the image that has more there, in levels."""
        contrast: Array = cv2.sqrt(np.maximum(*self._variances))
        return contrast

    @functools.cached_property
    def unlikeness(self) -> Array:
        """Sine of the angle between the two windows, 0 to 1."""
        mean_x, mean_y = self._means
        covariance = blur(self.source * self.target, WINDOW_SIGMA) - mean_x * mean_y
        variance_x, variance_y = self._variances
        correlation = (covariance / cv2.sqrt((variance_x + 1) * (variance_y + 1))).clip(0, 1)
        unlikeness: Array = cv2.sqrt(1 - correlation * correlation)
        return unlikeness

    @functools.cached_property
    def _means(self) -> tuple[Array, Array]:
        return blur(self.source, WINDOW_SIGMA), blur(self.target, WINDOW_SIGMA)

    @functools.cached_property
    def _variances(self) -> tuple[Array, Array]:
        mean_x, mean_y = self._means
        x, y = self.source, self.target
        variance_x = (blur(x * x, WINDOW_SIGMA) - mean_x * mean_x).clip(0)
        return variance_x, (blur(y * y, WINDOW_SIGMA) - mean_y * mean_y).clip(0)


def inner_pixels(is_shown: Array) -> Array:
    """Return a mask of the pixels that are set, but for those at an edge of the mask."""
    square = np.ones((5, 5), np.uint8)
    inner = cv2.erode(
        is_shown.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return inner.astype(bool)
