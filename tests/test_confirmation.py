"""What the second look says of drawings that fill little of their ground."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from both_looks import kind_of_pair, to_small
from drawn_images import badge, icon, page, turned_hue
from edited_pairs import draw_chest, edited_pair
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from duplicates import geometry, second_looks
from duplicates.classification import decide_looked_again, decide_pair, look_at_pairs
from duplicates.confirmation import confirm
from duplicates.geometry import IDENTITY

OTHER_LIMBS = [300_045, 300_098, 300_189, 300_257]  # pairs of figures that hold them elsewhere


@pytest.mark.parametrize("number", OTHER_LIMBS)
def test_figures_with_other_arms_and_legs_are_no_copies(number: int) -> None:
    _, one, other = edited_pair(number)
    assert not confirm(np.asarray(one), np.asarray(other), IDENTITY).is_copy


def chests() -> list[Image.Image]:
    rng = np.random.default_rng(5)
    return [draw_chest(rng.normal(0, 2, 12)) for _ in range(8)]


def test_soft_images_of_one_kind_are_no_copies() -> None:
    """X-rays differ little anywhere, but everywhere."""
    pixels = [np.asarray(chest) for chest in chests()]
    for number, one in enumerate(pixels):
        for other in pixels[:number]:
            assert confirm(one, other, IDENTITY).rule == "another_image"


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.filter(ImageFilter.GaussianBlur(2)),
        lambda image: image.resize((120, 120)),
        lambda image: ImageOps.equalize(image),
        lambda image: image.point(lambda level: level // 2),
    ],
    ids=["blurred", "small", "equalized", "dark"],
)
def test_a_soft_image_and_its_changed_copy_are_copies(change) -> None:
    chest = chests()[0]
    file = io.BytesIO()
    change(chest).save(file, "JPEG", quality=20)
    assert confirm(np.asarray(chest), np.asarray(Image.open(file)), IDENTITY).is_copy


@pytest.mark.parametrize("number", OTHER_LIMBS)
def test_a_figure_and_its_recompressed_copy_are_copies(number: int) -> None:
    _, figure, _ = edited_pair(number)
    file = io.BytesIO()
    figure.save(file, "JPEG", quality=20)
    assert confirm(np.asarray(figure), np.asarray(Image.open(file)), IDENTITY).is_copy


def add_small_mark(image: Image.Image) -> Image.Image:
    made = image.copy()
    radius = round(min(image.size) * 0.06)
    x, y = (side - round(radius * 1.5) for side in image.size)
    draw = ImageDraw.Draw(made)
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, fill=(220, 30, 40), outline="white", width=max(1, radius // 8))
    draw.text((x, y), "N", fill="white", font_size=round(radius * 1.3), anchor="mm")
    return made


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def test_a_small_mark_on_the_bare_corner_of_a_drawing_is_laid_over_it() -> None:
    clean = as_jpeg(page("some words"), 75)
    marked = as_jpeg(add_small_mark(clean), 92)
    for first, second in ((clean, marked), (marked, clean)):
        assert confirm(np.asarray(first), np.asarray(second), IDENTITY).rule == "small_mark"
        assert kind_of_pair(first, second) == ""
        assert kind_of_pair(first, second, variants=True) == "overlaid"
        decision = decide_looked_again(to_small(first), to_small(second), "overlaid")
        assert decision.verdict.direction.clean == (1 if first is clean else -1)


@pytest.mark.parametrize("letters", ["EF", "CG", "38", "PR"])
def test_another_letter_on_a_badge_is_no_mark(letters: str) -> None:
    one, other = (np.asarray(badge(letter)) for letter in letters)
    assert confirm(one, other, IDENTITY).rule == "other_content"


@pytest.mark.parametrize("variants", [False, True])
def test_the_first_look_says_the_same_of_both_orders(variants: bool) -> None:
    """An icon and its marked copy agree well enough in one order only."""
    clean, marked = as_jpeg(icon("N"), 92), as_jpeg(add_small_mark(icon("N")), 75)
    pair = (to_small(clean), to_small(marked))
    assert decide_pair(*pair).verdict != decide_pair(*pair[::-1]).verdict
    look, swapped = look_at_pairs([pair, pair[::-1]], variants)
    assert swapped.verdict == look.verdict.swap()
    np.testing.assert_allclose(swapped.affine, geometry.inverse(look.affine))


@pytest.mark.parametrize("image", [icon("K"), page("some words")])
def test_the_second_look_says_the_same_of_both_orders(tmp_path: Path, image: Image.Image) -> None:
    """Tones are fitted to those of one of them."""
    image.save(tmp_path / "clean.jpg", quality=75)
    add_small_mark(image).save(tmp_path / "marked.jpg", quality=92)
    paths = [str(tmp_path / name) for name in ("clean.jpg", "marked.jpg")]
    both = [second_looks.confirm_files(*pair, IDENTITY, 10**6) for pair in (paths, paths[::-1])]
    assert both[0] == both[1]


def test_a_drawing_in_other_colours_is_recoloured_but_not_a_shape_on_its_ground() -> None:
    drawing, shape = badge("E"), icon("I", "disc")
    for image, rule, kind in (
        (drawing, "only_other_colours", "recoloured"),
        (shape, "other_colours", "doubtful"),
    ):
        other = turned_hue(image, 0.3)
        assert confirm(np.asarray(image), np.asarray(other), IDENTITY).rule == rule
        assert kind_of_pair(image, other) == ""
        assert kind_of_pair(image, other, variants=True) == kind
    lettered = np.asarray(turned_hue(badge("K"), 0.3))
    assert confirm(np.asarray(drawing), lettered, IDENTITY).rule == "other_colours"


def emblem(shape: str) -> Image.Image:
    """A light emblem in the middle of a large dark ground: a disc with three holes, or a ring."""
    image = Image.new("RGB", (640, 360), (30, 30, 46))
    draw = ImageDraw.Draw(image)
    if shape == "disc":
        draw.ellipse((278, 138, 362, 222), fill=(250, 190, 150))
        for hole in ((295, 170), (330, 150), (330, 190)):
            draw.ellipse((hole[0], hole[1], hole[0] + 20, hole[1] + 20), fill=(30, 30, 46))
        return image
    draw.ellipse((278, 138, 362, 222), outline=(170, 240, 190), width=16)
    draw.ellipse((306, 166, 334, 194), fill=(170, 240, 230))
    draw.rectangle((344, 196, 366, 226), fill=(30, 30, 46))
    return image


@pytest.mark.parametrize("side", [64, 128])
def test_an_emblem_in_a_thumbnail_is_a_copy_of_the_same_emblem_only(side: int) -> None:
    for shape, other in (("disc", "ring"), ("ring", "disc")):
        thumbnail = emblem(shape)
        thumbnail.thumbnail((side, side), Image.Resampling.LANCZOS)
        encoded = io.BytesIO()
        thumbnail.save(encoded, "JPEG", quality=85)
        small = np.asarray(Image.open(encoded).convert("RGB"))
        assert confirm(small, np.asarray(emblem(shape)), IDENTITY).is_copy
        assert not confirm(small, np.asarray(emblem(other)), IDENTITY).is_copy


def test_one_drawing_on_two_grounds_is_recoloured() -> None:
    """A grey ground and a brown one are as dark; the drawing on both has one colour."""
    images = []
    for ground in ((36, 38, 42), (84, 62, 40)):
        image = Image.new("RGB", (422, 422), ground)
        draw = ImageDraw.Draw(image)
        draw.text((60, 180), "THERE IS NO", fill=(236, 240, 180), font_size=40)
        draw.text((200, 240), "127.0.0.1", fill=(236, 240, 180), font_size=40)
        images.append(image)
    one, other = images
    assert kind_of_pair(one, other) == ""
    assert kind_of_pair(one, other, variants=True) in ("recoloured", "doubtful")
