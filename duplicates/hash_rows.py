"""What hash search knows of an image, 1.2 kB: a perceptual hash, a thumbnail and a map of colours.

A 64-bit perceptual hash alone takes any small object on a plain ground for any other. The thumbnail
and the colours rule most of these out before any pixels are read again; duplicates/comparison.py
decides about the rest. Needs Pillow, imagehash and numpy; knows nothing of topics or of our files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import imagehash
import numpy as np
from PIL import Image

from imaging import image_identity, images

Array = np.ndarray[Any, np.dtype[Any]]
RowArrays = dict[str, Array]  # arrays as in HASH_LAYOUT, n rows each

PHASH_SIDE = 32  # pixels a side of the grey thumbnail; imagehash.phash hashes images of this size
COLOUR_SIDE = 8  # cells a side of the map of colours
# Pixels a side that JPEG decoding may shrink to. 97 % of the hashes stay the same; none of 342
# moved by over 6 bits.
DRAFT_SIDE = 256
HASH_LAYOUT = {
    "hashes": ("uint64", ()),  # the perceptual hash; of a flat image a digest of its pixels
    "thumbnails": ("uint8", (PHASH_SIDE * PHASH_SIDE,)),  # luminance
    "colours": ("uint8", (2 * COLOUR_SIDE * COLOUR_SIDE,)),  # Cb and Cr of each cell in turn
    "flat": ("bool", ()),  # too plain or too small for a perceptual hash
    "extents": ("int32", (2,)),  # width and height, upright
}
HASH_ABOUT = {"hash": "imagehash.phash 8", "draft": DRAFT_SIDE, "version": 2}

MAX_FLAT_STDDEV_LEVELS = 2.0  # grey levels of the thumbnail: below this an image is flat
MIN_TEXTURED_SIDE = 8  # pixels of the shorter side: smaller images are flat
STRIP_ROWS = 64  # of pixels digested at a time, because a large image as bytes takes much memory

# Limits of the prefilter: what rules a copy out before any pixels are read again.
MIN_CORRELATION = 0.7  # of the two thumbnails
MIN_COLOUR_LEVELS = 4.0  # RMS of Cb and Cr: below this an image may be the grey copy of any other
MIN_COLOUR_COSINE = 0.5  # of the two colour maps: a hue turned by 60 degrees
BLOCK_PAIRS = 2048  # filtered at a time: 8 MB per array


def read_hash_rows(paths: Sequence[str], max_pixels: int) -> tuple[RowArrays, dict[int, str]]:
    """Decode each image once (a flat one twice) and compute its row.

    Returns the rows of the readable images in order, as in HASH_LAYOUT, with "looks", an array of
    image_identity.Look or None. Also returns the reason for each unreadable image, by its position
    in `paths`.
    """
    rows: list[dict[str, Any]] = []
    looks: list[image_identity.Look | None] = []
    unreadable: dict[int, str] = {}
    for position, path in enumerate(paths):
        try:
            before = image_identity.look_before(path)
            with images.decode_errors_as_unreadable(path):
                rows.append(_read_hash_row(path, max_pixels))
            looks.append(image_identity.look_after(path, before))
        except images.Unreadable as error:
            unreadable[position] = str(error)
    arrays = {}
    for key, (dtype, row_shape) in HASH_LAYOUT.items():
        values = np.array([row[key] for row in rows], dtype)
        arrays[key] = values.reshape(len(rows), *row_shape)
    arrays["looks"] = np.empty(len(looks), object)
    for position, look in enumerate(looks):
        arrays["looks"][position] = look
    return arrays, unreadable


def _read_hash_row(path: str, max_pixels: int) -> dict[str, Any]:
    """One row of each array in HASH_LAYOUT. Raises Unreadable."""
    image, extent = images.open_image(path, max_pixels, draft=DRAFT_SIDE, on_white=True)
    thumbnail = image.convert("L").resize((PHASH_SIDE, PHASH_SIDE), Image.Resampling.LANCZOS)
    cells = image.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX).convert("YCbCr")
    del image  # a flat image is decoded again: never hold both
    levels = np.asarray(thumbnail)
    is_flat = min(extent) < MIN_TEXTURED_SIDE or levels.std() < MAX_FLAT_STDDEV_LEVELS
    return {
        "hashes": _pixel_digest(path, max_pixels) if is_flat else perceptual_hash(thumbnail),
        "thumbnails": levels,
        "colours": np.asarray(cells)[:, :, 1:],
        "flat": is_flat,
        "extents": extent,
    }


def perceptual_hash(thumbnail: Image.Image) -> int:
    """The 64 bits of imagehash.phash, row by row, from a grey image of PHASH_SIDE x PHASH_SIDE.

    imagehash.phash scales an image to that size itself, so it leaves this one as it is.
    """
    bits = imagehash.phash(thumbnail).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _pixel_digest(path: str, max_pixels: int) -> int:
    """A 64-bit digest of the size and every pixel."""
    image, _ = images.open_image(path, max_pixels, on_white=True)
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=8)
    for top in range(0, image.height, STRIP_ROWS):
        bottom = min(top + STRIP_ROWS, image.height)
        digest.update(image.crop((0, top, image.width, bottom)).tobytes())
    return int.from_bytes(digest.digest(), "big")


def prefilter_pairs(rows: RowArrays, first: Array, second: Array) -> Array:
    """For each pair of rows, whether its images may be copies. Bool, shape (pairs,).

    Both images must not be flat. Takes microseconds per pair, and rules out most of what hashes
    alone take for copies.
    """
    may_be_copies = np.empty(len(first), bool)
    for start in range(0, len(first), BLOCK_PAIRS):
        block = slice(start, start + BLOCK_PAIRS)
        may_be_copies[block] = _prefilter_block(rows, first[block], second[block])
    return may_be_copies


def _prefilter_block(rows: RowArrays, first: Array, second: Array) -> Array:
    left = rows["thumbnails"][first].astype(np.float32)
    right = rows["thumbnails"][second].astype(np.float32)
    is_similar = _correlation(left, right) >= MIN_CORRELATION
    same_colours: Array = _have_same_colours(rows["colours"][first], rows["colours"][second])
    return is_similar & same_colours


def _correlation(left: Array, right: Array) -> Array:
    """Pearson's correlation of each pair of rows; 0 if one has no contrast."""
    a = left - left.mean(axis=1, keepdims=True)
    b = right - right.mean(axis=1, keepdims=True)
    products = np.einsum("ij,ij->i", a, b)
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    correlation: Array = products / np.maximum(lengths, 1e-6)
    return correlation


def _have_same_colours(left: Array, right: Array) -> Array:
    """Whether the images of each pair have the same colours, or one of them is grey."""
    a = left.astype(np.float32) - 128
    b = right.astype(np.float32) - 128
    mean_squares = np.minimum((a * a).mean(axis=1), (b * b).mean(axis=1))
    one_is_grey = np.sqrt(mean_squares) < MIN_COLOUR_LEVELS
    products = np.einsum("ij,ij->i", a, b)
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    same_colours: Array = one_is_grey | (products >= MIN_COLOUR_COSINE * lengths)
    return same_colours
