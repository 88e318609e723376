"""What the sample dataset is made of: crops of photos, copies as the web makes them, bad shots, a sign on plain ground.

Pixels in, pixels out, the same every time; knows nothing of files or datasets.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

Change = Callable[[Image.Image], Image.Image]

NOISE = 50  # standard deviation, of 255


def crops(
    photo: Image.Image, columns: int, rows: int, share: float, scale: float
) -> list[Image.Image]:
    """Windows that show `share` of the photo's width and height, spread evenly row by row, enlarged by `scale`."""
    width, height = round(photo.width * share), round(photo.height * share)
    windows = []
    for row in range(rows):
        for column in range(columns):
            left = (photo.width - width) * column // (columns - 1)
            top = (photo.height - height) * row // (rows - 1)
            windows.append(scaled(photo.crop((left, top, left + width, top + height)), scale))
    return windows


def scaled(picture: Image.Image, scale: float) -> Image.Image:
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.resize(size, Image.Resampling.LANCZOS)


def turned(picture: Image.Image) -> Image.Image:
    """Smaller, and lying on its side: upright only for who heeds the EXIF orientation it is saved with."""
    return scaled(picture, 0.75).transpose(Image.Transpose.ROTATE_90)


def marked(picture: Image.Image) -> Image.Image:
    """Smaller, with the mark of an agency in its corner."""
    return _lettered(picture, "© stock", (0.97, 0.97), "rs", 1 / 18)


def stamped(picture: Image.Image) -> Image.Image:
    """Smaller, with a word across its middle: no stand-in for the picture."""
    return _lettered(picture, "SAMPLE", (0.5, 0.5), "mm", 1 / 6)


def _lettered(
    picture: Image.Image, word: str, place: tuple[float, float], anchor: str, height: float
) -> Image.Image:
    small = scaled(picture, 0.75)
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


def noisy(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=float)
    values = values + np.random.default_rng(0).normal(0, NOISE, values.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


MADE: dict[str, Change] = {
    "resized": lambda picture: scaled(picture, 0.5),
    "recompressed": lambda picture: scaled(
        picture, 0.8
    ),  # and saved at low quality, as messengers do
    "turned": turned,
    "marked": marked,
    "overlaid": stamped,
}
BAD_SHOTS: dict[str, Change] = {
    "out of focus": lambda picture: picture.filter(
        ImageFilter.GaussianBlur(min(picture.size) / 60)
    ),
    "noisy": noisy,
    "too dark": lambda picture: ImageEnhance.Brightness(picture).enhance(0.2),
    "too bright": lambda picture: ImageEnhance.Brightness(picture).enhance(3.0),
    "few pixels": lambda picture: scaled(picture, 1 / 6).resize(
        picture.size, Image.Resampling.BICUBIC
    ),
}


def sign(shape: str) -> Image.Image:
    """A small blue ring or diamond in the middle of a white page."""
    page = Image.new("RGB", (512, 512), "white")
    middle, radius, blue = 256, 40, (20, 60, 160)
    low, high = middle - radius, middle + radius
    draw = ImageDraw.Draw(page)
    if shape == "ring":
        draw.ellipse((low, low, high, high), outline=blue, width=radius // 3)
    else:
        draw.polygon([(middle, low), (high, middle), (middle, high), (low, middle)], fill=blue)
    return page
