"""The JPEG that pixels once were: its quantisation steps, and how much its blocks stand out."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

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
MAX_REPEAT_STEP = 0.5  # of the smallest difference in a period to the largest


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
