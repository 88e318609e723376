"""Compare an image with the negative of another: what is dark in one is light in the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from duplicates import alignment
from duplicates.aligned_pair import ChangedPair
from duplicates.features import Features, invert_descriptors
from duplicates.geometry import Affine
from duplicates.pair_measurement import measure_alignments
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage

MIN_NEGATIVE_CORRELATION = 0.9  # of a thumbnail and the negative of another in one framing
MAX_OPPOSED_CORRELATION = -0.4  # of thumbnails: tilted and cropped negatives; 3 % of other pairs


def measure_inverted(
    one: SmallImage, other: SmallImage, limits: Thresholds = THRESHOLDS
) -> ChangedPair | None:
    """Return the best look at `one` and the negative of `other`, both with hints.

    None if their thumbnails do not oppose each other, upright, turned or mirrored.
    """
    assert one.hints and other.hints
    rotations = alignment.maps_from_rotations(
        one.hints.thumbnail, -other.hints.thumbnail, MIN_NEGATIVE_CORRELATION
    )
    correlation = float((one.hints.thumbnail * other.hints.thumbnail).sum())
    if not rotations and correlation > MAX_OPPOSED_CORRELATION:
        return None
    maps = [*_maps_from_features(one, other), *rotations]
    if not maps:
        return None
    negative = Raster(np.subtract(255, other.raster.pixels, dtype=np.uint8))
    pair = measure_alignments(one.raster, negative, maps, limits)
    return ChangedPair(one.raster, negative, replace(pair, is_inverted=True)) if pair else None


def _maps_from_features(one: SmallImage, other: SmallImage) -> list[Affine]:
    hints, others = one.hints, other.hints
    assert hints and others
    negative = Features(others.features.places, invert_descriptors(others.features.descriptors))
    proposals = alignment.propose_from_features(hints.features, negative, hints.size, others.size)
    return [proposal.affine for proposal in proposals]
