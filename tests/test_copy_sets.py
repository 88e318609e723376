"""Large sets of copies: what follows from other pairs gets no look of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_hash_rows import scene

import find_duplicates
from duplicates import classification, copy_sets, second_looks
from duplicates.confirmation import Confirmation
from duplicates.geometry import IDENTITY

SAME = Confirmation(True, "same_detail")
OTHER = Confirmation(False, "other_content")
RECOLOURED = Confirmation(False, "other_colours")


def search(folder: Path) -> dict[str, list[str]]:
    assert find_duplicates.main([str(folder), "--quiet", "--workers", "1"]) == 0
    found: dict[str, list[str]] = json.loads(next(folder.rglob("duplicates_*.json")).read_text())
    return found


def make_topic(tmp_path: Path) -> Path:
    topic = tmp_path / "D" / "C" / "S" / "T"
    topic.mkdir(parents=True)
    return topic


@pytest.mark.parametrize(("copies", "all_looks"), [(5, 10), (6, 5), (14, 13)])
def test_pairs_of_a_large_set_follow_from_its_largest_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: int, all_looks: int
) -> None:
    topic = make_topic(tmp_path)
    for quality in range(70, 70 + copies):
        scene(1).convert("RGB").save(topic / f"{quality}.jpg", quality=quality)
    looks: list[int] = []
    look = classification.look_at_pairs

    def counting_look(pairs: list[object], variants: bool) -> object:
        looks.append(len(pairs))
        return look(pairs, variants)

    monkeypatch.setattr(classification, "look_at_pairs", counting_look)
    found = search(tmp_path / "D")
    assert {len(others) for others in found.values()} == {copies - 1}
    assert sum(looks) == all_looks


def test_two_colourings_are_copies_of_the_grey_image_and_not_of_each_other(tmp_path: Path) -> None:
    topic = make_topic(tmp_path)
    grey = scene(3).convert("L")
    grey.resize((960, 720)).save(topic / "grey.png")
    for name, levels in {"blue": (170, 110), "red": (100, 170)}.items():
        chroma = [Image.new("L", grey.size, level) for level in levels]
        Image.merge("YCbCr", (grey, *chroma)).convert("RGB").save(topic / f"{name}.png")
    found = search(tmp_path / "D")
    assert found["grey.png"] == ["blue.png", "red.png"]
    assert found["blue.png"] == found["red.png"] == ["grey.png"]


def test_what_follows_from_the_largest_image() -> None:
    said = {"a": SAME, "b": SAME, "c": OTHER, "d": OTHER, "e": RECOLOURED}
    assert copy_sets.inherit(("a", "b"), said) == SAME
    assert copy_sets.inherit(("a", "c"), said) == copy_sets.inherit(("c", "a"), said) == OTHER
    assert copy_sets.inherit(("c", "d"), said) is None  # both differ, perhaps in the same way
    assert copy_sets.inherit(("a", "e"), said) is None  # a may be grey
    assert copy_sets.inherit(("a", "x"), said) is None


def test_two_slight_crops_of_one_image_do_not_meet_at_the_edges() -> None:
    cropped = np.array([[0.96, 0, 0.04], [0, 1, 0]])
    moved = np.array([[1, 0, -0.02], [0, 1, 0]])
    assert copy_sets.meets_edges(cropped) and copy_sets.meets_edges(moved)
    assert copy_sets.meets_edges(copy_sets.affine_between(cropped, cropped))
    assert not copy_sets.meets_edges(copy_sets.affine_between(cropped, moved))


def test_an_image_that_is_gone_leaves_its_pair_open(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    assert (
        second_looks.confirm_files(
            str(tmp_path / "a.png"), str(tmp_path / "gone.png"), IDENTITY, 10**8
        )
        is None
    )
