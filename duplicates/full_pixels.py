"""The digest of all pixels of an image, by which files of other bytes are the same picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from imaging import images, pixels

PREFIX = "pixels "  # tells these digests from those of bytes
# What 8-bit RGB does not show of an image: two such images may differ although their pixels do not.
HIDING_TRAITS = {"deep", "transparent", "animated"}


def pixel_digests(paths: Sequence[str], max_pixels: int) -> list[str]:
    """Return the digest of each image's size and pixels; empty if RGB does not show all of it."""
    return [_pixel_digest(path, max_pixels) for path in paths]


def _pixel_digest(path: str, max_pixels: int) -> str:
    try:
        if HIDING_TRAITS.intersection(images.read_header(path, max_pixels).traits):
            return ""
        image, _ = images.open_image(path, max_pixels)
    except images.Unreadable:
        return ""
    profile = image.info.get("icc_profile", b"")
    digest = hashlib.sha256(repr((image.size, profile)).encode())
    for strip in pixels.pixel_strips(image):
        digest.update(strip)
    return PREFIX + digest.hexdigest()
