"""Variants have a direction: the clean one is kept in a merge, and chosen for a split."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_image
from PIL import Image, ImageOps
from result_files import write_scores

import find_duplicates
import merge_clusters
import split_data
from common import cli, tree
from common.json_files import COPY
from keeping import directions, keepers
from keeping.directions import Direction, clean_versions, sort_clean_first
from keeping.keeper_order import Candidate, KeeperRule
from keeping.kin_order import KinOrder, find_kin
from keeping.preference import Preference

ALL_KINDS = "mirrored,turned,contained,framed,captioned,overlaid,cropped,recoloured"


def test_each_name_comes_after_its_clean_versions_and_circles_break_at_their_first() -> None:
    assert sort_clean_first("abc", {}) == ["a", "b", "c"]
    assert sort_clean_first("abc", {"a": "c"}) == ["b", "c", "a"]
    assert sort_clean_first("abcd", {"a": "b", "b": "d"}) == ["c", "d", "b", "a"]
    assert sort_clean_first("abc", {"a": "b", "b": "a"}) == ["c", "a", "b"]
    # a waits for the circle of c and d, and is not in it
    assert sort_clean_first("abcd", {"a": "c", "c": "d", "d": "c"}) == ["b", "c", "a", "d"]
    assert sort_clean_first("ab", {"a": "ax"}) == ["a", "b"]  # x is elsewhere


def test_without_circles_every_name_comes_after_all_its_clean_versions() -> None:
    rng = random.Random(7)
    for _ in range(300):
        names = [f"{number:02}" for number in range(rng.randint(1, 12))]
        clean_of: dict[str, set[str]] = {}
        for one, other in itertools.combinations(rng.sample(names, len(names)), 2):
            if rng.random() < 0.3:
                clean_of.setdefault(other, set()).add(one)
        order = sort_clean_first(names, clean_of)
        assert sorted(order) == names
        for name, clean in clean_of.items():
            assert all(order.index(each) < order.index(name) for each in clean)


def test_a_picture_with_less_than_half_of_what_a_frame_shows_is_not_clean() -> None:
    kinds = {"a": {"b": "framed"}, "b": {"a": "framed"}}
    known = {("a", "b"): Direction(1, 0.5)}
    assert clean_versions(kinds, known, {"a": 25, "b": 100}) == {"b": {"a"}}
    assert clean_versions(kinds, known, {"a": 24, "b": 100}) == {}
    same = {"a": {"b": COPY}, "b": {"a": COPY}}  # as a person said
    assert clean_versions(same, known, {"a": 25, "b": 100}) == {}


@pytest.mark.parametrize("prefer", list(Preference))
def test_each_image_left_out_has_a_kept_direct_match_whatever_the_directions(
    prefer: Preference,
) -> None:
    rng = random.Random(prefer)
    for _ in range(200):
        names = [f"{number:02}" for number in range(rng.randint(1, 12))]
        kinds: dict[str, dict[str, str]] = {name: {} for name in names}
        known = {}
        for one, other in itertools.combinations(names, 2):
            if rng.random() < 0.3:
                kinds[one][other] = kinds[other][one] = rng.choice(
                    [COPY, "framed", "cropped", "mirrored"]
                )
                known[one, other] = Direction(rng.choice([-1, 0, 1]), rng.choice([0, 0.5]))
        candidates = [
            Candidate(
                name,
                rng.randint(1, 4),
                rng.randint(1, 3),
                None,
                keep=rng.random() < 0.1,
                in_target=rng.random() < 0.1,
                mtime_ns=rng.randint(0, 3),
            )
            for name in names
        ]
        pixels = {image.name: image.pixels for image in candidates}
        rule = KeeperRule(
            prefer, clean_of=clean_versions(kinds, known, pixels), kin=find_kin(kinds)
        )
        choice = keepers.select_redundant(candidates, kinds, rule=rule)
        rng.shuffle(candidates)
        assert keepers.select_redundant(candidates, kinds, rule=rule) == choice
        kept = set(names) - choice.keepers.keys()
        assert kept  # so no component is empty: each image left out has a match among them
        for name, keeper in choice.keepers.items():
            assert keeper in kept & kinds[name].keys()
        assert choice.reasons.keys() == choice.keepers.keys()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """A photo, its frame and its crop in one topic, its frame in another, and other images."""
    dataset = tmp_path_factory.mktemp("directions") / "Set"
    noise = np.random.default_rng(3).normal(0, 25, (240, 320, 1))
    pixels = np.asarray(draw_image(3, (320, 240)), float) + noise
    photo = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    framed = ImageOps.expand(photo, 60, "black")
    images = {
        "T": {"photo.png": photo, "crop.png": photo.crop((48, 36, 272, 204)), "frame.png": framed},
        "U": {"frame elsewhere.png": ImageOps.expand(photo, 50, "white")},
    }
    for topic, of_topic in images.items():
        folder = dataset / "C/S" / topic
        folder.mkdir(parents=True)
        of_topic["other.png"] = draw_image(ord(topic), (320, 240))
        for name, image in of_topic.items():
            image.save(folder / name)
    for topic in tree.find_topics([str(dataset)], print):
        write_scores(topic, dict.fromkeys(topic.image_names(), 5.0))
    search(dataset)
    return dataset


def search(dataset: Path, *options: str) -> None:
    arguments = [str(dataset), "--variants", "--across", "--quiet", "--workers", "0", *options]
    assert cli.run_script(find_duplicates.main, arguments) == 0


def test_the_search_records_directions_and_keeps_them(dataset: Path) -> None:
    variants = json.loads((dataset / "C/S/variants_T.json").read_text())
    assert variants["photo.png"] == {"crop.png": "cropped", "frame.png": "framed"}
    path = dataset / "C/S/T/.cache/pairs.json"
    topic = tree.find_topics([str(dataset / "C/S/T")], print)[0]
    stamps = topic.image_stamps()
    known = directions.read_directions(str(path), stamps)
    assert known["crop.png", "photo.png"].clean == -1
    assert known["frame.png", "photo.png"].clean == -1
    assert 0.3 < known["frame.png", "photo.png"].shown < 0.6
    before = path.read_bytes()
    search(dataset)
    assert path.read_bytes() == before
    without = [str(dataset), "--quiet", "--workers", "0"]
    assert cli.run_script(find_duplicates.main, without) == 0
    assert directions.read_directions(str(path), stamps) == known
    changed = {**stamps, "photo.png": (1, 1)}
    assert all("photo.png" not in pair for pair in directions.read_directions(str(path), changed))


def test_a_merge_keeps_the_clean_variant(dataset: Path, tmp_path: Path) -> None:
    target = tmp_path / "full"
    arguments = [str(dataset), "--drop-variants", ALL_KINDS, "--output", str(target), "--quiet"]
    assert cli.run_script(merge_clusters.main, arguments) == 0
    names = {path.name for path in (target / "C/S/T").glob("*.png")}
    assert names == {"photo.png", "other.png"}
    lines = (target / "merge_manifest.jsonl").read_text().splitlines()
    reasons = [line["reason"] for line in map(json.loads, lines) if line["action"] == "variant"]
    assert reasons == [
        "a variant of photo.png (cropped), which stays: it is the clean one",
        "a variant of photo.png (framed), which stays: it is the clean one",
    ]


def test_a_merge_across_topics_keeps_the_clean_variant(dataset: Path, tmp_path: Path) -> None:
    target = tmp_path / "full"
    arguments = [str(dataset), "--drop-variants", "framed", "--output", str(target), "--quiet"]
    assert cli.run_script(merge_clusters.main, [*arguments, "--drop-across"]) == 0
    names = {str(path.relative_to(target / "C/S")) for path in target.rglob("*.png")}
    assert names == {"T/photo.png", "T/crop.png", "T/other.png", "U/other.png"}
    lines = map(json.loads, (target / "merge_manifest.jsonl").read_text().splitlines())
    left_out = {Path(line["source"]).name: line for line in lines if not line["target"]}
    elsewhere = left_out["frame elsewhere.png"]
    assert (elsewhere["action"], elsewhere["kept"]) == ("variant", "C/S/T/photo.png")
    assert elsewhere["reason"].endswith("photo.png (framed), which stays: it is the clean one")


def choose(dataset: Path, tmp_path: Path, capsys, *options: str) -> tuple[set[str], dict]:
    arguments = [str(dataset), "--exclude-duplicates", "--output-dir", str(tmp_path), "--json"]
    assert cli.run_script(split_data.main, [*arguments, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    chosen = json.loads((tmp_path / "train_set.json").read_text())
    return {str(Path(path).relative_to(dataset / "C/S")) for path in chosen}, result


def test_a_split_chooses_no_unclean_variant_of_what_may_be_chosen(
    dataset: Path, tmp_path: Path, capsys
) -> None:
    clean = {"T/photo.png", "T/other.png", "U/other.png"}
    chosen, result = choose(dataset, tmp_path, capsys)
    assert chosen == clean
    assert result["variants_left_out"] == result["counts"]["variants_left_out"] == 3
    unclean = {"T/crop.png", "T/frame.png", "U/frame elsewhere.png"}
    chosen, result = choose(dataset, tmp_path, capsys, "--allow-variants")
    assert chosen == clean | unclean
    assert result["variants_left_out"] == 0


def test_an_unclean_variant_is_chosen_if_the_clean_one_may_not_be(
    dataset: Path, tmp_path: Path, capsys
) -> None:
    decisions = dataset / "decisions.json"
    decisions.write_text(json.dumps({"drop": ["C/S/T/photo.png"]}))
    chosen, result = choose(dataset, tmp_path, capsys)
    decisions.unlink()
    assert "T/photo.png" not in chosen
    assert result["variants_left_out"] < 3
    assert chosen & {"T/crop.png", "T/frame.png", "U/frame elsewhere.png"}


def test_a_direction_that_a_later_search_does_not_see_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    photo = draw_image(3, (320, 240))
    photo.save(folder / "a.png")
    ImageOps.mirror(photo).save(folder / "b.png")
    search(tmp_path / "Set")
    topic = tree.find_topics([str(tmp_path / "Set")], print)[0]
    stamps = topic.image_stamps()
    path = folder / ".cache/pairs.json"
    content = json.loads(path.read_text())
    assert content["a.png"]["b.png"][0] == "mirrored"
    wrong = {("a.png", "b.png"): Direction(1)}
    content[directions.DIRECTIONS_KEY] = directions.directions_json(wrong, stamps)
    path.write_text(json.dumps(content))
    assert directions.read_directions(str(path), stamps) == wrong
    search(tmp_path / "Set")
    assert directions.read_directions(str(path), stamps) == {}


def both_ways(pairs: dict[str, str]) -> dict[str, dict[str, str]]:
    kinds: dict[str, dict[str, str]] = {}
    for pair, kind in pairs.items():
        for one, other in (pair, pair[::-1]):
            kinds.setdefault(one, {})[other] = kind
    return kinds


def test_a_whole_picture_that_is_a_frame_to_a_copy_of_the_crop_is_not_clean() -> None:
    pixels = dict.fromkeys("abw", 100)
    known = {("a", "w"): Direction(-1), ("b", "w"): Direction(1, 0.5)}
    kinds = both_ways({"aw": "cropped", "bw": "framed", "ab": COPY})
    assert clean_versions(kinds, known, pixels) == {"w": {"b"}}
    strangers = both_ways({"aw": "cropped", "bw": "framed", "ab": "cropped"})
    assert clean_versions(strangers, known, pixels) == {"a": {"w"}, "w": {"b"}}
    some = both_ways({"aw": "cropped", "bw": "framed"})
    assert clean_versions(some, known, pixels, kinds) == {"w": {"b"}}


def rank_kin(kinds: dict[str, dict[str, str]], **pixels: int) -> keepers.KeeperChoice:
    candidates = [
        Candidate(name, count, 1, 5 + (name == "m.jpg"), width=1) for name, count in pixels.items()
    ]
    copies = {
        name: {other for other, kind in others.items() if kind == COPY}
        for name, others in kinds.items()
    }
    rule = KeeperRule(kin=find_kin(kinds))
    return keepers.select_redundant(candidates, kinds, rule=rule, copies_of=copies)


def test_of_mirrored_versions_the_one_with_copies_is_kept_whatever_the_scores() -> None:
    """Here m has the best score: between versions of one picture that is noise."""
    kinds: dict[str, dict[str, str]] = {}
    pairs = {
        ("z.jpg", "m.jpg"): "mirrored",
        ("z.jpg", "z2.jpg"): COPY,
        ("z2.jpg", "m.jpg"): "turned",
    }
    for (one, other), kind in pairs.items():
        kinds.setdefault(one, {})[other] = kinds.setdefault(other, {})[one] = kind
    choice = rank_kin(kinds, **{"m.jpg": 100, "z.jpg": 100, "z2.jpg": 90})
    assert choice.keepers == {"m.jpg": "z.jpg", "z2.jpg": "z.jpg"}
    assert choice.reasons["m.jpg"] == "it has more copies"
    choice = rank_kin(kinds, **{"m.jpg": 200, "z.jpg": 100, "z2.jpg": 90})
    assert choice.keepers == {"z.jpg": "m.jpg", "z2.jpg": "m.jpg"}
    del kinds["z2.jpg"], kinds["z.jpg"]["z2.jpg"], kinds["m.jpg"]["z2.jpg"]
    choice = rank_kin(kinds, **{"m.jpg": 100, "z.jpg": 100})
    assert choice.keepers == {"z.jpg": "m.jpg"}  # the names decide


def test_a_version_that_comes_later_for_a_cleaner_one_says_so() -> None:
    """z has more copies than m: m is kept before it only if z has a cleaner version."""
    pixels = {"m.jpg": 100, "z.jpg": 100, "z2.jpg": 90}
    copies = {"z.jpg": {"z2.jpg"}, "z2.jpg": {"z.jpg"}}
    order = KinOrder(pixels, copies, {"m.jpg": {"z.jpg"}, "z.jpg": {"m.jpg"}})
    assert order.explain("z.jpg", "m.jpg") == "it has more copies"
    assert order.explain("m.jpg", "z.jpg") == "there is a cleaner version of the other"
