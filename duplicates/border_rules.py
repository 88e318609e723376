"""The rules that say what is around an image in a larger one: a frame, a page, a caption."""

from __future__ import annotations

import numpy as np

from common.json_files import OVERLAPPING
from duplicates.aligned_pair import AlignedPair
from duplicates.surroundings import Surroundings
from duplicates.thresholds import Thresholds

MIN_MARGIN = 1e-3  # share of a side
MIN_WHOLE_SHARE = 0.98  # of a picture, that a photo of it shows: 140 prints and screens had 1
MIN_SHARE_IN_BLURRED_FRAME = 0.25  # of the area; a 16:9 picture in a 9:16 story fills 0.32


def is_bordered(pair: AlignedPair, limits: Thresholds) -> bool:
    """Whether something else is around the lesser image's place, and no more of the picture."""
    return (
        pair.around.bordered_sides > 0
        and min(pair.seen.overlap) < limits.max_bordered_share
        and ends_at_edges(pair.around, limits)
    )


def ends_at_edges(around: Surroundings, limits: Thresholds) -> bool:
    """Whether the picture does not go on beyond the edges of its place."""
    texture_gap = around.rim_texture_share - around.texture_share
    is_rim_blank = around.rim_texture_share <= limits.max_blank_rim_share
    return (
        around.border_contrast >= limits.min_border_contrast_ratio
        or around.beyond_ratio <= limits.max_beyond_ratio
        or texture_gap >= limits.min_texture_gap_share
        or (is_rim_blank and -texture_gap >= limits.min_added_texture_share)
    )


def surrounds_evenly(pair: AlignedPair, limits: Thresholds) -> bool:
    """Whether something is on all four sides, and opposite margins are about as wide."""
    if pair.around.bordered_sides < 4:
        return False
    for *factors, offset in pair.seen.affine:
        near = offset + np.minimum(factors, 0).sum()
        far = 1 - offset - np.maximum(factors, 0).sum()
        ratio = max(near, far) / max(min(near, far), MIN_MARGIN)
        if ratio > limits.max_margin_ratio:
            return False
    return True


def is_photo_of_image(pair: AlignedPair, limits: Thresholds) -> bool:
    """Whether the larger image is a photo that was taken of the lesser one at an angle."""
    is_whole = max(pair.seen.overlap) >= MIN_WHOLE_SHARE
    return pair.is_rectified and is_whole and is_bordered(pair, limits)


def is_at_an_angle(pair: AlignedPair, limits: Thresholds) -> str | None:
    """One image is a photo of the other; if it is not seen of which, neither replaces the other."""
    if not pair.is_rectified:
        return None
    return "turned" if is_photo_of_image(pair, limits) else OVERLAPPING


def is_turned(pair: AlignedPair, limits: Thresholds) -> str | None:
    """The map turns the image; its corners may be filled or cut off."""
    linear = pair.seen.affine[:, :2]
    squared_sine = -linear[0, 1] * linear[1, 0] / abs(np.linalg.det(linear))
    is_tilted = squared_sine > limits.max_upright_sine**2
    return "turned" if linear[0, 0] < 0 or is_tilted else None


def is_framed(pair: AlignedPair, limits: Thresholds) -> str | None:
    """What is around the image is plain or blurred, or the same on all sides."""
    if not is_bordered(pair, limits):
        return None
    around = pair.around
    is_plain = around.texture_share < limits.max_frame_texture_share
    is_soft = around.strong_texture_share < limits.max_frame_texture_share
    fills_much = min(pair.seen.overlap) >= MIN_SHARE_IN_BLURRED_FRAME
    is_blurred = is_soft and around.bordered_sides >= 2 and fills_much
    is_whole = min(pair.seen.overlap) >= limits.min_captioned_share
    is_even = is_whole and surrounds_evenly(pair, limits)
    return "framed" if is_plain or is_blurred or is_even else None


def is_contained(pair: AlignedPair, limits: Thresholds) -> str | None:
    """The image is a part of a screenshot or collage."""
    is_part = min(pair.seen.overlap) < limits.min_captioned_share
    return "contained" if is_bordered(pair, limits) and is_part else None


def is_captioned(pair: AlignedPair, limits: Thresholds) -> str | None:
    """The image fills most of the larger one, beside it is a text."""
    return "captioned" if is_bordered(pair, limits) else None


def is_rounded(pair: AlignedPair, limits: Thresholds) -> str | None:
    """The corners of one image are cut off, and the colours beside them are as they were."""
    is_cut = abs(pair.around.cut_corners) >= limits.min_cut_corners
    has_same_colours = pair.seen.colour_median_levels <= limits.max_occluded_median_levels
    return "framed" if is_cut and has_same_colours else None
