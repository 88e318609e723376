"""What hash search knows of an image, 1.2 kB: a perceptual hash, a thumbnail and a map of colours.

A 64-bit perceptual hash alone takes any small object on a plain ground for any other. The thumbnail
and the colours rule most of these out before any pixels are read again; duplicates/comparison.py
decides about the rest. Needs Pillow, imagehash and numpy; knows nothing of topics or of our files.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

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
# Between the darkest and the lightest: from here on the deviation is never below that.
MIN_TEXTURED_RANGE_LEVELS = MAX_FLAT_STDDEV_LEVELS * math.sqrt(2 * PHASH_SIDE**2)
MIN_TEXTURED_SIDE = 8  # pixels of the shorter side: smaller images are flat
STRIP_ROWS = 64  # of pixels digested at a time, because a large image as bytes takes much memory

# Limits of the prefilter: what rules a copy out before any pixels are read again.
MIN_CORRELATION = 0.7  # of the two thumbnails
MIN_COLOUR_LEVELS = 4.0  # RMS of Cb and Cr: below this an image may be the grey copy of any other
MIN_COLOUR_COSINE = 0.5  # of the two colour maps: a hue turned by 60 degrees
BLOCK_PAIRS = 2048  # filtered at a time: 8 MB per array


def read_hash_rows(paths: Sequence[str], max_pixels: int) -> tuple[RowArrays, dict[int, str]]:
    """Read and decode each image once (a flat one twice) and compute its row.

    Returns the rows of the readable images in order, as in HASH_LAYOUT, with "looks", an array of
    image_identity.Look or None. Also returns the reason for each unreadable image, by its position
    in `paths`.
    """
    shrunk: list[_SmallPictures] = []
    looks: list[image_identity.Look | None] = []
    unreadable: dict[int, str] = {}
    for position, path in enumerate(paths):
        content, before = image_identity.read_small_jpeg(path)
        try:
            with images.decode_errors_as_unreadable(path):
                shrunk.append(_shrink_image(path, max_pixels, content))
        except images.Unreadable as error:
            unreadable[position] = str(error)
        else:
            looks.append(image_identity.look_after(path, before, content))
    arrays = _make_rows(shrunk)
    arrays["looks"] = np.empty(len(looks), object)
    for position, look in enumerate(looks):
        arrays["looks"][position] = look
    return arrays, unreadable


class _SmallPictures(NamedTuple):
    """What is kept of one image until the rows of all are made: in one go, that is faster."""

    thumbnail: Image.Image  # grey
    cells: Image.Image  # RGB
    extent: tuple[int, int]
    pixel_digest: int | None  # of a flat image


def _shrink_image(path: str, max_pixels: int, content: bytes | None) -> _SmallPictures:
    """Decode an image, from its bytes if they are given. Raises Unreadable."""
    image, extent = images.open_image(
        path, max_pixels, draft=DRAFT_SIDE, on_white=True, content=content
    )
    thumbnail = image.convert("L").resize((PHASH_SIDE, PHASH_SIDE), Image.Resampling.LANCZOS)
    cells = image.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX)
    del image  # a flat image is decoded again: never hold both
    is_flat = min(extent) < MIN_TEXTURED_SIDE or _is_plain(thumbnail)
    return _SmallPictures(
        thumbnail, cells, extent, _pixel_digest(path, max_pixels, content) if is_flat else None
    )


def _make_rows(shrunk: Sequence[_SmallPictures]) -> RowArrays:
    """Return the arrays of HASH_LAYOUT."""
    cells = _join_below(COLOUR_SIDE, [pictures.cells for pictures in shrunk], "RGB")
    colours = np.frombuffer(cells.convert("YCbCr").tobytes(), np.uint8).reshape(-1, 3)[:, 1:]
    joined = _join_below(PHASH_SIDE, [pictures.thumbnail for pictures in shrunk], "L")
    levels = np.frombuffer(joined.tobytes(), np.uint8)
    thumbnails = levels.reshape(len(shrunk), PHASH_SIDE, PHASH_SIDE)
    hashes = []
    for thumbnail, pictures in zip(thumbnails, shrunk, strict=True):
        digest = pictures.pixel_digest
        hashes.append(perceptual_hash(thumbnail) if digest is None else digest)
    values: dict[str, Any] = {
        "hashes": hashes,
        "thumbnails": levels,
        "colours": colours,
        "flat": [pictures.pixel_digest is not None for pictures in shrunk],
        "extents": [pictures.extent for pictures in shrunk],
    }
    arrays = {}
    for key, (dtype, row_shape) in HASH_LAYOUT.items():
        arrays[key] = np.array(values[key], dtype).reshape(len(shrunk), *row_shape)
    return arrays


def _join_below(side: int, squares: Sequence[Image.Image], mode: str) -> Image.Image:
    """Return an image of squares, one below the other."""
    joined = Image.new(mode, (side, side * len(squares)))
    for position, square in enumerate(squares):
        joined.paste(square, (0, side * position))
    return joined


def _is_plain(thumbnail: Image.Image) -> bool:
    """Whether the levels of a thumbnail deviate too little for a perceptual hash."""
    extrema: Any = thumbnail.getextrema()
    darkest, lightest = extrema
    if lightest - darkest >= MIN_TEXTURED_RANGE_LEVELS:
        return False
    return bool(np.asarray(thumbnail).std() < MAX_FLAT_STDDEV_LEVELS)


class _Thumbnail:
    """A grey image of PHASH_SIDE x PHASH_SIDE, which imagehash.phash need not scale.

    A Pillow image of that size would be copied three times, which takes as long as its hash.
    """

    def __init__(self, levels: Array) -> None:
        self._levels = levels

    def convert(self, _mode: str) -> _Thumbnail:
        return self

    def resize(self, _size: tuple[int, int], _filter: object) -> _Thumbnail:
        return self

    def __array__(self, _dtype: object = None, copy: bool | None = None) -> Array:
        return self._levels


def perceptual_hash(levels: Array) -> int:
    """The 64 bits of imagehash.phash, row by row, of a thumbnail (PHASH_SIDE, PHASH_SIDE)."""
    thumbnail: Any = _Thumbnail(levels)
    bits = imagehash.phash(thumbnail).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _pixel_digest(path: str, max_pixels: int, content: bytes | None) -> int:
    """A 64-bit digest of the size and every pixel."""
    image, _ = images.open_image(path, max_pixels, on_white=True, content=content)
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
