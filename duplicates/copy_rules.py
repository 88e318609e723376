"""The first look: which pairs may be copies, and so are worth a second look at full detail.

The rules are generous and ask only whether the edges meet and the texture does too; what differs in
one small place is found by duplicates/confirmation.py. A rule says True, False, or None to ask the
next one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from duplicates.comparison import Measurements
from duplicates.thresholds import THRESHOLDS, Thresholds

CopyRule = Callable[[Measurements, Thresholds], bool | None]


@dataclass(frozen=True)
class CopyDecision:
    """Whether two images may be copies, and the name of the rule that says so."""

    may_be_copy: bool
    rule: str


def decide_copy(seen: Measurements, limits: Thresholds = THRESHOLDS) -> CopyDecision:
    """Ask COPY_RULES in order."""
    for rule in COPY_RULES:
        answer = rule(seen, limits)
        if answer is not None:
            return CopyDecision(answer, rule.__name__)
    raise AssertionError("the last rule always answers")


def is_drawn(seen: Measurements, limits: Thresholds) -> bool:
    """Whether one tone covers so much that the image is drawn, not taken."""
    return seen.flat_tone_share >= limits.min_graphic_tone_share


def is_graphic(seen: Measurements, limits: Thresholds) -> bool:
    """Whether it is drawn, or so little is to be seen that any difference counts."""
    return is_drawn(seen, limits) or seen.structured_windows < limits.min_photo_windows


def framing_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """An edge is off by more than a slight crop explains."""
    return False if seen.edge_shift > limits.max_copy_shift_share else None


def plain_colours_decide(seen: Measurements, limits: Thresholds) -> bool | None:
    """With next to no texture, every cell must have the same colour."""
    if seen.textured_cells >= limits.min_textured_cells:
        return None
    worst = max(seen.colour_residual_levels, seen.colour_p95_levels)
    return seen.differing_cells == 0 and worst <= limits.max_bare_levels


def photo_detail_decides(seen: Measurements, limits: Thresholds) -> bool | None:
    """Half of the cells and windows of a photo agree: noise and blur eat at the others."""
    return None if is_drawn(seen, limits) else seen.agreement >= limits.min_photo_agreement


def graphic_has_corner_mark(seen: Measurements, limits: Thresholds) -> bool | None:
    """A mark covers a corner of a drawing, and all that the other one shows agrees."""
    return True if seen.differs_in_one_corner and seen.plainer_side_agreement >= 1 else None


def graphic_detail_decides(seen: Measurements, limits: Thresholds) -> bool | None:
    """Most of the cells and windows of a drawing agree."""
    return seen.agreement >= limits.min_graphic_agreement


COPY_RULES: tuple[CopyRule, ...] = (
    framing_differs,
    plain_colours_decide,
    photo_detail_decides,
    graphic_has_corner_mark,
    graphic_detail_decides,
)
