"""find_duplicates.py --across and --against: finds the pairs that one topic would have."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import draw_image
from PIL import Image
from test_hash_rows import scene

import find_duplicates
from common import cli


@pytest.fixture
def find(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict, str]]:
    def call(*args: object) -> tuple[int, dict, str]:
        capsys.readouterr()
        status = cli.run_script(find_duplicates.main, [*map(str, args), "--json", "--workers", "0"])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else {}, printed.err

    return call


def make(dataset: Path, **seeds: int) -> Path:
    """Make images: `T_a=1` is C/S/T/a.png. Those of one seed are copies, ever smaller."""
    for number, (place, seed) in enumerate(seeds.items()):
        path = dataset / "C/S" / f"{place.replace('_', '/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(seed, (320 - 10 * number, 240 - 7 * number)).save(path)
    return dataset


def read_across(dataset: Path) -> dict[str, dict[str, str]]:
    """Read the file, with C/S/T/a.png shortened to T/a."""

    def short(path: str) -> str:
        return path.removeprefix("C/S/").removesuffix(".png")

    read = json.loads((dataset / "duplicates_across.json").read_text())
    return {
        short(one): {short(other): kind for other, kind in others.items()}
        for one, others in read.items()
    }


def state(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_across_finds_copies_in_other_topics_and_leaves_topic_files_alone(
    tmp_path: Path, find
) -> None:
    make(tmp_path / "D", T_a=1, T_b=1, T_c=2, U_d=1, U_e=3, V_f=3, V_g=4)
    find(tmp_path / "D")
    before = {path: path.read_bytes() for path in (tmp_path / "D/C/S").glob("*.json")}
    assert not (tmp_path / "D/duplicates_across.json").exists()
    status, told, said = find(tmp_path / "D", "--across")
    assert status == 0 and told["across"] == {"pairs": {"copy": 3}, "references": {}}
    assert said == "7 images found = 7 searched\n"
    assert read_across(tmp_path / "D") == {
        "T/a": {"U/d": "copy"},
        "T/b": {"U/d": "copy"},
        "U/d": {"T/a": "copy", "T/b": "copy"},
        "U/e": {"V/f": "copy"},
        "V/f": {"U/e": "copy"},
    }
    assert {path: path.read_bytes() for path in (tmp_path / "D/C/S").glob("*.json")} == before
    figures = json.loads((tmp_path / "D/.cache/pairs.json").read_text())
    assert figures.pop("/terms").keys() == {"C/S/T/a.png", "C/S/U/e.png"}
    assert {one: list(others) for one, others in figures.items()} == {
        "C/S/T/a.png": ["C/S/U/d.png"],
        "C/S/T/b.png": ["C/S/U/d.png"],
        "C/S/U/e.png": ["C/S/V/f.png"],
    }
    there = state(tmp_path)
    find(tmp_path / "D", "--across")
    find(tmp_path / "D")
    assert state(tmp_path) == there


def test_second_run_opens_no_image(tmp_path: Path, find, monkeypatch) -> None:
    make(tmp_path / "D", T_a=1, U_b=1)
    find(tmp_path / "D", "--across")
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("an image was opened"))
    assert find(tmp_path / "D", "--across")[1]["across"] == {"pairs": {"copy": 1}, "references": {}}


def test_search_of_some_topics_replaces_only_their_pairs(tmp_path: Path, find) -> None:
    make(tmp_path / "D", T_a=1, U_b=1, V_c=2, W_d=2)
    make(tmp_path / "E", T_a=1, U_b=1)
    find(tmp_path / "D", tmp_path / "E", "--across")
    both = {"T/a": {"U/b": "copy"}, "U/b": {"T/a": "copy"}}
    assert read_across(tmp_path / "D") == both | {"V/c": {"W/d": "copy"}, "W/d": {"V/c": "copy"}}
    assert read_across(tmp_path / "E") == both
    draw_image(9).save(tmp_path / "D/C/S/U/b.png")
    draw_image(9).save(tmp_path / "D/C/S/V/c.png")
    status, _, said = find(tmp_path / "D/C/S/T", tmp_path / "D/C/S/U", "--across")
    unchanged = "compared 2 topics; matches of the other topics stay as they were"
    assert status == 0 and f"duplicates_across.json: {unchanged}" in said
    assert read_across(tmp_path / "D") == {"V/c": {"W/d": "copy"}, "W/d": {"V/c": "copy"}}
    find(tmp_path / "D", "--across")
    assert read_across(tmp_path / "D") == {"U/b": {"V/c": "copy"}, "V/c": {"U/b": "copy"}}


def test_flat_images_match_across_topics_only_if_equal(tmp_path: Path, find) -> None:
    for place, colour in (("T/a", "red"), ("U/b", "red"), ("U/c", "blue"), ("V/d", "blue")):
        path = tmp_path / f"D/C/S/{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), colour).save(path)
    find(tmp_path / "D", "--across")
    pairs = {("T/a", "U/b"), ("U/c", "V/d")}
    assert {
        (one, other)
        for one, others in read_across(tmp_path / "D").items()
        for other in others
        if one < other
    } == pairs


def test_earlier_variants_stay_unless_they_are_copies_now(tmp_path: Path, find) -> None:
    make(tmp_path / "D", T_a=1, U_b=1, T_c=2, U_d=3)
    find(tmp_path / "D", "--across")
    path = tmp_path / "D/duplicates_across.json"
    kinds = {"C/S/T/a.png": {"C/S/U/b.png": "mirrored"}, "C/S/T/c.png": {"C/S/U/d.png": "turned"}}
    path.write_text(json.dumps(kinds))
    record = json.loads((tmp_path / "D/.cache/images.json").read_text())
    for name in ("C/S/T/c.png", "C/S/U/d.png"):
        status = os.stat(tmp_path / "D" / name)
        record["duplicates"]["images"][name] = [status.st_size, status.st_mtime_ns]
    (tmp_path / "D/.cache/images.json").write_text(json.dumps(record))
    find(tmp_path / "D", "--across")
    assert read_across(tmp_path / "D") == {
        "T/a": {"U/b": "copy"},
        "U/b": {"T/a": "copy"},
        "T/c": {"U/d": "turned"},
        "U/d": {"T/c": "turned"},
    }


def test_finds_variants_across_topics_and_of_references(tmp_path: Path, find) -> None:
    make(tmp_path / "D", T_a=1, T_b=2, U_c=3)
    (tmp_path / "R").mkdir()
    pictures = {
        "D/C/S/U/turned": (1, Image.Transpose.ROTATE_90),
        "R/mirror": (2, Image.Transpose.FLIP_LEFT_RIGHT),
    }
    for place, (seed, turn) in pictures.items():
        draw_image(seed, (320, 240)).transpose(turn).save(tmp_path / f"{place}.png")
    draw_image(1, (200, 150)).save(tmp_path / "D/C/S/T/small.png")  # a copy of T/a
    told = find(tmp_path / "D", "--across", "--against", tmp_path / "R", "--variants")[1]
    assert told["across"] == {"pairs": {"turned": 2}, "references": {"mirrored": 1}}
    found = {
        "T/a": {"U/turned": "turned"},
        "T/b": {f"{tmp_path}/R/mirror": "mirrored"},
        "T/small": {"U/turned": "turned"},
        "U/turned": {"T/a": "turned", "T/small": "turned"},
    }
    assert read_across(tmp_path / "D") == found
    assert (
        find(tmp_path / "D", "--across")[1]["across"] == told["across"]
    )  # without --variants they stay
    draw_image(8, (320, 240)).save(tmp_path / "D/C/S/U/turned.png")
    find(tmp_path / "D", "--across", "--variants")
    assert read_across(tmp_path / "D") == {"T/b": found["T/b"]}


def test_copies_across_are_the_same_with_and_without_variants(tmp_path: Path, find) -> None:
    """The search for variants proposes the pair that this threshold refuses."""
    make(tmp_path / "D", T_a=1, U_b=2)
    (tmp_path / "R").mkdir()
    made = scene(5)
    made.save(tmp_path / "D/C/S/T/c.png")
    smaller = made.crop((3, 3, 317, 237)).resize((200, 150))
    smaller.save(tmp_path / "D/C/S/U/d.png")
    smaller.resize((180, 130)).crop((3, 0, 180, 130)).save(tmp_path / "R/e.png")
    search = ("--across", "--against", tmp_path / "R", "--threshold", 0)
    assert find(tmp_path / "D", *search)[1]["across"] == {"pairs": {}, "references": {}}
    told = find(tmp_path / "D", *search, "--variants")[1]
    assert told["across"]["pairs"] == {"recoloured": 1}
    assert set(told["across"]["references"]) == {"recoloured"}
    assert read_across(tmp_path / "D")["T/c"]["U/d"] == "recoloured"


def test_references_need_no_layout_and_are_never_written_into(tmp_path: Path, find) -> None:
    make(tmp_path / "New", T_a=1, T_b=2, U_c=1, U_d=3)
    make(tmp_path / "Benchmark", X_r=1)
    (tmp_path / "Loose/deep/er/than/usual").mkdir(parents=True)
    draw_image(2).save(tmp_path / "Loose/deep/er/than/usual/s.png")
    draw_image(3).save(tmp_path / "Loose/t.png")
    folders = {path: state(tmp_path / path) for path in ("Benchmark", "Loose")}
    status, told, said = find(
        tmp_path / "New", "--against", tmp_path / "Benchmark", tmp_path / "Loose"
    )
    assert status == 0 and told["across"] == {"pairs": {}, "references": {"copy": 4}}
    assert said == "4 images found = 4 searched\n"
    first, deep, loose = (
        f"{tmp_path}/Benchmark/C/S/X/r",
        f"{tmp_path}/Loose/deep/er/than/usual/s",
        f"{tmp_path}/Loose/t",
    )
    assert read_across(tmp_path / "New") == {
        "T/a": {first: "copy"},
        "T/b": {deep: "copy"},
        "U/c": {first: "copy"},
        "U/d": {loose: "copy"},
    }
    assert {path: state(tmp_path / path) for path in folders} == folders
    find(tmp_path / "New", "--across")
    assert read_across(tmp_path / "New")["T/a"] == {first: "copy", "U/c": "copy"}
    (tmp_path / "Loose/t.png").unlink()
    find(tmp_path / "New", "--against", tmp_path / "Loose")
    assert read_across(tmp_path / "New") == {
        "T/a": {first: "copy", "U/c": "copy"},
        "T/b": {deep: "copy"},
        "U/c": {first: "copy", "T/a": "copy"},
    }


def test_clip_finds_copies_of_references(tmp_path: Path, find, tower: Path) -> None:
    make(tmp_path / "D", T_a=1, T_b=2)
    make(tmp_path / "R", X_r=1)
    before = state(tmp_path / "R")
    clip = ("--method", "clip", "--model", f"local-dir:{tower}", "--threshold", 0.9)
    assert find(tmp_path / "D", "--against", tmp_path / "R", *clip)[1]["across"] == {
        "pairs": {},
        "references": {"copy": 1},
    }
    assert (
        read_across(tmp_path / "D") == {"T/a": {f"{tmp_path}/R/C/S/X/r": "copy"}}
        and state(tmp_path / "R") == before
    )


def test_image_is_not_a_match_of_itself_as_reference(tmp_path: Path, find) -> None:
    make(tmp_path / "D", T_a=1, T_b=2)
    (tmp_path / "R").mkdir()
    os.link(tmp_path / "D/C/S/T/a.png", tmp_path / "R/hard.png")
    os.symlink(tmp_path / "D/C/S/T/b.png", tmp_path / "R/soft.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "D/C/S/T/flat.png")
    os.link(tmp_path / "D/C/S/T/flat.png", tmp_path / "R/flat.png")
    assert find(tmp_path / "D", "--against", tmp_path / "R")[1]["across"]["references"] == {}


@pytest.mark.parametrize(
    "place", ["D", "D/C/S", "D/C/S/T", ".", "link", "D/C/S/T/../../S", "nowhere"]
)
def test_reference_folder_that_overlaps_or_is_missing_is_refused(
    tmp_path: Path, find, place: str
) -> None:
    make(tmp_path / "D", T_a=1)
    os.symlink(tmp_path / "D/C", tmp_path / "link")
    before = state(tmp_path)
    status, _, said = find(tmp_path / "D/C/S", "--against", tmp_path / place)
    assert status == 2 and said.count("error: ") == 1
    assert ("it overlaps" if place != "nowhere" else "no such folder") in said
    assert state(tmp_path) == before


def test_reference_folder_without_images_is_refused(tmp_path: Path, find) -> None:
    make(tmp_path / "D", T_a=1)
    (tmp_path / "empty").mkdir()
    status, _, said = find(tmp_path / "D", "--against", tmp_path / "empty")
    assert status == 2 and "no images below it" in said


def spread_over_topics(tmp_path: Path, seeds: list[int]) -> tuple[Path, Path]:
    """The same images in one topic, and spread at random over twelve topics."""
    rng = random.Random(5)
    one, many = tmp_path / "One/C/S/T", tmp_path / "Many"
    one.mkdir(parents=True)
    for number, seed in enumerate(seeds):
        image = draw_image(seed, (300 - number, 220 - number)).resize(
            (300 - 3 * number, 220 - 2 * number)
        )
        image.save(one / f"{number:03}.png")
        topic = many / f"C{rng.randrange(3)}/S{rng.randrange(2)}/T{rng.randrange(2)}"
        topic.mkdir(parents=True, exist_ok=True)
        shutil.copy2(one / f"{number:03}.png", topic)
    return tmp_path / "One", many


def pairs(found: dict[str, list[str] | dict[str, str]]) -> set[tuple[str, str]]:
    names = {
        (os.path.basename(one), os.path.basename(other))
        for one, others in found.items()
        for other in others
    }
    return {(one, other) for one, other in names if one < other}


@pytest.mark.parametrize("method", ["phash", "clip"])
def test_images_spread_over_topics_have_the_pairs_of_one_topic(
    tmp_path: Path, find, tower: Path, method: str
) -> None:
    one, many = spread_over_topics(tmp_path, [seed for seed in range(9) for _ in range(4)])
    options = (
        ("--method", "clip", "--model", f"local-dir:{tower}", "--threshold", 0.9)
        if method == "clip"
        else ()
    )
    find(one, *options)
    find(many, "--across", *options)
    within = {
        pair
        for path in many.glob("*/*/duplicates_*.json")
        for pair in pairs(json.loads(path.read_text()))
    }
    beyond = pairs(json.loads((many / "duplicates_across.json").read_text()))
    whole = pairs(json.loads((one / "C/S/duplicates_T.json").read_text()))
    assert (
        within | beyond == whole and not within & beyond and len(whole) > 40 and within and beyond
    )


def test_verdict_does_not_depend_on_the_topics_of_a_pair(
    tmp_path: Path, find, photos: list[Path]
) -> None:
    """Crops that are just about copies: which of the two is aligned to the other may decide."""
    for number in (3, 35, 36):
        image = Image.open(photos[number]).convert("RGB")
        width, height = image.size
        crop = image.crop(
            (int(width * 0.03), int(height * 0.03), int(width * 0.97), int(height * 0.97))
        )
        for folder, made, quality in (("A", image, 60), ("B", crop, 92)):
            name = f"{number}{'crop' if made is crop else 'whole'}.jpg"
            for place in (tmp_path / "One/C/S/T", tmp_path / "Many/C/S" / folder):
                place.mkdir(parents=True, exist_ok=True)
                made.save(place / name, quality=quality)
    find(tmp_path / "One")
    find(tmp_path / "Many", "--across")
    whole = pairs(json.loads((tmp_path / "One/C/S/duplicates_T.json").read_text()))
    assert pairs(json.loads((tmp_path / "Many/duplicates_across.json").read_text())) == whole


def test_clip_across_copes_with_a_topic_without_readable_images(
    tmp_path: Path, find, tower: Path
) -> None:
    make(tmp_path / "D", T_a=1, U_b=1)
    (tmp_path / "D/C/S/A").mkdir()
    (tmp_path / "D/C/S/A/broken.png").write_bytes(b"no image")
    clip = ("--method", "clip", "--model", f"local-dir:{tower}", "--threshold", 0.9)
    (tmp_path / "D/duplicates_across.json").write_text("{}")  # else nothing is written up there
    assert find(tmp_path / "D/C/S/A", "--across", *clip)[0] == 0
    assert find(tmp_path / "D", "--across", *clip)[1]["across"]["pairs"] == {"copy": 1}


def test_across_says_that_datasets_are_not_compared_with_one_another(tmp_path: Path, find) -> None:
    make(tmp_path / "D", T_a=1)
    make(tmp_path / "E", T_a=1)
    status, told, said = find(tmp_path / "D", tmp_path / "E", "--across")
    assert status == 0 and told["across"]["pairs"] == {}
    assert "not datasets with one another" in said
    assert "not datasets" not in find(tmp_path / "D", "--across")[2]
