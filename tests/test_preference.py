"""--prefer keeps another copy than the best: in every script the same one, with the reason."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_image
from PIL import Image

import aesthetic_scorer
import duplicates_stats
import find_duplicates
import merge_clusters
import split_data
from common import cli
from keeping import keepers, preference
from keeping.keeper_order import Candidate, KeeperRule, rank_candidates
from keeping.preference import Preference

DAY_NS = 86_400 * 10**9
SMALL_OLD = Candidate("b.jpg", 100, 60, 9.0, width=10, mtime_ns=DAY_NS)
LARGE_NEW = Candidate("c.jpg", 200, 50, 1.0, width=10, mtime_ns=4 * DAY_NS)
LARGE_HEAVY = Candidate("a.jpg", 200, 55, 1.0, width=10, mtime_ns=3 * DAY_NS)


@pytest.mark.parametrize(
    ("prefer", "names", "reason"),
    [
        ("best", "b.jpg a.jpg c.jpg", "more pixels x score"),
        ("largest", "a.jpg c.jpg b.jpg", "2.0x the pixels"),
        ("oldest", "b.jpg a.jpg c.jpg", "older by 3 days"),
        ("newest", "c.jpg a.jpg b.jpg", "newer by 3 days"),
        ("first", "a.jpg b.jpg c.jpg", "first by path"),
    ],
)
def test_each_preference_has_its_order_and_reason(prefer: str, names: str, reason: str) -> None:
    rule = KeeperRule(Preference(prefer))
    for images in itertools.permutations([SMALL_OLD, LARGE_NEW, LARGE_HEAVY]):
        ranking = rank_candidates(images, rule=rule)
        assert [image.name for image in ranking.order] == names.split()
        assert ranking.explain(ranking.order[0], ranking.order[-1]) == reason


def test_of_equal_pixels_more_bytes_are_larger_and_ties_go_by_the_keeper_rule() -> None:
    ranking = rank_candidates([LARGE_NEW, LARGE_HEAVY], rule=KeeperRule(Preference.LARGEST))
    assert ranking.explain(*ranking.order) == "more bytes"
    same_age = dataclasses.replace(LARGE_NEW, mtime_ns=SMALL_OLD.mtime_ns)
    ranking = rank_candidates([same_age, SMALL_OLD], rule=KeeperRule(Preference.OLDEST))
    assert [image.name for image in ranking.order] == ["b.jpg", "c.jpg"]
    assert ranking.explain(*ranking.order) == "more pixels x score"


def test_a_person_comes_before_every_preference() -> None:
    kept = dataclasses.replace(SMALL_OLD, keep=True)
    for prefer in Preference:
        matches = {"b.jpg": {"c.jpg"}, "c.jpg": {"b.jpg"}}
        choice = keepers.select_redundant([kept, LARGE_NEW], matches, rule=KeeperRule(prefer))
        assert choice.keepers == {"c.jpg": "b.jpg"}
        assert choice.reasons == {"c.jpg": "you keep it"}


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ("1970:01:02 00:00:00", DAY_NS),
        ("1970:01:02 00:00:00.123+02", DAY_NS),
        ("", 7),
        ("0000:00:00 00:00:00", 7),
        ("1970-01-02", 7),
    ],
)
def test_the_exif_date_counts_before_the_file_time(taken: str, expected: int) -> None:
    assert preference.date_ns(taken, 7) == expected


@pytest.mark.parametrize("prefer", list(Preference))
def test_each_image_left_out_has_a_kept_direct_match(prefer: Preference) -> None:
    rng = random.Random(prefer)
    for _ in range(200):
        names = [f"{number:02}" for number in range(rng.randint(1, 12))]
        matches: dict[str, set[str]] = {name: set() for name in names}
        for one, other in itertools.combinations(names, 2):
            if rng.random() < 0.25:
                matches[one].add(other)
                matches[other].add(one)
        candidates = [
            Candidate(
                name,
                rng.randint(1, 3),
                rng.randint(1, 3),
                None,
                keep=rng.random() < 0.1,
                in_target=rng.random() < 0.1,
                mtime_ns=rng.randint(0, 3) * DAY_NS,
            )
            for name in names
        ]
        rule = KeeperRule(prefer)
        choice = keepers.select_redundant(candidates, matches, rule=rule)
        rng.shuffle(candidates)
        assert keepers.select_redundant(candidates, matches, rule=rule) == choice
        kept = set(names) - choice.keepers.keys()
        assert choice.reasons.keys() == choice.keepers.keys()
        for name, keeper in choice.keepers.items():
            assert keeper in kept & matches[name]
        settled = {image.name for image in candidates if image.is_settled}
        for name in kept - settled:
            assert kept.isdisjoint(matches[name] - settled)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Three copies: the original, one with more pixels, one with an EXIF date; and an image."""
    folder = tmp_path_factory.mktemp("prefer") / "Set/C/S/T"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(3).normal(0, 25, (240, 320, 1))
    pixels = np.asarray(draw_image(3, (320, 240)), float) + noise
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    dated = Image.Exif()
    dated[306] = "2001:02:03 04:05:06"
    image.save(folder / "original.png")
    image.resize((640, 480)).save(folder / "a big.jpg", quality=60)
    image.save(folder / "dated.jpg", quality=50, exif=dated)
    draw_image(4, (320, 240)).save(folder / "other.png")
    for number, name in enumerate(("original.png", "dated.jpg", "a big.jpg", "other.png")):
        os.utime(folder / name, (2e9, 1.1e9 + number * 86_400))
    path = folder.parents[2]
    assert cli.run_script(aesthetic_scorer.main, [str(path), "--model", "tiny", "--quiet"]) == 0
    search = [str(path), "--quiet", "--workers", "0"]
    assert cli.run_script(find_duplicates.main, search) == 0
    return path


def run_json(capsys, main, *arguments: object) -> dict:
    assert cli.run_script(main, [*map(str, arguments), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("prefer", "keeper", "reason"),
    [
        ("best", "original.png", "less compressed"),
        ("largest", "a big.jpg", "4.0x the pixels"),
        ("oldest", "dated.jpg", "older by 3 years"),
        ("newest", "a big.jpg", "newer by 2 days"),
        ("first", "a big.jpg", "first by path"),
    ],
)
def test_every_script_keeps_the_preferred_copy(
    dataset: Path, tmp_path: Path, capsys, prefer: str, keeper: str, reason: str
) -> None:
    option = ("--prefer", prefer)
    found = run_json(capsys, find_duplicates.main, dataset, *option, "--workers", "0")
    (largest,) = found["largest"]
    assert (largest["keeper"], len(largest["copies"])) == (keeper, 2)
    assert any(reason in each for each in largest["reasons"])
    page = tmp_path / "review.html"
    stats = run_json(capsys, duplicates_stats.main, dataset, *option, "--html", page)
    assert stats["redundant_images"] == 2
    text = page.read_text().partition('id="data">')[2].partition("</script>")[0]
    shown = json.loads(text)
    (copies,) = shown["sets"]
    assert shown["images"][copies["images"][0]]["name"] == keeper
    assert any(pair[4] and reason in pair[4] for pair in copies["pairs"])
    target = tmp_path / "full"
    planned = run_json(
        capsys, merge_clusters.main, dataset, *option, "--output", target, "--dry-run"
    )
    reasons = [each["reason"] for each in planned["actions"] if each["action"] == "duplicate"]
    assert any(f"a copy of {keeper}, which stays: {reason}" in each for each in reasons)
    run_json(capsys, merge_clusters.main, dataset, *option, "--output", target)
    names = {path.name for path in (target / "C/S/T").iterdir()}
    assert names & {"original.png", "a big.jpg", "dated.jpg"} == {keeper}
    assert "other.png" in names
    splits = ("--exclude-duplicates", "--output-dir", tmp_path)
    run_json(capsys, split_data.main, dataset, *option, *splits)
    chosen = json.loads((tmp_path / "train_set.json").read_text())
    assert {Path(path).name for path in chosen} == {keeper, "other.png"}


def test_the_bulk_rules_of_the_page_order_sets_alike(dataset: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "review.html"
    run_json(capsys, duplicates_stats.main, dataset, "--html", page)
    text = page.read_text().partition('id="data">')[2].partition("</script>")[0]
    shown = json.loads(text)
    (copies,) = shown["sets"]
    keepers_by_rule = {}
    for rule, order in copies["orders"].items():
        keepers_by_rule[rule] = shown["images"][order[0]]["name"]
    assert keepers_by_rule["oldest"] == "dated.jpg"
    assert keepers_by_rule["newest"] == "a big.jpg"
    assert keepers_by_rule["first"] == "a big.jpg"
    assert keepers_by_rule["pixels"] == "a big.jpg"


def test_an_unknown_preference_names_the_known_ones(dataset: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        merge_clusters.main([str(dataset), "--prefer", "biggest"])
    error = capsys.readouterr().err
    assert "biggest" in error
    assert "largest" in error
