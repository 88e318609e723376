"""What the second look says of drawings that fill little of their ground."""

from __future__ import annotations

import io

import numpy as np
import pytest
from edited_pairs import draw_chest, edited_pair
from PIL import Image, ImageFilter, ImageOps

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
