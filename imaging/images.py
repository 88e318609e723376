"""Opens images: the one place that knows how, and that catches whatever a damaged file can raise.

Knows Pillow and nothing about datasets. Every image comes out upright (EXIF orientation applied),
in 8-bit RGB, with all its pixels decoded. What cannot be decoded completely raises Unreadable, with
a reason and a remedy.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, _imaging

from common.cli import MAX_PIXELS
from common.image_formats import DECODERS, FORMATS, USUAL_BYTES_PER_PIXEL, format_of_content
from imaging import decode_errors, jpeg_stream, unread_content

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

JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
# Unlike the zeros that libjpeg fills in, and without 0xFF, so that it contains no marker.
JPEG_FILLER = bytes(range(254, 0, -1)) * 64
STRIP_ROWS = 64  # processed at a time, if a whole image would take too much memory
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_EXIF_BYTES = 1 << 20  # far more than any has; a damaged length must not fill the memory
FLOAT_BYTES_PER_PIXEL = 18  # of memory at the peak of decoding a float image
UNLIMITED_PIXELS = 1 << 62
MAX_SIDE_PIXELS = 1_000_000  # resizing a longer side takes extra memory
ORIENTATION_TAG = 0x0112  # of EXIF
DATE_TAG, EXIF_IFD_TAG, DATE_TAKEN_TAG = 0x0132, 0x8769, 0x9003  # of EXIF
MAX_DATE_CHARACTERS = 32
LOSSLESS_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
LOSSLESS_WEBP_CHUNK, WEBP_HEADER_BYTES = b"VP8L", 64
FIRST_SIDEWAYS_ORIENTATION = 5  # from it on, width and height are exchanged
TRANSPOSE_TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    """Read the bytes of a complete RGB or grey JPEG, undecoded; None for any other file.

    Complete means: it ends with the end marker. Raises Unreadable as `open_image` does.
    """
    with decode_errors_as_unreadable(path), open(path, "rb") as file:
        if file.read(len(JPEG_START)) != JPEG_START:
            return None
        file.seek(-len(JPEG_END), os.SEEK_END)
        if file.read() != JPEG_END:
            return None
        file.seek(0)
        content = bytearray(file.read())
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.mode not in ("RGB", "L") or image.info.get("adobe_transform") == 0:
                return None
            check_limits(image, max_pixels)
            orientation = exif_orientation(image)
            width, height = image.size
            if orientation >= FIRST_SIDEWAYS_ORIENTATION:
                width, height = height, width
            is_progressive = bool(image.info.get("progressive"))
            return PlainJpeg(content, width, height, orientation, is_progressive)


def open_image(
    path: str,
    max_pixels: int = MAX_PIXELS,
    draft: int | None = None,
    mode: str = "RGB",
    on_white: bool = False,
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode the whole image. Raises Unreadable.

    Returns the upright image in 8-bit RGB (grey for mode "L"), and its full (width, height).
    `draft` lets a JPEG be decoded at 1/2, 1/4 or 1/8 of its size, with both sides at least `draft`
    pixels: several times faster, slightly different pixels. `on_white` puts transparent parts on
    white instead of dropping the transparency.
    """
    with decode_errors_as_unreadable(path), Image.open(path, formats=DECODERS) as image:
        check_limits(image, max_pixels)
        stored_size = image.size
        decoded = _decode_all(image, path, draft, mode)
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
        decoded = _decode_all(image, path, None, "RGB")
        tables = getattr(decoded, "quantization", None)
        orientation, taken = exif_orientation(decoded), _exif_date(decoded)
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
        decoded = _paste_on_white(decoded)
    return decoded if decoded.mode == mode else decoded.convert(mode)


def _paste_on_white(image: Image.Image) -> Image.Image:
    with_alpha = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, with_alpha)


def make_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate an image by its EXIF orientation."""
    if orientation not in TRANSPOSE_TO_UPRIGHT:
        return image
    return image.transpose(TRANSPOSE_TO_UPRIGHT[orientation])


@contextlib.contextmanager
def decode_errors_as_unreadable(path: str) -> Iterator[None]:
    """Turn any error in the block into Unreadable: plugins raise almost anything."""
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(decode_errors.reason_in_words(path, error)) from None


def _decode_all(image: ImageFile.ImageFile, path: str, draft: int | None, mode: str) -> Image.Image:
    """Load all pixels. Raises an error if any is missing.

    Decoders of other formats notice a cut file. A JPEG may lack its end marker, and libjpeg makes
    up missing pixels without an error.
    """
    if image.format not in ("JPEG", "MPO"):
        image.load()
        return image
    ends_in_zeros = _ends_in_zeros(image)
    is_progressive = "progressive" in image.info
    has_end = False
    with contextlib.suppress(OSError):
        _load_jpeg(image, draft, mode)
        has_end = not ends_in_zeros
        if has_end and not is_progressive and not _ends_in_fill_level(image):
            return image
    content = jpeg_stream.read_without_padding(path)
    if is_progressive and jpeg_stream.lacks_scans(content):
        raise OSError("truncated")
    if has_end and not _ends_in_fill_level(image):
        return image
    if has_end:
        content = jpeg_stream.split_at_end(content)
    content = content.removesuffix(JPEG_END[:1])
    # If pixels are missing, they are made from whatever follows, and differ between the two.
    with_filler = _load_jpeg(_open_bytes(content + JPEG_FILLER + JPEG_END), draft, mode)
    digest_with_filler = _pixel_digest(with_filler)
    del with_filler
    whole = _load_jpeg(_open_bytes(content + JPEG_END), draft, mode)
    if _pixel_digest(whole) != digest_with_filler:
        raise OSError("truncated")
    return whole


def _ends_in_fill_level(image: Image.Image) -> bool:
    """Tell whether the last pixel is the grey that libjpeg fills in: then its data decide."""
    if image.format == "MPO":  # another image follows
        return False
    last: Any = image.getpixel((image.width - 1, image.height - 1))
    levels = last if isinstance(last, tuple) else (last,)
    return all(abs(level - jpeg_stream.FILL_LEVEL) <= 1 for level in levels)


def _load_jpeg(image: Image.Image, draft: int | None, mode: str) -> Image.Image:
    if draft:
        image.draft("L" if mode == "L" else None, (draft, draft))  # None keeps the file's mode
    image.load()
    return image


def _ends_in_zeros(image: Image.Image) -> bool:
    """Tell whether the file ends in zeros: padding, or an unfinished download."""
    fp: Any = getattr(image, "fp", None)
    size = os.fstat(fp.fileno()).st_size
    return os.pread(fp.fileno(), 2, max(size - 2, 0)) == b"\0\0"


def _open_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=DECODERS)


def _pixel_digest(image: Image.Image) -> bytes:
    digest = hashlib.blake2b()
    for strip in pixel_strips(image):
        digest.update(strip)
    return digest.digest()


def pixel_strips(image: Image.Image) -> Iterator[bytes]:
    """Yield the pixels some rows at a time: all of a large image as bytes take much memory."""
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, image.height)
        yield image.crop((0, top, image.width, bottom)).tobytes()


def read_header(path: str, max_pixels: int | None = None) -> Header:
    """Read size, format and traits from the header, without decoding pixels. Raises Unreadable."""
    with decode_errors_as_unreadable(path), Image.open(path, formats=DECODERS) as image:
        check_limits(image, max_pixels or UNLIMITED_PIXELS)
        width, height = image.size
        if image.format == "PNG":
            _find_png_exif(image)
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


def _find_png_exif(image: Image.Image) -> None:
    """Read EXIF data behind a PNG's pixels, where exiftool puts it.

    Pillow would decode the pixels to get there.
    """
    fp: Any = getattr(image, "fp", None)
    position = len(PNG_SIGNATURE)
    while "exif" not in image.info and len(head := os.pread(fp.fileno(), 8, position)) == 8:
        length = int.from_bytes(head[:4])
        chunk_type = head[4:]
        if chunk_type == b"eXIf":
            exif = os.pread(fp.fileno(), min(length, MAX_EXIF_BYTES), position + 8)
            image.info["exif"] = b"Exif\0\0" + exif
        elif not chunk_type.isalpha():  # the rest is damaged, or not written yet
            return
        position += length + 12


def exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if the EXIF block is corrupt."""
    try:
        # The method of a PNG would decode its pixels.
        value = Image.Image.getexif(image).get(ORIENTATION_TAG, 1)
    except Exception:  # EXIF parsers raise almost anything
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif_date(image: Image.Image) -> str:
    """Return when the picture was taken, as EXIF has it; empty if it does not say."""
    try:
        exif = Image.Image.getexif(image)
        date = exif.get_ifd(EXIF_IFD_TAG).get(DATE_TAKEN_TAG) or exif.get(DATE_TAG)
    except Exception:  # EXIF parsers raise almost anything
        return ""
    return date[:MAX_DATE_CHARACTERS] if isinstance(date, str) and date.isprintable() else ""


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
