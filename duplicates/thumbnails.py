"""Small images for comparison, and what a search for variants needs of each. Read by processes.

A small image is kept as the bytes of a JPEG, a tenth of its pixels: those of a topic of 10,000
images hold 300 MB at most.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from duplicates.geometry import Array, Size
from duplicates.raster import Raster
from imaging import images

if TYPE_CHECKING:
    from duplicates.features import Features

MAX_SIDE = 320  # pixels of the longer side
JPEG_QUALITY = 95
DECODED_IMAGES = 64  # kept; the pairs of one image mostly come one after the other


@dataclass(frozen=True)
class Hints:
    """What shows where one image may be in another: see duplicates/alignment.py."""

    size: Size
    is_flat: bool
    features: Features
    thumbnail: Array
    halves: Array
    outline: Array  # see duplicates/template_search.py


@dataclass(frozen=True)
class SmallImage:
    """An image as it is compared: upright, MAX_SIDE at most, transparency on white, in JPEG."""

    encoded: bytes
    hints: Hints | None = None  # only where variants are searched

    @property
    def raster(self) -> Raster:
        """The decoded pixels. The last DECODED_IMAGES are kept, with the sizes made of them."""
        return _decode_raster(self.encoded)


@functools.lru_cache(maxsize=DECODED_IMAGES)
def _decode_raster(encoded: bytes) -> Raster:
    return Raster(np.asarray(Image.open(io.BytesIO(encoded))))


def read_small_images(
    paths: Sequence[str], max_pixels: int, hints: bool = False
) -> list[SmallImage | None]:
    """Read images in order, with hints if wanted; None for one that cannot be read."""
    return [_read_small_image(path, max_pixels, hints) for path in paths]


def _read_small_image(path: str, max_pixels: int, hints: bool) -> SmallImage | None:
    try:
        with images.decode_errors_as_unreadable(path):
            image, _ = images.open_image(path, max_pixels, draft=MAX_SIDE, on_white=True)
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    except images.Unreadable:  # reported when it was hashed
        return None
    return make_small_image(np.asarray(image), hints)


def make_small_image(pixels: Array, hints: bool = False) -> SmallImage:
    """Encode pixels, uint8 RGB (height, width, 3), and compute their hints if wanted."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    if not hints:
        return SmallImage(file.getvalue())
    from duplicates import alignment, features, template_search

    height, width = pixels.shape[:2]
    computed = Hints(
        size=(width, height),
        is_flat=features.is_flat(pixels),
        features=features.find_features(pixels),
        thumbnail=alignment.make_thumbnail(pixels),
        halves=alignment.half_thumbnails(pixels),
        outline=template_search.make_outline(pixels),
    )
    return SmallImage(file.getvalue(), computed)
