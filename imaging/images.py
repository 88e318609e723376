"""Opens images: the one place that knows how, and that catches whatever a damaged file can raise.

Knows Pillow and nothing about datasets. Every image comes out upright (EXIF orientation applied),
in 8-bit RGB, with all its pixels decoded. What cannot be decoded completely raises Unreadable, with
a reason and a remedy.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, _imaging

from common.cli import MAX_PIXELS
from common.image_formats import DECODERS, FORMATS, USUAL_BYTES_PER_PIXEL, format_of_content
from imaging import decode_errors, unread_content
from imaging.exif import exif_date, exif_orientation, find_png_exif
from imaging.jpeg_stream import END as JPEG_END
from imaging.jpeg_stream import START as JPEG_START
from imaging.pixels import make_upright, paste_on_white, to_uint8
from imaging.whole_jpegs import load_all_pixels

for _format in FORMATS:
    if _format.package:
        getattr(importlib.import_module(_format.package), _format.register_function)()

# Our own limit replaces Pillow's: an error with a reason, never a warning.
Image.MAX_IMAGE_PIXELS = None
# With Pillow's limit of 1 MiB, a large colour profile makes a sound PNG unreadable.
PngImagePlugin.MAX_TEXT_CHUNK = 64 << 20
# libtiff would print errors without the name of the file.
with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

FLOAT_BYTES_PER_PIXEL = 18  # of memory at the peak of decoding a float image
UNLIMITED_PIXELS = 1 << 62
MAX_SIDE_PIXELS = 1_000_000  # resizing a longer side takes extra memory
LOSSLESS_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
LOSSLESS_WEBP_CHUNK, WEBP_HEADER_BYTES = b"VP8L", 64
FIRST_SIDEWAYS_ORIENTATION = 5  # from it on, width and height are exchanged


class Unreadable(Exception):
    """An image that cannot be used; the message gives the reason and the remedy."""


@dataclass(frozen=True)
class Header:
    """What a file's header tells without decoding pixels."""

    width: int  # upright
    height: int
    format: str  # of the content, whatever the name says; Pillow's word for it
    # Some of "turned" (EXIF orientation), "cmyk", "deep" (over 8 bits), "transparent", "animated".
    traits: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlainJpeg:
    """A JPEG file that any libjpeg decodes to the same pixels as Pillow does."""

    content: bytearray
    width: int  # upright
    height: int
    orientation: int  # EXIF, 1 to 8
    is_progressive: bool


@dataclass(frozen=True)
class StoredImage:
    """An image as its file stores it, and what the file says of it."""

    picture: Image.Image  # RGB on white, full size, not rotated by EXIF: JPEG's blocks start at 0
    format: str  # as Pillow names it
    palette: bool
    lossless: bool
    jpeg_table: tuple[int, ...]  # 64 luminance steps row by row; empty if it is no JPEG
    taken: str  # EXIF date; empty if there is none
    orientation: int  # EXIF, 1 to 8


def read_plain_jpeg(path: str, max_pixels: int = MAX_PIXELS) -> PlainJpeg | None:
    """Read the bytes of a complete RGB or grey JPEG; None for any other file.

    Complete means: it ends with the end marker, and no pixels are missing before it; a baseline
    JPEG is decoded at an eighth of its size to tell. Raises Unreadable as `open_image` does.
    """
    with decode_errors_as_unreadable(path), open(path, "rb") as file:
        if file.read(len(JPEG_START)) != JPEG_START:
            return None
        file.seek(-len(JPEG_END), os.SEEK_END)
        if file.read() != JPEG_END:
            return None
        file.seek(0)
        content = bytearray(file.read())
        with Image.open(path, formats=("JPEG",)) as image:
            if image.mode not in ("RGB", "L") or image.info.get("adobe_transform") == 0:
                return None
            check_limits(image, max_pixels)
            orientation = exif_orientation(image)
            width, height = image.size
            if orientation >= FIRST_SIDEWAYS_ORIENTATION:
                width, height = height, width
            is_progressive = bool(image.info.get("progressive"))
            if not is_progressive:
                load_all_pixels(image, path, draft=1, mode="L")
        return PlainJpeg(content, width, height, orientation, is_progressive)


def open_image(
    path: str,
    max_pixels: int = MAX_PIXELS,
    draft: int | None = None,
    mode: str = "RGB",
    on_white: bool = False,
    content: bytes | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the whole image, from the bytes of a JPEG if they are given. Raises Unreadable.

    Returns the upright image in 8-bit RGB (grey for mode "L"), and its full (width, height).
    `draft` lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, with both sides at least `draft`
    pixels: several times faster, slightly different pixels. `on_white` puts transparent parts on
    white instead of dropping the transparency.
    """
    source = path if content is None else io.BytesIO(content)
    with decode_errors_as_unreadable(path), Image.open(source, formats=DECODERS) as image:
        check_limits(image, max_pixels)
        stored_size = image.size
        decoded = load_all_pixels(image, path, draft, mode, content)
        orientation = exif_orientation(decoded)
        decoded = make_upright(_to_mode(decoded, image, mode, on_white), orientation)
        is_sideways = orientation >= FIRST_SIDEWAYS_ORIENTATION
        return decoded, stored_size[::-1] if is_sideways else stored_size


def open_stored(path: str, max_pixels: int = MAX_PIXELS) -> StoredImage:
    """Decode the whole image without rotating it. Raises Unreadable."""
    with decode_errors_as_unreadable(path), Image.open(path, formats=DECODERS) as image:
        check_limits(image, max_pixels)
        image_format, is_palette = str(image.format), image.mode == "P"
        is_lossless = image_format in LOSSLESS_FORMATS
        if image_format == "WEBP":
            with open(path, "rb") as file:
                is_lossless = LOSSLESS_WEBP_CHUNK in file.read(WEBP_HEADER_BYTES)
        decoded = load_all_pixels(image, path, None, "RGB")
        tables = getattr(decoded, "quantization", None)
        orientation, taken = exif_orientation(decoded), exif_date(decoded)
        return StoredImage(
            _to_mode(decoded, image, "RGB", on_white=True),
            image_format,
            is_palette,
            is_lossless,
            tuple(tables[min(tables)]) if tables else (),
            taken,
            orientation,
        )


def _to_mode(
    decoded: Image.Image, image: ImageFile.ImageFile, mode: str, on_white: bool
) -> Image.Image:
    """Convert the pixels of `image`, decoded, to an 8-bit mode."""
    if isinstance(image, TiffImagePlugin.TiffImageFile) and decoded.mode == "I":
        extrema: Any = decoded.getextrema()
        _refuse(unread_content.overflow_reason(image.tag_v2, extrema[0]))
    if decoded.mode.startswith("I") or decoded.mode == "F":
        decoded = to_uint8(decoded)
    if on_white and decoded.has_transparency_data:
        decoded = paste_on_white(decoded)
    return decoded if decoded.mode == mode else decoded.convert(mode)


@contextlib.contextmanager
def decode_errors_as_unreadable(path: str) -> Iterator[None]:
    """Turn any error in the block into Unreadable: plugins raise almost anything."""
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(decode_errors.reason_in_words(path, error)) from None


def read_header(path: str, max_pixels: int | None = None) -> Header:
    """Read size, format and traits from the header, without decoding pixels. Raises Unreadable."""
    with decode_errors_as_unreadable(path), Image.open(path, formats=DECODERS) as image:
        check_limits(image, max_pixels or UNLIMITED_PIXELS)
        width, height = image.size
        if image.format == "PNG":
            find_png_exif(image)
        orientation = exif_orientation(image)
        # Pillow exchanges the sides of a TIFF by itself.
        if orientation >= FIRST_SIDEWAYS_ORIENTATION and image.format != "TIFF":
            width, height = height, width
        return Header(width, height, str(image.format), tuple(_header_traits(image, orientation)))


def _header_traits(image: ImageFile.ImageFile, orientation: int) -> Iterator[str]:
    if orientation > 1:
        yield "turned"
    if image.mode == "CMYK":
        yield "cmyk"
    if image.mode[0] in "IF" or any(";16" in str(tile) for tile in image.tile):
        yield "deep"
    if image.has_transparency_data:
        yield "transparent"
    may_be_animated = format_of_content(str(image.format)).may_be_animated
    with contextlib.suppress(Exception):  # the file is damaged after its first frame
        if may_be_animated and getattr(image, "is_animated", False):
            yield "animated"


def check_limits(image: Image.Image, max_pixels: int) -> None:
    size = f"{image.width}x{image.height}"
    pixels = image.width * image.height
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        _refuse(unread_content.misread_tiff_reason(image.tag_v2))
    if not pixels:
        raise Unreadable(f"damaged ({size}: no pixels); fetch it again")
    if pixels > max_pixels:
        raise Unreadable(
            f"{size} is {pixels / 1e6:,.0f} megapixels, over the limit of "
            f"{max_pixels / 1e6:,.0f}; raise --max-pixels if it is meant to be that large"
        )
    bytes_per_pixel = format_of_content(str(image.format)).bytes_per_pixel
    if image.mode == "F":
        bytes_per_pixel = max(bytes_per_pixel, FLOAT_BYTES_PER_PIXEL)
    needed_bytes = pixels * bytes_per_pixel
    max_bytes = max_pixels * USUAL_BYTES_PER_PIXEL
    if needed_bytes > max_bytes:
        raise Unreadable(
            f"{size} would take {needed_bytes / 1e9:.1f} GB to decode, over the limit of "
            f"{max_bytes / 1e9:.1f}; raise --max-pixels, or save it as JPEG or PNG"
        )
    if max(image.size) > MAX_SIDE_PIXELS:
        raise Unreadable(f"{size}: a side is over {MAX_SIDE_PIXELS:,} pixels; crop it")


def _refuse(reason: str) -> None:
    """Raise Unreadable if there is a reason."""
    if reason:
        raise Unreadable(reason)
