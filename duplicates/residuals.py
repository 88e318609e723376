"""What is left between two registered and matched images, and where it is other content.

A copy leaves the same grain everywhere. Another word, digit or thing leaves more in one place
than the rest of the pair leads one to expect.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from duplicates.confirmation_limits import ConfirmationLimits
from duplicates.full_tones import LUMA, blur
from duplicates.window_likeness import (
    DETAIL_SIGMA,
    GRAIN_SIGMA,
    WINDOW_SIGMA,
    DetailPair,
    inner_pixels,
)

Array = np.ndarray[Any, np.dtype[Any]]

CONTRAST_FLOOR_LEVELS = 2.0  # added to a contrast before it is divided by
# Pixels of the halved image; what halving and enlarging blur, 0.92 square pixels, comes on top.
HALF_DETAIL_SIGMA = math.sqrt(DETAIL_SIGMA**2 - 0.92) / 2
EDGE_SLACK = 0.5  # pixels by which edges may miss
RED_GREEN = np.array([0.7, -0.7, 0], np.float32)
YELLOW_BLUE = np.array([-0.35, -0.35, 0.7], np.float32)
# Colour is stored at half the size by JPEG and WebP, so its finest octave says nothing.
LUMA_OCTAVES = (0, 1, 2, 3)
PLANES = ((LUMA, LUMA_OCTAVES), (RED_GREEN, (1, 2, 3)), (YELLOW_BLUE, (1, 2, 3)))


@dataclass(frozen=True)
class Layer(DetailPair):
    """What one plane of colours leaves in one octave; all (height, width)."""

    is_luma: bool
    octave: int
    left: Array  # root mean square of the difference beyond what edges may miss by, in levels
    valid: Array  # bool: where both images show something

    @functools.cached_property
    def log_excess(self) -> Array:
        return _log_excess(self.left, self.contrast, self.valid)

    def greatest_strength(self, limits: ConfirmationLimits) -> np.float32:
        """Return what no strength exceeds, from what is left alone."""
        greatest: np.float32 = self.left.max() / self._least_levels(limits)
        return greatest

    def strength(self, limits: ConfirmationLimits) -> Array:
        """How surely each place shows other content: from 1 on it does."""
        strength = self.left / self._least_levels(limits)
        for multiple in (
            self.left / (self.contrast + 2) / limits.min_contrast_share,
            self.log_excess / limits.min_log_excess,
            self.unlikeness / limits.min_unlikeness,
        ):
            np.minimum(strength, multiple, out=strength)
        return np.where(self.valid, strength, np.float32(0))

    def _least_levels(self, limits: ConfirmationLimits) -> float:
        return limits.min_luma_levels if self.is_luma else limits.min_colour_levels


def residual_layers(source: Array, target: Array, valid: Array, weight: Array) -> Iterator[Layer]:
    """What is left between two registered and matched images, by plane of colours and octave."""
    masks = [(valid, weight)]  # by octave
    for colour, octaves in PLANES:
        x, y = (blur(cv2.transform(each, colour[None]), GRAIN_SIGMA) for each in (source, target))
        for octave in range(max(octaves) + 1):
            if min(x.shape) < 12:
                break
            if octave == len(masks):
                inside, weights = masks[-1]
                masks.append((_halve(inside.astype(np.float32)) > 0.99, _halve(weights)))
            halves = _halve(x), _halve(y)
            if octave in octaves:
                fine = _fine_detail(x, halves[0]), _fine_detail(y, halves[1])
                yield _layer(colour is LUMA, octave, *fine, *masks[octave])
            x, y = halves


def _fine_detail(values: Array, half: Array) -> Array:
    """Return what a blur by DETAIL_SIGMA takes away, blurred at half the size: a fifth the time."""
    coarse = blur(half, HALF_DETAIL_SIGMA)
    size = (values.shape[1], values.shape[0])
    fine: Array = values - cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    return fine


def _halve(values: Array) -> Array:
    size = (values.shape[1] // 2, values.shape[0] // 2)
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _layer(is_luma: bool, octave: int, x: Array, y: Array, valid: Array, weight: Array) -> Layer:
    apart = np.maximum(_excess_over_slack(x, y), _excess_over_slack(y, x))
    apart *= weight
    apart *= apart
    left = cv2.sqrt(blur(apart, WINDOW_SIGMA))
    return Layer(x, y, is_luma, octave, left, inner_pixels(valid))


def _excess_over_slack(x: Array, y: Array) -> Array:
    """How far x lies outside of what y shows within EDGE_SLACK pixels."""
    around = np.ones((3, 3), np.uint8)
    bounds: list[Array] = [cv2.dilate(y, around), cv2.erode(y, around)]
    for bound in bounds:  # in place: new arrays would take as long as the sums
        bound -= y
        bound *= EDGE_SLACK
        bound += y
    highest, lowest = bounds
    above = np.subtract(x, highest, out=highest)
    below = np.subtract(lowest, x, out=lowest)
    beyond: Array = np.maximum(above, below, out=above)
    return np.maximum(beyond, 0, out=beyond)


def _log_excess(left: Array, contrast: Array, valid: Array) -> Array:
    """log of `left` over a power of the contrast, fitted over this pair (least absolute values)."""
    pixels = int(np.count_nonzero(valid))
    if pixels < 30:
        return np.zeros_like(left)
    logs, against = cv2.log(left + 0.3), cv2.log(contrast + 1)
    step = max(1, pixels // 2000)
    wanted, given = logs[valid][::step], against[valid][::step]
    slope, weight = 0.0, np.ones_like(wanted)
    for _ in range(6):
        mean_given = (weight * given).sum() / weight.sum()
        mean_wanted = (weight * wanted).sum() / weight.sum()
        spread = (weight * (given - mean_given) ** 2).sum() + 1e-3 * len(given)
        product = (weight * (given - mean_given) * (wanted - mean_wanted)).sum()
        slope = float(np.clip(product / spread, 0, 1))
        rest = wanted - mean_wanted - slope * (given - mean_given)
        weight = 1 / np.maximum(np.abs(rest), 0.05)
    level = float(np.median(wanted - slope * given))
    return logs - level - slope * against


def strange_share(layers: list[Layer], limits: ConfirmationLimits) -> float:
    """Median share of the contrast that is left, in the coarsest octave of luminance."""
    layer, shows = _coarsest_luma(layers, limits)
    if not shows.any():
        return 0.0
    return float(np.median(layer.left[shows] / (layer.contrast[shows] + 2)))


def _coarsest_luma(layers: list[Layer], limits: ConfirmationLimits) -> tuple[Layer, Array]:
    """Return the coarsest octave of luminance, and where it shows something."""
    layer = [each for each in layers if each.is_luma][-1]
    return layer, layer.valid & (layer.contrast >= limits.min_contrast_levels)


def coarse_unlikeness(layers: list[Layer], limits: ConfirmationLimits) -> float:
    """Median unlikeness in the octave of luminance that no grain or compression reaches.

    0 if the images are too small for it.
    """
    layer, shows = _coarsest_luma(layers, limits)
    if layer.octave < LUMA_OCTAVES[-1] or not shows.any():
        return 0.0
    return float(np.median(layer.unlikeness[shows]))
