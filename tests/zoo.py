"""Small files of every kind in a dataset: readable, unreadable, and not images at all.

Each function fills a topic folder and returns the names. The three kinds have different names, so
one folder can hold all of them.
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
from conftest import draw_image
from PIL import Image, features

from common.image_formats import ENDINGS

ORIENTATION = 0x0112
# How an upright image is stored with an orientation tag: the inverse of what the tag says.
STORED_AS = {
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


def upright_image() -> Image.Image:
    """Draw red, green, blue and white quarters, wider than high: any turn or mirror changes it."""
    image = Image.new("RGB", (64, 48), "white")
    for colour, box in (
        ("red", (0, 0, 32, 24)),
        ("green", (32, 0, 64, 24)),
        ("blue", (0, 24, 32, 48)),
    ):
        image.paste(colour, box)
    return image


def write_readable_files(folder: Path) -> list[str]:
    """Write files that must be readable; return their names, sorted."""
    rgb = draw_image(1)
    grey = np.asarray(rgb.convert("L"))
    files: dict[str, bytes] = {
        "plain.jpg": encode(rgb, "JPEG"),
        "progressive.jpg": encode(rgb, "JPEG", progressive=True),
        "grey.jpg": encode(rgb.convert("L"), "JPEG"),
        "plain.bmp": encode(rgb, "BMP"),
        "deep.png": encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"),
        "deep.tif": encode(Image.fromarray(grey.astype(np.uint16) * 257), "TIFF"),
        "deep_colour.png": encode_png(
            64, 48, 16, 2, (np.asarray(rgb, np.uint16) * 257).astype(">u2")
        ),
        "float.tiff": encode(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "float_hdr.tiff": encode(Image.fromarray(grey.astype(np.float32) * 1e6 - 5e5), "TIFF"),
        "one_bit.png": encode(rgb.convert("1"), "PNG"),
        "one_bit.tif": encode(rgb.convert("1"), "TIFF", compression="group4"),
        "palette.png": encode(rgb.quantize(16), "PNG"),
        "palette_transparent.png": encode(rgb.quantize(16), "PNG", transparency=3),
        "palette_alphas.png": encode(rgb.quantize(4), "PNG", transparency=bytes([0, 80, 160, 255])),
        "la.png": encode(rgb.convert("LA"), "PNG"),
        "rgba.png": encode(_with_alpha(rgb), "PNG"),
        "rgba.webp": encode(_with_alpha(rgb), "WEBP", lossless=True),
        "plain.webp": encode(rgb, "WEBP"),
        "cmyk_adobe.jpg": encode(rgb.convert("CMYK"), "JPEG", quality=95),
        "cmyk_plain.jpg": drop_segment(encode(rgb.convert("CMYK"), "JPEG", quality=95), 0xEE),
        "cmyk.tif": encode(rgb.convert("CMYK"), "TIFF"),
        "lab.tif": encode(Image.merge("LAB", rgb.split()), "TIFF"),
        "animated.gif": _encode_animation("GIF"),
        "animated.webp": _encode_animation("WEBP"),
        "animated.png": _encode_animation("PNG"),
        "corrupt_exif.jpg": encode(rgb, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken"),
        "corrupt_exif_offset.jpg": encode(
            rgb, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03"
        ),
        "corrupt_exif.png": encode(rgb, "PNG", exif=b"\xff" * 40),
        "one_pixel.png": encode(Image.new("RGB", (1, 1), "teal"), "PNG"),
        "one_pixel.jpg": encode(Image.new("L", (1, 1), 99), "JPEG"),
        "wide.jpg": encode(draw_image(2, (4000, 2)), "JPEG"),
        "tall.png": encode(draw_image(2, (2, 4000)), "PNG"),
        "really_a_jpeg.png": encode(rgb, "JPEG"),
        "really_a_png.jpg": encode(rgb, "PNG"),
        "no_end.jpg": encode(rgb, "JPEG")[:-2],
        "no_end_progressive.jpg": encode(rgb, "JPEG", progressive=True)[:-2],
        "half_an_end.jpg": encode(rgb, "JPEG")[:-1],
        "more_after_end.jpg": encode(rgb, "JPEG") + b"\0" * 5000,
        "two_pictures.jpg": encode(rgb, "MPO", save_all=True, append_images=[draw_image(2)]),
        "long_profile.png": encode(rgb, "PNG", icc_profile=b"\0" * (2 << 20)),
    }
    for number, name in enumerate(ODD_NAMES):
        files[name] = encode(draw_image(10 + number), "JPEG")
    for orientation in range(1, 9):
        files[f"orientation_{orientation}.jpg"] = encode_turned(orientation, "JPEG", quality=95)
    for kind, suffix in (("PNG", "png"), ("TIFF", "tif"), ("WEBP", "webp")):
        files[f"orientation_6.{suffix}"] = encode_turned(6, kind)
    if features.check("avif"):
        files["plain.avif"] = encode(rgb, "AVIF", speed=10)
        files["orientation_6.avif"] = encode_turned(6, "AVIF", quality=90, speed=10)
    if ".heic" in ENDINGS:
        files["plain.heic"] = encode(rgb, "HEIF")
    return _write_files(folder, files)


def write_unreadable_files(folder: Path, locked: bool = os.geteuid() != 0) -> dict[str, str]:
    """Write files that must be unreadable; return a part of the reason by name.

    The file without read permission is written only for other users than root, or if `locked`.
    """
    photo = encode(draw_image(3, (640, 480)), "JPEG", quality=90)
    png_photo = encode(draw_image(3, (320, 240)), "PNG")
    files: dict[str, tuple[bytes, str]] = {
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"this is no picture\n", "not an image"),
        "page.jpg": (b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n", "not an image"),
        "page_utf8.jpg": ("<html><body>見つかりません</body></html>\n".encode(), "not an image"),
        "zeros.jpg": (b"\0" * 4000, "not an image"),
        "half.jpg": (photo[: len(photo) // 2], "cut short"),
        "header_only.jpg": (photo[: photo.index(b"\xff\xda")], "cut short"),
        "zeros_for_half.jpg": (photo[: len(photo) // 2] + b"\0" * (len(photo) // 2), "cut short"),
        "half_progressive.jpg": (
            _first_half(encode(draw_image(3, (640, 480)), "JPEG", progressive=True)),
            "cut short",
        ),
        "two_bytes.jpg": (photo[:2], "not an image"),
        "cut.png": (png_photo[:-200], "cut short"),
        "half.gif": (_first_half(_encode_animation("GIF", frames=1)), "cut short"),
        "half.webp": (_first_half(encode(draw_image(3), "WEBP")), "cut short"),
        "half.bmp": (_first_half(encode(draw_image(3), "BMP")), "cut short"),
        "half.tif": (_first_half(encode(draw_image(3), "TIFF")), "cut short"),
        "bomb.png": (_encode_bomb(60_000), "megapixels"),
        "drawing.jpg": (POSTSCRIPT, "not an image"),
        "drawing.png": (POSTSCRIPT, "not an image"),
    }
    if locked:
        files["locked.jpg"] = (photo, "permission denied")
    _write_files(folder, {name: content for name, (content, _) in files.items()})
    if "locked.jpg" in files:
        (folder / "locked.jpg").chmod(0)
    return {name: reason for name, (_, reason) in files.items()}


def make_odd_entries(folder: Path) -> list[str]:
    """Make entries that are named like images but are not: skipped, with a warning at most."""
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
    """Make root obey file permissions from here on, by dropping CAP_DAC_*; for preexec_fn."""
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


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return the image as the content of a file."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def encode_turned(orientation: int, kind: str, **options: object) -> bytes:
    """Encode the upright image as a turned camera would store it, with its orientation tag."""
    stored = upright_image()
    if orientation in STORED_AS:
        stored = stored.transpose(STORED_AS[orientation])
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encode(stored, kind, exif=exif, **options)


def encode_png(width: int, height: int, depth: int, colour: int, rows: np.ndarray) -> bytes:
    """Encode a PNG of any bit depth and colour type, also one that Pillow does not write."""
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    return _assemble_png(width, height, depth, colour, zlib.compress(raw))


def drop_segment(jpeg: bytes, marker: int) -> bytes:
    """Remove the segment with that marker, such as 0xEE for Adobe's."""
    start = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:start] + jpeg[start + 2 + int.from_bytes(jpeg[start + 2 : start + 4]) :]


def _write_files(folder: Path, contents: dict[str, bytes]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(contents)


def _first_half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _with_alpha(image: Image.Image) -> Image.Image:
    """Add an alpha channel that rises from left to right."""
    faded = image.convert("RGBA")
    faded.putalpha(Image.linear_gradient("L").rotate(90).resize(image.size))
    return faded


def _encode_animation(kind: str, frames: int = 3) -> bytes:
    pictures = [draw_image(20 + number) for number in range(frames)]
    options = (
        {"save_all": True, "append_images": pictures[1:], "duration": 100} if frames > 1 else {}
    )
    return encode(pictures[0], kind, **options)


def _encode_bomb(side: int) -> bytes:
    """Encode a valid black one-bit PNG of side x side pixels in a few hundred kilobytes."""
    row = 1 + (side + 7) // 8
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    rows = packer.compress(bytes(row * 60)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # 60 rows, depending on none before them
    checksum = struct.pack(">I", (row * side % 65521) << 16 | 1)  # the Adler-32 of so many zeros
    return _assemble_png(
        side, side, 1, 0, b"\x78\xda" + rows * (side // 60) + b"\x03\x00" + checksum
    )


def _assemble_png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
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
