"""Opens images: the one place that knows how, and the one place that catches whatever a damaged file can raise.

Knows Pillow and nothing of datasets. Every image comes out upright (EXIF orientation applied), in 8-bit RGB, with all
its pixels decoded; what cannot be decoded whole raises Unreadable with a reason and a remedy.
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

from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError, _imaging

from common.cli import MAX_PIXELS
from common.image_formats import DECODERS, FORMATS, USUAL_BYTES_PER_PIXEL, format_of_content

for row in FORMATS:
    if row.package:
        getattr(importlib.import_module(row.package), row.register_function)()

Image.MAX_IMAGE_PIXELS = (
    None  # our own limit takes its place: an error with a reason, never a warning
)
PngImagePlugin.MAX_TEXT_CHUNK = (
    64 << 20
)  # at Pillow's 1 MiB, a large colour profile makes a sound PNG unreadable
with contextlib.suppress(
    OSError, AttributeError
):  # libtiff prints what it thinks of damaged files, without their name
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

JPEG_END = b"\xff\xd9"
NOISE = (
    bytes(range(254, 0, -1)) * 64
)  # unlike the zeros that libjpeg makes up; without 0xFF, so that no marker is in it
STRIP_BYTES = 64  # rows at a time, where a whole picture would take too much memory
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
EXIF_BYTES = 1 << 20  # far more than any has; a damaged length must not fill the memory
SIGNS_OF_A_CUT = (
    "truncated",
    "end of file",
    "cannot load this image",
)  # in what decoders say; the last has no pixels
FLOAT_BYTES_PER_PIXEL = 18
UNLIMITED = 1 << 62
MAX_SIDE = 1_000_000  # pixels a side: enlarged or shrunk, a longer one takes memory of its own
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Unreadable(Exception):
    """An image that cannot be used; the message is the reason, and what to do about it."""


@dataclass(frozen=True)
class Header:
    """What an image says of itself without its pixels: upright width and height, and the format of its content."""

    width: int
    height: int
    format: str
    traits: tuple[
        str, ...
    ] = ()  # of "turned" (by EXIF, or mirrored), "cmyk", "deep" (over 8 bits), "transparent", "animated"


def open_image(
    path: str,
    max_pixels: int = MAX_PIXELS,
    draft: int | None = None,
    mode: str = "RGB",
    on_white: bool = False,
) -> tuple[Image.Image, tuple[int, int]]:
    """The whole image, upright, in 8-bit RGB (or grey, with mode "L"), and its full width and height.

    `draft` lets JPEG decode at a half, a quarter or an eighth of its size, whatever keeps both sides at `draft` pixels
    or more: several times faster, slightly other pixels. `on_white` lays what is transparent on white, instead of
    dropping the transparency. Raises Unreadable.
    """
    with decode_errors_as_unreadable(path), Image.open(path, formats=DECODERS) as image:
        extent = _check_limits(image, max_pixels)
        whole = _decode(image, path, draft, mode)
        turn = _orientation(whole)
        upright = _to_uint8(whole) if whole.mode.startswith("I") or whole.mode == "F" else whole
        if on_white and upright.has_transparency_data:
            clear = upright if upright.mode == "RGBA" else upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), clear)
        if upright.mode != mode:
            upright = upright.convert(mode)
        if turn in UPRIGHT:
            upright = upright.transpose(UPRIGHT[turn])
        return upright, extent[::-1] if turn >= 5 else extent


@contextlib.contextmanager
def decode_errors_as_unreadable(path: str) -> Iterator[None]:
    """Turn whatever an image makes fail here into Unreadable: plugins raise almost anything, and memory runs out."""
    try:
        yield
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(_reason_in_words(path, error)) from None


def _decode(image: ImageFile.ImageFile, path: str, draft: int | None, mode: str) -> Image.Image:
    """The image with its pixels loaded. A JPEG may lack its end marker, but no pixel; and no zeros may stand for them.

    Other formats notice by themselves when a file is cut.
    """
    if image.format not in ("JPEG", "MPO"):
        image.load()
        return image
    zeros_at_end = _is_zero_filled_at_end(image)
    with contextlib.suppress(OSError):
        _load_jpeg(image, draft, mode)
        if not zeros_at_end:
            return image
    with open(path, "rb") as file:
        content = file.read()
    if zeros_at_end:
        content = content.rstrip(b"\0") + b"\0"  # one of them may belong to the pixels
    content = content.removesuffix(JPEG_END[:1])
    noisy = _digest(_load_jpeg(_open_from_bytes(content + NOISE + JPEG_END), draft, mode))
    whole = _load_jpeg(_open_from_bytes(content + JPEG_END), draft, mode)
    if (
        _digest(whole) != noisy
    ):  # missing pixels are made from whatever follows; where none are missing it is skipped
        raise OSError("truncated")
    return whole


def _load_jpeg(image: Image.Image, draft: int | None, mode: str) -> Image.Image:
    if draft:
        image.draft("L" if mode == "L" else None, (draft, draft))  # None keeps the file's own mode
    image.load()
    return image


def _is_zero_filled_at_end(image: Image.Image) -> bool:
    """Whether zeros follow the file's content: padding, or what a download that stopped has in place of pixels."""
    fp: Any = getattr(image, "fp", None)
    size = os.fstat(fp.fileno()).st_size
    return os.pread(fp.fileno(), 2, max(size - 2, 0)) == b"\0\0"


def _open_from_bytes(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=DECODERS)


def _digest(image: Image.Image) -> bytes:
    digest = hashlib.blake2b()
    for top in range(0, image.height, STRIP_BYTES):
        digest.update(
            image.crop((0, top, image.width, min(top + STRIP_BYTES, image.height))).tobytes()
        )
    return digest.digest()


def read_header(path: str, max_pixels: int | None = None) -> Header:
    """Width, height and format from the file's header alone. Raises Unreadable."""
    with decode_errors_as_unreadable(path), Image.open(path, formats=DECODERS) as image:
        width, height = _check_limits(image, max_pixels or UNLIMITED)
        if image.format == "PNG":
            _find_exif(image)
        turn = _orientation(image)
        if turn >= 5 and image.format != "TIFF":  # Pillow turns a TIFF by itself
            width, height = height, width
        return Header(width, height, str(image.format), tuple(_traits(image, turn)))


def _traits(image: ImageFile.ImageFile, turn: int) -> Iterator[str]:
    """What Header.traits names, as far as a header tells."""
    if turn > 1:
        yield "turned"
    if image.mode == "CMYK":
        yield "cmyk"
    if image.mode[0] in "IF" or any(";16" in str(tile) for tile in image.tile):
        yield "deep"
    if image.has_transparency_data:
        yield "transparent"
    with contextlib.suppress(Exception):  # damaged behind its first frame
        if format_of_content(str(image.format)).may_be_animated and getattr(
            image, "is_animated", False
        ):
            yield "animated"


def _check_limits(image: Image.Image, max_pixels: int) -> tuple[int, int]:
    pixels = image.width * image.height
    if not pixels:
        raise Unreadable(f"damaged ({image.width}x{image.height}: no pixels); fetch it again")
    if pixels > max_pixels:
        raise Unreadable(
            f"{image.width}x{image.height} is {pixels / 1e6:,.0f} megapixels, over the limit of "
            f"{max_pixels / 1e6:,.0f}; raise --max-pixels if it is meant to be that large"
        )
    cost = format_of_content(str(image.format)).bytes_per_pixel
    if image.mode == "F":
        cost = max(cost, FLOAT_BYTES_PER_PIXEL)
    if pixels * cost > max_pixels * USUAL_BYTES_PER_PIXEL:
        raise Unreadable(
            f"{image.width}x{image.height} would take {pixels * cost / 1e9:.1f} GB to decode, over the limit of "
            f"{max_pixels * USUAL_BYTES_PER_PIXEL / 1e9:.1f}; raise --max-pixels, or save it as JPEG or PNG"
        )
    if max(image.size) > MAX_SIDE:
        raise Unreadable(
            f"{image.width}x{image.height}: a side over {MAX_SIDE:,} pixels is no picture; crop it"
        )
    return image.size


def _find_exif(image: Image.Image) -> None:
    """Read a PNG's EXIF that stands behind the pixels, as exiftool puts it: Pillow would decode them to get there."""
    fp: Any = getattr(image, "fp", None)
    place = len(PNG_SIGNATURE)
    while "exif" not in image.info and len(head := os.pread(fp.fileno(), 8, place)) == 8:
        length = int.from_bytes(head[:4])
        if head[4:] == b"eXIf":
            image.info["exif"] = b"Exif\0\0" + os.pread(
                fp.fileno(), min(length, EXIF_BYTES), place + 8
            )
        elif not head[4:].isalpha():  # no chunk: the rest is damaged, or not written yet
            return
        place += length + 12


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; a corrupt EXIF block counts as 1."""
    try:
        value = Image.Image.getexif(image).get(
            ORIENTATION, 1
        )  # a PNG's own method decodes its pixels
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    except Exception:  # EXIF parsers raise as freely as decoders
        return 1


def _to_uint8(image: Image.Image) -> Image.Image:
    """Deep grey as 8-bit grey: scaled, where convert("L") would clip it to white.

    The scale is the range that 16-bit files have, or the one of 1, 255 and 65535 that holds a float file's values, or
    else the values' own range.
    """
    import numpy as np  # only pictures of these rare modes need it

    values: Any = np.asarray(image)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif low >= 0 and high <= 65535:
        ranges = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
        low, high = 0.0, next(top for top in ranges if high <= top)
    scale = 255 / ((high - low) or 1)
    eight = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), STRIP_BYTES):
        eight[top : top + STRIP_BYTES] = np.rint(
            (values[top : top + STRIP_BYTES].astype(np.float64) - low) * scale
        )
    return Image.fromarray(eight)


def _reason_in_words(path: str, error: Exception) -> str:
    """Why a file could not be read, in words that help."""
    said = " ".join(str(error).split())
    if isinstance(error, PermissionError):
        return "permission denied; make it readable (chmod +r)"
    if isinstance(error, FileNotFoundError):
        return "gone since the folder was listed"
    if isinstance(error, MemoryError):
        return "too large for the memory that is free; lower --max-pixels or --workers"
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read ({error.strerror}); check its disk or network share"
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError:
        return said
    if not start:
        return "empty file; fetch it again or delete it"
    if isinstance(error, UnidentifiedImageError):
        kind = (
            "text or a web page"
            if _is_text(start)
            else "its header is broken or cut short, or its format unknown"
        )
        return f"not an image ({kind}); fetch it again or delete it"
    if isinstance(error, EOFError) or any(sign in said.lower() for sign in SIGNS_OF_A_CUT):
        return "cut short: its end is missing; fetch it again"
    return f"damaged or cut short ({said or type(error).__name__}); fetch it again"


def _is_text(start: bytes) -> bool:
    return b"\0" not in start and (
        start.isascii() or start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{")
    )
