"""Sound images of kinds that are not read, and JPEGs that were cut before their end marker."""

from __future__ import annotations

import struct

import numpy as np
from conftest import draw_image
from zoo import encode

from common.image_formats import ENDINGS

RGB = np.asarray(draw_image(1, (40, 30))).astype(np.uint16) * 257
GREY = RGB[..., 0]


def cut_before_end(jpeg: bytes, share: float) -> bytes:
    """Cut the data of a JPEG somewhere, and put the end marker behind the cut."""
    start = jpeg.index(b"\xff\xda") + 20
    position = start + round((len(jpeg) - 2 - start) * share)
    return jpeg[:position].removesuffix(b"\xff") + b"\xff\xd9"


def encode_tiff(
    values: np.ndarray, order: str = "<", is_planar: bool = False, sample_format: int = 1
) -> bytes:
    """Return values[row, column(, channel)] as an uncompressed TIFF; a strip per plane."""
    count = values.shape[2] if values.ndim == 3 else 1
    stored = values.astype(values.dtype.newbyteorder(order))
    planes = [stored[..., channel] for channel in range(count)] if is_planar else [stored]
    strips = [np.ascontiguousarray(plane).tobytes() for plane in planes]
    offsets = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    height, width = values.shape[:2]
    tags = {  # tag: type (3 is 16 bits, 4 is 32 bits), values
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8 * values.dtype.itemsize] * count),
        259: (3, [1]),
        262: (3, [2 if count == 3 else 1]),
        273: (4, offsets),
        277: (3, [count]),
        278: (4, [height]),
        279: (4, list(map(len, strips))),
        284: (3, [2 if is_planar else 1]),
        339: (3, [sample_format] * count),
    }
    data = b"".join(strips)
    more_at = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries, more = struct.pack(f"{order}H", len(tags)), b""
    for tag, (kind, numbers) in tags.items():
        packed = struct.pack(order + {3: "H", 4: "I"}[kind] * len(numbers), *numbers)
        if len(packed) > 4:
            more += packed
            packed = struct.pack(f"{order}I", more_at + len(more) - len(packed))
        entries += struct.pack(f"{order}HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8 + len(data))
    return head + data + entries + struct.pack(f"{order}I", 0) + more


def with_12_bits(jpeg: bytes) -> bytes:
    """Change the number of bits in the frame header."""
    position = jpeg.index(b"\xff\xc0") + 4
    return jpeg[:position] + b"\x0c" + jpeg[position + 1 :]


SOUND_BUT_UNREAD = {
    "jpeg_xl.jpg": (b"\xff\x0a" + b"\x10" * 200, "JPEG XL, which is not read; save it as JPEG"),
    "box.jxl.png": (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 99, "JPEG XL"),
    "jpeg_2000.jpg": (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 99, "JPEG 2000"),
    "photoshop.png": (b"8BPS\0\1" + b"\0" * 99, "Photoshop"),
    "drawing.png": (b'<?xml version="1.0"?>\n<svg width="9" height="9"></svg>', "SVG"),
    "raw.tif": (b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 99, "raw (CR2)"),
    "deep.jpg": (with_12_bits(encode(draw_image(1), "JPEG")), "12-bit JPEG"),
    "float.tif": (
        encode_tiff((RGB / 65535).astype(np.float32), sample_format=3),
        "TIFF of 3 x 32-bit float values",
    ),
    "signed.tif": (
        encode_tiff((GREY >> 8).astype(np.int8), sample_format=2),
        "TIFF of signed 8-bit values",
    ),
    "large.tif": (
        encode_tiff(GREY.astype(np.uint32) << 16),
        "TIFF of 32-bit values above 2,147,483,647",
    ),
    "planar.tif": (encode_tiff(RGB, ">", is_planar=True), "TIFF of 16-bit channels"),
    "planar_little.tif": (encode_tiff(RGB, is_planar=True), "TIFF of 16-bit channels"),
}
if ".heic" not in ENDINGS:
    SOUND_BUT_UNREAD["phone.jpg"] = (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99,
        "HEIC, which is not read without its package; pip install pillow-heif",
    )
