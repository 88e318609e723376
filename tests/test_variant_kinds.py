"""Kinds of variants say what was done to an image, and which of the two is clean."""

from __future__ import annotations

import dataclasses
import io
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from both_looks import to_small
from edited_pairs import draw_chest
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from test_hash_rows import scene

from common.json_files import DOUBTFUL, OVERLAPPING
from duplicates.classification import decide_as_variant
from duplicates.thresholds import THRESHOLDS
from duplicates.variant_rules import NOTHING, SEEN_RULES


def detailed_scene(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, 30, (60, 80, 3)).repeat(4, 0).repeat(4, 1)
    return Image.fromarray((np.asarray(scene(seed)) + noise).clip(0, 255).astype(np.uint8))


def tilt(image: Image.Image) -> Image.Image:
    return image.rotate(4, Image.Resampling.BICUBIC, expand=True)


def round_corners(image: Image.Image) -> Image.Image:
    mask = Image.new("L", image.size)
    width, height = image.size
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), 24, fill=255)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


def pad_with_blur(image: Image.Image) -> Image.Image:
    padded = image.resize((320, 480)).filter(ImageFilter.GaussianBlur(24))
    padded.paste(image, (0, 120))
    return padded


def pad_with_gradient(image: Image.Image) -> Image.Image:
    shades = np.linspace((250, 120, 60), (90, 20, 140), 640)[:, None].astype(np.uint8)
    padded = Image.fromarray(shades.repeat(360, 1))
    padded.paste(image, (20, 200))
    return padded


def frame_in_wood(image: Image.Image) -> Image.Image:
    grain = np.random.default_rng(0).normal(0, 12, (288, 92, 1)).repeat(4, 1)
    wood = Image.fromarray(np.add(grain, (110, 70, 35)).clip(0, 255).astype(np.uint8))
    wood.paste(image, (24, 24))
    return wood


def make_polaroid(image: Image.Image) -> Image.Image:
    return ImageOps.expand(image, (12, 12, 12, 56), (250, 248, 242))


def write_on_polaroid(image: Image.Image) -> Image.Image:
    polaroid = make_polaroid(image)
    place = (polaroid.width / 2, polaroid.height - 28)
    ImageDraw.Draw(polaroid).text(place, "SUMMER OF 2019", "black", font_size=30, anchor="mm")
    return polaroid


CHANGES: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "tilted": ("turned", tilt),
    "rounded": ("framed", round_corners),
    "padded with blur": ("framed", pad_with_blur),
    "padded with a gradient": ("framed", pad_with_gradient),
    "in a red frame": ("framed", lambda image: ImageOps.expand(image, 20, (180, 20, 30))),
    "in a wooden frame": ("framed", frame_in_wood),
    "a polaroid": ("framed", make_polaroid),
    "a polaroid with text": ("captioned", write_on_polaroid),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_added_around_an_image_is_named_and_the_image_without_it_is_clean(
    change: str,
) -> None:
    kind, make = CHANGES[change]
    for seed in (1, 2):
        clean = to_small(detailed_scene(seed))
        changed = to_small(make(detailed_scene(seed)))
        for pair, direction in (((clean, changed), 1), ((changed, clean), -1)):
            verdict = decide_as_variant(*pair).verdict
            assert (verdict.kind, verdict.direction.clean) == (kind, direction)


@pytest.mark.parametrize("box", [(32, 24, 288, 216), (48, 0, 320, 240), (0, 0, 320, 190)])
def test_a_crop_is_not_framed_by_what_it_lacks(box: tuple[int, int, int, int]) -> None:
    for seed in (1, 2):
        whole, crop = to_small(detailed_scene(seed)), to_small(detailed_scene(seed).crop(box))
        verdict = decide_as_variant(whole, crop).verdict
        assert (verdict.kind, verdict.direction.clean) == ("cropped", 1)


def test_soft_images_of_one_kind_are_no_variants() -> None:
    """X-rays show low texture everywhere, which agrees by chance."""
    rng = np.random.default_rng(5)
    chests = [to_small(draw_chest(rng.normal(0, 2, 12))) for _ in range(8)]
    for one, other in itertools.combinations(chests, 2):
        assert decide_as_variant(one, other).verdict.kind in (NOTHING, DOUBTFUL)


def test_tones_do_not_cut_corners() -> None:
    shades = np.linspace(150, 190, 400).astype(np.uint8)
    image = Image.fromarray(np.tile(shades[None, :, None], (320, 1, 3)))
    image.paste(detailed_scene(3), (40, 40))
    darker = image.point(lambda level: level // 2)
    assert decide_as_variant(to_small(image), to_small(darker)).verdict.kind == "recoloured"


def test_a_soft_image_and_its_mirrored_darker_copy_are_variants() -> None:
    chest = draw_chest(np.zeros(12))
    file = io.BytesIO()
    ImageOps.mirror(chest).point(lambda level: level * 3 // 4).save(file, "JPEG", quality=30)
    changed = Image.open(file).convert("RGB")
    assert decide_as_variant(to_small(chest), to_small(changed)).verdict.kind == "mirrored"


def test_an_image_with_dark_corners_is_clean_beside_its_rounded_copy() -> None:
    image = detailed_scene(4)
    for x, y in ((0, 0), (280, 0), (0, 200), (280, 200)):
        image.paste((20, 20, 20), (x, y, x + 40, y + 40))
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 319, 239), 9, fill=255)
    rounded = Image.composite(image, Image.new("RGB", image.size, "white"), mask)
    assert decide_as_variant(to_small(image), to_small(rounded)).verdict.direction.clean != -1


def invert_lightness(image: Image.Image) -> Image.Image:
    """Dark mode: light is dark, and each colour keeps its hue."""
    faded = image.point(lambda level: 50 + level * 3 // 5)  # so that no colour is cut off
    pixels = np.asarray(faded).astype(int)
    luma = np.asarray(faded.convert("L")).astype(int)[:, :, None]
    return Image.fromarray((pixels + 255 - 2 * luma).clip(0, 255).astype(np.uint8))


def invert_on_film(image: Image.Image) -> Image.Image:
    """A negative in orange, with other tones than the print."""
    shares = 1 - np.asarray(image, np.float32) / 255
    tones = 40 + 200 * shares ** (0.8, 1.0, 1.2) * (1.0, 0.8, 0.55)
    return Image.fromarray(tones.astype(np.uint8))


NEGATIVES: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "inverted": ("recoloured", ImageOps.invert),
    "inverted and grey": ("recoloured", lambda image: ImageOps.invert(image.convert("L"))),
    "inverted lightness": ("recoloured", invert_lightness),
    "a film": ("recoloured", invert_on_film),
    "inverted and mirrored": ("mirrored", lambda image: ImageOps.mirror(ImageOps.invert(image))),
    "inverted and tilted": ("turned", lambda image: ImageOps.invert(image).rotate(9)),
    "inverted and cropped": (
        "cropped",
        lambda image: ImageOps.invert(image).crop((32, 24, 320, 240)),
    ),
    "inverted and turned": ("turned", lambda image: ImageOps.invert(image).rotate(180)),
}


@pytest.mark.parametrize("change", NEGATIVES)
def test_a_negative_is_a_variant(change: str) -> None:
    kind, make = NEGATIVES[change]
    for seed in (1, 2):
        image = detailed_scene(seed)
        positive, negative = to_small(image), to_small(make(image).convert("RGB"))
        for pair in ((positive, negative), (negative, positive)):
            assert decide_as_variant(*pair).verdict.kind == kind


def test_negatives_of_other_images_are_nothing() -> None:
    images = [detailed_scene(seed) for seed in range(1, 7)]
    for one, other in itertools.permutations(images, 2):
        pair = (to_small(one), to_small(ImageOps.invert(other)))
        assert decide_as_variant(*pair).verdict.kind == NOTHING


def test_rules_of_what_is_seen_ask_for_nothing_around_it() -> None:
    whole = detailed_scene(1)
    part = whole.crop((40, 30, 280, 210))
    decision = decide_as_variant(to_small(whole), to_small(part))
    assert decision.as_variant

    unmeasured = dataclasses.replace(decision.as_variant, around=None, soft=None)  # type: ignore[arg-type]

    for rule in SEEN_RULES:
        assert rule(unmeasured, THRESHOLDS) == rule(decision.as_variant, THRESHOLDS)


def photograph(image: Image.Image, slant: float, seed: int = 0) -> Image.Image:
    """A photo of a print on a table: its upper edge is farther away, and seems shorter."""
    print_ = ImageOps.expand(image, 10, (245, 243, 238))
    width, height = print_.size
    near, far = 30, 30 + slant * width
    corners = [(far, 50), (30 + width - slant * width, 50), (30 + width, 50 + height * 0.8)]
    corners.append((near, 50 + height * 0.8))
    ends = [(0, 0), (width, 0), (width, height), (0, height)]
    rows = []
    for (x, y), (u, v) in zip(corners, ends, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    factors = np.linalg.solve(np.array(rows, float), np.array(ends, float).ravel())
    size = (width + 60, height + 60)
    grain = np.random.default_rng(seed).normal(0, 14, (*size[::-1], 1))
    table = Image.fromarray(np.add(grain, (110, 80, 50)).clip(0, 255).astype(np.uint8))
    way = (size, Image.Transform.PERSPECTIVE, factors.tolist(), Image.Resampling.BICUBIC)
    mask = Image.new("L", print_.size, 255).transform(*way)
    return Image.composite(print_.transform(*way), table, mask)


@pytest.mark.parametrize("slant", [0.08, 0.14, 0.2])
def test_a_photo_of_a_print_is_turned_and_the_picture_is_clean(slant: float) -> None:
    for seed in (1, 2):
        picture = to_small(detailed_scene(seed))
        photo = to_small(photograph(detailed_scene(seed), slant))
        for pair, clean in (((picture, photo), 1), ((photo, picture), -1)):
            verdict = decide_as_variant(*pair).verdict
            assert (verdict.kind, verdict.direction.clean) == ("turned", clean)


def test_a_photo_of_another_print_is_nothing() -> None:
    for one, other in itertools.permutations(range(1, 5), 2):
        pair = to_small(detailed_scene(one)), to_small(photograph(detailed_scene(other), 0.14))
        assert decide_as_variant(*pair).verdict.kind == NOTHING


def test_a_photo_that_cuts_off_a_picture_replaces_it_no_more_than_the_other_way_round() -> None:
    for seed in (1, 2):
        picture = detailed_scene(seed)
        photo = photograph(picture, 0.14).crop((64, 60, 336, 252))
        verdict = decide_as_variant(to_small(picture), to_small(photo)).verdict
        assert (verdict.kind, verdict.direction.clean) == (OVERLAPPING, 0)


def ridges(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:400, :300].astype(float)
    centre = (150 + rng.normal(0, 8), 180 + rng.normal(0, 10))
    distance = np.hypot((across - centre[0]) * 1.15, down - centre[1])
    waves = np.sin(across / rng.uniform(30, 60)) + np.cos(down / rng.uniform(30, 60))
    levels = 128 + 90 * np.sin(distance / 3.2 + 1.7 * waves)
    is_finger = np.hypot((across - 150) / 140, (down - 200) / 190) < 1
    return Image.fromarray(np.where(is_finger, levels, 240).astype(np.uint8)).convert("RGB")


def test_different_fingerprints_are_no_variants_and_a_mirrored_one_is() -> None:
    prints = [to_small(ridges(seed)) for seed in range(5)]
    for one, other in itertools.combinations(prints, 2):
        assert decide_as_variant(one, other).verdict.kind in (NOTHING, DOUBTFUL)
    mirrored = to_small(ImageOps.mirror(ridges(0)))
    assert decide_as_variant(prints[0], mirrored).verdict.kind == "mirrored"
