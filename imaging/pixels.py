"""The pixels of a decoded image: rotated upright, put on white, scaled to 8 bits, in strips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    import numpy as np

STRIP_ROWS = 64  # processed at a time, if a whole image would take too much memory
TRANSPOSE_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def paste_on_white(image: Image.Image) -> Image.Image:
    with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, with_alpha)


def make_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate an image by its EXIF orientation."""
    if orientation not in TRANSPOSE_TO_UPRIGHT:
        return image
    return image.transpose(TRANSPOSE_TO_UPRIGHT[orientation])


def pixel_digest(image: Image.Image) -> bytes:
    digest = hashlib.blake2b()
    for strip in pixel_strips(image):
        digest.update(strip)
    return digest.digest()


def pixel_strips(image: Image.Image) -> Iterator[bytes]:
    """Yield the pixels some rows at a time: all of a large image as bytes take much memory."""
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, image.height)
        yield image.crop((0, top, image.width, bottom)).tobytes()


def pixel_array(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the pixels of an RGB image: uint8 of shape (height, width, 3).

    np.array(image) gives the same, and takes 6 bytes more of memory for each pixel.
    """
    import numpy as np

    pixels = np.empty((image.height, image.width, 3), dtype=np.uint8)
    top = 0
    for strip in pixel_strips(image):
        rows = np.frombuffer(strip, np.uint8).reshape(-1, image.width, 3)
        pixels[top : top + len(rows)] = rows
        top += len(rows)
    return pixels


def to_uint8(image: Image.Image) -> Image.Image:
    """Scale deep grey to 8-bit grey, where convert("L") would clip it to white.

    The range of a 16-bit file is 0 to 65535. That of a float file is 0 to 1, 255 or 65535, the
    smallest that holds its values. If none does, it is that of the values.
    """
    import numpy as np  # only images of these rare modes need it

    values: Any = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0, neginf=0)
    low = float(values.min())
    high = float(values.max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        range_ends = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
        low = 0.0
        high = next(end for end in range_ends if high <= end)
    scale = 255 / ((high - low) or 1)
    scaled = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), STRIP_ROWS):
        strip = values[top : top + STRIP_ROWS].astype(np.float64)
        scaled[top : top + STRIP_ROWS] = np.rint((strip - low) * scale)
    return Image.fromarray(scaled)
