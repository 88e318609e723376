"""Every kind of file that a dataset can hold, made small: what must be read, what must not, what is no image at all.

Each function fills a topic folder and tells what it made. The pictures of the three kinds have different names, so
that all of them may lie in one folder.
"""

from __future__ import annotations

import ctypes
import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import picture
from PIL import Image, features

from common.image_formats import ENDINGS

ORIENTATION = 0x0112
STORED_AS = {  # how an upright picture is stored so that the orientation tag brings it back: the inverse of the tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
ODD_NAMES = (
    "UPPER.JPG",
    "photo.jfif",
    "new\nline.jpg",
    'it\'s a "quote".jpg',
    "-rf.jpg",
    "夕焼け.jpg",
    " space .jpg",
    "100%s {0}.jpg",
    "escape\x1b[31m.jpg",
    os.fsdecode(b"caf\xe9.jpg"),
)


def upright() -> Image.Image:
    """Red, green, blue and white quarters, wider than high: no turn or mirror leaves it as it is."""
    made = Image.new("RGB", (64, 48), "white")
    for colour, box in (
        ("red", (0, 0, 32, 24)),
        ("green", (32, 0, 64, 24)),
        ("blue", (0, 24, 32, 48)),
    ):
        made.paste(colour, box)
    return made


def readable(folder: Path) -> list[str]:
    """Files that must be read; their names, sorted."""
    rgb = picture(1)
    grey = np.asarray(rgb.convert("L"))
    made: dict[str, bytes] = {
        "plain.jpg": encoded(rgb, "JPEG"),
        "progressive.jpg": encoded(rgb, "JPEG", progressive=True),
        "grey.jpg": encoded(rgb.convert("L"), "JPEG"),
        "plain.bmp": encoded(rgb, "BMP"),
        "deep.png": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        "deep.tif": encoded(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"),
        "deep_colour.png": png(64, 48, 16, 2, (np.asarray(rgb, np.uint16) * 257).astype(">u2")),
        "float.tiff": encoded(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "float_hdr.tiff": encoded(Image.fromarray(grey.astype(np.float32) * 1e6 - 5e5), "TIFF"),
        "one_bit.png": encoded(rgb.convert("1"), "PNG"),
        "one_bit.tif": encoded(rgb.convert("1"), "TIFF", compression="group4"),
        "palette.png": encoded(rgb.quantize(16), "PNG"),
        "palette_transparent.png": encoded(rgb.quantize(16), "PNG", transparency=3),
        "palette_alphas.png": encoded(
            rgb.quantize(4), "PNG", transparency=bytes([0, 80, 160, 255])
        ),
        "la.png": encoded(rgb.convert("LA"), "PNG"),
        "rgba.png": encoded(_faded(rgb), "PNG"),
        "rgba.webp": encoded(_faded(rgb), "WEBP", lossless=True),
        "plain.webp": encoded(rgb, "WEBP"),
        "cmyk_adobe.jpg": encoded(rgb.convert("CMYK"), "JPEG", quality=95),
        "cmyk_plain.jpg": without_segment(encoded(rgb.convert("CMYK"), "JPEG", quality=95), 0xEE),
        "cmyk.tif": encoded(rgb.convert("CMYK"), "TIFF"),
        "lab.tif": encoded(Image.merge("LAB", rgb.split()), "TIFF"),
        "animated.gif": _animated("GIF"),
        "animated.webp": _animated("WEBP"),
        "animated.png": _animated("PNG"),
        "corrupt_exif.jpg": encoded(rgb, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken"),
        "corrupt_exif_offset.jpg": encoded(
            rgb, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03"
        ),
        "corrupt_exif.png": encoded(rgb, "PNG", exif=b"\xff" * 40),
        "one_pixel.png": encoded(Image.new("RGB", (1, 1), "teal"), "PNG"),
        "one_pixel.jpg": encoded(Image.new("L", (1, 1), 99), "JPEG"),
        "wide.jpg": encoded(picture(2, (4000, 2)), "JPEG"),
        "tall.png": encoded(picture(2, (2, 4000)), "PNG"),
        "really_a_jpeg.png": encoded(rgb, "JPEG"),
        "really_a_png.jpg": encoded(rgb, "PNG"),
        "no_end.jpg": encoded(rgb, "JPEG")[:-2],
        "no_end_progressive.jpg": encoded(rgb, "JPEG", progressive=True)[:-2],
        "half_an_end.jpg": encoded(rgb, "JPEG")[:-1],
        "more_after_end.jpg": encoded(rgb, "JPEG") + b"\0" * 5000,
        "two_pictures.jpg": encoded(rgb, "MPO", save_all=True, append_images=[picture(2)]),
        "long_profile.png": encoded(rgb, "PNG", icc_profile=b"\0" * (2 << 20)),
    }
    for number, name in enumerate(ODD_NAMES):
        made[name] = encoded(picture(10 + number), "JPEG")
    for orientation in range(1, 9):
        made[f"orientation_{orientation}.jpg"] = turned(orientation, "JPEG", quality=95)
    for kind, suffix in (("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
        made[f"orientation_6.{suffix}"] = turned(6, kind)
    if features.check("avif"):
        made["plain.avif"] = encoded(rgb, "AVIF", speed=10)
        made["orientation_6.avif"] = turned(6, "AVIF", quality=90, speed=10)
    if ".heic" in ENDINGS:
        made["plain.heic"] = encoded(rgb, "HEIF")
    return _written(folder, made)


def unreadable(folder: Path, locked: bool = os.geteuid() != 0) -> dict[str, str]:
    """Files that must not be read, and a part of the reason that a person is given for each.

    Root may read everything: the file without read permission is made only for others, and where it is asked for.
    """
    photo = encoded(picture(3, (640, 480)), "JPEG", quality=90)
    png_photo = encoded(picture(3, (320, 240)), "PNG")
    made: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"this is no picture\n", "not an image"),
        "page.jpg": (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n", "not an image"),
        "page_utf8.jpg": ("<html><body>見つかりません</body></html>\n".encode(), "not an image"),
        "zeros.jpg": (b"\0" * 4000, "not an image"),
        "half.jpg": (photo[: len(photo) // 2], "cut short"),
        "header_only.jpg": (photo[: photo.index(b"\xff\xda")], "cut short"),
        "zeros_for_half.jpg": (photo[: len(photo) // 2] + b"\0" * (len(photo) // 2), "cut short"),
        "half_progressive.jpg": (
            _half(encoded(picture(3, (640, 480)), "JPEG", progressive=True)),
            "cut short",
        ),
        "two_bytes.jpg": (photo[:2], "not an image"),
        "cut.png": (png_photo[:-200], "cut short"),
        "half.gif": (_half(_animated("GIF", frames=1)), "cut short"),
        "half.webp": (_half(encoded(picture(3), "WEBP")), "cut short"),
        "half.bmp": (_half(encoded(picture(3), "BMP")), "cut short"),
        "half.tif": (_half(encoded(picture(3), "TIFF")), "cut short"),
        "bomb.png": (_bomb(60_000), "megapixels"),
        "drawing.jpg": (POSTSCRIPT, "not an image"),
        "drawing.png": (POSTSCRIPT, "not an image"),
    }
    if locked:
        made["locked.jpg"] = (photo, "permission denied")
    _written(folder, {name: content for name, (content, _) in made.items()})
    if "locked.jpg" in made:
        (folder / "locked.jpg").chmod(0)
    return {name: reason for name, (_, reason) in made.items()}


def oddities(folder: Path) -> list[str]:
    """Entries that are named like images but are none: skipped, with a warning at most."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Path], object]] = {
        "dangling.jpg": lambda path: path.symlink_to("nowhere.jpg"),
        "loop.jpg": lambda path: path.symlink_to("loop.jpg"),
        "fifo.jpg": os.mkfifo,
        "._photo.jpg": lambda path: path.write_bytes(b"\0\5\x16\7 resource fork"),
        "folder.jpg": Path.mkdir,
        "notes.txt": lambda path: path.write_text("a caption"),
    }
    for name, make in makers.items():
        make(folder / name)
    return sorted(makers)


if ".heic" in ENDINGS:
    import pillow_heif

    pillow_heif.register_heif_opener()


def drop_privileges() -> None:
    """For preexec_fn on Linux: from here on root must keep to permissions like anyone else (CAP_DAC_* are dropped)."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; 24 is PR_CAPBSET_DROP
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


def _permissions_bind() -> bool:
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        command = [sys.executable, "-c", f"open({file.name!r})"]
        return (
            subprocess.run(
                command, preexec_fn=drop_privileges, stderr=subprocess.DEVNULL
            ).returncode
            != 0
        )


needs_permissions = pytest.mark.skipif(
    not _permissions_bind(), reason="root cannot drop its privileges here"
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The image as a file's content."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def turned(orientation: int, kind: str, **options: object) -> bytes:
    """The upright picture, stored as a camera held otherwise would: turned, and tagged with how."""
    stored = upright()
    if orientation in STORED_AS:
        stored = stored.transpose(STORED_AS[orientation])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(stored, kind, exif=exif, **options)


def png(width: int, height: int, depth: int, colour: int, rows: np.ndarray) -> bytes:
    """A PNG of any bit depth and colour type, from its rows of samples: also those that Pillow does not write."""
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return _png(width, height, depth, colour, zlib.compress(raw))


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """The JPEG without the segment of that marker, say 0xEE for Adobe's."""
    start = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) :]


def _written(folder: Path, contents: dict[str, bytes]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(contents)


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _faded(image: Image.Image) -> Image.Image:
    """The image with an alpha channel that rises from left to right."""
    faded = image.convert("RGBA")
    faded.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return faded


def _animated(kind: str, frames: int = 3) -> bytes:
    pictures = [picture(20 + number) for number in range(frames)]
    options = (
        {"save_all": True, "append_images": pictures[1:], "duration": 100} if frames > 1 else {}
    )
    return encoded(pictures[0], kind, **options)


def _bomb(side: int) -> bytes:
    """A whole and valid one-bit PNG of that many pixels squared, all black, in some hundred kilobytes."""
    row = 1 + (side + 7) // 8
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    rows = packer.compress(bytes(row * 60)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # 60 rows, depending on none before them
    checksum = struct.pack(">I", (row * side % 65521) << 16 | 1)  # the Adler-32 of so many zeros
    return _png(side, side, 1, 0, b"\x78\xda" + rows * (side // 60) + b"\x03\x00" + checksum)


def _png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 40 40
(never run this) = (/tmp/postscript-was-run) (w) file closefile
0 0 moveto 40 40 lineto stroke showpage
%%EOF
"""
