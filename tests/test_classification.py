"""What is a copy, what a variant and what is neither, on drawn images.

Results on photos are in docs/variants.md.
"""

from __future__ import annotations

import dataclasses
import itertools
import string
from collections.abc import Callable

import numpy as np
import pytest
from both_looks import kind_of_pair, to_small
from drawn_images import (
    badge,
    captioned,
    clock,
    collage,
    emblem,
    icon,
    marked,
    overlaid,
    page,
    sky,
    stamped,
    turned_hue,
    watched,
)
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from test_hash_rows import scene

from duplicates.classification import COPY, decide_as_variant, decide_looked_again
from duplicates.pair_measurement import measure_as_variant
from duplicates.variant_rules import NOTHING, decide_variant


def copy_kind(one: Image.Image, other: Image.Image) -> str:
    return kind_of_pair(one, other)


def variant_kind(one: Image.Image, other: Image.Image) -> str:
    return kind_of_pair(one, other, variants=True)


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda image: image,
    "half": lambda image: image.resize((160, 120), Image.Resampling.LANCZOS),
    "thrice": lambda image: image.resize((960, 720), Image.Resampling.BICUBIC),
    "squeezed": lambda image: image.resize((240, 240), Image.Resampling.LANCZOS),
    "grey": lambda image: ImageOps.grayscale(image).convert("RGB"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "less colour": lambda image: ImageEnhance.Color(image).enhance(0.5),
    "cropped 1 %": lambda image: image.crop((3, 2, 317, 238)),
    "cropped 3 %": lambda image: image.crop((10, 7, 310, 233)),
    "marked": marked,
}


@pytest.mark.parametrize("change", COPIES)
def test_copies_are_copies_whichever_comes_first(change: str) -> None:
    for seed in range(3):
        original = scene(seed)
        copy = COPIES[change](scene(seed))
        assert copy_kind(original, copy) == copy_kind(copy, original) == COPY


@pytest.mark.parametrize("seed", [3, 5, 7, 9, 11, 23])
def test_a_word_on_white_and_its_slight_crop_are_copies_whichever_comes_first(seed: int) -> None:
    random = np.random.default_rng(seed)
    page = Image.new("RGB", (500, 400), "white")
    place = tuple(random.integers(60, (300, 250)))
    size = int(random.integers(20, 60))
    ImageDraw.Draw(page).text(place, f"Word {seed}", fill="black", font_size=size)
    crop = page.crop((15, 12, 485, 388))
    assert kind_of_pair(page, crop) == kind_of_pair(crop, page) == COPY


def test_unrelated_images_are_no_copies() -> None:
    assert {copy_kind(scene(seed), scene(seed + 1)) for seed in range(10)} == {NOTHING}


@pytest.mark.parametrize("share", [0.06, 0.1])
def test_another_framing_is_no_copy(share: float) -> None:
    width, height = 320, 240
    box = (
        int(width * share),
        int(height * share),
        int(width * (1 - share)),
        int(height * (1 - share)),
    )
    assert copy_kind(scene(4), scene(4).crop(box)) != COPY


def test_a_recoloured_image_is_no_copy_and_a_grey_one_is() -> None:
    shirt = Image.blend(scene(3), Image.new("RGB", (320, 240), (40, 90, 200)), 0.5)
    assert copy_kind(shirt, turned_hue(shirt, 0.4)) != COPY
    assert copy_kind(shirt, shirt.convert("L")) == COPY


LOOK_ALIKE = {
    "icons with another letter in a corner": [badge(letter) for letter in "ABKX8"],
    "one scene, somebody elsewhere": [
        watched(*place) for place in ((60, 60), (200, 90), (130, 140))
    ],
    "emblems on one tone": [emblem(letter) for letter in "56CGOQ"],
    "clocks at another time": [clock(hour) for hour in (0.3, 1.2, 2.9, 4.4)],
    "icons with other letters": [icon(letter) for letter in string.ascii_uppercase[:6]],
    "icons in other tones": [
        Image.eval(icon("A", "disc"), lambda level, by=by: min(255, level + by)) for by in (0, 100)
    ],
    "icons of other shapes": [icon("A"), icon("A", "disc")],
    "pages of text": [page(words) for words in ("remarkable", "dictionary", "photograph")],
    "skies": [sky(seed) for seed in range(4)],
}


@pytest.mark.parametrize("family", LOOK_ALIKE)
def test_images_that_look_alike_are_copies_only_of_themselves(family: str) -> None:
    images = LOOK_ALIKE[family]
    kinds = {copy_kind(one, other) for one, other in itertools.permutations(images, 2)}
    assert COPY not in kinds
    assert {copy_kind(one, one) for one in images} == {COPY}


VARIANTS: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "mirrored": ("mirrored", ImageOps.mirror),
    "upside down": ("mirrored", ImageOps.flip),
    "a quarter": ("turned", lambda image: image.rotate(90, expand=True)),
    "half a turn": ("turned", lambda image: image.rotate(180)),
    "cropped": ("cropped", lambda image: image.crop((32, 24, 288, 216))),
    "cropped at a corner": ("cropped", lambda image: image.crop((64, 48, 320, 240))),
    "framed": ("framed", lambda image: ImageOps.expand(image, 30, "black")),
    "recoloured": (
        "recoloured",
        lambda image: ImageOps.colorize(image.convert("L"), "#200a00", "#ffd8a0"),
    ),
    "captioned": ("captioned", captioned),
    "in a collage": ("contained", collage),
    "overlaid": ("overlaid", overlaid),
}


@pytest.mark.parametrize("change", VARIANTS)
def test_variants_are_of_their_kind_whichever_comes_first(change: str) -> None:
    expected, make = VARIANTS[change]
    for seed in (0, 1):
        one = scene(seed)
        other = make(scene(seed))
        assert variant_kind(one, other) == variant_kind(other, one) == expected
        assert copy_kind(one, other) == NOTHING


@pytest.mark.parametrize("change", VARIANTS)
def test_the_clean_one_of_two_variants_is_known_whichever_comes_first(change: str) -> None:
    kind, make = VARIANTS[change]
    has_direction = kind not in ("mirrored", "turned")
    for seed in (0, 1):
        clean, other = to_small(scene(seed)), to_small(make(scene(seed)))
        both = [decide_as_variant(*pair).verdict for pair in ((clean, other), (other, clean))]
        assert [said.direction.clean for said in both] == ([1, -1] if has_direction else [0, 0])
        shares = {round(said.direction.shown, 1) for said in both}
        assert (shares == {0.0}) == (
            kind in ("mirrored", "turned", "cropped", "overlaid", "recoloured")
        )


@pytest.mark.parametrize("image", [scene(0), sky(0), emblem("R")])
def test_copies_that_only_variants_compare_are_recoloured(image: Image.Image) -> None:
    worse = ImageOps.grayscale(image.resize((96, 72))).convert("RGB")
    images = to_small(image), to_small(worse)
    both = [decide_looked_again(*pair, "recoloured").verdict for pair in (images, images[::-1])]
    assert {said.kind for said in both} == {"recoloured"}
    is_coloured = image == scene(0)
    assert [said.direction.clean for said in both] == ([1, -1] if is_coloured else [0, 0])


def test_bars_of_the_blurred_picture_are_no_more_of_it() -> None:
    noise = np.random.default_rng(1).normal(0, 30, (60, 80, 1)).repeat(4, 0).repeat(4, 1)
    image = Image.fromarray((np.asarray(scene(1)) + noise).clip(0, 255).astype(np.uint8))
    bars = image.resize((480, 240)).filter(ImageFilter.GaussianBlur(24))
    bars.paste(image, (80, 0))
    small, padded = to_small(image), to_small(bars)
    assert decide_as_variant(small, padded).verdict.direction.clean == 1
    assert decide_as_variant(padded, small).verdict.direction.clean == -1


@pytest.mark.parametrize(
    ("change", "expected"),
    [("mirrored", "mirrored"), ("a quarter", "turned"), ("framed", "framed")],
)
def test_where_little_is_to_be_seen_every_cell_must_agree(change: str, expected: str) -> None:
    _, make = VARIANTS[change]
    changed = make(emblem("R"))
    assert variant_kind(emblem("R"), changed) == expected
    assert variant_kind(emblem("B"), changed) in ("", "doubtful")


def test_one_text_across_two_images_makes_no_variant() -> None:
    images = []
    for seed, tone in enumerate(((30, 60, 120), (150, 60, 40), (90, 90, 90))):
        ground = Image.blend(scene(seed), Image.new("RGB", (320, 240), tone), 0.4)
        images.append(stamped(ground))
    kinds = {variant_kind(one, other) for one, other in itertools.permutations(images, 2)}
    assert kinds <= {"", "doubtful"}


def test_unrelated_images_are_no_variants() -> None:
    images = [scene(seed) for seed in range(6)]
    assert {variant_kind(*pair) for pair in itertools.permutations(images, 2)} == {NOTHING}


def test_images_without_detail_do_not_match() -> None:
    assert copy_kind(sky(1), sky(2)) == NOTHING


def test_colours_beside_a_text_must_be_as_they_were() -> None:
    pair = measure_as_variant(to_small(scene(3)), to_small(overlaid(scene(3))))
    assert pair and decide_variant(pair).kind == "overlaid"
    tinted = dataclasses.replace(pair, seen=dataclasses.replace(pair.seen, colour_cosine=0.5))
    assert decide_variant(tinted).kind in ("doubtful", NOTHING)
