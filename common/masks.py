"""Masks beside their images: `x-masklabel.png`, `x_mask.png`, `x-condlabel.png` beside `x.jpg`.

They are sidecars of the image with exactly that stem, and no images. Goes by names alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from common.image_formats import is_image_name

MASK_ENDINGS = ("-masklabel.png", "_mask.png", "-condlabel.png")


def masked_stem(name: str) -> str:
    """Return the stem of the image that a file of that name would be a mask of; else empty."""
    lower_name = name.lower()
    for ending in MASK_ENDINGS:
        if lower_name.endswith(ending):
            return name[: -len(ending)]
    return ""


def find_masks(names: Iterable[str]) -> set[str]:
    """Return those of a folder's names that are masks of an image there, which is no mask."""
    candidates = []
    stems = set()
    for name in names:
        if masked_stem(name) and is_image_name(name):
            candidates.append(name)
        elif is_image_name(name):
            stems.add(os.path.splitext(name)[0])
    found = set()
    for name in sorted(candidates, key=len):  # that of `x_mask` comes after the mask of `x`
        if masked_stem(name) in stems:
            found.add(name)
        else:
            stems.add(os.path.splitext(name)[0])
    return found


def drop_masks(names: Iterable[str], images: Collection[str]) -> list[str]:
    """Return the names that would be no masks beside these images, in their order."""
    names = list(names)
    if not any(map(masked_stem, names)):
        return names
    stems = {os.path.splitext(image)[0] for image in images}
    return [name for name in names if masked_stem(name) not in stems]
