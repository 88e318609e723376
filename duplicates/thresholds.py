"""Every number that decides whether two images are copies, variants or neither.

Where a line gives no other source, the number was chosen on one half of the photos and kinds of
changes, the tuning pairs, and checked on the other half: docs/variants.md. tests/test_thresholds.py
holds pairs on both sides of each number.

Units are in the names. Levels are 0 to 255; shares, agreements, correlations and cosines 0 to 1;
a cell has 8 x 8 pixels, a window 16 x 16.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """What duplicates/classification.py and the modules below it compare their numbers with."""

    # What counts as detail.
    min_texture_levels: float = 4.0  # standard deviation of a cell that has a texture
    min_structure_levels: float = 3.0  # standard deviation of a window that has a structure
    noise_ratio: float = 1.5  # detail is more than this times the 10th percentile of structure,
    max_noise_levels: float = 9.0  # and certainly detail from here on

    # What agrees and what differs.
    min_agreeing_correlation: float = 0.6
    max_differing_correlation: float = 0.5
    min_moved_share: float = 0.3  # of windows that agree; below it no move helped tuning pairs
    max_unexplained_levels: float = 28.0  # of colour, that a cell may be off
    min_burnt_levels: float = 250.0  # of a channel that may have lost what it showed,
    burnt_weight: float = 0.4  # and how much such a cell's difference counts
    min_colour_levels: float = 6.0  # distance from grey of an image that has colours

    # Where it differs.
    max_corner_width_share: float = 0.45  # of the image, that a mark in a corner covers
    max_corner_height_share: float = 0.2
    min_quadrant_windows: int = 6  # that say something of a quarter of the image

    # The first look for copies: what is worth a second look at full detail.
    min_thumbnail_correlation: float = 0.5  # no copy of the tuning pairs had less
    zoom_share: float = 0.94  # a copy may lack 3 % at each edge
    min_registered_correlation: float = 0.85  # copies of the tuning pairs had 0.94 or more
    max_copy_shift_share: float = 0.044  # 3 % cropped measures 0.032, a bar of 5 % 0.045
    min_textured_cells: int = 4  # with fewer, every cell must have the same colour
    max_bare_levels: float = 1.0  # that such a cell may be off
    min_photo_agreement: float = 0.5  # copies of the tuning pairs with noise had 0.5 or more
    min_graphic_agreement: float = 0.75  # stick figures in other poses measured 0.74

    # Photo or graphic.
    min_graphic_tone_share: float = 0.3  # of one tone: from here on an image counts as drawn
    min_photo_windows: int = 12  # fewer show too little for any tolerance
    min_detailed_windows: int = 60  # so many show much, even in a graphic

    # Variants: how much of them is the same.
    min_same_colour_cosine: float = 0.85  # a hue turned by 15 degrees measures 0.97, by 40 0.79
    min_recoloured_levels: float = 24.0
    min_sure_agreement: float = 0.97
    max_photo_block_cells: int = 4  # differing in 3 x 3: more is a thing, not noise
    max_close_levels: float = 10.0  # that no cell may exceed,
    max_small_levels: float = 16.0  # and 95 % of cells, before colours are fitted
    max_residual_ratio: float = 1.3  # of the worst cell to the 95th percentile
    max_graphic_luma_levels: float = 64.0  # by which a graphic may be lighter or darker
    min_contained_share: float = 0.85  # of the lesser image, that is in the larger one
    min_overlapping_share: float = 0.3  # of it, that two windows of one picture share
    max_beyond_agreement: float = 0.125  # of cells beyond such a part: of 100 collages 93 had less
    min_clean_structure_agreement: float = 0.95  # agreement without anything laid over it
    min_clean_texture_agreement: float = 0.7
    min_same_textured_cells: int = 8  # textured, of images that are the same in all cells
    max_same_differing_cells: int = 1
    max_clean_block_cells: int = 6  # differing in 3 x 3: more is a mark
    min_overlaid_share: float = 0.3  # of windows that agree under a text
    min_overlaid_windows: int = 20
    max_overlaid_quadrant_share: float = 0.9  # that differs: more is another image, same frame
    min_overlaid_cosine: float = 0.7  # of colours: less is one text on two images

    # Doubtful pairs.
    min_doubtful_agreement: float = 0.6
    min_occluded_share: float = 0.7  # of the plainer image's windows that agree, and
    max_occluded_median_levels: float = 4.0  # so little is off elsewhere: of 747 unrelated pairs 4

    # Soft images: what they show at 128 pixels. Of 1,808 pairs of drawn X-rays all have
    # less contrast, more unlikeness and other colours; of 1,444 pairs of 86 photos and their
    # variants 22 do.
    max_soft_contrast_levels: float = 12.0  # X-rays have up to 10.8
    max_soft_unlikeness: float = 0.25  # a quarter of the windows has less: X-rays from 0.26 on
    min_soft_colour_levels: float = 3.0  # median difference of colour: X-rays from 4.1 on
    # Those of nearly the same tones differ more in detail:
    max_toned_soft_unlikeness: float = 0.30  # X-rays from 0.32 on, a blurred copy 0.28
    min_toned_soft_colour_levels: float = 1.7  # X-rays from 1.8 on, a text over a photo 1.6

    # Variants: which kind. The numbers for borders are of 874 crops of 90 photos, of which 6 count
    # as bordered, and of 2,004 framed, padded or tilted ones, of which 98 do not.
    max_upright_sine: float = 0.035  # 2 degrees
    min_border_contrast_ratio: float = 2.2  # of pixels across an edge to those beside it
    max_beyond_ratio: float = 0.25  # of the variation just beyond the edges to that within
    min_texture_gap_share: float = 0.55  # of cells with a texture: less is around than at the rim
    max_blank_rim_share: float = 0.05  # of an image on a plain ground,
    min_added_texture_share: float = 0.2  # and so much more texture is around it on a page
    max_bordered_share: float = 0.95  # of the larger image: with more, nothing is around
    max_frame_texture_share: float = 0.1  # of cells with much texture: captions have 0.27 or more
    max_margin_ratio: float = 1.6  # of the wider of two opposite margins to the other
    min_captioned_share: float = 0.7  # of the larger image; less is part of a screenshot
    min_cut_corners: int = 3


THRESHOLDS = Thresholds()
