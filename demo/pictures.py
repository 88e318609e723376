"""Make the images of the sample: crops of photos, copies, bad shots, and signs on a plain ground.

Deterministic; knows nothing of files or datasets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

Change = Callable[[Image.Image], Image.Image]

NOISE_LEVELS = 50  # standard deviation, of 255


def cut_crops(
    photo: Image.Image, columns: int, rows: int, share: float, scale: float
) -> list[Image.Image]:
    """Cut evenly spaced windows, row by row, with `share` of the width and height of the photo.

    Each is enlarged by `scale`.
    """
    width, height = round(photo.width * share), round(photo.height * share)
    windows = []
    for row in range(rows):
        for column in range(columns):
            left = (photo.width - width) * column // (columns - 1)
            top = (photo.height - height) * row // (rows - 1)
            windows.append(scale_image(photo.crop((left, top, left + width, top + height)), scale))
    return windows


def scale_image(image: Image.Image, scale: float) -> Image.Image:
    size = round(image.width * scale), round(image.height * scale)
    return image.resize(size, Image.Resampling.LANCZOS)


def rotate(image: Image.Image) -> Image.Image:
    """Shrink and rotate: upright only with the EXIF orientation that it is saved with."""
    return scale_image(image, 0.75).transpose(Image.Transpose.ROTATE_90)


def add_watermark(image: Image.Image) -> Image.Image:
    """Shrink, with a watermark in one corner."""
    return _draw_word(image, "© stock", (0.97, 0.97), "rs", 1 / 18)


def add_overlay(image: Image.Image) -> Image.Image:
    """Shrink, with a word across the middle: a variant, not a copy."""
    return _draw_word(image, "SAMPLE", (0.5, 0.5), "mm", 1 / 6)


def _draw_word(
    image: Image.Image, word: str, place: tuple[float, float], anchor: str, height: float
) -> Image.Image:
    small = scale_image(image, 0.75)
    draw = ImageDraw.Draw(small, "RGBA")
    font = ImageFont.load_default(small.height * height)
    draw.text(
        (small.width * place[0], small.height * place[1]),
        word,
        (255, 255, 255, 110),
        font,
        anchor=anchor,
    )
    return small


def add_noise(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=float)
    values = values + np.random.default_rng(0).normal(0, NOISE_LEVELS, values.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


MADE: dict[str, Change] = {
    "resized": lambda image: scale_image(image, 0.5),
    # Saved at low quality too, as messengers do.
    "recompressed": lambda image: scale_image(image, 0.8),
    "turned": rotate,
    "marked": add_watermark,
    "overlaid": add_overlay,
}
BAD_SHOTS: dict[str, Change] = {
    "out of focus": lambda image: image.filter(ImageFilter.GaussianBlur(min(image.size) / 60)),
    "noisy": add_noise,
    "too dark": lambda image: ImageEnhance.Brightness(image).enhance(0.2),
    "too bright": lambda image: ImageEnhance.Brightness(image).enhance(3.0),
    "few pixels": lambda image: scale_image(image, 1 / 6).resize(
        image.size, Image.Resampling.BICUBIC
    ),
}


def draw_sign(shape: str) -> Image.Image:
    """Draw a small blue ring or diamond in the middle of a white page."""
    page = Image.new("RGB", (512, 512), "white")
    middle, radius, blue = 256, 40, (20, 60, 160)
    low, high = middle - radius, middle + radius
    draw = ImageDraw.Draw(page)
    if shape == "ring":
        draw.ellipse((low, low, high, high), outline=blue, width=radius // 3)
    else:
        draw.polygon([(middle, low), (high, middle), (middle, high), (low, middle)], fill=blue)
    return page
