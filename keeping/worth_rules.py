"""The weights and thresholds of keeping/worth.py, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorthRules:
    """Weights in halvings of pixels, and thresholds.

    Chosen on copies of 32 originals from one half of the photos, reported on 64 of the other.
    """

    detail: float = 2.0  # per halving of the side that holds detail: that is what pixels lose
    fallen_db: float = 6.0  # below the sharpest copy that is no loss: sharpening adds 3 to 5
    # The next three by 960 enlargements, of which 0.86 are told, 2,240 sharp and soft photos beside
    # reduced copies (0.015 taken for enlargements), and 360 enlargements of soft photos (0.38).
    upscale_drop_db: float = 6.0
    upscale_bend_db: float = 0.25
    max_soft_slope_db: float = -15.0
    min_upscale: float = 1.09  # ratio of sides below which no spectrum tells
    upscale_share: float = 0.93  # of its source's detail that an enlargement keeps
    compression: float = 0.5  # per doubling of 1 + 4 steps: quality 90 0.4, 75 0.8, 35 1.4, 10 2.2
    unseen_steps: float = 0.7  # of WebP, AVIF and HEIC: as quality 65
    resized_steps: float = 0.75  # that a smaller copy inherits at most: averaging hides blocks
    same_size: float = 0.04  # difference of sides, as a share
    min_block_edges: float = 0.08  # clean photos had 0.04 at most
    shared_blocks: float = 0.5  # share of another's block edges from which the past is the same
    min_shared_steps: float = 0.35  # finer tables leave no blocks
    visible_ratio: float = 1.5  # of old steps to new ones, from which the old ones stay visible
    edited_tone: float = 1.5  # levels by which saving again changes tones at most
    edited_db: float = 0.7  # the same of sharpness
    resaved: float = 0.2
    resaved_ratio: float = 1.25  # of past steps to those of the file's own table
    colour: float = 0.8  # per halving of colour; the first halving is free
    max_colour_halvings: float = 2.0
    colour_floor: float = 1.0  # levels
    grain: float = 0.4  # per doubling above free_grain
    free_grain: float = 2.0  # levels; of 32 originals 29 had 1.1 at most, planted noise 1.6 to 9
    max_clean_grain: float = 4.0  # levels, above which noise passes for detail
    palette: float = 1.0
    notes: float = 0.2
    max_oddity: float = 0.2  # little: beside several copies of one edit the original is odd
    odd_tone: float = 3.0  # levels that count as one doubling
    odd_db: float = 1.0  # the same of sharpness
    mark: float = 1.5
    mosaic: float = 1.5
    frame: float = 1.0
    rim_fits: float = 0.35  # share of what a picture shows more that its blank rim must explain
    rim_levels: float = 12.0  # by which two rims are the same
    cut: float = 4.0  # per halving of the area shown
    min_area: float = 0.03  # log2 below which both show the same; a border of 0.5 % adds 0.033


RULES = WorthRules()
