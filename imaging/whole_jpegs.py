"""Loads all pixels of an image, or fails if any is missing: a cut JPEG looks like a whole one."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageFile

from common.image_formats import DECODERS
from imaging import jpeg_stream
from imaging.jpeg_stream import END as JPEG_END
from imaging.pixels import pixel_digest

# Unlike the zeros that libjpeg fills in, and without 0xFF, so that it contains no marker.
JPEG_FILLER = bytes(range(254, 0, -1)) * 64
BLOCK_SIDE = 8  # of the squares that a JPEG consists of, in pixels


def load_all_pixels(
    image: ImageFile.ImageFile,
    path: str,
    draft: int | None,
    mode: str,
    content: bytes | None = None,
) -> Image.Image:
    """Load all pixels. Raises an error if any is missing. `content`: what `image` was opened from.

    Decoders of other formats notice a cut file. A JPEG may lack its end marker, and libjpeg makes
    up missing pixels without an error.
    """
    if image.format not in ("JPEG", "MPO"):
        image.load()
        return image
    end = _read_end(image) if content is None else content[-2:]
    ends_in_zeros = end == b"\0\0"
    is_progressive = "progressive" in image.info
    has_end = False
    with contextlib.suppress(OSError):
        _load_jpeg(image, draft, mode)
        has_end = not ends_in_zeros
        if has_end and not is_progressive and not _ends_in_fill_level(image, draft):
            return image
    if content is None:
        content = jpeg_stream.read_without_padding(path)
    else:
        content = jpeg_stream.cut_padding(content)
    if is_progressive and jpeg_stream.lacks_scans(content):
        raise OSError("truncated")
    if has_end and not _ends_in_fill_level(image, draft):
        return image
    if has_end:
        content = jpeg_stream.split_at_end(content)
    content = content.removesuffix(JPEG_END[:1])
    # If pixels are missing, they are made from whatever follows, and differ between the two.
    with_filler = _load_jpeg(_open_bytes(content + JPEG_FILLER + JPEG_END), draft, mode)
    digest_with_filler = pixel_digest(with_filler)
    del with_filler
    whole = _load_jpeg(_open_bytes(content + JPEG_END), draft, mode)
    if pixel_digest(whole) != digest_with_filler:
        raise OSError("truncated")
    return whole


def _ends_in_fill_level(image: Image.Image, draft: int | None) -> bool:
    """Tell whether the last block has the grey that libjpeg fills in: then its data decide."""
    if image.format == "MPO":  # another image follows
        return False
    # Colours of the blocks beside it may reach in; brightness does not.
    levels: Sequence[int]
    right, bottom = image.width - 1, image.height - 1
    if image.mode in ("RGB", "L") and not draft:
        left, top = right // BLOCK_SIDE * BLOCK_SIDE, bottom // BLOCK_SIDE * BLOCK_SIDE
        last_block = image.crop((left, top, image.width, image.height))
        levels = last_block.convert("L").tobytes()
    else:
        pixel: Any = image.getpixel((right, bottom))
        levels = pixel if isinstance(pixel, tuple) else (pixel,)
    return max(levels) - 1 <= jpeg_stream.FILL_LEVEL <= min(levels) + 1


def _load_jpeg(image: Image.Image, draft: int | None, mode: str) -> Image.Image:
    if draft and (mode == "L" or min(image.size) >= 2 * draft):  # else it would change nothing
        image.draft("L" if mode == "L" else None, (draft, draft))  # None keeps the file's mode
    image.load()
    return image


def _read_end(image: Image.Image) -> bytes:
    """Read the last two bytes of the file: zeros are padding, or an unfinished download."""
    fp: Any = getattr(image, "fp", None)
    size = os.fstat(fp.fileno()).st_size
    return os.pread(fp.fileno(), 2, max(size - 2, 0))


def _open_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=DECODERS)
