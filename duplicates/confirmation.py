"""Confirm a copy at full detail: two images look alike at 256 pixels, are they the same at 1,024?

One image is registered on the other to a fraction of a pixel; tones and sharpness are matched.
A copy leaves the same grain everywhere. Another word, digit, thing or colour leaves more in one
place than the rest of the pair leads one to expect: that is other content, and the pair no copy.

Images are RGB (height, width, 3), uint8 as read and float32 once matched. Places are shares of
width and height, and an affine map (2, 3) leads from places in `target` to places in `source`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.json_files import DOUBTFUL
from duplicates.changed_places import Box, bounding_box
from duplicates.confirmation_limits import LIMITS, MAX_BARE_CONTRAST_SHARE, ConfirmationLimits
from duplicates.differences import Differences, Map, measure_differences
from duplicates.full_colours import (
    compare_colours,
    has_other_colours,
    is_graphic,
    is_other_render,
)
from duplicates.full_images import FullImage, frame_views
from duplicates.full_registration import IDENTITY, resize
from duplicates.small_drawings import (
    are_icons,
    equal_share,
    has_other_drawing,
)
from duplicates.variant_rules import NOTHING, OVERLAID, RECOLOURED

Array = np.ndarray[Any, np.dtype[Any]]

SENTENCES = {
    "same_bytes": "the same file",
    "same_pixels": "the same pixels",
    "same_detail": "no difference but tones, noise or compression",
    "corner_mark": "something in one corner that only one of them has",
    "small_mark": "a small mark in one corner that only one of them has",
    "another_image": "another image in the same places",
    "only_other_colours": "the same in other colours, and nothing else",
    "other_colours": "the same drawing or scene in other colours",
    "other_content": "other content in one place",
    "other_frames": "another number of frames",
    "icon_pixels": "a small drawing with other pixels",
}


@dataclass(frozen=True)
class Confirmation:
    """Whether two images are the same at full detail, by which rule, and where they differ."""

    is_copy: bool
    rule: str
    strength: float = 0.0  # of the strongest place; from 1 on it shows other content
    box: Box | None = None

    @property
    def least_kind(self) -> str:
        """What the pair is in the search for variants, if none of its rules names a kind.

        That search lists no copies. Without another kind, tones, noise or compression differ, and
        recoloured is the nearest. Of what is doubtful, a person might take one for the other.
        """
        if self.is_copy or self.rule == "only_other_colours":
            return RECOLOURED
        if self.rule == "small_mark":
            return OVERLAID
        return NOTHING if self.rule == "another_image" else DOUBTFUL

    def sentence(self) -> str:
        """What differs and where, for a person."""
        if self.box is None:
            return SENTENCES[self.rule]
        left, top, right, bottom = self.box
        place = f"{(left + right) / 2:.0%} from the left and {(top + bottom) / 2:.0%} from the top"
        return f"{SENTENCES[self.rule]}, {place}, {right - left:.0%} of the width"


def confirm_images(source: FullImage, target: FullImage, affine: Map) -> Confirmation:
    """Compare all that two files show: three frames, transparency, deep samples.

    The first difference decides; without any, return the comparison that came nearest to one.
    """
    if source.frame_count != target.frame_count:
        return Confirmation(False, "other_frames")
    few_colours = source.has_palette or target.has_palette
    nearest = Confirmation(True, "same_detail")
    for frames in zip(source.frames, target.frames, strict=True):
        for _, first, second in frame_views(*frames):
            said = confirm(first, second, affine, few_colours)
            if not said.is_copy:
                return said
            nearest = max(nearest, said, key=lambda each: each.strength)
    return nearest


def confirm(
    source: Array,
    target: Array,
    affine: Map,
    few_colours: bool = False,
    limits: ConfirmationLimits = LIMITS,
) -> Confirmation:
    """Compare two images, uint8 RGB, at full detail; `affine` is what the first look registered.

    `few_colours`: one of them has a palette, which leaves more behind.
    """
    if np.array_equal(source, target):
        return Confirmation(True, "same_pixels")
    if is_graphic(source, limits) or is_graphic(target, limits):
        if are_icons(source, target, limits):
            return confirm_icons(source, target, limits)
        if has_other_drawing(source, target, limits):
            return Confirmation(False, "icon_pixels")
    differences = measure_differences(source, target, affine, few_colours, limits)
    return classify_differences(differences, limits)


def confirm_icons(first: Array, second: Array, limits: ConfirmationLimits) -> Confirmation:
    """Icons must also have nearly all pixels the same at the lesser's size: they have no grain."""
    lesser, larger = sorted((first, second), key=lambda image: image.size)
    shrunk = resize(larger, (lesser.shape[1], lesser.shape[0]))
    everywhere = np.ones(lesser.shape[:2], bool)
    if is_other_render(compare_colours(lesser, shrunk, everywhere, limits), limits):
        return Confirmation(False, "other_colours")
    if equal_share(lesser, shrunk, limits.max_icon_pixel_levels, limits) < limits.min_icon_share:
        return Confirmation(False, "icon_pixels")
    differences = measure_differences(lesser, larger, IDENTITY, limits=limits)
    return classify_differences(differences, limits)


def classify_differences(
    differences: Differences, limits: ConfirmationLimits = LIMITS
) -> Confirmation:
    """The first rule that holds decides; without any the images are the same at full detail."""
    box = differences.boxes[0] if differences.boxes else None
    for name, is_copy, holds in RULES:
        if holds(differences, limits):
            return Confirmation(is_copy, name, differences.strength, box)
    return Confirmation(True, "same_detail", differences.strength)


def another_image(differences: Differences, limits: ConfirmationLimits) -> bool:
    """Half of all places show something else; in a drawing, whose copies leave little, fewer.

    Smooth images of one kind, such as X-rays, differ little anywhere, but everywhere.
    """
    leaves_some = differences.strange_share > limits.max_soft_strange_share
    if leaves_some and differences.unlikeness > limits.max_unlikeness:
        return True
    if differences.colours.is_graphic:
        return differences.strange_share > limits.max_drawn_strange_share
    return differences.strange_share > limits.max_strange_share


def only_other_colours(differences: Differences, limits: ConfirmationLimits) -> bool:
    """Nothing but the colours changed, and there is more than one shape to tell that by."""
    return (
        has_other_colours(differences.colours, limits)
        and not differences.colours.is_two_toned
        and not other_content(differences, limits)
    )


def other_colours(differences: Differences, limits: ConfirmationLimits) -> bool:
    """The colours changed in a way that no light or tone explains."""
    return has_other_colours(differences.colours, limits)


def corner_mark(differences: Differences, limits: ConfirmationLimits) -> bool:
    """All that differs lies in one corner, and only one image shows something there."""
    return _differs_in_one_corner(differences, limits) and _only_one_has_something(
        differences, limits
    )


def small_mark(differences: Differences, limits: ConfirmationLimits) -> bool:
    """Only one of two drawings has something in a corner; the other is bare there and beside.

    A badge with another letter has the badge beside it.
    """
    return (
        differences.colours.is_graphic
        and _differs_in_one_corner(differences, limits)
        and differences.exchanged < limits.max_exchanged
        and differences.ground.bareness <= MAX_BARE_CONTRAST_SHARE
    )


def _differs_in_one_corner(differences: Differences, limits: ConfirmationLimits) -> bool:
    if not differences.boxes:
        return False
    left, top, right, bottom = bounding_box(differences.boxes)
    near_side = min(left, 1 - right) <= limits.max_corner_offset_share
    near_edge = min(top, 1 - bottom) <= limits.max_corner_offset_share
    narrow = right - left <= limits.max_corner_width_share
    flat = bottom <= limits.max_corner_height_share or top >= 1 - limits.max_corner_height_share
    return near_side and near_edge and narrow and flat


def _only_one_has_something(differences: Differences, limits: ConfirmationLimits) -> bool:
    """Whether only one image shows something of its own where they differ.

    Over the texture of a photo this is hard to say; then the plainer one must look there as it does
    beside it. In a drawing, one letter may be all that tells it from another; a mark is wider.
    """
    is_one_sided = differences.exchanged < limits.max_exchanged
    if differences.colours.is_graphic:
        left, _, right, _ = bounding_box(differences.boxes)
        return is_one_sided and right - left >= limits.min_drawn_mark_width_share
    return is_one_sided or differences.ground.ratio <= limits.max_ground_ratio


def other_content(differences: Differences, limits: ConfirmationLimits) -> bool:
    """One place shows something else."""
    return differences.strength >= 1


Rule = tuple[str, bool, Callable[[Differences, ConfirmationLimits], bool]]
RULES: tuple[Rule, ...] = (
    ("another_image", False, another_image),
    ("only_other_colours", False, only_other_colours),
    ("other_colours", False, other_colours),
    ("corner_mark", True, corner_mark),
    ("small_mark", False, small_mark),
    ("other_content", False, other_content),
)
