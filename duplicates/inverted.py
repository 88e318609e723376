"""Compare an image with the negative of another: what is dark in one is light in the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from duplicates import alignment
from duplicates.aligned_pair import AlignedPair
from duplicates.alignment import Features
from duplicates.geometry import Affine
from duplicates.pair_measurement import measure_alignments
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage


def measure_inverted(
    one: SmallImage, other: SmallImage, limits: Thresholds = THRESHOLDS
) -> AlignedPair | None:
    """Return the best look at `one` and the negative of `other`, both with hints.

    None if their thumbnails do not oppose each other, upright, turned or mirrored.
    """
    assert one.hints and other.hints
    rotations = alignment.maps_from_rotations(one.hints.thumbnail, -other.hints.thumbnail)
    if not rotations:
        return None
    proposed = _candidate_alignments(one, other, rotations)
    pair = measure_alignments(one.raster, invert_pixels(other.raster), proposed, limits)
    return replace(pair, is_inverted=True) if pair else None


def _candidate_alignments(
    one: SmallImage, other: SmallImage, rotations: list[Affine]
) -> Iterator[Affine]:
    assert one.hints and other.hints
    features = other.hints.features
    negative = Features(features.places, alignment.invert_descriptors(features.descriptors))
    yield from alignment.maps_from_features(
        one.hints.features, negative, one.raster.size, other.raster.size
    )
    yield from rotations


def invert_pixels(raster: Raster) -> Raster:
    """Return the negative of an image."""
    return Raster(np.subtract(255, raster.pixels, dtype=np.uint8))
