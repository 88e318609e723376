"""The rules that decide whether two images are copies, in the order in which they are asked.

A rule says True (a copy), False (no copy) or None (ask the next rule).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from duplicates.comparison import Measurements
from duplicates.thresholds import THRESHOLDS, Thresholds

CopyRule = Callable[[Measurements, Thresholds], bool | None]


@dataclass(frozen=True)
class CopyDecision:
    """Whether two images are copies, and the name of the rule that says so."""

    is_copy: bool
    rule: str


def decide_copy(seen: Measurements, limits: Thresholds = THRESHOLDS) -> CopyDecision:
    """Ask the rules in order, those for graphics or those for photos."""
    rules = GRAPHIC_COPY_RULES if is_graphic(seen, limits) else PHOTO_COPY_RULES
    for rule in rules:
        answer = rule(seen, limits)
        if answer is not None:
            return CopyDecision(answer, rule.__name__)
    raise AssertionError("the last rule always answers")


def is_copy(seen: Measurements, limits: Thresholds = THRESHOLDS) -> bool:
    """Whether two images are the same in the same framing, but for a small mark."""
    return decide_copy(seen, limits).is_copy


def is_graphic(seen: Measurements, limits: Thresholds) -> bool:
    """Whether one tone covers so much, or so little is to be seen, that any difference counts."""
    return (
        seen.flat_tone_share >= limits.min_graphic_tone_share
        or seen.structured_windows < limits.min_photo_windows
    )


def is_recoloured(seen: Measurements, limits: Thresholds) -> bool:
    """Whether colours point elsewhere, and by many levels. A grey copy has none that could."""
    return (
        seen.colour_cosine < limits.min_same_colour_cosine
        and seen.colour_p95_levels >= limits.min_recoloured_levels
    )


def is_faded(seen: Measurements, limits: Thresholds) -> bool:
    """Whether all texture agrees, and colours changed all over the image."""
    max_texture_cells = limits.max_faded_texture_share * seen.compared_cells
    max_cells = limits.max_faded_differing_share * seen.compared_cells
    return (
        seen.agreement >= limits.min_sure_agreement
        and seen.texture_differing_cells <= max_texture_cells
        and seen.differing_cells <= max_cells
        and seen.colour_median_levels >= limits.min_faded_median_ratio * seen.colour_p95_levels
    )


def framing_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """An edge is off by more than a slight crop explains."""
    return False if seen.edge_shift > limits.max_copy_shift_share else None


def colours_differ(seen: Measurements, limits: Thresholds) -> bool | None:
    """A recoloured shirt is a different image; a greyscale copy is a copy."""
    return False if is_recoloured(seen, limits) else None


def photo_detail_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """Too few cells or windows agree."""
    return False if seen.agreement < limits.min_photo_agreement else None


def photo_differs_only_in_spots(seen: Measurements, limits: Thresholds) -> bool | None:
    """Few cells differ, and no more together than noise, compression or a small mark makes."""
    max_cells = limits.max_photo_differing_share * seen.compared_cells
    is_scattered = seen.block_differing_cells <= limits.max_photo_block_cells
    return True if seen.differing_cells <= max_cells and is_scattered else None


def tones_changed_all_over(seen: Measurements, limits: Thresholds) -> bool | None:
    """All texture is the same in other tones."""
    return True if is_faded(seen, limits) else None


def photo_has_corner_mark(seen: Measurements, limits: Thresholds) -> bool | None:
    """All that differs is in one corner of a detailed photo."""
    is_detailed = seen.structured_windows >= limits.min_detailed_windows
    return True if seen.differs_in_one_corner and is_detailed else None


def photo_content_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """What differs is neither noise nor tone nor a mark: something else is in the photo."""
    return False


def plain_colours_decide(seen: Measurements, limits: Thresholds) -> bool | None:
    """With next to no texture, every cell must have the same colour."""
    if seen.textured_cells >= limits.min_textured_cells:
        return None
    worst = max(seen.colour_residual_levels, seen.colour_p95_levels)
    return seen.differing_cells == 0 and worst <= limits.max_bare_levels


def graphic_corner_mark_decides(seen: Measurements, limits: Thresholds) -> bool | None:
    """A mark is in one corner, where the other image is plain, and nothing else changed."""
    if not (seen.differing_cells and seen.differs_in_one_corner):
        return None
    if seen.colour_p95_levels > limits.max_marked_levels:
        return None
    if seen.conflicting_cells and seen.structured_windows < limits.min_rich_windows:
        return None
    return (
        seen.plainer_side_agreement >= limits.min_marked_agreement
        and seen.structured_windows >= limits.min_marked_windows
    )


def graphic_shape_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """Little is to be seen, and taken together it does not correlate."""
    return False if seen.joint_correlation < limits.min_joint_correlation else None


def graphic_brightness_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """Little is to be seen, and it is much lighter or darker."""
    is_near = seen.luma_p95_levels <= limits.max_graphic_luma_levels
    is_detailed = seen.structured_windows >= limits.min_detailed_windows
    return None if is_near or is_detailed else False


def graphic_noise_decides(seen: Measurements, limits: Thresholds) -> bool | None:
    """All colours are close, so noise or compression may have eaten at texture."""
    is_close = (
        seen.colour_residual_levels <= limits.max_close_levels
        and seen.colour_p95_levels <= limits.max_small_levels
        and seen.block_differing_cells <= limits.max_stray_block_cells
    )
    return seen.agreement >= limits.min_noisy_agreement if is_close else None


def graphic_spot_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """A cell is off by more than the rest explains."""
    all_agree = not seen.texture_differing_cells and seen.structure_agreement == 1
    allowed = limits.max_unexplained_levels if all_agree else limits.max_small_levels
    allowed = max(allowed, limits.max_residual_ratio * seen.colour_p95_levels)
    return False if seen.colour_residual_levels > allowed else None


def graphic_detail_differs(seen: Measurements, limits: Thresholds) -> bool | None:
    """Not all cells and windows agree."""
    return False if seen.agreement < limits.min_sure_agreement else None


def graphic_is_the_same(seen: Measurements, limits: Thresholds) -> bool | None:
    """All agrees, in many windows or without exception; at most stray cells differ."""
    has_enough = seen.structured_windows >= limits.min_detailed_windows
    is_scattered = seen.block_differing_cells <= limits.max_stray_block_cells
    return is_scattered and (has_enough or seen.structure_agreement == 1)


PHOTO_COPY_RULES: tuple[CopyRule, ...] = (
    framing_differs,
    colours_differ,
    photo_detail_differs,
    photo_differs_only_in_spots,
    tones_changed_all_over,
    photo_has_corner_mark,
    photo_content_differs,
)
GRAPHIC_COPY_RULES: tuple[CopyRule, ...] = (
    framing_differs,
    colours_differ,
    plain_colours_decide,
    graphic_corner_mark_decides,
    graphic_shape_differs,
    graphic_brightness_differs,
    graphic_noise_decides,
    graphic_spot_differs,
    graphic_detail_differs,
    tones_changed_all_over,
    graphic_is_the_same,
)
