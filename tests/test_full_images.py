"""Images that look the same in 8 bits on white, and are different images."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from test_copy_sets import make_topic, search
from test_hash_rows import scene


def white_letter(letter: str) -> Image.Image:
    image = Image.new("RGBA", (120, 120), (255, 255, 255, 0))
    ImageDraw.Draw(image).text((60, 60), letter, "white", font_size=80, anchor="mm")
    return image


def low_values(seed: int) -> Image.Image:
    """16-bit values up to 100: black in 8 bits."""
    grey = np.asarray(scene(seed).convert("L").resize((120, 90)))
    return Image.fromarray((grey.astype(np.uint16) * 100) // 255)


@pytest.mark.parametrize("make", [white_letter, low_values])
def test_what_eight_bits_on_white_do_not_show_makes_no_copy(tmp_path: Path, make: object) -> None:
    topic = make_topic(tmp_path)
    for name in ("A", "B", "K") if make is white_letter else (1, 2, 3):
        make(name).save(topic / f"{name}.png")
    assert set(itertools.chain(*search(tmp_path / "D").values())) == set()


def test_animations_with_one_first_frame_are_no_copies(tmp_path: Path) -> None:
    topic = make_topic(tmp_path)
    black = Image.new("RGB", (320, 240))
    for number in range(3):
        frames = [scene(10 * number + frame).convert("RGB") for frame in range(3)]
        black.save(topic / f"{number}.gif", save_all=True, append_images=frames)
    assert set(itertools.chain(*search(tmp_path / "D").values())) == set()
