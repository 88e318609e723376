"""How far two aligned images agree, by what was measured of them; variant_rules.py asks this."""

from __future__ import annotations

from duplicates.comparison import Measurements
from duplicates.copy_rules import is_drawn
from duplicates.thresholds import Thresholds


def is_recoloured(seen: Measurements, limits: Thresholds) -> bool:
    """Whether colours point elsewhere, and by many levels. A grey copy has none that could."""
    return (
        seen.colour_cosine < limits.min_same_colour_cosine
        and seen.colour_p95_levels >= limits.min_recoloured_levels
    )


def agrees_everywhere(seen: Measurements, limits: Thresholds) -> bool:
    """Whether enough windows and cells agree that nothing is laid over the image."""
    return (
        seen.structured_windows >= limits.min_photo_windows
        and seen.structure_agreement >= limits.min_clean_structure_agreement
        and seen.texture_agreement >= limits.min_clean_texture_agreement
    )


def every_cell_agrees(seen: Measurements, limits: Thresholds) -> bool:
    """Whether every cell has the same texture, and the same colour once tones are matched."""
    return (
        seen.differing_cells <= limits.max_same_differing_cells
        and seen.colour_residual_levels <= limits.max_close_levels
        and seen.textured_cells >= limits.min_same_textured_cells
        and seen.texture_agreement >= limits.min_sure_agreement
    )


def is_same_everywhere(seen: Measurements, limits: Thresholds) -> bool:
    """Whether every cell has the same colour and texture: enough where little is to be seen."""
    return seen.colour_p95_levels <= limits.max_small_levels and every_cell_agrees(seen, limits)


def agrees_in_shared_part(seen: Measurements, limits: Thresholds) -> bool:
    """Whether two images are the same wherever both show something, and show enough there.

    A photo may have other tones; a drawing may not: the same shape is on many grounds.
    """
    agreeing_windows = seen.structured_windows * seen.structure_agreement
    return (
        agreeing_windows >= limits.min_photo_windows
        and seen.structure_agreement >= limits.min_clean_structure_agreement
        and every_cell_agrees(seen, limits)
        and (is_same_everywhere(seen, limits) or not is_drawn(seen, limits))
    )


def is_clean(seen: Measurements, limits: Thresholds) -> bool:
    """Whether the images agree everywhere, by their detail or by every cell."""
    return is_same_everywhere(seen, limits) or agrees_everywhere(seen, limits)


def graphics_agree(seen: Measurements, limits: Thresholds) -> bool:
    """Whether two graphics are the same wherever either shows anything.

    One frame around two texts is not enough.
    """
    is_detailed = seen.structured_windows >= limits.min_detailed_windows
    has_other_tones = (
        is_recoloured(seen, limits) or seen.luma_p95_levels > limits.max_graphic_luma_levels
    )
    max_residual = max(
        limits.max_unexplained_levels, limits.max_residual_ratio * seen.colour_p95_levels
    )
    return (
        (is_detailed or not has_other_tones)
        and seen.block_differing_cells <= limits.max_photo_block_cells
        and seen.colour_residual_levels <= max_residual
        and seen.agreement >= limits.min_clean_structure_agreement
    )


def is_occluded(seen: Measurements, limits: Thresholds) -> bool:
    """Whether the other image shows most of the plainer one, and nothing else changed."""
    return (
        seen.plainer_side_agreement >= limits.min_occluded_share
        and seen.colour_median_levels <= limits.max_occluded_median_levels
    )


def is_covered(seen: Measurements, limits: Thresholds) -> bool:
    """Whether something is laid over one of the images."""
    return not is_clean(seen, limits) or seen.block_differing_cells > limits.max_clean_block_cells
