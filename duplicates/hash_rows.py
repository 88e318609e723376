"""What an image looks like in 1.2 kB: enough to propose copies, and to rule most strangers out.

A 64-bit perceptual hash alone takes any small object on a plain ground for any other; a thumbnail and a map of colours
know better. What they leave is for the close look (duplicates/comparison.py). Knows Pillow and numpy, nothing of
topics or files of ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from common import images

Array = np.ndarray[Any, np.dtype[Any]]
Rows = dict[str, Array]

SIDE = 32  # of the luminance thumbnail, which is also what the hash is made from
COLOUR_SIDE = 8
DRAFT = 256  # pixels a side that JPEG decoding may shrink to: 97 % of the hashes stay, none of 342 moved by over 6 bits
LAYOUT = {
    "hashes": ("uint64", ()),  # the perceptual hash; of a flat image the digest of its pixels
    "thumbnails": ("uint8", (SIDE * SIDE,)),  # luminance
    "colours": ("uint8", (2 * COLOUR_SIDE * COLOUR_SIDE,)),  # Cb and Cr
    "flat": ("bool", ()),  # too plain or too small to have a look of its own
    "extents": ("int32", (2,)),  # width and height, upright
}
ABOUT = {"hash": "imagehash.phash 8", "draft": DRAFT, "version": 2}

FLAT = 2.0  # standard deviation of the thumbnail's grey levels
STRIP = 64  # rows at a time, where a whole picture would take too much memory
TINY = 8  # pixels of the shorter side

# What rules a copy out before any pixels are read again.
ALIKE = 0.7  # correlation of the thumbnails
COLOURED = 4.0  # root mean square of Cb and Cr around grey: below it a picture may be the grey copy of any other
SAME_COLOURS = 0.5  # cosine of the two colour maps: a hue turned by 60 degrees
BLOCK = 2048  # pairs looked at in one go, 8 MB an array


def read_hash_row(paths: Sequence[str], max_pixels: int) -> tuple[Rows, dict[int, str]]:
    """Fingerprints of the readable images, in order, as LAYOUT says; and why the others are not readable, by position.

    The hash has the bits of imagehash.phash of the upright RGB image. Each image is decoded once (a flat one twice).
    """
    thumbnails, colours, flat, extents, digests = [], [], [], [], []
    unreadable: dict[int, str] = {}
    for position, path in enumerate(paths):
        try:
            with images.decode_errors_as_unreadable(path):
                image, extent = images.open_image(path, max_pixels, draft=DRAFT, on_white=True)
                thumbnail = np.asarray(
                    image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                )
                small = image.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX).convert(
                    "YCbCr"
                )
                del image  # a flat one is decoded again
                is_flat = min(extent) < TINY or thumbnail.std() < FLAT
                digest = _digest(path, max_pixels) if is_flat else 0
        except images.Unreadable as error:
            unreadable[position] = str(error)
            continue
        digests.append(digest)
        thumbnails.append(thumbnail)
        colours.append(np.asarray(small)[:, :, 1:].ravel())
        flat.append(is_flat)
        extents.append(extent)
    if not thumbnails:
        return {key: np.empty((0, *row), dtype) for key, (dtype, row) in LAYOUT.items()}, unreadable
    stack = np.stack(thumbnails)
    rows = {
        "hashes": np.where(flat, np.array(digests, np.uint64), _hashes(stack)),
        "thumbnails": stack.reshape(len(stack), -1),
        "colours": np.stack(colours),
        "flat": np.array(flat),
        "extents": np.array(extents, np.int32),
    }
    return rows, unreadable


def _hashes(thumbnails: Array) -> Array:
    """imagehash.phash with hash size 8, from its own 32x32 picture: low frequencies above their median, row by row.

    The same transform from the same library, so that even ties fall as they do there.
    """
    from scipy import fftpack

    low = fftpack.dct(fftpack.dct(thumbnails, axis=1), axis=2)[:, :8, :8].reshape(-1, 64)
    bits = low > np.median(low, axis=1, keepdims=True)
    packed: Array = np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()
    return packed


def _digest(path: str, max_pixels: int) -> int:
    """64 bits that stand for every pixel."""
    image, _ = images.open_image(path, max_pixels, on_white=True)
    digest = hashlib.blake2b(repr(image.size).encode(), digest_size=8)
    for top in range(0, image.height, STRIP):
        digest.update(image.crop((0, top, image.width, min(top + STRIP, image.height))).tobytes())
    return int.from_bytes(digest.digest(), "big")


def prefilter_pairs(rows: Rows, first: Array, second: Array) -> Array:
    """For each pair of rows of images that are not flat, whether a closer look may find a copy. Bool array.

    Rules out in microseconds most of what hashes alone take for copies.
    """
    found = [
        _likely(rows, first[start : start + BLOCK], second[start : start + BLOCK])
        for start in range(0, len(first), BLOCK)
    ]
    return np.concatenate(found) if found else np.empty(0, bool)


def _likely(rows: Rows, first: Array, second: Array) -> Array:
    left, right = (rows["thumbnails"][each].astype(np.float32) for each in (first, second))
    colours = _colours_agree(rows["colours"][first], rows["colours"][second])
    return (_correlation(left, right) >= ALIKE) & colours


def _correlation(left: Array, right: Array) -> Array:
    """Pearson's, of each pair; 0 where a picture has no contrast."""
    a, b = (each - each.mean(axis=1, keepdims=True) for each in (left, right))
    together = np.einsum("ij,ij->i", a, b)
    apart = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    correlation: Array = together / np.maximum(apart, 1e-6)
    return correlation


def _colours_agree(left: Array, right: Array) -> Array:
    """Whether each pair has the same colours, or one of it none: not a recoloured version of the other."""
    a, b = left.astype(np.float32) - 128, right.astype(np.float32) - 128
    strong = np.sqrt(np.minimum((a * a).mean(axis=1), (b * b).mean(axis=1)))
    together = np.einsum("ij,ij->i", a, b)
    apart = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    agree: Array = (strong < COLOURED) | (together >= SAME_COLOURS * apart)
    return agree
