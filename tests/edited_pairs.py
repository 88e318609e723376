"""Pairs of images by number, edited a little or much, that tell each confirmation limit.

Each number gives one pair, always the same: an image, and the same with something laid on it, in
other colours or tones, mixed with another image, or as an icon with other pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from drawn_images import icon, turned_hue
from drawn_pairs import draw_letters, draw_shapes
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from test_hash_rows import scene

FIRST_MOVED_NUMBER = 200_000  # from here on, pairs in which something moved a little
FIRST_FIGURE_NUMBER = 300_000  # from here on, pairs of stick figures
FIRST_CHEST_NUMBER = 400_000  # from here on, pairs of X-rays
FIRST_PARTLY_TURNED_NUMBER = 500_000  # from here on, pairs with other hues in a part
FIRST_STRIP_NUMBER = 600_000  # from here on, pairs of flat mixed photos
FIRST_TARGETED_NUMBER = 100_000  # from here on, pairs for limits that few of the others come near

Rng = np.random.Generator
Edit = Callable[[Image.Image, Rng], tuple[Image.Image, Image.Image]]


def edited_pair(number: int) -> tuple[str, Image.Image, Image.Image]:
    """Return the name of the edit and the two images, RGB."""
    rng = np.random.default_rng(number)
    if number >= FIRST_STRIP_NUMBER:
        strip = scene(number).convert("RGB").resize((320, 40))
        return "strips", *_mix(strip, rng)
    if number >= FIRST_PARTLY_TURNED_NUMBER:
        return "hue of a part", *_turn_hue_of_part(scene(number).convert("RGB"), rng)
    if number >= FIRST_CHEST_NUMBER:
        shape = rng.normal(size=12)
        moved = shape + rng.normal(size=12) * rng.uniform(0, 1.5)
        return "X-rays", draw_chest(shape), draw_chest(moved)
    if number >= FIRST_FIGURE_NUMBER:
        return "stick figures", *_draw_figures(rng)
    edits = EDITS
    if number >= FIRST_TARGETED_NUMBER:
        edits = TARGETED_EDITS if number < FIRST_MOVED_NUMBER else {"moved patch": _move_patch}
    name = list(edits)[number % len(edits)]
    seed = int(rng.integers(0, 1000))
    base = [lambda: scene(seed), lambda: draw_shapes(seed, rng), lambda: draw_letters(seed, rng)][
        int(rng.choice(3, p=(0.6, 0.2, 0.2)))
    ]()
    one, other = edits[name](base.convert("RGB"), rng)
    return name, one.convert("RGB"), other.convert("RGB")


def _draw_figures(rng: Rng) -> tuple[Image.Image, Image.Image]:
    """Two figures of lines, whose arms and legs point elsewhere by more or less."""
    ends = rng.uniform((40, 60), (280, 140), (4, 2))
    ends[2:, 1] += 130
    moved = ends + rng.uniform(-1, 1, (4, 2)) * rng.uniform(0, 90)
    return draw_figure(ends), draw_figure(moved)


def draw_figure(ends: np.ndarray) -> Image.Image:
    """A figure of lines with the ends of two arms and two legs there."""
    image = Image.new("RGB", (320, 320), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((130, 20, 190, 80), outline="black", width=4)
    draw.line((160, 80, 160, 200), "black", 4)
    for number, end in enumerate(ends):
        start = (160, 110) if number < 2 else (160, 200)
        draw.line((*start, *(float(place) for place in end)), "black", 4)
    return image


def draw_chest(shape: np.ndarray) -> Image.Image:
    """A drawn X-ray: two lungs, ribs and a heart, all soft. `shape` has 12 numbers around 0."""
    image = Image.new("L", (320, 320), 40)
    draw = ImageDraw.Draw(image)
    draw.ellipse((26 + 6 * shape[0], 32 + 6 * shape[1], 294 - 6 * shape[0], 384), 150)
    for place, (left, right, down) in zip((96, 224), shape[2:8].reshape(2, 3), strict=True):
        lung = (place - 51 - 4 * left, 64 + 5 * down, place + 51 + 4 * right, 256 + 5 * down)
        draw.ellipse(lung, 65)
    image = image.filter(ImageFilter.GaussianBlur(6))
    ribs = Image.new("L", (320, 320), 0)
    draw = ImageDraw.Draw(ribs)
    for number in range(8):
        top = 58 + number * (26 + 1.5 * shape[8]) + 4 * shape[9]
        for side in (-1, 1):
            steps = np.linspace(0, 1, 20)
            along = 160 + side * (16 + 106 * steps)
            bend = top + 32 * (1 - np.cos(2.2 * steps))
            draw.line(list(zip(along.tolist(), bend.tolist(), strict=True)), 34, 7)
    draw.ellipse((144, 144, 218 + 6 * shape[10], 250 + 6 * shape[11]), 50)
    ribs = ribs.filter(ImageFilter.GaussianBlur(2.5))
    grain = np.random.default_rng(int(1e6 * abs(shape[0]))).normal(0, 2, (320, 320))
    pixels = np.asarray(image, np.float32) + np.asarray(ribs) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB")


def _lay_text(image: Image.Image, rng: Rng, place: tuple[int, int], size: int) -> Image.Image:
    """Lay a word on an image, more or less opaque."""
    word = "".join(chr(int(letter)) for letter in rng.integers(65, 91, int(rng.integers(1, 9))))
    colour = tuple(int(level) for level in rng.integers(0, 256, 3))
    written = image.copy()
    ImageDraw.Draw(written).text(place, word, colour, font_size=size)
    return Image.blend(image, written, float(rng.uniform(0.05, 1)))


def _lay_mark(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """A text in a corner, or in both images another one."""
    size = int(rng.integers(8, 40))
    place = (int(rng.integers(0, 250)), int(rng.choice([2, 240 - size - int(rng.integers(2, 60))])))
    marked = _lay_text(image, rng, place, size)
    if rng.random() < 0.4:
        return _lay_text(image, rng, place, size), marked
    return image, marked


def _lay_patch(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """A soft or hard disc of another colour, anywhere."""
    mask = Image.new("L", image.size, 0)
    radius = int(rng.integers(3, 40))
    x, y = int(rng.integers(20, 300)), int(rng.integers(20, 220))
    opacity = int(rng.integers(10, 256))
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), opacity)
    mask = mask.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 4))))
    colour = tuple(int(level) for level in rng.integers(0, 256, 3))
    return image, Image.composite(Image.new("RGB", image.size, colour), image, mask)


def _tint_patch(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """A disc that has another colour of about the same brightness."""
    _, patched = _lay_patch(image, rng)
    grey = Image.merge(
        "YCbCr", [image.convert("YCbCr").split()[0], *patched.convert("YCbCr").split()[1:]]
    )
    return image, grey.convert("RGB")


def _turn_hue(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    vivid = ImageEnhance.Color(image).enhance(float(rng.uniform(0.3, 3)))
    return vivid, turned_hue(vivid, float(rng.uniform(-0.12, 0.12)))


def _turn_hue_of_part(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """Other hues on one side, with a soft border."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, image.width * rng.uniform(0.2, 0.5), 240), 255)
    mask = mask.filter(ImageFilter.GaussianBlur(20))
    turned = turned_hue(image, float(rng.uniform(0.05, 0.3)))
    return image, Image.composite(turned, image, mask)


def _balance_white(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    gains = rng.uniform(0.55, 1.3, 3)
    pixels = np.asarray(image, np.float32) * gains
    return image, Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _change_tone(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """Brightness, contrast and saturation at once, which one change of tone does not explain."""
    changed = image
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        changed = enhance(changed).enhance(float(rng.uniform(0.4, 1.7)))
    return image, changed


def _mix(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    other = scene(int(rng.integers(0, 1000))).convert("RGB").resize(image.size)
    return image, Image.blend(image, other, float(rng.uniform(0.02, 0.6)))


def _change_icon(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """An icon with some pixels of another tone."""
    side = int(rng.integers(44, 53))
    one = icon(chr(int(rng.integers(65, 91)))).convert("RGB").resize((side, side))
    pixels = np.asarray(one).astype(np.int16)
    changed = rng.random((side, side)) < rng.uniform(0, 0.05)
    pixels[changed] += int(rng.integers(8, 60)) * int(rng.choice([-1, 1]))
    other = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    if rng.random() < 0.2:
        other = _lay_text(other, rng, (int(rng.integers(0, 30)), int(rng.integers(0, 30))), 12)
    return one, other


EDITS: dict[str, Edit] = {
    "mark": _lay_mark,
    "patch": _lay_patch,
    "tinted patch": _tint_patch,
    "hue": _turn_hue,
    "white balance": _balance_white,
    "tone": _change_tone,
    "mixed": _mix,
    "icon": _change_icon,
}


def _lay_wide_mark(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """A text along a lower corner, over half of the width and more."""
    word = "".join(chr(int(letter)) for letter in rng.integers(65, 91, int(rng.integers(6, 13))))
    size = int(rng.integers(22, 40))
    marked = image.copy()
    place = (int(rng.integers(2, 40)), 236)
    ImageDraw.Draw(marked).text(place, word, "white", font_size=size, anchor="ls")
    return image, marked


def _shift_icon_tone(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """An icon with some pixels of about as many other levels as are allowed."""
    one = icon(chr(int(rng.integers(65, 91)))).convert("RGB").resize((48, 48))
    pixels = np.asarray(one).astype(np.int16)
    changed = rng.random((48, 48)) < rng.uniform(0.02, 0.05)
    pixels[changed] += int(rng.integers(14, 22)) * int(rng.choice([-1, 1]))
    return one, Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _mix_patch(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """A disc in which another image shines through."""
    other = scene(int(rng.integers(0, 1000))).convert("RGB").resize(image.size)
    mixed = Image.blend(image, other, float(rng.uniform(0.1, 0.6)))
    mask = Image.new("L", image.size, 0)
    x, y, radius = int(rng.integers(60, 260)), int(rng.integers(60, 180)), int(rng.integers(8, 50))
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    mask = mask.filter(ImageFilter.GaussianBlur(3))
    return image, Image.composite(mixed, image, mask)


def _mix_faintly(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """Two images of little contrast, one of them mixed with another image."""
    faint = ImageEnhance.Contrast(image).enhance(float(rng.uniform(0.05, 0.4)))
    _, other = _mix(image, rng)
    other = ImageEnhance.Contrast(other).enhance(float(rng.uniform(0.05, 0.4)))
    return faint, Image.blend(faint, other, float(rng.uniform(0.1, 0.9)))


def _move_patch(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    """A disc of the image, enlarged a little or moved by up to two pixels."""
    mask = Image.new("L", image.size, 0)
    x, y, radius = int(rng.integers(60, 260)), int(rng.integers(60, 180)), int(rng.integers(8, 60))
    ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    across, down = rng.uniform(-2, 2, 2)
    coefficients = (1, 0, float(across), 0, 1, float(down))
    moved = image.transform(
        image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    mask = mask.filter(ImageFilter.GaussianBlur(2))
    return image, Image.composite(moved, image, mask)


def _turn_pale_hue(image: Image.Image, rng: Rng) -> tuple[Image.Image, Image.Image]:
    pale = ImageEnhance.Color(image).enhance(float(rng.uniform(0.15, 0.6)))
    return pale, turned_hue(pale, float(rng.uniform(0.15, 0.5)))


TARGETED_EDITS: dict[str, Edit] = {
    "wide mark": _lay_wide_mark,
    "icon tone": _shift_icon_tone,
    "mixed patch": _mix_patch,
    "faintly mixed": _mix_faintly,
    "pale hue": _turn_pale_hue,
}
