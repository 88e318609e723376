"""What is left between two images at full detail, once registered and matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from duplicates.changed_places import NO_GROUND, Box, Ground, find_changes, measure_ground
from duplicates.confirmation_limits import LIMITS, ConfirmationLimits
from duplicates.full_colours import (
    Colours,
    compare_colours,
)
from duplicates.full_registration import (
    common_size,
    pixels_from_source,
    register,
    resize,
    warp,
)
from duplicates.full_tones import burnt_weight, match_sharpness, match_tones
from duplicates.residuals import coarse_unlikeness, residual_layers, strange_share

Array = np.ndarray[Any, np.dtype[Any]]
Map = Array


@dataclass(frozen=True)
class Differences:
    """What is left between two images at full detail."""

    strange_share: float  # median share of the contrast that is left
    unlikeness: float  # median sine of the angle between windows, where no grain reaches
    colours: Colours
    strength: float  # of the strongest place
    boxes: tuple[Box, ...]  # places with other content, strongest first
    exchanged: float  # 0 if only one image shows something in them, 0.7 if each shows as much
    ground: Ground  # of the plainer image there


def measure_differences(
    source: Array,
    target: Array,
    affine: Map,
    few_colours: bool = False,
    limits: ConfirmationLimits = LIMITS,
) -> Differences:
    """Register and match two images, and measure what is left."""
    affine = register(source, target, affine)
    size = common_size(source, target, affine)
    moved, still = warp(source, size, affine), resize(target, size)
    valid = pixels_from_source(size, affine)
    colours = compare_colours(moved, still, valid, limits)
    burnt = burnt_weight(moved, still)
    moved, still = match_tones(moved.astype(np.float32), still.astype(np.float32), valid)
    moved, still = match_sharpness(moved, still, valid)
    moved[~valid] = still[~valid]  # what one lacks must not leak into the windows along its edge
    layers = list(residual_layers(moved, still, valid, burnt))
    strength, boxes, exchanged = find_changes(layers, limits, few_colours)
    ground = measure_ground(layers, boxes) if boxes else NO_GROUND
    return Differences(
        strange_share(layers, limits),
        coarse_unlikeness(layers, limits),
        colours,
        strength,
        boxes,
        exchanged,
        ground,
    )
