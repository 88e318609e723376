"""Small pictures for the close look, and what else a search for variants needs of an image. Decoded by processes.

A picture is kept as the bytes of a JPEG, a tenth of its pixels: a topic of 10,000 images holds 300 MB of them at most.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from common import images
from duplicates.comparison import Sheet

if TYPE_CHECKING:
    from duplicates.alignment import Points

Array = np.ndarray[Any, np.dtype[Any]]

SIDE = 320  # pixels of the longer side: what the close look sees
QUALITY = 95
OPEN = 64  # of one source, mostly, in the order in which pairs come


@dataclass(frozen=True)
class Hints:
    """Where one picture may lie in another: see duplicates/alignment.py."""

    points: Points
    thumbnail: Array
    halves: Array


@dataclass(frozen=True)
class Picture:
    """An image as the close look sees it."""

    encoded: bytes
    hints: Hints | None = None  # where variants are looked for

    @property
    def sheet(self) -> Sheet:
        """The picture upright, the longer side SIDE pixels at most, transparency on white; the last ones are kept."""
        return _sheet(self.encoded)

    def square(self, side: int) -> Array:
        """The pixels squeezed into a square."""
        squeezed = Image.open(io.BytesIO(self.encoded)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        return np.asarray(squeezed)


@functools.lru_cache(maxsize=OPEN)
def _sheet(encoded: bytes) -> Sheet:
    return Sheet(np.asarray(Image.open(io.BytesIO(encoded))))


def read_picture(
    paths: Sequence[str], max_pixels: int, hints: bool = False
) -> list[Picture | None]:
    """The images in order, with what alignment needs if `hints`; None for one that cannot be read."""
    return [_picture(path, max_pixels, hints) for path in paths]


def _picture(path: str, max_pixels: int, hints: bool) -> Picture | None:
    try:
        with images.decode_errors_as_unreadable(path):
            image, _ = images.open_image(path, max_pixels, draft=SIDE, on_white=True)
            image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    except images.Unreadable:  # it has been read before, and told then
        return None
    return encode_hints(np.asarray(image), hints)


def encode_hints(pixels: Array, hints: bool = False) -> Picture:
    """A picture from its pixels, uint8 RGB (height, width, 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, subsampling=0)
    if not hints:
        return Picture(file.getvalue())
    from duplicates import alignment

    made = Hints(
        alignment.find_points(pixels),
        alignment.make_thumbnail(pixels),
        alignment.half_thumbnails(pixels),
    )
    return Picture(file.getvalue(), made)
