"""Says which kind of image a sound file is that no decoder opens, or that Pillow would misread.

The advice is never to fetch such a file again or to delete it.
"""

from __future__ import annotations

import operator
import os
import re
from typing import Any

SIGNATURES = (  # position, bytes, name
    (0, b"\xff\x0a", "JPEG XL"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (8, b"CR\2\0", "raw (CR2)"),
    (0, b"FUJIFILMCCD-RAW", "raw (RAF)"),
    (0, b"IIRO", "raw (ORF)"),
    (0, b"IIU\0", "raw (RW2)"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"%PDF", "PDF"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"icns", "ICNS"),
    (0, b"qoif", "QOI"),
)
AVIF_BRANDS = (b"avif", b"avis")
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
SVG = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg"
)
HEIC_REMEDY = "pip install pillow-heif, or save it as JPEG"
SAVE_AS_USUAL = "save it as JPEG or PNG"
TIFF_STARTS = (b"II*\0", b"MM\0*")
# TIFF tags
BITS, COMPRESSION, SAMPLES, PLANAR, SAMPLE_FORMAT = 258, 259, 277, 284, 339
STRIP_STARTS, STRIP_BYTES, TILE_STARTS, TILE_BYTES = 273, 279, 324, 325
SAMPLE_FORMATS = {1: "unsigned", 2: "signed", 3: "float"}
JPEG_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
LOSSLESS_JPEG_FRAME = 0xC3
MAX_HEADER_BYTES = 1 << 20


def describe_unread_image(path: str) -> str:
    """Say which kind of image a file is that could not be opened, and what to do.

    Empty if it is none of those that are known, or damaged. Raises OSError.
    """
    with open(path, "rb") as file:
        start = file.read(MAX_HEADER_BYTES)
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS:
        return f"HEIC, which is not read without its package; {HEIC_REMEDY}"
    kind = _kind_by_signature(start) or _jpeg_kind(start) or _tiff_kind(path, start)
    return f"{kind}, which is not read; {SAVE_AS_USUAL}" if kind else _missing_decoder(start)


def _missing_decoder(start: bytes) -> str:
    """Return what to do about an AVIF or WebP that Pillow was built without; empty for others."""
    from PIL import AvifImagePlugin, WebPImagePlugin

    is_avif = start[4:8] == b"ftyp" and start[8:12] in AVIF_BRANDS
    is_webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    if is_avif and not AvifImagePlugin.SUPPORTED:
        return f"AVIF, which this Pillow was built without; {SAVE_AS_USUAL}"
    if is_webp and not WebPImagePlugin.SUPPORTED:
        return f"WebP, which this Pillow was built without; {SAVE_AS_USUAL}"
    return ""


def _kind_by_signature(start: bytes) -> str:
    for position, signature, name in SIGNATURES:
        if start.startswith(signature, position):
            return name
    return "SVG" if SVG.match(start) else ""


def _jpeg_kind(start: bytes) -> str:
    """Return which kind of JPEG it is, if that is not read."""
    position = 2 if start.startswith(b"\xff\xd8\xff") else len(start)
    while position + 5 < len(start) and start[position] == 0xFF:
        marker = start[position + 1]
        if marker in JPEG_FRAMES:
            bits = start[position + 4]
            if bits != 8:
                return f"{bits}-bit JPEG"
            return "lossless JPEG" if marker == LOSSLESS_JPEG_FRAME else ""
        position += 2 + int.from_bytes(start[position + 2 : position + 4])
    return ""


def _tiff_kind(path: str, start: bytes) -> str:
    """Return which values a TIFF holds, if its tags can be read."""
    if not start.startswith(TIFF_STARTS):
        return ""
    from PIL import TiffImagePlugin

    tags = TiffImagePlugin.ImageFileDirectory_v2(start[:8])
    try:
        with open(path, "rb") as file:
            file.seek(tags.next)
            tags.load(file)
        bits = max(tags[BITS])
        kind = SAMPLE_FORMATS.get(_sample_format(tags), "odd")
        starts = tags.get(STRIP_STARTS) or tags.get(TILE_STARTS) or (0,)
        lengths = tags.get(STRIP_BYTES) or tags.get(TILE_BYTES) or (1,)
        is_cut = max(map(operator.add, starts, lengths)) > os.path.getsize(path)
    except Exception:  # damaged tags raise almost anything
        return ""
    samples = tags.get(SAMPLES, 1)
    return "" if is_cut else f"TIFF of {samples} x {bits}-bit {kind} values"


def _sample_format(tags: Any) -> int:
    return int((tags.get(SAMPLE_FORMAT) or (1,))[0])


def misread_tiff_reason(tags: Any) -> str:
    """Say why Pillow would read wrong pixels from a TIFF with these tags; empty if it does not."""
    bits = max(tags.get(BITS) or (1,))
    if bits == 8 and _sample_format(tags) == 2:
        return f"TIFF of signed 8-bit values, which is not read; {SAVE_AS_USUAL}"
    is_raw_planar = tags.get(PLANAR, 1) == 2 and tags.get(COMPRESSION, 1) == 1
    if bits == 16 and is_raw_planar and tags.get(SAMPLES, 1) > 1:
        return f"TIFF of 16-bit channels one after the other, which is not read; {SAVE_AS_USUAL}"
    return ""


def overflow_reason(tags: Any, lowest: int) -> str:
    """Say why 32-bit values of a TIFF, as Pillow reads them, are wrong; empty if they are not."""
    if lowest < 0 and _sample_format(tags) == 1:
        return f"TIFF of 32-bit values above 2,147,483,647, which is not read; {SAVE_AS_USUAL}"
    return ""
