"""What a copy may show at full detail: the thresholds of confirmation, in one place.

Fitted on planted copies and edits of one half of the photos.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ConfirmationLimits:
    """What a copy may show. Fitted on planted copies and edits of one half of the photos."""

    # A place is other content if all four are reached in one window:
    min_luma_levels: float = 12.0  # root mean square of what is left
    min_colour_levels: float = (
        21.5  # the same of a colour plane: 256 colours and quality 20 leave as much
    )
    min_contrast_share: float = 0.285  # of the contrast there that is left
    min_log_excess: float = (
        2.27  # log of left against what the pair leaves at such contrast elsewhere
    )
    min_unlikeness: float = 0.35  # sine of the angle between the two windows
    palette_factor: float = 1.5  # times as much may be left if one image has a palette

    # Of the whole image:
    max_strange_share: float = 0.3  # median share of contrast left: copies 0.06, strangers from 0.5
    max_hue_degrees: float = (
        20.0  # median turn of clear colours: copies 11, a red and an orange mug 28
    )
    # Soft images that are no copies leave both; a photo's copies 0.25 and 0.14, a drawing's 0.34
    # and 0.01, other X-rays from 0.37 and 0.17 on.
    max_unlikeness: float = 0.27  # median of coarse windows
    max_soft_strange_share: float = 0.08
    max_drawn_strange_share: float = (
        0.15  # in a drawing: copies 0.08, other stick figures from 0.18
    )
    min_hue_saturation_levels: float = 40.0  # levels from grey from which a colour has a hue
    min_graphic_tone_share: float = 0.3  # of one tone, from which an image is drawn
    max_same_colour_levels: float = (
        16.0  # 95th percentile of what cells differ by: not worth a question
    )
    min_same_colour_cosine: float = (
        0.85  # of the colours around grey: hue by 15 degrees 0.97, by 40 0.79
    )
    min_recoloured_levels: float = 24.0  # 95th percentile; below it colours hardly changed
    max_graphic_hue_degrees: float = 6.5  # of a drawing: copies 5, two blues of one icon 8
    max_graphic_levels: float = 64.0  # 95th percentile: a red and a pink shirt 111
    max_tone_miss_levels: float = (
        9.0  # 95th percentile of what a tone change or white balance leaves
    )
    max_gain_spread: float = 1.8  # largest to smallest gain of a white balance
    max_icon_side_pixels: int = 48  # pixels of the longer side up to which a drawn image is an icon
    max_icon_pixel_levels: int = 16  # by which a pixel of an icon may differ,
    min_icon_share: float = 0.98  # and share of its pixels that must not differ by more
    min_contrast_levels: float = 4.0  # levels from which a window shows something

    # A mark that only one image has is allowed in one corner:
    max_corner_width_share: float = 0.75  # share of the width that it may fill
    min_drawn_mark_width_share: float = 0.2  # in a drawing: marks 0.23, a badge's letter 0.16
    max_corner_height_share: float = 0.3  # share of the height
    max_corner_offset_share: float = 0.2  # share of either by which it may miss the corner
    max_ground_ratio: float = 1.15  # marks 1.11, the hands of a small clock from 1.3
    max_exchanged: float = 0.4  # 0 if only one shows something there, 0.7 if each shows as much


LIMITS = ConfirmationLimits()

# Of a kind of variant, not of a copy: the contrast of a drawing at and beside a mark that the other
# has, to that of the mark. Marks on 11 drawings had at most 0.3, letters of a badge 0.67 or more.
MAX_BARE_CONTRAST_SHARE = 0.4

# Of a drawing in a small image, at its size: the levels by which a pixel may differ, and the share
# of its pixels that must not differ by more. 45 thumbnails of 12 emblems had 0.967 or more, 12
# pairs of two emblems at most 0.84.
MAX_SMALL_DRAWING_LEVELS = 32
MIN_SMALL_DRAWING_SHARE = 0.9
