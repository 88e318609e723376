"""Text across a drawing: the drawing is still there, and another one of its style is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from both_looks import to_small
from drawn_images import bubbles, clock, emblem, lettered, page
from PIL import Image, ImageDraw, ImageOps
from test_hash_rows import scene

from common.json_files import DOUBTFUL
from duplicates.classification import Verdict, decide_as_variant
from duplicates.variant_rules import NOTHING, OVERLAID
from keeping.directions import Direction


def watermarked(image: Image.Image) -> Image.Image:
    """The image with translucent words across it."""
    marks = Image.new("RGBA", image.size)
    for row in range(3):
        place = (image.width / 2, image.height * (0.2 + 0.3 * row))
        words, ink = "SAMPLE  PREVIEW", (255, 255, 255, 110)
        size = image.width // 8
        ImageDraw.Draw(marks).text(place, words, ink, font_size=size, anchor="mm")
    return Image.alpha_composite(image.convert("RGBA"), marks.rotate(20)).convert("RGB")


def bars(heights: tuple[int, ...]) -> Image.Image:
    image = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(image)
    draw.line((20, 10, 20, 220, 310, 220), fill="black", width=2)
    for place, height in enumerate(heights):
        left = 30 + 34 * place
        draw.rectangle((left, 220 - height, left + 22, 219), fill=(31, 119, 180))
    return image


def framed(image: Image.Image) -> Image.Image:
    return ImageOps.expand(ImageOps.expand(image, 8, "red"), 8, "white")


def cover_middle(image: Image.Image) -> Image.Image:
    covered = image.copy()
    ImageDraw.Draw(covered).rectangle((130, 70, 190, 110), fill=(90, 60, 200))
    return covered


def compare(one: Image.Image, other: Image.Image) -> Verdict:
    return decide_as_variant(to_small(one), to_small(other)).verdict


LARGE_EMBLEM = emblem("R").resize((640, 360))


@pytest.mark.parametrize(
    ("image", "write"),
    [
        (bubbles(0), lettered),
        (LARGE_EMBLEM, lettered),
        (ImageOps.invert(clock(1)), watermarked),
        (scene(3), watermarked),
    ],
)
def test_an_image_under_text_is_overlaid_and_the_one_without_is_clean(
    image: Image.Image, write: Callable[[Image.Image], Image.Image]
) -> None:
    under_text = compare(image, write(image))
    assert (under_text.kind, under_text.direction) == (OVERLAID, Direction(1))
    assert compare(write(image), image).direction == Direction(-1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bubbles(0), lettered(bubbles(1))),
        (lettered(bubbles(0)), lettered(bubbles(1))),
        (emblem("R"), lettered(emblem("B"))),
        (emblem("R"), watermarked(emblem("B"))),
        (emblem("F"), emblem("E")),  # all of one is in the other, and next to nothing is added
        (bars((90, 40, 70, 60, 30, 80, 50, 20)), bars((170, 150, 190, 160, 130, 180, 140, 120))),
        (page("one page"), page("other words")),
        (Image.new("RGB", (320, 180), (40, 40, 40)), lettered(emblem("R"))),
        (framed(emblem("R")), framed(cover_middle(lettered(emblem("R"))))),  # all but the frame
    ],
)
def test_another_image_is_not_the_one_under_the_text(one: Image.Image, other: Image.Image) -> None:
    for pair in ((one, other), (other, one)):
        assert compare(*pair).kind in (NOTHING, DOUBTFUL)
