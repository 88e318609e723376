"""The caption of a dropped copy goes to its keeper, and none is lost."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from test_merge_clusters import AT, add_records, files, manifest_lines, merge, write

__all__ = ["merge"]  # the fixture


def topic_of_copies(folder: Path, captions: dict[str, str]) -> None:
    """Make images that are all copies, the first one best, with these captions."""
    names = list(captions)
    for name, text in captions.items():
        write(folder / name, f"{folder} {name}")
        if text is not None:
            write(folder / name.replace(".jpg", ".txt"), text)
    matches = {name: [other for other in names if other != name] for name in names}
    pixels = {name: 100 - place for place, name in enumerate(names)}
    add_records(folder, matches=matches, pixels=pixels)


@pytest.mark.parametrize(
    ("rule", "captions", "expected", "moved", "left"),
    [
        ("keeper", {"a.jpg": None, "b.jpg": "an owl"}, "an owl", 1, 0),
        ("keeper", {"a.jpg": " \n", "b.jpg": "an owl"}, "an owl", 1, 0),
        ("keeper", {"a.jpg": None, "b.jpg": "owl", "c.jpg": "a long owl"}, "owl", 1, 1),
        ("keeper", {"a.jpg": "mine", "b.jpg": "an owl"}, "mine", 0, 1),
        ("keeper", {"a.jpg": "an owl", "b.jpg": "an  owl\n"}, "an owl", 0, 0),
        ("longest", {"a.jpg": "owl", "b.jpg": "an owl", "c.jpg": "bird"}, "an owl", 1, 2),
        ("join", {"a.jpg": "owl", "b.jpg": "a\nbird", "c.jpg": "owl"}, "owl, a bird", 3, 0),
    ],
)
def test_which_caption_a_keeper_gets(
    tmp_path: Path, merge, rule: str, captions: dict, expected: str, moved: int, left: int
) -> None:
    topic_of_copies(tmp_path / "A" / AT, captions)
    result = merge(tmp_path / "A", "--captions", rule)
    assert (tmp_path / "full" / AT / "a.txt").read_text() == expected
    assert (result["captions_moved"], result["captions_left"]) == (moved, left)
    entries = manifest_lines(tmp_path / "full")[0].get("captions", [])
    assert sum(bool(entry["name"]) for entry in entries) == moved
    assert all(Path(entry["source"]).exists() for entry in entries)
    before = files(tmp_path / "full")
    merge(tmp_path / "A", "--captions", rule)
    assert files(tmp_path / "full") == before


def test_a_caption_in_the_target_is_never_rewritten(tmp_path: Path, merge) -> None:
    topic_of_copies(tmp_path / "A" / AT, {"a.jpg": "mine", "b.jpg": None})
    merge(tmp_path / "A")
    write(tmp_path / "full" / AT / "a.txt", "edited")
    write(tmp_path / "A" / AT / "b.txt", "a much longer caption")
    for rule in ("longest", "join", "keeper"):
        merge(tmp_path / "A", "--captions", rule)
        assert (tmp_path / "full" / AT / "a.txt").read_text() == "edited"


def test_a_moved_caption_goes_to_no_other_image_of_the_same_stem(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    for name in ("a.jpg", "a.png", "b.jpg"):
        write(folder / name, name)
    write(folder / "b.txt", "an owl")
    add_records(folder, matches={"a.jpg": ["b.jpg"]}, pixels={"a.jpg": 30, "b.jpg": 20})
    merge(tmp_path / "A")
    names = sorted(path.name for path in (tmp_path / "full" / AT).glob("*.*"))
    assert names == [".cache", "a.jpg", "a.jpg.txt", "a.png"]


def test_a_variants_caption_stays_behind(tmp_path: Path, merge) -> None:
    folder = tmp_path / "A" / AT
    for name in ("a.jpg", "b.jpg"):
        write(folder / name, name)
    write(folder / "b.txt", "a mirrored owl")
    add_records(folder, variants={"a.jpg": {"b.jpg": "mirrored"}}, pixels={"a.jpg": 30})
    merge(tmp_path / "A", "--drop-variants", "mirrored")
    assert not (tmp_path / "full" / AT / "a.txt").exists()


def random_sets(rng: random.Random, folder: Path) -> list[list[str]]:
    """Make sets of copies with captions here and there, all in one topic; return the sets."""
    names = [f"{number}{rng.choice('ab')}.jpg" for number in range(rng.randint(2, 9))]
    sets: list[list[str]] = []
    matches: dict[str, list[str]] = {}
    while names:
        size = rng.randint(1, 4)
        members, names = names[:size], names[size:]
        sets.append(members)
        for one, other in itertools.combinations(members, 2):
            matches.setdefault(one, []).append(other)
    for name in itertools.chain.from_iterable(sets):
        write(folder / name, f"{folder} {name}")
        text = rng.choice([None, None, " ", "owl", "an owl", "a bird"])
        if text is not None:
            ending = rng.choice([".txt", ".caption", ".jpg.txt"])
            write(folder / name.replace(".jpg", ending), text)
    pixels = {name: rng.randint(1, 5) for members in sets for name in members}
    add_records(folder, matches=matches, pixels=pixels)
    return sets


def has_caption(folder: Path, name: str) -> bool:
    endings = (".jpg.txt", ".txt", ".jpg.caption", ".caption")
    places = [folder / name.replace(".jpg", ending) for ending in endings]
    return any(place.exists() and place.read_text().strip() for place in places)


@pytest.mark.parametrize("seed", range(12))
def test_no_caption_is_lost(tmp_path: Path, merge, seed: int) -> None:
    """Each picture that has a caption in any of its copies has one in the target."""
    rng = random.Random(seed)
    captioned = {}
    for dataset in ("A", "B"):
        folder = tmp_path / dataset / AT
        for members in random_sets(rng, folder):
            if any(has_caption(folder, name) for name in members):
                captioned.update({str(folder / name): True for name in members})
    datasets = [tmp_path / "A", tmp_path / "B"]
    rule = rng.choice(["keeper", "longest", "join"])
    merge(*datasets, "--captions", rule)
    before = files(tmp_path / "full")
    for line in manifest_lines(tmp_path / "full"):
        if line["source"] in captioned:
            place = tmp_path / "full" / (line["target"] or line["kept"])
            assert has_caption(place.parent, place.name), line
    merge(*datasets, "--captions", rule)
    assert files(tmp_path / "full") == before


@pytest.mark.parametrize(
    ("own", "rule", "expected"),
    [
        (None, "keeper", "an owl"),
        (" \n", "keeper", "an owl"),
        ("mine", "keeper", "mine"),
        ("mine", "longest", "an owl"),
        ("mine", "join", "mine, an owl"),
    ],
)
def test_the_caption_of_the_same_bytes_in_another_dataset_is_not_lost(
    tmp_path: Path, merge, own: str | None, rule: str, expected: str
) -> None:
    write(tmp_path / "A" / AT / "a.jpg", "bytes")
    if own:
        write(tmp_path / "A" / AT / "a.txt", own)
    write(tmp_path / "B" / AT / "other name.jpg", "bytes")
    write(tmp_path / "B" / AT / "other name.txt", "an owl")
    result = merge(tmp_path / "A", tmp_path / "B", "--captions", rule)
    assert (result["copied"], result["identical"]) == (1, 1)
    folder = tmp_path / "full" / AT
    assert (folder / "a.txt").read_text() == expected
    captions = [path.name for path in folder.iterdir() if path.suffix == ".txt"]
    assert captions == ["a.txt"]
    named = manifest_lines(tmp_path / "full")[0].get("captions", [])
    is_left = (own, rule) == ("mine", "keeper")
    assert [entry["name"] for entry in named if "other" in entry["source"]] in (
        [[""]] if is_left else [[], ["a.txt"]]
    )
    assert result["captions_left"] == is_left + ((own, rule) == ("mine", "longest"))
    before = files(tmp_path / "full")
    merge(tmp_path / "A", tmp_path / "B", "--captions", rule)
    assert files(tmp_path / "full") == before


def test_the_same_bytes_meet_across_datasets_and_not_within_one(tmp_path: Path, merge) -> None:
    for dataset, names in {"A": "ab", "B": "ac", "C": "de"}.items():
        for name in names:
            write(tmp_path / dataset / AT / f"{name}.jpg", "bytes")
    result = merge(*(tmp_path / dataset for dataset in "ABC"))
    assert (result["copied"], result["identical"]) == (2, 4)
    kept = merge(tmp_path / "B", tmp_path / "C", "--keep-duplicates", to="all")
    assert (kept["copied"], kept["identical"]) == (4, 0)
