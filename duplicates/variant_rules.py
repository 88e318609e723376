"""The rules that say which kind of variant two aligned images are, in the order they are asked.

A rule returns a kind, DOUBTFUL, NOTHING, or None to ask the next rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.json_files import DOUBTFUL, OVERLAPPING
from duplicates.agreement import (
    agrees_in_shared_part,
    graphics_agree,
    is_clean,
    is_covered,
    is_occluded,
    is_same_everywhere,
)
from duplicates.aligned_pair import AlignedPair
from duplicates.border_rules import (
    is_at_an_angle,
    is_captioned,
    is_contained,
    is_framed,
    is_rounded,
    is_turned,
)
from duplicates.comparison import Measurements
from duplicates.copy_rules import is_graphic
from duplicates.thresholds import THRESHOLDS, Thresholds

NOTHING = ""
RECOLOURED = "recoloured"
OVERLAID = "overlaid"

VariantRule = Callable[[AlignedPair, Thresholds], str | None]


@dataclass(frozen=True)
class VariantDecision:
    """A kind of variant, DOUBTFUL or NOTHING, and the name of the rule that says so."""

    kind: str
    rule: str


def decide_variant(pair: AlignedPair, limits: Thresholds = THRESHOLDS) -> VariantDecision:
    """Ask VARIANT_RULES in order about a pair that is no copy."""
    for rule in VARIANT_RULES:
        kind = rule(pair, limits)
        if kind is not None:
            return VariantDecision(kind, rule.__name__)
    raise AssertionError("the last rule always answers")


def is_ruled_out(pair: AlignedPair, limits: Thresholds = THRESHOLDS) -> bool:
    """Whether two images are nothing to each other, whatever is around them."""
    for rule in SEEN_RULES:
        kind = rule(pair, limits)
        if kind is not None:
            return kind == NOTHING
    return False


def doubtful_or_nothing(seen: Measurements, limits: Thresholds) -> str:
    """Return DOUBTFUL if a person should look at the pair, else NOTHING."""
    if seen.agreement >= limits.min_doubtful_agreement or is_occluded(seen, limits):
        return DOUBTFUL
    return NOTHING


def is_overlapping(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Each image is a window of one picture, and shows a part that the other does not."""
    share = max(pair.seen.overlap)
    is_window = limits.min_overlapping_share <= share < limits.min_contained_share
    return OVERLAPPING if is_window and agrees_in_shared_part(pair.seen, limits) else None


def not_contained(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Each image shows much that the other does not."""
    return NOTHING if max(pair.seen.overlap) < limits.min_contained_share else None


def too_little_agrees(pair: AlignedPair, limits: Thresholds) -> str | None:
    """So few windows agree that it may be chance."""
    agreeing_windows = pair.seen.structured_windows * pair.seen.structure_agreement
    if agreeing_windows >= limits.min_photo_windows or is_same_everywhere(pair.seen, limits):
        return None
    return NOTHING


def graphic_differs(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Drawings of one style agree in much: they must agree everywhere."""
    seen = pair.seen
    if not is_graphic(seen, limits):
        return None
    if is_same_everywhere(seen, limits) or graphics_agree(seen, limits):
        return None
    return doubtful_or_nothing(seen, limits)


def too_much_is_covered(pair: AlignedPair, limits: Thresholds) -> str | None:
    """What is laid over the image, if it is the same image, leaves too little of it."""
    seen = pair.seen
    if is_clean(seen, limits):
        return None
    agreeing_windows = seen.structured_windows * seen.structure_agreement
    shows_enough = (
        seen.structure_agreement >= limits.min_overlaid_share
        and agreeing_windows >= limits.min_overlaid_windows
        and seen.quadrant_difference <= limits.max_overlaid_quadrant_share
    )
    return None if shows_enough else doubtful_or_nothing(seen, limits)


def colours_changed_beside_cover(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Text across an image leaves the colours beside it as they are."""
    seen = pair.seen
    if not is_covered(seen, limits):
        return None
    if seen.colour_median_levels > limits.min_recoloured_levels:
        return doubtful_or_nothing(seen, limits)
    if seen.colour_cosine < limits.min_overlaid_cosine:
        return doubtful_or_nothing(seen, limits)
    return None


def soft_detail_differs(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Soft images of one kind, such as X-rays: low texture everywhere agrees by chance.

    Each is like many others, so nobody should look at all these pairs.
    """
    is_soft = pair.soft.contrast_levels <= limits.max_soft_contrast_levels
    unlikeness, levels = pair.soft.unlikeness, pair.seen.colour_median_levels
    differs = (
        unlikeness > limits.max_soft_unlikeness and levels >= limits.min_soft_colour_levels
    ) or (
        unlikeness > limits.max_toned_soft_unlikeness
        and levels >= limits.min_toned_soft_colour_levels
    )
    return NOTHING if is_soft and differs else None


def ridges_differ(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Images of ridges, such as fingerprints: strong texture everywhere agrees by chance, too."""
    return NOTHING if pair.soft.has_other_ridges else None


def is_mirrored(pair: AlignedPair, limits: Thresholds) -> str | None:
    """The map turns the image over."""
    return "mirrored" if np.linalg.det(pair.seen.affine[:, :2]) < 0 else None


def is_overlaid(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Something is laid over the image."""
    return OVERLAID if is_covered(pair.seen, limits) else None


def is_cropped(pair: AlignedPair, limits: Thresholds) -> str | None:
    """One image shows more than the other, and no border is between."""
    is_part = min(pair.seen.overlap) < limits.max_bordered_share
    return "cropped" if is_part or pair.seen.edge_shift > limits.max_copy_shift_share else None


def has_other_colours(pair: AlignedPair, limits: Thresholds) -> str | None:
    """Framing and detail are the same, the colours are not."""
    is_far = pair.seen.colour_p95_levels >= limits.min_recoloured_levels
    return RECOLOURED if is_far else None


def is_inverted(pair: AlignedPair, limits: Thresholds) -> str | None:
    """One image is the negative of the other."""
    return RECOLOURED if pair.is_inverted else None


def nothing_explains_the_difference(pair: AlignedPair, limits: Thresholds) -> str | None:
    """No copy, and no kind of variant: a person should look."""
    return DOUBTFUL


# Rules that ask only what the two images show where both are.
SEEN_RULES: tuple[VariantRule, ...] = (
    is_overlapping,
    not_contained,
    too_little_agrees,
    graphic_differs,
    too_much_is_covered,
    colours_changed_beside_cover,
)
VARIANT_RULES: tuple[VariantRule, ...] = (
    *SEEN_RULES,
    soft_detail_differs,
    ridges_differ,
    is_at_an_angle,
    is_mirrored,
    is_turned,
    is_framed,
    is_contained,
    is_captioned,
    is_overlaid,
    is_rounded,
    is_cropped,
    is_inverted,
    has_other_colours,
    nothing_explains_the_difference,
)
