"""Images drawn by seed, and changes to them: no photo is needed to test a comparison."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from test_hash_rows import scene


def turned_hue(image: Image.Image, share: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = hue.point([int(level + share * 256) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def marked(image: Image.Image) -> Image.Image:
    marked = image.copy()
    ImageDraw.Draw(marked).text((180, 210), "(c) someone", fill="white", font_size=16)
    return marked


def icon(letter: str, shape: str = "square") -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(image)
    (draw.rectangle if shape == "square" else draw.ellipse)((28, 28, 228, 228), fill=(50, 120, 220))
    draw.text((128, 128), letter, fill="white", font_size=60, anchor="mm")
    return image


def page(words: str) -> Image.Image:
    image = Image.new("RGB", (620, 800), "white")
    rng = np.random.default_rng(len(words) + ord(words[0]))
    for line in range(30):
        text = " ".join(
            "".join(rng.permutation(list(words))[: rng.integers(2, 9)]) for _ in range(9)
        )
        ImageDraw.Draw(image).text((60, 60 + 22 * line), text, fill="black", font_size=15)
    image.thumbnail((320, 320))
    return image


def sky(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    column = np.linspace(0, 1, 240)[:, None, None] ** rng.uniform(0.5, 2)
    values = (
        np.array([90, 140, 210])
        + column * np.array([110, 80, 30])
        + rng.normal(0, 2, (240, 320, 3))
    )
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def badge(letter: str) -> Image.Image:
    """An icon that differs from others by a small letter in its corner, on a coloured ground."""
    image = icon("A", "disc")
    draw = ImageDraw.Draw(image)
    draw.ellipse((186, 186, 246, 246), fill=(200, 40, 40))
    draw.text((216, 216), letter, fill="white", font_size=40, anchor="mm")
    return image


def watched(x: int, y: int) -> Image.Image:
    """The same scene with somebody in it, each time somewhere else."""
    image = scene(5)
    draw = ImageDraw.Draw(image)
    draw.ellipse((x, y, x + 20, y + 20), fill=(230, 190, 160))
    draw.rectangle((x - 5, y + 20, x + 25, y + 65), fill=(40, 40, 160))
    return image


def emblem(letter: str) -> Image.Image:
    image = Image.new("RGB", (320, 180), (40, 40, 40))
    ImageDraw.Draw(image).text((160, 90), letter, fill=(235, 219, 178), font_size=40, anchor="mm")
    return image


def clock(hour: float) -> Image.Image:
    image = Image.new("RGB", (320, 320), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    draw.ellipse((24, 24, 296, 296), outline="black", width=5)
    draw.line((160, 160, 160 + 100 * np.sin(hour), 160 - 100 * np.cos(hour)), fill="black", width=6)
    return image


def captioned(image: Image.Image) -> Image.Image:
    below = ImageOps.expand(image, (0, 0, 0, 50), "white")
    ImageDraw.Draw(below).text((10, 245), "when you finally get it", fill="black", font_size=26)
    return below


def collage(image: Image.Image) -> Image.Image:
    both = Image.new("RGB", (640, 240))
    both.paste(image, (0, 0))
    both.paste(scene(99), (320, 0))
    return both


def overlaid(image: Image.Image) -> Image.Image:
    text = image.copy()
    ImageDraw.Draw(text).text(
        (160, 90), "SAMPLE", fill="white", font_size=50, anchor="mm", stroke_width=3, stroke_fill=0
    )
    return text


def stamped(image: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(image)
    for row in range(5):
        draw.text(
            (160, 24 + 48 * row), "SAMPLE  PREVIEW", fill=(220, 220, 220), font_size=30, anchor="mm"
        )
    draw.ellipse((20, 180, 70, 230), fill=(10, 10, 10))
    return image


def lettered(image: Image.Image) -> Image.Image:
    image = image.copy()
    for top, words in ((2, "ONE DOES NOT"), (image.height - 60, "SIMPLY COMPARE")):
        place = (image.width / 2, top)
        ImageDraw.Draw(image).text(
            place, words, "red", font_size=44, anchor="ma", stroke_width=4, stroke_fill="black"
        )
    return image


def bubbles(seed: int) -> Image.Image:
    rng, image = np.random.default_rng(seed), Image.new("RGB", (400, 300), "white")
    for _ in range(16):
        x, y, radius = (int(rng.integers(*span)) for span in ((60, 340), (90, 210), (8, 22)))
        colour = tuple(int(level) for level in rng.integers(0, 255, 3))
        ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image
