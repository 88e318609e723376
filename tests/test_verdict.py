"""What is a copy and what is not: pictures drawn here; figures on photos are in docs/variants.md."""

from __future__ import annotations

import argparse
import dataclasses
import string
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from test_fingerprints import scene

from common import sidecar
from common.reporter import Reporter
from common.tree import Topic
from duplicates import (
    alignment,
    candidate_pairs,
    classification,
    comparison,
    thumbnails,
    variants,
    verification,
)
from duplicates.pool import Pool


def encoded(made: Image.Image) -> thumbnails.Picture:
    return thumbnails.encode_hints(np.asarray(made.convert("RGB")), hints=True)


def kind(one: Image.Image, other: Image.Image) -> str:
    return classification.verdict(encoded(one), encoded(other)).kind


def marked(made: Image.Image) -> Image.Image:
    marked = made.copy()
    ImageDraw.Draw(marked).text((180, 210), "(c) someone", fill="white", font_size=16)
    return marked


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda made: made,
    "half": lambda made: made.resize((160, 120), Image.Resampling.LANCZOS),
    "thrice": lambda made: made.resize((960, 720), Image.Resampling.BICUBIC),
    "squeezed": lambda made: made.resize((240, 240), Image.Resampling.LANCZOS),
    "grey": lambda made: ImageOps.grayscale(made).convert("RGB"),
    "brighter": lambda made: ImageEnhance.Brightness(made).enhance(1.2),
    "darker": lambda made: ImageEnhance.Brightness(made).enhance(0.7),
    "less contrast": lambda made: ImageEnhance.Contrast(made).enhance(0.7),
    "less colour": lambda made: ImageEnhance.Color(made).enhance(0.5),
    "cropped 1 %": lambda made: made.crop((3, 2, 317, 238)),
    "cropped 3 %": lambda made: made.crop((10, 7, 310, 233)),
    "marked": marked,
}


@pytest.mark.parametrize("made", COPIES)
def test_copies_are_copies_whichever_comes_first(made: str) -> None:
    for seed in range(3):
        original, copy = scene(seed), COPIES[made](scene(seed))
        assert kind(original, copy) == kind(copy, original) == classification.COPY


def test_strangers_are_none() -> None:
    assert {kind(scene(seed), scene(seed + 1)) for seed in range(10)} == {classification.NOTHING}


@pytest.mark.parametrize("share", [0.06, 0.1])
def test_another_framing_is_no_copy(share: float) -> None:
    width, height = 320, 240
    box = (
        int(width * share),
        int(height * share),
        int(width * (1 - share)),
        int(height * (1 - share)),
    )
    assert kind(scene(4), scene(4).crop(box)) != classification.COPY


def turned_hue(made: Image.Image, share: float) -> Image.Image:
    hue, saturation, value = made.convert("HSV").split()
    turned = hue.point([int(level + share * 256) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def test_a_recoloured_picture_is_another_one_and_its_grey_copy_is_not() -> None:
    shirt = Image.blend(scene(3), Image.new("RGB", (320, 240), (40, 90, 200)), 0.5)
    assert kind(shirt, turned_hue(shirt, 0.4)) != classification.COPY
    assert kind(shirt, shirt.convert("L")) == classification.COPY


def icon(letter: str, shape: str = "square") -> Image.Image:
    made = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(made)
    (draw.rectangle if shape == "square" else draw.ellipse)((28, 28, 228, 228), fill=(50, 120, 220))
    draw.text((128, 128), letter, fill="white", font_size=60, anchor="mm")
    return made


def page(words: str) -> Image.Image:
    made = Image.new("RGB", (620, 800), "white")
    rng = np.random.default_rng(len(words) + ord(words[0]))
    for line in range(30):
        text = " ".join(
            "".join(rng.permutation(list(words))[: rng.integers(2, 9)]) for _ in range(9)
        )
        ImageDraw.Draw(made).text((60, 60 + 22 * line), text, fill="black", font_size=15)
    made.thumbnail((320, 320))
    return made


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
    """An icon that differs from others in a small letter in its corner, on ground that is not plain."""
    made = icon("A", "disc")
    draw = ImageDraw.Draw(made)
    draw.ellipse((186, 186, 246, 246), fill=(200, 40, 40))
    draw.text((216, 216), letter, fill="white", font_size=40, anchor="mm")
    return made


def watched(x: int, y: int) -> Image.Image:
    """The same scene with somebody in it, each time somewhere else."""
    made = scene(5)
    draw = ImageDraw.Draw(made)
    draw.ellipse((x, y, x + 20, y + 20), fill=(230, 190, 160))
    draw.rectangle((x - 5, y + 20, x + 25, y + 65), fill=(40, 40, 160))
    return made


def emblem(letter: str) -> Image.Image:
    made = Image.new("RGB", (320, 180), (40, 40, 40))
    ImageDraw.Draw(made).text((160, 90), letter, fill=(235, 219, 178), font_size=40, anchor="mm")
    return made


def clock(hour: float) -> Image.Image:
    made = Image.new("RGB", (320, 320), (250, 248, 240))
    draw = ImageDraw.Draw(made)
    draw.ellipse((24, 24, 296, 296), outline="black", width=5)
    draw.line((160, 160, 160 + 100 * np.sin(hour), 160 - 100 * np.cos(hour)), fill="black", width=6)
    return made


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
def test_pictures_that_look_alike_are_not_copies_but_of_themselves(family: str) -> None:
    pictures = LOOK_ALIKE[family]
    kinds = {kind(one, other) for place, one in enumerate(pictures) for other in pictures[:place]}
    assert classification.COPY not in kinds
    assert {kind(one, one) for one in pictures} == {classification.COPY}


VARIANTS: dict[str, tuple[str, Callable[[Image.Image], Image.Image]]] = {
    "mirrored": ("mirrored", ImageOps.mirror),
    "upside down": ("mirrored", ImageOps.flip),
    "a quarter": ("turned", lambda made: made.rotate(90, expand=True)),
    "half a turn": ("turned", lambda made: made.rotate(180)),
    "cropped": ("cropped", lambda made: made.crop((32, 24, 288, 216))),
    "cropped at a corner": ("cropped", lambda made: made.crop((64, 48, 320, 240))),
    "framed": ("framed", lambda made: ImageOps.expand(made, 30, "black")),
    "recoloured": (
        "recoloured",
        lambda made: ImageOps.colorize(made.convert("L"), "#200a00", "#ffd8a0"),
    ),
    "captioned": ("captioned", lambda made: captioned(made)),
    "in a collage": ("contained", lambda made: collage(made)),
    "overlaid": ("overlaid", lambda made: overlaid(made)),
}


def captioned(made: Image.Image) -> Image.Image:
    below = ImageOps.expand(made, (0, 0, 0, 50), "white")
    ImageDraw.Draw(below).text((10, 245), "when you finally get it", fill="black", font_size=26)
    return below


def collage(made: Image.Image) -> Image.Image:
    both = Image.new("RGB", (640, 240))
    both.paste(made, (0, 0))
    both.paste(scene(99), (320, 0))
    return both


def overlaid(made: Image.Image) -> Image.Image:
    text = made.copy()
    ImageDraw.Draw(text).text(
        (160, 90), "SAMPLE", fill="white", font_size=50, anchor="mm", stroke_width=3, stroke_fill=0
    )
    return text


@pytest.mark.parametrize("made", VARIANTS)
def test_variants_are_of_their_kind_whichever_comes_first(made: str) -> None:
    expected, change = VARIANTS[made]
    for seed in (0, 1):
        one, other = (encoded(each) for each in (scene(seed), change(scene(seed))))
        said = (
            classification.verdict(one, other, variants=True),
            classification.verdict(other, one, variants=True),
        )
        assert [each.kind for each in said] == [expected, expected]
        assert classification.verdict(one, other).kind == classification.NOTHING


@pytest.mark.parametrize(
    ("change", "expected"),
    [("mirrored", "mirrored"), ("a quarter", "turned"), ("framed", "framed")],
)
def test_where_there_is_little_to_see_every_cell_speaks(change: str, expected: str) -> None:
    one, other = (encoded(each) for each in (emblem("R"), VARIANTS[change][1](emblem("R"))))
    assert classification.verdict(one, other, variants=True).kind == expected
    assert classification.verdict(encoded(emblem("B")), other, variants=True).kind in (
        "",
        "doubtful",
    )


def test_one_text_across_two_pictures_makes_no_variant() -> None:
    tones = ((30, 60, 120), (150, 60, 40), (90, 90, 90))
    grounds = (
        Image.blend(scene(seed), Image.new("RGB", (320, 240), tone), 0.4)
        for seed, tone in enumerate(tones)
    )
    seen = [encoded(stamped(ground)) for ground in grounds]
    kinds = {
        classification.verdict(one, other, variants=True).kind
        for one in seen
        for other in seen
        if one is not other
    }
    assert kinds <= {"", "doubtful"}


def stamped(made: Image.Image) -> Image.Image:
    draw = ImageDraw.Draw(made)
    for row in range(5):
        draw.text(
            (160, 24 + 48 * row), "SAMPLE  PREVIEW", fill=(220, 220, 220), font_size=30, anchor="mm"
        )
    draw.ellipse((20, 180, 70, 230), fill=(10, 10, 10))
    return made


def test_strangers_are_no_variants() -> None:
    seen = [encoded(scene(seed)) for seed in range(6)]
    assert {
        classification.verdict(one, other, True).kind
        for one in seen
        for other in seen
        if one is not other
    } == {""}


def test_registration_finds_how_a_crop_lies() -> None:
    whole, part = (
        comparison.Sheet(np.asarray(each)) for each in (scene(7), scene(7).crop((8, 6, 316, 236)))
    )
    found = comparison.registered(whole, part, comparison.IDENTITY, 64, 8)
    assert np.abs(found - [[308 / 320, 0, 8 / 320], [0, 230 / 240, 6 / 240]]).max() < 0.004


def test_a_black_picture_lies_anywhere_and_nothing_crashes() -> None:
    black = comparison.Sheet(np.zeros((240, 320, 3), np.uint8))
    found = comparison.registered(
        black, comparison.Sheet(np.asarray(scene(7))), comparison.IDENTITY, 64, 4
    )
    assert np.isfinite(found).all()


def test_nothing_to_see_is_no_reason_to_match() -> None:
    assert kind(sky(1), sky(2)) == classification.NOTHING


def lettered(made: Image.Image) -> Image.Image:
    made = made.copy()
    for top, words in ((2, "ONE DOES NOT"), (made.height - 60, "SIMPLY COMPARE")):
        place = (made.width / 2, top)
        ImageDraw.Draw(made).text(
            place, words, "red", font_size=44, anchor="ma", stroke_width=4, stroke_fill="black"
        )
    return made


def bubbles(seed: int) -> Image.Image:
    rng, made = np.random.default_rng(seed), Image.new("RGB", (400, 300), "white")
    for _ in range(16):
        x, y, radius = (int(rng.integers(*span)) for span in ((60, 340), (90, 210), (8, 22)))
        colour = tuple(int(level) for level in rng.integers(0, 255, 3))
        ImageDraw.Draw(made).ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return made


def test_a_drawing_under_a_text_is_a_doubt_and_another_under_the_same_text_is_none() -> None:
    def said(one: Image.Image, other: Image.Image) -> str:
        return classification.verdict(encoded(one), encoded(other), variants=True).kind

    assert said(bubbles(0), lettered(bubbles(0))) == "doubtful"
    assert said(bubbles(0), lettered(bubbles(1))) == classification.NOTHING
    assert said(lettered(bubbles(0)), lettered(bubbles(1))) == classification.NOTHING


def test_what_lies_beside_a_text_must_have_kept_its_colours() -> None:
    placed = classification.seen_as_variant(encoded(scene(3)), encoded(lettered(scene(3))))
    assert placed and classification.kind(placed) == "overlaid"
    tinted = dataclasses.replace(placed, seen=dataclasses.replace(placed.seen, colours=0.5))
    assert classification.kind(tinted) in ("doubtful", classification.NOTHING)


def test_families_are_whole_and_doubts_join_none() -> None:
    """What two variants have in common is found though neither is among the nearest of the other."""
    said = {
        ("a", "b"): classification.Verdict("mirrored", 1),
        ("b", "c"): classification.Verdict("cropped", 1),
        ("c", "d"): classification.Verdict("doubtful", 1),
    }
    assert variants.are_related(variants.find_families(said).values()) == {
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    }
    many = {
        ("0", str(number)): classification.Verdict("framed", 1)
        for number in range(1, variants.FAMILY + 1)
    }
    assert variants.are_related(variants.find_families(many).values()) == set()


def with_vectors(
    tmp_path: Path, **rows: tuple[float, ...]
) -> tuple[dict[str, tuple[int, int]], sidecar.Sidecar]:
    """Images of 100 bytes with the first numbers of their vectors."""
    vectors = sidecar.Sidecar(
        Topic(str(tmp_path), "", "", "", "", found=len(rows)),
        "likeness",
        variants.EMBEDDING_LAYOUT,
        {},
    )
    stamps = dict.fromkeys(rows, (100, 1))
    values = {
        key: np.zeros((len(rows), *shape), dtype)
        for key, (dtype, shape) in variants.EMBEDDING_LAYOUT.items()
    }
    for row, numbers in enumerate(rows.values()):
        values["vectors"][row, : len(numbers)] = numbers
    vectors.add(list(rows), list(stamps.values()), **values)
    return stamps, vectors


def test_what_copies_were_made_from_stands_for_them_and_the_one_with_most_copies(
    tmp_path: Path,
) -> None:
    """A thumbnail is a copy of all; what is no copy of the one in the midst stands for itself."""
    stamps, vectors = with_vectors(
        tmp_path,
        small=(0.6, 0.8),
        original=(1, 0),
        dark=(0.9, 0.43),
        light=(0.9, -0.43),
        cropped=(0.5, -0.86),
        other=(0, 1),
    )
    matches = {
        "small": {"original", "dark", "light", "cropped"},
        "original": {"small", "dark", "light"},
        "dark": {"small", "original"},
        "light": {"small", "original"},
        "cropped": {"small"},
    }
    assert variants.pick_representatives(stamps, matches, vectors) == {
        "small": ["small", "original"],
        "original": ["original", "small"],
        "dark": ["original", "small"],
        "light": ["original", "small"],
        "cropped": ["cropped"],
        "other": ["other"],
    }


def test_what_is_said_of_a_stand_in_is_said_of_its_copies_the_likest_first() -> None:
    standing = {"a": ["b", "e"], "b": ["b", "e"], "e": ["e", "b"], "c": ["c"], "d": ["d"]}
    said = {
        ("b", "c"): classification.Verdict("mirrored", 0.9),
        ("c", "e"): classification.Verdict("turned", 0.9),
        ("b", "d"): classification.Verdict("doubtful", 0.7),
    }
    whole = variants.propagate_verdicts(said, standing, {("a", "b"): classification.EQUAL})
    assert {pair: one.kind for pair, one in whole.items()} == {
        ("a", "c"): "mirrored",
        ("b", "c"): "mirrored",
        ("c", "e"): "turned",
        ("b", "d"): "doubtful",
    }


def test_what_one_image_stands_for_is_compared_with_one_another() -> None:
    """Two colourings that are copies of the same grey one are no copies of each other."""
    standing = {"grey": ["grey"], "blue": ["grey"], "red": ["grey"], "other": ["other"]}
    assert variants.pairs_sharing_representative(standing) == {
        ("blue", "grey"),
        ("blue", "red"),
        ("grey", "red"),
    }


def test_what_copies_of_copies_are_is_looked_at() -> None:
    standing = {"a": ["b"], "b": ["b"], "c": ["c"]}
    assert variants.pairs_behind_copies([("b", "c")], standing) == {("a", "c"), ("b", "c")}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_turned_and_halved_pictures_are_proposed_and_what_is_alike_as_it_is_is_not() -> None:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(30)]
    symmetric = np.concatenate([pixels[29], pixels[29][:, ::-1]], axis=1)
    made = [
        *pixels,
        pixels[4][:, ::-1],
        np.rot90(pixels[7]),
        np.concatenate([pixels[9], pixels[11]], axis=1),
        symmetric,
    ]
    made.append(symmetric[:, ::-1])
    thumbnails = np.stack([alignment.make_thumbnail(each).ravel() for each in made])
    halves = np.stack([alignment.half_thumbnails(each) for each in made])
    names = [f"{number:02}" for number in range(len(made))]
    found = candidate_pairs.nearest_by_thumbnail(names, thumbnails, halves)
    assert {("04", "30"), ("07", "31"), ("09", "32"), ("11", "32"), ("29", "33")} <= found
    assert ("33", "34") not in found and len(found) <= 7


def test_a_large_family_hides_no_other() -> None:
    """20 versions of another picture are nearer to an image than the 12 of the one that it was cropped from."""
    families = [*["other"] * 20, *["own"] * 12, "alone"]
    places = (
        [0.9 + 0.001 * number for number in range(20)]
        + [0.2 - 0.001 * number for number in range(12)]
        + [0.53]
    )
    vectors = unit(np.array([[1, place] for place in places], np.float32))
    names = [f"{number:02}" for number in range(33)]
    assert {
        family
        for family, name in zip(families, names, strict=True)
        if (name, "32") in candidate_pairs.nearest_by_embedding(names, vectors)
    } == {"other"}
    found = candidate_pairs.nearest_per_family(names, vectors, families)
    assert sum("32" in pair for pair in found) >= 2 * candidate_pairs.WITNESSES
    assert {("20", "32"), ("21", "32")} <= found


def test_nothing_is_looked_at_twice_however_the_pairs_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for variants proposes in rounds, and the first of them must not forget what the later ones will want."""
    for seed in range(4):
        scene(seed).convert("RGB").save(tmp_path / f"{seed}.jpg")
    topic = Topic(str(tmp_path), "D", "C", "S", "T", found=4)
    first, whole = (
        [("0.jpg", "1.jpg")],
        [("0.jpg", "1.jpg"), ("0.jpg", "2.jpg"), ("2.jpg", "3.jpg")],
    )
    opened: list[str] = []
    read = thumbnails.read_picture
    monkeypatch.setattr(
        thumbnails, "read", lambda paths, **how: opened.extend(paths) or read(paths, **how)
    )
    with Pool(1) as pool:
        opener = verification.PictureOpener(pool, 10**8, Reporter(argparse.Namespace(quiet=True)))

        def look(pairs: list[tuple[str, str]], more: bool = False) -> int:
            before = len(opened)
            verification.verify_pairs(topic, topic.stamps(), pairs, False, opener, more=more)
            return len(opened) - before

        assert [look(first, more=True), look(whole)] == [2, 3]
        assert [look(first, more=True), look(whole)] == [0, 0]
        assert [look(first), look(whole)] == [
            0,
            3,
        ]  # what the last search did not propose is forgotten
