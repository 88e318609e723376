"""What EXIF data say of an image: its orientation, and when it was taken."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_EXIF_BYTES = 1 << 20  # far more than any has; a damaged length must not fill the memory
ORIENTATION_TAG = 0x0112
DATE_TAG, EXIF_IFD_TAG, DATE_TAKEN_TAG = 0x0132, 0x8769, 0x9003
MAX_DATE_CHARACTERS = 32


def find_png_exif(image: Image.Image) -> None:
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


def exif_date(image: Image.Image) -> str:
    """Return when the picture was taken, as EXIF has it; empty if it does not say."""
    try:
        exif = Image.Image.getexif(image)
        date = exif.get_ifd(EXIF_IFD_TAG).get(DATE_TAKEN_TAG) or exif.get(DATE_TAG)
    except Exception:  # EXIF parsers raise almost anything
        return ""
    return date[:MAX_DATE_CHARACTERS] if isinstance(date, str) and date.isprintable() else ""
