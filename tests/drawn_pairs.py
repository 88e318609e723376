"""Pairs of drawn images by number: a base image, and the same after one to three changes.

Each number gives one pair, always the same. Some pairs are copies, some variants, some unrelated.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import drawn_images
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from test_hash_rows import scene

Rng = np.random.Generator
Colour = tuple[int, ...]

SIZE = (320, 240)
UNRELATED_SHARE = 0.06  # of the pairs, that show two different base images


def drawn_pair(number: int) -> tuple[str, Image.Image, Image.Image]:
    """Return a description of the pair and its two images."""
    rng = np.random.default_rng(number)
    kind = list(BASES)[int(rng.integers(len(BASES)))]
    seed = int(rng.integers(0, 1000))
    one = BASES[kind](seed, rng)
    other = one
    description = [kind]
    if rng.random() < UNRELATED_SHARE:
        other = BASES[kind](seed + 1, rng)
        description.append("another")
    for _ in range(1 + int(rng.random() < 0.6) + int(rng.random() < 0.25)):
        change = list(CHANGES)[int(rng.integers(len(CHANGES)))]
        other = CHANGES[change](other, rng).convert("RGB")
        description.append(change)
    if rng.random() < 0.3:
        one, other = other, one
    return ", ".join(description), one.convert("RGB"), other.convert("RGB")


def random_colour(rng: Rng, darkest: int = 0) -> Colour:
    return tuple(int(level) for level in rng.integers(darkest, 256, 3))


def draw_shapes(seed: int, rng: Rng) -> Image.Image:
    """Some polygons on a light ground: a graphic with as much detail as it has shapes."""
    image = Image.new("RGB", SIZE, (245, 245, 245))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 60))):
        x = int(rng.integers(10, SIZE[0] - 10))
        y = int(rng.integers(10, SIZE[1] - 10))
        radius = int(rng.integers(3, 14))
        sides = int(rng.integers(3, 10))
        draw.regular_polygon((x, y, radius), sides, int(rng.integers(0, 90)), random_colour(rng))
    return image


def draw_letters(seed: int, rng: Rng) -> Image.Image:
    """Some letters on a dark ground."""
    image = Image.new("RGB", SIZE, (40, 44, 52))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(1, 30))):
        place = (int(rng.integers(10, 310)), int(rng.integers(10, 230)))
        letter = chr(int(rng.integers(65, 91)))
        size = int(rng.integers(8, 46))
        draw.text(place, letter, random_colour(rng, 90), font_size=size, anchor="mm")
    return image


def draw_emblem(seed: int, rng: Rng) -> Image.Image:
    """One letter on a dark ground."""
    image = Image.new("RGB", (320, 180), (40, 40, 40))
    size = int(rng.integers(8, 60))
    letter = chr(65 + seed % 26)
    ImageDraw.Draw(image).text((160, 90), letter, (235, 219, 178), font_size=size, anchor="mm")
    return image


def draw_flat(seed: int, rng: Rng) -> Image.Image:
    """One colour, with a faint gradient."""
    gradient = np.linspace(0, float(rng.uniform(0, 12)), SIZE[0])[None, :, None]
    pixels = np.array(random_colour(rng)) * 0.9 + gradient + np.zeros((SIZE[1], 1, 1))
    return Image.fromarray(pixels.astype(np.uint8))


def draw_faint_scene(seed: int, rng: Rng) -> Image.Image:
    grey = Image.new("RGB", SIZE, (128, 128, 128))
    return Image.blend(scene(seed), grey, float(rng.uniform(0.3, 0.9)))


def draw_partial_scene(seed: int, rng: Rng) -> Image.Image:
    """A scene beside plain ground."""
    image = Image.new("RGB", SIZE, (235, 235, 235))
    width = int(SIZE[0] * rng.uniform(0.2, 0.8))
    image.paste(scene(seed).crop((0, 0, width, SIZE[1])), (0, 0))
    return image


BASES: dict[str, Callable[[int, Rng], Image.Image]] = {
    "scene": lambda seed, rng: scene(seed),
    "vivid scene": lambda seed, rng: ImageEnhance.Color(scene(seed)).enhance(2),
    "faint scene": draw_faint_scene,
    "partial scene": draw_partial_scene,
    "shapes": draw_shapes,
    "letters": draw_letters,
    "emblem": draw_emblem,
    "flat": draw_flat,
    "bubbles": lambda seed, rng: drawn_images.bubbles(seed),
    "icon": lambda seed, rng: drawn_images.icon(chr(65 + seed % 26)),
    "badge": lambda seed, rng: drawn_images.badge(chr(65 + seed % 26)),
    "clock": lambda seed, rng: drawn_images.clock(seed * 0.37),
    "sky": lambda seed, rng: drawn_images.sky(seed),
}


def compress(image: Image.Image, rng: Rng) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(1, 40)))
    return Image.open(io.BytesIO(file.getvalue()))


def add_noise(image: Image.Image, rng: Rng) -> Image.Image:
    pixels = np.asarray(image, float)
    noisy = pixels + rng.normal(0, float(rng.uniform(4, 60)), pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def add_spots(image: Image.Image, rng: Rng) -> Image.Image:
    pixels = np.array(image, float)
    side = int(rng.integers(3, 10))
    strength = float(rng.uniform(20, 120))
    for _ in range(int(rng.integers(1, 60))):
        y = int(rng.integers(0, image.height - side))
        x = int(rng.integers(0, image.width - side))
        pixels[y : y + side, x : x + side] += rng.normal(0, strength, 3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def add_corner_mark(image: Image.Image, rng: Rng) -> Image.Image:
    marked = image.copy()
    is_right = bool(rng.integers(2))
    is_low = bool(rng.integers(2))
    x = image.width - 4 if is_right else 4
    y = image.height - 4 if is_low else 4
    anchor = ("r" if is_right else "l") + ("b" if is_low else "t")
    words = "(c) some one"[: int(rng.integers(2, 14))]
    size = int(rng.integers(8, 24))
    ImageDraw.Draw(marked).text((x, y), words, random_colour(rng), font_size=size, anchor=anchor)
    return marked


def add_text(image: Image.Image, rng: Rng) -> Image.Image:
    lettered = image.copy()
    lines = int(rng.integers(1, 7))
    size = int(rng.integers(14, 60))
    colour = random_colour(rng)
    stroke = int(rng.integers(0, 4))
    for line in range(lines):
        x = image.width / 2 + int(rng.integers(-30, 30))
        y = image.height * (line + 0.5) / lines
        ImageDraw.Draw(lettered).text(
            (x, y),
            "SAMPLE PREVIEW",
            colour,
            font_size=size,
            anchor="mm",
            stroke_width=stroke,
            stroke_fill="black",
        )
    return lettered


def cover_part(image: Image.Image, rng: Rng) -> Image.Image:
    covered = image.copy()
    width = max(1, int(image.width * rng.uniform(0.05, 0.8)))
    height = max(1, int(image.height * rng.uniform(0.05, 0.8)))
    place = (
        int(rng.integers(0, image.width - width + 1)),
        int(rng.integers(0, image.height - height + 1)),
    )
    cover = Image.new("RGB", (width, height), random_colour(rng))
    if rng.random() < 0.5:
        cover = scene(int(rng.integers(1000, 2000))).resize((width, height))
    covered.paste(cover, place)
    return covered


def crop(image: Image.Image, rng: Rng) -> Image.Image:
    left, top, right, bottom = rng.uniform(0, 0.1, 4)
    width, height = image.size
    box = (width * left, height * top, width * (1 - right), height * (1 - bottom))
    return image.crop(tuple(int(edge) for edge in box))


def crop_evenly(image: Image.Image, rng: Rng) -> Image.Image:
    share = float(rng.uniform(0, 0.09))
    across = int(image.width * share)
    down = int(image.height * share)
    return image.crop((across, down, image.width - across, image.height - down))


def rotate(image: Image.Image, rng: Rng) -> Image.Image:
    rotated = image.rotate(float(rng.uniform(2, 14)), Image.Resampling.BICUBIC)
    across = int(image.width * 0.16)
    down = int(image.height * 0.16)
    return rotated.crop((across, down, image.width - across, image.height - down))


def add_border(image: Image.Image, rng: Rng) -> Image.Image:
    widths = rng.uniform(0, 0.2, 4) * (rng.random(4) < 0.6) * image.width
    border = tuple(int(width) for width in widths)
    bordered = ImageOps.expand(image, border, random_colour(rng))
    if rng.random() < 0.4 and border[3] > 12:
        place = (10, bordered.height - border[3])
        size = max(8, border[3] // 2)
        ImageDraw.Draw(bordered).text(place, "when you finally get it", "red", font_size=size)
    return bordered


def shrink(image: Image.Image, rng: Rng) -> Image.Image:
    share = float(rng.uniform(0.1, 0.6))
    size = (max(20, int(image.width * share)), max(20, int(image.height * share)))
    return image.resize(size, Image.Resampling.LANCZOS)


def change_gamma(image: Image.Image, rng: Rng) -> Image.Image:
    gamma = float(rng.uniform(0.4, 2.4))
    return image.point([int(255 * (level / 255) ** gamma + 0.5) for level in range(256)] * 3)


def shift_tones(image: Image.Image, rng: Rng) -> Image.Image:
    shift = int(rng.integers(-8, 9))
    return image.point([min(255, max(0, level + shift)) for level in range(256)] * 3)


CHANGES: dict[str, Callable[[Image.Image, Rng], Image.Image]] = {
    "the same": lambda image, rng: image,
    "compressed": compress,
    "noise": add_noise,
    "spots": add_spots,
    "corner mark": add_corner_mark,
    "text": add_text,
    "covered": cover_part,
    "cropped": crop,
    "cropped evenly": crop_evenly,
    "rotated": rotate,
    "border": add_border,
    "shrunk": shrink,
    "gamma": change_gamma,
    "tones": shift_tones,
    "contrast": lambda image, rng: ImageEnhance.Contrast(image).enhance(rng.uniform(0.3, 5)),
    "brightness": lambda image, rng: ImageEnhance.Brightness(image).enhance(rng.uniform(0.4, 2.5)),
    "colour": lambda image, rng: ImageEnhance.Color(image).enhance(rng.uniform(0, 3)),
    "hue": lambda image, rng: drawn_images.turned_hue(image, rng.uniform(0, 0.25)),
    "blurred": lambda image, rng: image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 5))),
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "turned": lambda image, rng: image.rotate(90 * int(rng.integers(1, 4)), expand=True),
    "sepia": lambda image, rng: ImageOps.colorize(image.convert("L"), "#200a00", "#ffd8a0"),
    "negative": lambda image, rng: ImageOps.invert(image),
    "few colours": lambda image, rng: image.quantize(int(rng.integers(4, 64))).convert("RGB"),
}
