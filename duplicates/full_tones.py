"""Match tones and sharpness of two registered images, so that what is left is content.

Images are float32 RGB (height, width, 3) in levels of 0 to 255.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from duplicates.full_registration import scale_to

Array = np.ndarray[Any, np.dtype[Any]]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
TONE_CELLS = 96  # cells along the longer side from which tones are matched
TONE_KNOTS = 7  # of the curve of luminance
BLUR_SIGMAS = (0.4, 0.6, 0.8, 1.1, 1.5, 2.0, 2.8)  # pixels, tried on the sharper image
MIN_SHARPNESS_GAIN_LEVELS = 0.02  # below that a blur is none
SHARPNESS_CAP_LEVELS = 16.0  # of a pixel's difference: blur must not be chosen to hide a change
DARK_LEVEL, BURNT_LEVEL = 5, 250  # beyond these a channel may have lost what it showed
NEAR_DARK, NEAR_BURNT = 40, 200  # levels of the other image at which that explains a difference
BURNT_WEIGHT = 0.2  # of a difference that is explained so


def mean_cells(source: Array, target: Array, valid: Array) -> tuple[Array, Array, Array]:
    """The mean colours of TONE_CELLS cells a side, float32 (n, 3), and which both images fill."""
    size = scale_to((valid.shape[1], valid.shape[0]), TONE_CELLS)
    x, y = (
        cv2.resize(each, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32)
        for each in (source, target)
    )
    inside = cv2.resize(valid.astype(np.float32), size, interpolation=cv2.INTER_AREA).ravel() > 0.99
    return x, y, inside


def burnt_weight(source: Array, target: Array) -> Array:
    """Weight of each pixel's difference: little where only one image is burnt or black; float32.

    The other must be nearly so. A channel that is so in both has lost nothing between them.
    """
    low, high = np.minimum(source, target), np.maximum(source, target)
    burnt = (high >= BURNT_LEVEL) & (low >= NEAR_BURNT) & (low < BURNT_LEVEL)
    black = (low <= DARK_LEVEL) & (high <= NEAR_DARK) & (high > DARK_LEVEL)
    of_channel = burnt | black
    explained = of_channel[..., 0] | of_channel[..., 1] | of_channel[..., 2]
    return np.where(explained, np.float32(BURNT_WEIGHT), np.float32(1))


def greatest_of_three(levels: Array) -> Array:
    """The greatest of each row of (n, 3); ten times as fast as max(1)."""
    return np.maximum(np.maximum(levels[:, 0], levels[:, 1]), levels[:, 2])


def match_tones(source: Array, target: Array, valid: Array) -> tuple[Array, Array]:
    """Give both the tones of the one that has lost more: grey, faded, burnt."""
    x, y, inside = mean_cells(source, target, valid)
    x, y = x[inside], y[inside]
    if not len(x):
        return source, target
    unmatched = float(np.minimum(greatest_of_three(np.abs(x - y)), 30).mean())
    forward, forward_miss = _fit_tones(x, y)
    backward, backward_miss = _fit_tones(y, x)
    if unmatched <= min(forward_miss, backward_miss) + 0.2:
        return source, target
    if forward_miss <= backward_miss + _target_lost_more(x, y):
        return _apply_tones(source, forward), target
    return source, _apply_tones(target, backward)


def _target_lost_more(x: Array, y: Array) -> int:
    """1 if y has lost colour or tones that x has, -1 the other way round, 0 if neither."""
    colour = [float(np.abs(each - (each @ LUMA)[:, None]).sum()) for each in (x, y)]
    if min(colour) * 2 < max(colour):
        return 1 if colour[1] < colour[0] else -1
    burnt = [float(((each >= BURNT_LEVEL) | (each <= DARK_LEVEL)).any(1).mean()) for each in (x, y)]
    return int(np.sign(burnt[1] - burnt[0])) if abs(burnt[1] - burnt[0]) > 0.002 else 0


def _fit_tones(x: Array, y: Array) -> tuple[Array, float]:
    """The map of tones from x to y, (3 + TONE_KNOTS, 3), and the levels that it misses by.

    Linear in the colours, with a curve of luminance; least absolute values by reweighting.
    """
    # In double precision as the weights are, once and not in every product.
    columns, wanted = _tone_basis(x).astype(np.float64), (y - x).astype(np.float64)
    bend: Array = np.zeros((TONE_KNOTS - 2, columns.shape[1]))
    for knot in range(TONE_KNOTS - 2):
        bend[knot, 3 + knot : 6 + knot] = 1, -2, 1
    stiffness = len(x) * (0.003 * bend.T @ bend + 1e-6 * np.eye(columns.shape[1]))
    unburnt = np.where(((y > DARK_LEVEL) & (y < BURNT_LEVEL)).all(1), 1.01, 0.01)
    weight: Array = unburnt
    for _ in range(4):
        weighed = columns * weight[:, None]
        normal = weighed.T @ columns + stiffness * weight.mean()
        tones = np.linalg.solve(normal, weighed.T @ wanted)
        miss = greatest_of_three(np.abs((x + columns @ tones).clip(0, 255) - y))
        weight = unburnt / np.maximum(3, miss)
    return tones.astype(np.float32), float(np.minimum(miss, 30).mean())


def _tone_basis(colours: Array) -> Array:
    """The colours, and how near their luminance is to each knot of the curve."""
    step = 255 / (TONE_KNOTS - 1)
    knots = np.arange(TONE_KNOTS, dtype=np.float32) * step
    nearness = 1 - np.abs((colours @ LUMA)[:, None] - knots) / step
    return np.hstack([colours / 255, nearness.clip(0, 1)]).astype(np.float32)


def _apply_tones(image: Array, tones: Array) -> Array:
    """The same as adding _tone_basis(image) @ tones, by a table of 1,024 steps of luminance."""
    linear = np.eye(3, dtype=np.float32) + tones[:3].T / 255
    steps = np.linspace(0, 255, 1024, dtype=np.float32)
    knots = np.linspace(0, 255, TONE_KNOTS)
    curve = np.stack([np.interp(steps, knots, tones[3:, k]) for k in range(3)], 1)
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    index = (luminance * (1023 / 255)).astype(np.intp)
    changed = np.take(curve.astype(np.float32), index, axis=0, mode="clip")
    changed += cv2.transform(image, linear)
    return changed.clip(0, 255, out=changed)


def match_sharpness(source: Array, target: Array, valid: Array) -> tuple[Array, Array]:
    """Blur the sharper image until least is left."""
    x, y = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY), cv2.cvtColor(target, cv2.COLOR_RGB2GRAY)

    mask = valid.astype(np.uint8)

    def miss(x_sigma: float, y_sigma: float) -> float:
        apart = cv2.absdiff(blur(x, x_sigma), blur(y, y_sigma))
        return cv2.mean(np.minimum(apart, SHARPNESS_CAP_LEVELS), mask)[0]

    unblurred = miss(0, 0)
    best, least = (0.0, 0.0), unblurred - MIN_SHARPNESS_GAIN_LEVELS
    for blurs_target in (False, True):
        previous = unblurred
        for sigma in BLUR_SIGMAS:
            sigmas = (0.0, sigma) if blurs_target else (sigma, 0.0)
            missed = miss(*sigmas)
            if missed > previous:  # more blur leaves still more
                break
            if missed < least:
                best, least = sigmas, missed
            previous = missed
    return blur(source, best[0]), blur(target, best[1])


def blur(values: Array, sigma: float) -> Array:
    return cv2.GaussianBlur(values, (0, 0), sigma) if sigma else values
