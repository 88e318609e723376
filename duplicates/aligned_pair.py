"""Two aligned images and all that the rules for variants are asked about."""

from __future__ import annotations

from dataclasses import dataclass

from duplicates.comparison import Measurements
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
