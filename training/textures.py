"""Surfaces and colours made from random numbers: clouds and grain of any roughness, gradients,
palettes of one mood.

Images are float32 arrays (CANVAS, CANVAS, 3), roughly 0..1. Every function takes a generator: the
same generator state makes the same surface.
"""

import math

import numpy as np

CANVAS = 640  # twice a picture's side: shrinking it smooths the drawn edges
ROWS, COLUMNS = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32) / CANVAS
VERTICAL = np.fft.fftfreq(CANVAS)[:, None].astype(np.float32)  # frequencies in cycles a pixel
HORIZONTAL = np.fft.rfftfreq(CANVAS)[None].astype(np.float32)


def backdrop(rng: np.random.Generator) -> np.ndarray:
    """Sky, wall or landscape: a gradient, a texture, or one above the other."""
    kind = rng.random()
    if kind < 0.35:
        return gradient(rng)
    if kind < 0.80:
        return textured(rng)
    horizon = ROWS + np.float32(rng.uniform(0, 0.06)) * texture(rng) > rng.uniform(0.3, 0.7)
    return np.where(horizon[..., None], textured(rng), gradient(rng))


def textured(rng: np.random.Generator) -> np.ndarray:
    """One cloud-like texture through a colour scale, at times with coloured grain of the
    same kind.
    """
    image = coloured(rng, texture(rng))
    if rng.random() < 0.5:
        grain = np.stack([texture(rng) for _ in range(3)], axis=-1)
        image = image + np.float32(rng.uniform(0.01, 0.1)) * grain
    return image


def gradient(rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * math.pi)
        position = math.cos(angle) * (COLUMNS - 0.5) + math.sin(angle) * (ROWS - 0.5) + 0.5
    else:
        x, y = rng.random(2)
        position = np.hypot(COLUMNS - x, ROWS - y) * rng.uniform(0.6, 1.6)
    return through_scale(position, (0, rng.uniform(0.3, 0.7), 1), palette(rng, 3))


def texture(rng: np.random.Generator, roughness: tuple[float, float] = (0.7, 2.2)) -> np.ndarray:
    """Gaussian field (CANVAS, CANVAS) with amplitude 1/f^a, mean 0 and deviation 1, at times folded
    or made bands of.

    `roughness` is the range of a: 1 is typical of photos, larger is smoother.
    """
    stretch, angle = (
        math.exp(rng.uniform(0, 1.5)) if rng.random() < 0.3 else 1.0,
        rng.uniform(0, math.pi),
    )
    along = stretch * (math.cos(angle) * HORIZONTAL + math.sin(angle) * VERTICAL)
    across = math.cos(angle) * VERTICAL - math.sin(angle) * HORIZONTAL
    power = along**2 + across**2
    power[0, 0] = np.inf  # no constant part
    spectrum = rng.standard_normal((*power.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    field = np.fft.irfft2(
        spectrum * power ** np.float32(-rng.uniform(*roughness) / 2), (CANVAS, CANVAS)
    )
    field = (field - field.mean()) / field.std()
    kind = rng.random()
    if kind < 0.12:
        return np.abs(field) * 1.5 - 1
    if kind < 0.20:
        return np.sin(field * np.float32(rng.uniform(2, 8)))
    if kind < 0.26:
        return np.tanh(field * np.float32(rng.uniform(2, 6)))
    return field


def coloured(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    colours = palette(rng, rng.integers(2, 6))
    return through_scale(field, np.linspace(-2.2, 2.2, len(colours)), colours)


def through_scale(field: np.ndarray, stops, colours: np.ndarray) -> np.ndarray:
    """Each value's colour, interpolated between the colours (n, 3) that lie at the stops (n,)."""
    levels = np.linspace(stops[0], stops[-1], 1024)
    scale = np.stack([np.interp(levels, stops, channel) for channel in colours.T], axis=-1).astype(
        np.float32
    )
    places = (field - levels[0]) * (1023 / (levels[-1] - levels[0]))
    return scale[np.clip(places, 0, 1023).astype(np.int16)]


def palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours (count, 3) of one mood: related hues, mostly little saturation, any brightness."""
    hues = (rng.random() + rng.normal(0, rng.choice([0.05, 0.15, 0.5]), count)) % 1
    saturation = np.clip(rng.beta(1.6, 3, count) * rng.uniform(0.1, 1.3), 0, 1)[:, None]
    tendency = ((1.5, 1.5), (2, 3), (3, 2), (1, 1))[rng.integers(4)]
    brightness = np.clip(rng.beta(*tendency, count), 0.02, 0.98)[:, None]
    pure = np.clip(np.abs((hues[:, None] * 6 + (0, 4, 2)) % 6 - 3) - 1, 0, 1)
    return (brightness * (1 - saturation + saturation * pure)).astype(np.float32)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low * (high / low) ** rng.random()
