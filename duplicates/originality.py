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
from duplicates.thumbnails import SmallImage
from imaging import images
from imaging.images import StoredImage
from keeping.copy_traits import ImageTraits
from keeping.worth import BINS_PER_OCTAVE, MIN_CYCLES

Array = np.ndarray[Any, np.dtype[Any]]
MeasuredFile = tuple[ImageTraits, SmallImage]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# Row, column and step in levels of low frequencies: JPEG's luminance table at quality 50
# (ITU-T T.81, annex K).
Q50_TABLE = (
    (0, 1, 11), (1, 0, 12), (2, 0, 14), (1, 1, 12), (0, 2, 10), (0, 3, 16), (1, 2, 14),
    (2, 1, 13), (3, 0, 14), (2, 2, 16), (1, 3, 19), (3, 1, 17), (0, 4, 24), (4, 0, 18),
)  # fmt: skip
Q50_STEPS = np.array([step for _, _, step in Q50_TABLE], float)
MAX_BLOCKS_SEEN, MAX_BLOCKS = 20_000, 10_000  # 8x8 blocks looked at for texture, and transformed
MIN_BLOCK_RANGE = 3  # levels between the darkest and lightest pixel of a block with texture
STEPS = 2 * 1.05 ** np.arange(88)  # levels, 2 to 140
BINS_PER_LEVEL, MAX_COEFFICIENT = 4, 600
MIN_COEFFICIENTS = 25  # that test a step
MIN_REGULARITY = 0.35  # mean cosine of multiples of a step, before 1.5 standard errors are added
MIN_FREQUENCIES = 5  # that must show a step
MAX_STEP_SPREAD = 0.2  # octaves around Q50_STEPS; JPEGs had 0.19 at most, drawings 0.5 or more
MIN_MOVED_EDGES = 0.04  # of blocks off the corner, from which they are looked at too
MAX_REPEAT_STEP = 0.5  # of the smallest difference in a period to the largest
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
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
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
    upright = images.make_upright(picture, stored.orientation)
    return traits, thumbnails.make_small_image(np.asarray(upright))


def as_integers(values: Array) -> tuple[int, ...]:
    return tuple(values.round().astype(int).ravel().tolist())


def table_steps(jpeg_table: tuple[int, ...]) -> float:
    """Steps of a JPEG's own table, in multiples of quality 50's; 0 if there is none."""
    if not jpeg_table:
        return 0.0
    steps = [jpeg_table[8 * row + column] for row, column, _ in Q50_TABLE]
    return float(np.median(steps / Q50_STEPS))


def dct_basis() -> Array:
    """The DCT's basis images for Q50_TABLE's frequencies: float32 (64, frequencies)."""
    rows = np.sqrt(2 / 8) * np.cos((2 * np.arange(8) + 1) * np.arange(8)[:, None] * np.pi / 16)
    rows[0] /= np.sqrt(2)
    images = [np.outer(rows[y], rows[x]).ravel() for y, x, _ in Q50_TABLE]
    return np.stack(images, 1).astype(np.float32)


def block_coefficients(luma: Array) -> Array:
    """Magnitudes of low DCT coefficients of textured 8x8 blocks: float32 (blocks, frequencies)."""
    height, width = luma.shape[0] // 8, luma.shape[1] // 8
    blocks = luma[: height * 8, : width * 8].reshape(height, 8, width, 8)
    stride = max(1, round(np.sqrt(height * width / MAX_BLOCKS_SEEN)))
    sample = blocks[::stride, :, ::stride].swapaxes(1, 2).reshape(-1, 64)
    textured = sample[np.ptp(sample, axis=1) >= MIN_BLOCK_RANGE]
    chosen = textured[:: max(1, len(textured) // MAX_BLOCKS)]
    coefficients: Array = np.abs(chosen.astype(np.float32) @ dct_basis())
    return coefficients


def step_waves() -> tuple[Array, Array]:
    """Which coefficient sizes test a step, and the cosine that peaks at its multiples.

    Both float32 (steps, sizes).
    """
    sizes = (np.arange(MAX_COEFFICIENT * BINS_PER_LEVEL) + 0.5) / BINS_PER_LEVEL
    periods = sizes / STEPS[:, None]
    tested = ((periods > 0.4) & (periods < 6.4)).astype(np.float32)
    return tested, tested * np.cos(2 * np.pi * periods).astype(np.float32)


TESTED_SIZES, WAVES = step_waves()


def past_jpeg_steps(coefficients: Array) -> float:
    """Steps of the JPEG that these pixels once were, in multiples of quality 50's; 0 if none shows.

    Its coefficients lie near multiples of its steps, whatever format holds the pixels now. Of
    several JPEGs the coarsest counts.
    """
    size = MAX_COEFFICIENT * BINS_PER_LEVEL
    bins = (coefficients * BINS_PER_LEVEL).astype(int).clip(max=size)
    histograms = [np.bincount(each, minlength=size + 1)[:-1] for each in bins.T]
    counts = np.stack(histograms, 1).astype(np.float32)
    tested = np.maximum(TESTED_SIZES @ counts, 1)
    regularity = WAVES @ counts / tested
    padded = np.pad(regularity, ((1, 1), (0, 0)), mode="edge")
    peaks = (regularity >= padded[:-2]) & (regularity >= padded[2:])
    enough = (tested >= MIN_COEFFICIENTS) & (regularity > MIN_REGULARITY + 1.5 / np.sqrt(tested))
    shown = (peaks & enough).any(0)
    if shown.sum() < MIN_FREQUENCIES:
        return 0.0
    coarsest = STEPS[len(STEPS) - 1 - (peaks & enough)[::-1].argmax(0)]
    octaves = np.log2(coarsest / Q50_STEPS)[shown]
    spread = np.median(np.abs(octaves - np.median(octaves)))
    return float(2 ** np.median(octaves)) if spread <= MAX_STEP_SPREAD else 0.0


def neighbour_steps(luma: Array) -> tuple[Array, Array]:
    """Mean difference of neighbouring columns, and of neighbouring rows, in levels (at most 16)."""
    samples = [lines[:: max(1, len(lines) // 256)].astype(np.int16) for lines in (luma, luma.T)]
    across, down = (np.minimum(np.abs(np.diff(each, axis=1)), 16).mean(0) for each in samples)
    return across, down


def block_grid(steps: Array) -> tuple[int, float]:
    """Where 8x8 blocks begin, 0 to 7, and how much their borders stand out from all neighbours."""
    if len(steps) < 64:
        return 0, 0.0
    excess = steps[1:-1] - (steps[:-2] + steps[2:]) / 2
    strengths = [np.median(excess[(start + 6) % 8 :: 8]) for start in range(8)]
    start = int(np.argmax(strengths))
    return start, float(strengths[start] / (steps.mean() + 0.5))


def repeat_share(steps: Array) -> float:
    """Share of pixels that do not just repeat their neighbour: 0.33 if each stands three times."""
    for period in range(2, 8):
        if len(steps) < 8 * period:
            continue
        phases = np.array([steps[phase::period].mean() for phase in range(period)])
        if phases.min() < MAX_REPEAT_STEP * phases.max():
            return float((phases > phases.max() / 2).mean())
    return 1.0


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
