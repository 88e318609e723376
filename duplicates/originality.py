"""Measure what one copy of a picture still holds, and the traces of what was done to it.

Gives plain numbers, from which keeping/copy_order.py finds the original without pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from duplicates import thumbnails
from duplicates.jpeg_past import (
    block_coefficients,
    block_grid,
    neighbour_steps,
    past_jpeg_steps,
    repeat_share,
    table_steps,
)
from duplicates.one_thread import limit_to_one_thread
from duplicates.thumbnails import SmallImage
from imaging import images, pixels
from imaging.images import StoredImage
from keeping.copy_traits import ImageTraits
from keeping.enlargements import BINS_PER_OCTAVE, MIN_CYCLES

Array = np.ndarray[Any, np.dtype[Any]]
MeasuredFile = tuple[ImageTraits, SmallImage]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)

MIN_MOVED_EDGES = 0.04  # of blocks off the corner, from which they are looked at too
SPECTRUM_LINES = 128  # rows, and columns
SAMPLE_SIDE = 160  # pixels a side that stand for the colours of the whole


def measure_image(stored: StoredImage) -> ImageTraits:
    """Measure one image at full size."""
    luma = np.asarray(stored.picture.convert("L"))
    height, width = luma.shape
    steps = neighbour_steps(luma)
    (left, across), (top, down) = map(block_grid, steps)
    past = past_jpeg_steps(block_coefficients(luma))
    if (left or top) and across + down > 2 * MIN_MOVED_EDGES:  # cropped since
        past = max(past, past_jpeg_steps(block_coefficients(luma[top:, left:])))
    rim_share, rim_level = blank_rim(luma)
    colours = sample_colours(stored.picture, rim_share)
    return ImageTraits(
        width=width,
        height=height,
        format=stored.format,
        palette=stored.palette,
        unseen_loss=not (stored.lossless or stored.jpeg_table),
        jpeg_steps=round(table_steps(stored.jpeg_table), 3),
        past_steps=round(past, 3),
        block_edges=round((across + down) / 2, 3),
        repeat_share=round(max(map(repeat_share, steps)), 2),
        grain_levels=round(grain_levels(luma), 2),
        colour_levels=round(colour_levels(colours), 2),
        rim_share=round(rim_share, 4),
        rim_level=rim_level,
        pixel_digest=pixel_digest(luma, colours),
        taken=stored.taken,
        tones=as_integers(np.percentile(colours, (5, 25, 50, 75, 95), axis=0)),
        spectrum=as_integers(10 * line_spectrum(luma)),
    )


def measure_files(paths: Sequence[str], max_pixels: int) -> list[MeasuredFile | None]:
    """Measure images in order; None for one that cannot be read.

    Small matrix products run in one thread: more take several times the processor time.
    """
    with limit_to_one_thread():
        return [_measure_file(path, max_pixels) for path in paths]


def _measure_file(path: str, max_pixels: int) -> MeasuredFile | None:
    try:
        with images.decode_errors_as_unreadable(path):
            stored = images.open_stored(path, max_pixels)
            traits = measure_image(stored)
    except images.Unreadable:  # reported when it was hashed
        return None
    picture = stored.picture
    box = (thumbnails.MAX_SIDE, thumbnails.MAX_SIDE)
    picture.thumbnail(box, Image.Resampling.LANCZOS, reducing_gap=2)
    upright = pixels.make_upright(picture, stored.orientation)
    return traits, thumbnails.make_small_image(np.asarray(upright))


def as_integers(values: Array) -> tuple[int, ...]:
    return tuple(values.round().astype(int).ravel().tolist())


def line_spectrum(luma: Array) -> Array:
    """Spectrum of some rows and columns in dB, by cycles along the longer side at any size.

    Levels are relative to those of 10 to 40 cycles, times the squared frequency: photos are nearly
    flat. BINS_PER_OCTAVE from MIN_CYCLES up to what the size shows; empty for a tiny image.
    """
    longer = max(luma.shape)
    bins = int(BINS_PER_OCTAVE * np.log2(max(1, 0.485 * longer / MIN_CYCLES)))
    if bins < 2 * BINS_PER_OCTAVE:
        return np.empty(0)
    edges = MIN_CYCLES * 2.0 ** (np.arange(bins + 1) / BINS_PER_OCTAVE)
    power, count = np.full(bins, 1e-9), np.zeros(bins)
    for lines in (luma, luma.T):
        number = min(SPECTRUM_LINES, len(lines))
        length = lines.shape[1] // 32 * 32 or lines.shape[1]  # the Fourier transform is quick
        rows = ((np.arange(number) + 0.5) / number * len(lines)).astype(int)
        chosen = lines[rows, :length].astype(np.float32)
        windowed = (chosen - chosen.mean(1, keepdims=True)) * np.hanning(length).astype(np.float32)
        energy = (np.abs(np.fft.rfft(windowed, axis=1)) ** 2).mean(0) / length / longer
        place = np.digitize(np.arange(len(energy)) * longer / length, edges) - 1
        inside = (place >= 0) & (place < bins)
        power += np.bincount(place[inside], energy[inside], bins)
        count += np.bincount(place[inside], None, bins)
    cycles = np.sqrt(edges[1:] * edges[:-1])
    levels = 10 * np.log10(power / np.maximum(count, 1) * cycles**2)
    relative: Array = levels - levels[(cycles >= 10) & (cycles <= 40)].mean()
    return relative


def grain_levels(luma: Array, side: int = 512) -> float:
    """Standard deviation of what is no edge (Immerkaer 1996), where the middle is calmest."""
    top, left = (max(0, (length - side) // 2) for length in luma.shape)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    rest = cv2.filter2D(luma[top : top + side, left : left + side].astype(np.float32), -1, kernel)
    squares = cells(rest**2, 16).mean((1, 3))
    return float(np.sqrt(np.percentile(squares, 10))) if squares.size else 0.0


def cells(values: Array, side: int) -> Array:
    """A view of whole squares: (rows, side, columns, side)."""
    height, width = values.shape[0] // side, values.shape[1] // side
    return values[: height * side, : width * side].reshape(height, side, width, side)


def sample_colours(picture: Image.Image, rim_share: float) -> Array:
    """Colours of a small picture of what lies within the blank rim: float32 (samples, 3)."""
    width, height = picture.size
    rim = int(np.ceil(rim_share * min(height, width))) + (rim_share > 0)
    rim = min(rim, (min(height, width) - 1) // 2)
    core = (rim, rim, width - rim, height - rim)
    some = (min(4 * SAMPLE_SIDE, width - 2 * rim), min(4 * SAMPLE_SIDE, height - 2 * rim))
    size = (min(SAMPLE_SIDE, some[0]), min(SAMPLE_SIDE, some[1]))
    sample = picture.resize(some, Image.Resampling.NEAREST, box=core)  # of 12 MP 15 ms less
    sample = sample.resize(size, Image.Resampling.BOX)
    return np.asarray(sample, np.float32).reshape(-1, 3)


def pixel_digest(luma: Array, colours: Array) -> int:
    """CRC of some rows of luminance and some colours: equal for images with the same pixels."""
    rows = luma[:: max(1, len(luma) // 256)]
    return zlib.crc32(colours.tobytes(), zlib.crc32(rows.tobytes(), len(luma)))


def colour_levels(colours: Array) -> float:
    """Spread of colour that brightness does not predict: near 0 in grey, sepia or any one tint."""
    luma = colours @ LUMA
    known = np.stack([np.ones_like(luma), luma, luma**2 / 255], 1)
    chroma = np.stack([colours[:, 2] - luma, colours[:, 0] - luma], 1)
    fit = np.linalg.solve(known.T @ known + 1e-3 * np.eye(3), known.T @ chroma)
    return float(np.sqrt(((chroma - known @ fit) ** 2).mean()))


def blank_rim(luma: Array) -> tuple[float, int]:
    """Share of the shorter side, at most 1/12, that is blank on all sides; and its grey level."""
    least, level = 1.0, 0
    for turns in range(4):
        lines = np.rot90(luma, turns)[: max(1, len(np.rot90(luma, turns)) // 12)]
        lines = lines[:, :: max(1, lines.shape[1] // 256)].astype(np.int16)
        level = int(np.median(lines[0]))
        other = (np.abs(lines - level) > 12).mean(1) > 0.05
        least = min(least, (other.argmax() if other.any() else len(lines)) / min(luma.shape))
    return float(least), level
