"""Masks and other sidecars of a dropped copy go to its keeper only if the pixels are equal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import draw_image
from test_linked_folder import merge_all, stamps
from test_merge_clusters import AT, manifest_lines, write

import find_duplicates
import merge_clusters


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo, the same pixels as a BMP with a mask and a JSON, and a small copy with a mask."""
    folder = tmp_path / "A" / AT
    folder.mkdir(parents=True)
    photo = draw_image(0, (320, 240))
    photo.save(folder / "owl.png")
    photo.save(folder / "equal.bmp")
    photo.resize((160, 120)).save(folder / "small.png")
    draw_image(1, (320, 240)).save(folder / "boat.png")
    for name in ("equal_mask.png", "small_mask.png"):
        draw_image(2, (320, 240)).convert("1").save(folder / name)
    write(folder / "equal.bmp.json", "{}")
    return folder


def merge(run, tmp_path: Path) -> dict:
    assert run(find_duplicates, tmp_path / "A")[0] == 0
    status, told, said = run(merge_clusters, tmp_path / "A", "--output", tmp_path / "full")
    assert status == 0, said
    return told


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != ".cache"}


def carried(target: Path) -> dict[str, str]:
    lines = [line for line in manifest_lines(target) if "sidecars_of_copies" in line]
    assert len(lines) <= 1
    entries = lines[0]["sidecars_of_copies"] if lines else []
    return {Path(entry["source"]).name: entry["name"] for entry in entries}


def test_sidecars_of_equal_pixels_go_to_the_keeper_and_others_are_named(run, folder, tmp_path):
    told = merge(run, tmp_path)
    target = tmp_path / "full"
    assert names(target / AT) == {"owl.png", "boat.png", "owl_mask.png", "owl.png.json"}
    assert carried(target) == {
        "equal_mask.png": "owl_mask.png",
        "equal.bmp.json": "owl.png.json",
        "small_mask.png": "",
    }
    assert (told["sidecars_moved"], told["sidecars_left"]) == (2, 1)
    assert [Path(each["path"]).name for each in told["left_behind"]] == ["small_mask.png"]
    before = stamps(target)
    told = merge(run, tmp_path)
    assert stamps(target) == before
    assert (told["sidecars_moved"], told["sidecars_left"]) == (0, 0)


def test_a_sidecar_of_the_keeper_is_never_replaced(run, folder, tmp_path):
    content = (folder / "small_mask.png").read_bytes() + b"\0"
    (folder / "owl_mask.png").write_bytes(content)
    merge(run, tmp_path)
    assert (tmp_path / "full" / AT / "owl_mask.png").read_bytes() == content
    assert carried(tmp_path / "full")["equal_mask.png"] == ""


def test_a_mask_for_two_images_of_one_stem_stays_behind(run, folder, tmp_path):
    draw_image(5, (320, 240)).save(folder / "owl.jpg")
    merge(run, tmp_path)
    assert not (tmp_path / "full" / AT / "owl_mask.png").exists()
    assert carried(tmp_path / "full")["equal_mask.png"] == ""


def test_sidecars_of_a_variant_stay_behind(run, folder, tmp_path):
    decisions = {"different": [["C/S/T/equal.bmp", "C/S/T/owl.png"]]}
    write(tmp_path / "A" / "decisions.json", json.dumps(decisions))
    merge(run, tmp_path)
    assert not (tmp_path / "full" / AT / "owl_mask.png").exists()


def test_sidecars_also_move_through_a_folder_of_links(run, folder, tmp_path):
    target = tmp_path / "full"
    merge_all(run, [tmp_path / "A"], target)
    assert (target / AT / "owl_mask.png").exists()
    (line,) = (line for line in manifest_lines(target) if "sidecars_of_copies" in line)
    sources = {entry["source"] for entry in line["sidecars_of_copies"]}
    assert sources == {
        str(folder / name) for name in ("equal_mask.png", "equal.bmp.json", "small_mask.png")
    }
    before = stamps(tmp_path)
    merge_all(run, [tmp_path / "A"], target)
    assert stamps(tmp_path) == before
