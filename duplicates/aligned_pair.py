"""Two aligned images and all that the rules for variants are asked about."""

from __future__ import annotations

from dataclasses import dataclass

from duplicates.alignment import Matches
from duplicates.comparison import Measurements
from duplicates.raster import Raster
from duplicates.soft_detail import NO_SOFT_DETAIL, SoftDetail
from duplicates.surroundings import NOT_MEASURED, Surroundings


@dataclass(frozen=True)
class AlignedPair:
    """Two images, the lesser one laid on its place in the larger, and what is around it there."""

    seen: Measurements
    around: Surroundings = NOT_MEASURED
    is_first_larger: bool = True  # whether the larger one is the first of the pair
    soft: SoftDetail = NO_SOFT_DETAIL
    is_inverted: bool = False  # whether the second of the pair was inverted to be compared
    is_rectified: bool = False  # whether the larger one was seen at an angle, and rectified
    matches: Matches | None = None  # of features that proposed a map, with most agreeing


@dataclass(frozen=True)
class ChangedPair:
    """Two images of which one was changed so that they can be compared, and how they compare."""

    one: Raster
    other: Raster
    pair: AlignedPair
