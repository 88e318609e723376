"""Pairs of images drawn window by window, so that the numbers measured of them can be chosen.

An image is a ground with patterns on some of its 16 x 12 windows of 16 x 16 pixels; in the second
image some things are changed. TILE_PAIRS are measured for the table.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from duplicates.comparison import CELL, WINDOW

COLUMNS = 16
ROWS = 12


@dataclass(frozen=True)
class TilePair:
    """What is drawn, and what differs in the second image."""

    tiles: int  # windows with a pattern
    changed: int = 0  # of these, that show another pattern in the second image
    similarity: float = 0.0  # correlation of a changed pattern with the one before
    changed_area: tuple[int, int] | None = None  # (columns, rows) at one corner; None: anywhere
    is_added: bool = False  # whether the first image has nothing where windows change
    stripes: int = 0  # more windows, with lines: a texture without structure
    changed_stripes: int = 0
    contrast: float = 20.0  # standard deviation of a pattern, levels
    rows: int = ROWS  # of windows
    sink: float = 2.0  # standard deviations by which a pattern is darker than the ground
    gradient: float = 0.0  # levels across the ground: with 200 it is like a photo
    hues: float = 0.0  # levels by which red and blue change across the ground
    darker: int = 0  # levels by which the second image is darker,
    lighting: float = 0.0  # and by which its upper edge is darker and its lower edge lighter
    cropped: int = 0  # pixels that the second image lacks at each edge
    tinted: int = 0  # squares of the second image, anywhere,
    tint: int = 60  # by which they have more blue
    tint_side: int = CELL  # pixels of such a square

    def draw(self) -> tuple[Image.Image, Image.Image]:
        """Return the two images."""
        rng = np.random.default_rng(0)
        first = np.full((self.rows * WINDOW, COLUMNS * WINDOW), 235.0 - self.gradient)
        first += np.linspace(0, self.gradient, first.shape[1])
        second = first.copy()
        windows = self._windows()
        for number, window in enumerate(windows[: self.tiles]):
            pattern = make_pattern(rng)
            other = make_pattern(rng)
            is_changed = number < self.changed
            if not (is_changed and self.is_added):
                self._put(first, window, pattern)
            if is_changed:
                pattern = mix(pattern, other, self.similarity)
            self._put(second, window, pattern)
        for number, window in enumerate(windows[self.tiles :][: self.stripes]):
            lines = make_lines(rng)
            other = make_lines(rng)
            self._put(first, window, lines)
            if number < self.changed_stripes:
                lines = mix(lines, other, self.similarity)
            self._put(second, window, lines)
        return self._first_image(first), self._second_image(second)

    def _put(self, luminance: np.ndarray, window: tuple[int, int], pattern: np.ndarray) -> None:
        y = window[0] * WINDOW
        x = window[1] * WINDOW
        luminance[y : y + WINDOW, x : x + WINDOW] += self.contrast * (pattern - self.sink)

    def _windows(self) -> list[tuple[int, int]]:
        """Return all windows in the order in which they are filled."""
        windows = [(row, column) for row in range(self.rows) for column in range(COLUMNS)]
        if self.changed_area is None:
            order = np.random.default_rng(1).permutation(len(windows))
            return [windows[number] for number in order]
        columns, rows = self.changed_area
        area = [window for window in windows if window[0] < rows and window[1] < columns]
        rest = [window for window in windows if window not in area]
        return area[: self.changed] + rest[::-1] + area[self.changed :]

    def _coloured(self, luminance: np.ndarray) -> np.ndarray:
        """Return RGB pixels, the ground in changing colours."""
        pixels = np.repeat(luminance[..., None], 3, axis=2)
        pixels[..., 0] += np.linspace(-self.hues, self.hues, len(pixels))[:, None]
        pixels[..., 2] += np.linspace(self.hues, -self.hues, len(pixels[0]))
        return pixels

    def _first_image(self, luminance: np.ndarray) -> Image.Image:
        return _to_image(self._coloured(luminance))

    def _second_image(self, luminance: np.ndarray) -> Image.Image:
        pixels = self._coloured(luminance) - self.darker
        lighting = np.linspace(-self.lighting, self.lighting, len(pixels))
        pixels += lighting[:, None, None]
        side = self.tint_side
        columns = COLUMNS * WINDOW // side
        squares = np.random.default_rng(2).permutation(columns * self.rows * WINDOW // side)
        for square in squares[: self.tinted]:
            y = int(square) // columns * side
            x = int(square) % columns * side
            pixels[y : y + side, x : x + side, 2] += self.tint
        image = _to_image(pixels)
        margin = self.cropped
        return image.crop((margin, margin, image.width - margin, image.height - margin))


def make_pattern(rng: np.random.Generator) -> np.ndarray:
    """Return a smooth random pattern of mean 0 and standard deviation 1, shape (16, 16)."""
    pattern = cv2.GaussianBlur(rng.normal(size=(WINDOW, WINDOW)), (0, 0), 1.5)
    return (pattern - pattern.mean()) / pattern.std()


def make_lines(rng: np.random.Generator) -> np.ndarray:
    """Return random horizontal lines of mean 0 and standard deviation 1, shape (16, 16)."""
    lines = cv2.GaussianBlur(rng.normal(size=(WINDOW, 1)), (0, 0), 1.0)
    return np.repeat((lines - lines.mean()) / lines.std(), WINDOW, axis=1)


def mix(one: np.ndarray, other: np.ndarray, correlation: float) -> np.ndarray:
    """Return a pattern of standard deviation 1 that correlates with the first one so much."""
    return correlation * one + (1 - correlation**2) ** 0.5 * other


def _to_image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


CORNER = (7, 2)
TINTED = {"gradient": 100.0, "hues": 70.0, "tint_side": WINDOW}

# Measured for the table, one or two for each threshold that few other pairs come near.
TILE_PAIRS = (
    TilePair(3, 1, changed_area=CORNER, is_added=True),
    TilePair(4, 1, changed_area=CORNER, is_added=True),
    TilePair(30, 1, changed_area=CORNER, is_added=True, darker=4),
    TilePair(50, 8, contrast=4),
    TilePair(59, 4, changed_area=CORNER, gradient=200),
    TilePair(60, 4, changed_area=CORNER, gradient=200),
    TilePair(89, 3, changed_area=CORNER),
    TilePair(89, 4, changed_area=CORNER),
    TilePair(90, 2, changed_area=CORNER),
    TilePair(100, 6, changed_area=CORNER),
    TilePair(100, 7, changed_area=CORNER),
    TilePair(160, 10, 0.2, gradient=100, hues=70, tinted=12),
    TilePair(160, 10, 0.2, gradient=100, hues=70, tinted=16),
    TilePair(160, darker=30, tinted=25, **TINTED),
    TilePair(160, darker=20, tinted=26, **TINTED),
    TilePair(160, darker=9, tinted=15, **TINTED),
    TilePair(160, gradient=100, hues=70, darker=10, tinted=60),
    TilePair(160, gradient=60, hues=70, darker=-20, tinted=29, tint=-70, tint_side=WINDOW),
    TilePair(160, gradient=60, hues=70, darker=-20, tinted=31, tint=-70, tint_side=WINDOW),
    TilePair(0, stripes=40, changed_stripes=1, contrast=8),
    TilePair(0, stripes=40, changed_stripes=1, contrast=6),
    TilePair(22, similarity=0.3, stripes=25, changed_stripes=25, gradient=220),
    TilePair(40, similarity=0.55, stripes=80, changed_stripes=80, gradient=220),
    TilePair(60, similarity=0.55, stripes=110, changed_stripes=110, gradient=220),
    TilePair(48, 20, gradient=220),
    TilePair(49, 20, gradient=220),
    TilePair(192, 47, changed_area=(8, 6), gradient=220),
    TilePair(192, 48, changed_area=(8, 6), gradient=220),
    TilePair(28, 9, 0.3, changed_area=(6, 2), is_added=True, stripes=10, contrast=6),
    TilePair(23, 7, changed_area=(7, 2), stripes=10, changed_stripes=3, darker=20),
    TilePair(28, 7, contrast=6, darker=20),
    TilePair(39, 7, 0.55, is_added=True, darker=20, cropped=5),
    TilePair(19, 12, changed_area=(6, 2), stripes=10, contrast=4, gradient=220, cropped=3),
    TilePair(19, 14, is_added=True, contrast=4, gradient=220),
    TilePair(19, 14, 0.5, is_added=True, stripes=10, contrast=10, gradient=220, cropped=3),
    TilePair(31, 14, 0.3, is_added=True, gradient=220, cropped=8),
)

# Their answers change with thresholds that count while images are measured.
PINNING_TILE_PAIRS = {
    "max_corner_width_share down": TilePair(12, 7, changed_area=(7, 1)),
    "max_corner_width_share up": TilePair(15, 8, changed_area=(8, 1), hues=40.0),
    "max_corner_height_share down": TilePair(12, 9, changed_area=(3, 3), rows=15, is_added=True),
    "max_corner_height_share up": TilePair(15, 12, changed_area=(3, 4), rows=15, is_added=True),
    "zoom_share down": TilePair(
        13, 4, 0.3, changed_area=(7, 1), is_added=True, contrast=6, darker=20, cropped=5
    ),
    "zoom_share up": TilePair(
        33, 12, 0.3, changed_area=(6, 2), is_added=True, stripes=25, darker=20, cropped=3
    ),
    "min_quadrant_windows down": TilePair(
        30, 5, -0.7, changed_area=(5, 1), contrast=12, gradient=220
    ),
    "min_quadrant_windows up": TilePair(30, 6, changed_area=(6, 1), gradient=220),
    "min_thumbnail_correlation down": TilePair(160, contrast=15, sink=0, gradient=20, lighting=25),
    "min_thumbnail_correlation up": TilePair(160, contrast=15, sink=0, gradient=20, lighting=20),
    "min_registered_correlation down": TilePair(
        160, contrast=15, sink=0, gradient=25, lighting=8, cropped=5
    ),
    "min_registered_correlation up": TilePair(
        160, contrast=15, sink=0, gradient=40, lighting=10, cropped=5
    ),
    "min_colour_levels down": TilePair(141, 11, hues=9, tinted=60),
    "min_colour_levels up": TilePair(
        47, 2, changed_area=(4, 3), hues=9, darker=26, tinted=60, tint=30
    ),
    "min_texture_levels up": TilePair(61, 12, 0.6, stripes=13, contrast=5, gradient=220),
    "max_differing_correlation down": TilePair(97, 14, 0.48, stripes=7, contrast=4, gradient=220),
    "min_detailed_windows up": TilePair(79, darker=70),
    "min_sure_agreement down": TilePair(8, 1, 0.55, contrast=10),
    "min_sure_agreement up": TilePair(9, 1, 0.48, stripes=1),
}
