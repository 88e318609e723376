"""An image that a person dropped is in no merge and no split, and nothing is left out for it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import draw_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from result_files import write_copies, write_scores, write_variants

import aesthetic_stats
import duplicates_stats
import merge_clusters
import split_data
from common import tree
from common.atomic_files import Damaged
from keeping import decisions

PLACE = "C/S/T"
NAMES = [f"{letter}.png" for letter in "abcdef"]
PAIRS = list(itertools.combinations(NAMES, 2))


def make_topic(dataset: Path, names: list[str], pairs: list[tuple[str, str]]) -> Path:
    """Make scored images, each larger than the last, of which these pairs are copies."""
    folder = dataset / PLACE
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        draw_image(number, (20 + number, 16)).save(folder / name)
    (topic,) = tree.find_topics([str(dataset)], print)
    copies: dict[str, set[str]] = {name: set() for name in names}
    for first, second in pairs:
        copies[first].add(second)
        copies[second].add(first)
    write_copies(topic, copies)
    write_scores(topic, dict.fromkeys(names, 5.0))
    return folder


def drop(dataset: Path, names: object, keep: object = ()) -> Path:
    content = {
        "drop": sorted(f"{PLACE}/{name}" for name in names),
        "keep": sorted(f"{PLACE}/{name}" for name in keep),
    }
    path = dataset / "decisions.json"
    path.write_text(json.dumps(content))
    return path


def merged(target: Path) -> set[str]:
    return {path.name for path in target.rglob("*.png")}


def merge(run, dataset: Path, target: Path, *options: object) -> tuple[dict, set[str]]:
    shutil.rmtree(target, ignore_errors=True)
    status, result, said = run(merge_clusters, dataset, "--output", target, *options)
    assert status == 0, said
    parts = ("copied", "already_there", "duplicates", "variants", "references", "dropped")
    sums = sum(result[part] for part in (*parts, "identical", "unreadable"))
    assert sums == result["found"]
    return result, merged(target)


def split(run, dataset: Path, folder: Path) -> tuple[dict, set[str], set[str]]:
    """Split with no earlier lists in the folder: they would be compared with."""
    for name in LISTS:
        (folder / name).unlink(missing_ok=True)
    options = ("--train", 3, "--valid", 2, "--exclude-duplicates", "--output-dir", folder)
    status, result, said = run(split_data, dataset, *options)
    if status == 2:
        assert "no image" in said
        return {}, set(), set()
    sets = []
    for name in LISTS:
        sets.append({os.path.basename(path) for path in json.loads((folder / name).read_text())})
    return result, *sets


LISTS = ("train_set.json", "valid_set.json")
drops = st.sets(st.sampled_from(NAMES), max_size=5)
keeps = st.sets(st.sampled_from(NAMES), max_size=2)
matches = st.lists(st.sampled_from(PAIRS), unique=True, max_size=9)
in_one_folder = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@in_one_folder
@given(matches, drops, keeps, st.sampled_from([(), ("--keep-duplicates",), ("--drop-across",)]))
def test_a_merge_is_that_of_a_dataset_without_the_dropped_images(
    tmp_path, run, pairs, dropped, keep, options
):
    shutil.rmtree(tmp_path / "D", ignore_errors=True)
    folder = make_topic(tmp_path / "D", NAMES, pairs)
    drop(tmp_path / "D", dropped, keep - dropped)
    result, names = merge(run, tmp_path / "D", tmp_path / "full", *options)
    assert result["dropped"] == len(dropped) and names.isdisjoint(dropped)
    assert result["duplicates"] == (
        0 if options == ("--keep-duplicates",) else len(NAMES) - len(dropped) - len(names)
    )
    counted = run(duplicates_stats, tmp_path / "D")[1]["redundant_images"]
    assert options == ("--keep-duplicates",) or counted == result["duplicates"]
    for name in dropped:
        (folder / name).unlink()
    drop(tmp_path / "D", (), keep - dropped)
    if dropped != set(NAMES):
        assert merge(run, tmp_path / "D", tmp_path / "full", *options)[1] == names


@in_one_folder
@given(matches, drops)
def test_a_split_is_that_of_a_dataset_without_the_dropped_images(tmp_path, run, pairs, dropped):
    shutil.rmtree(tmp_path / "D", ignore_errors=True)
    folder = make_topic(tmp_path / "D", NAMES, pairs)
    before = split(run, tmp_path / "D", tmp_path)
    drop(tmp_path / "D", dropped)
    result, train, valid = split(run, tmp_path / "D", tmp_path)
    assert (train | valid).isdisjoint(dropped)
    if result:
        assert result["counts"]["dropped"] == len(dropped)
        assert sum(result["counts"].values()) == len(NAMES)
    drop(tmp_path / "D", ())
    assert split(run, tmp_path / "D", tmp_path) == before
    for name in dropped:
        (folder / name).unlink()
    if dropped != set(NAMES):
        assert split(run, tmp_path / "D", tmp_path)[1:] == (train, valid)


def test_each_of_100_sets_keeps_an_image_when_every_keeper_is_dropped(tmp_path, run):
    names = [f"{number:03}{side}.png" for number in range(100) for side in "ab"]
    pairs = [(f"{number:03}a.png", f"{number:03}b.png") for number in range(100)]
    make_topic(tmp_path / "D", names, pairs)
    _, kept = merge(run, tmp_path / "D", tmp_path / "full")
    assert len(kept) == 100
    drop(tmp_path / "D", kept)
    result, names_now = merge(run, tmp_path / "D", tmp_path / "full")
    assert {name[:3] for name in names_now} == {name[:3] for name in kept}
    assert names_now.isdisjoint(kept) and result["duplicates"] == 0


def test_an_image_that_is_in_a_target_stays_and_is_named(tmp_path, run):
    folder = make_topic(tmp_path / "D", NAMES[:3], [("b.png", "c.png")])
    target = tmp_path / "full"
    assert merge(run, tmp_path / "D", target)[1] == {"a.png", "c.png"}
    drop(tmp_path / "D", ["c.png"])
    result = run(merge_clusters, tmp_path / "D", "--output", target)[1]
    assert merged(target) == {"a.png", "b.png", "c.png"}  # nothing is left out for c
    assert result["dropped_in_target"] == [str(folder / "c.png")]
    assert json.loads((target / "decisions.json").read_text())["drop"] == [f"{PLACE}/c.png"]


def test_an_export_removes_a_dropped_image_and_a_dry_run_says_why(tmp_path, run):
    make_topic(tmp_path / "D", NAMES, [])
    options = ("--train", 3, "--valid", 2, "--output-dir", tmp_path, "--export", tmp_path / "ready")
    run(split_data, tmp_path / "D", *options)
    assert "f.png" in merged(tmp_path / "ready")
    drop(tmp_path / "D", ["f.png"])
    run(split_data, tmp_path / "D", *options)
    assert merged(tmp_path / "ready") == {"a.png", "b.png", "c.png", "d.png", "e.png"}
    result = run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full", "--dry-run")[1]
    (action,) = (each for each in result["actions"] if each["action"] == "dropped")
    assert action["source"].endswith("f.png") and "you decided" in action["reason"]


def test_an_export_of_a_topic_without_scores_goes_on_without_its_dropped_image(tmp_path, run):
    folder = make_topic(tmp_path / "D", NAMES, [])
    other = tmp_path / "D/C/S/U"
    shutil.copytree(folder, other)
    options = ("--train", 3, "--valid", 2, "--output-dir", tmp_path, "--export", tmp_path / "ready")
    run(split_data, tmp_path / "D", *options)
    (folder / "aesthetic_data.json").unlink()
    drop(tmp_path / "D", ["f.png"])
    run(split_data, tmp_path / "D", *options)
    exported = {path.name for path in (tmp_path / "ready").rglob("T/*.png")}
    assert exported == {"b.png", "c.png", "d.png", "e.png"}


def test_a_changed_image_is_another_one(tmp_path, run):
    folder = make_topic(tmp_path / "D", NAMES[:2], [])
    stat = os.stat(folder / "a.png")
    path = drop(tmp_path / "D", ["a.png"])
    content = json.loads(path.read_text())
    content["files"] = {f"{PLACE}/a.png": [stat.st_size, str(stat.st_mtime_ns)]}
    path.write_text(json.dumps(content))
    assert merge(run, tmp_path / "D", tmp_path / "full")[1] == {"b.png"}
    draw_image(9, (40, 30)).save(folder / "a.png")
    status, _, said = run(merge_clusters, tmp_path / "D", "--output", tmp_path / "other")
    assert status == 0 and "neither dropped" in said and merged(tmp_path / "other") == {*NAMES[:2]}


def test_keep_and_drop_of_one_image(tmp_path, run):
    make_topic(tmp_path / "D", NAMES[:2], [])
    path = drop(tmp_path / "D", ["a.png"], ["a.png"])
    with pytest.raises(Damaged, match=r"a\.png: both in keep and in drop"):
        decisions.read_decisions(str(tmp_path / "D"))
    path.unlink()
    for kind, other in (("drop", "keep"), ("keep", "drop"), ("drop", "keep")):
        later = tmp_path / "later.json"
        later.write_text(json.dumps({kind: [f"{PLACE}/a.png"]}))
        assert run(aesthetic_stats, tmp_path / "D", "--decisions", later)[0] == 0
        content = json.loads(path.read_text())
        assert content[kind] == [f"{PLACE}/a.png"] and not content.get(other)
    assert "drop" in json.loads(path.read_text())
    later.write_text(json.dumps({"keep": [f"{PLACE}/a.png"]}))
    run(aesthetic_stats, tmp_path / "D", "--decisions", later)
    assert "drop" not in json.loads(path.read_text())  # an earlier version reads the file


def test_the_review_page_shows_no_set_with_a_dropped_image(tmp_path, run):
    make_topic(tmp_path / "D", NAMES[:4], [("a.png", "b.png"), ("c.png", "d.png")])
    (topic,) = tree.find_topics([str(tmp_path / "D")], print)
    write_variants(topic, {"a.png": {"d.png": "mirrored"}})
    drop(tmp_path / "D", ["d.png"])
    page = tmp_path / "review.html"
    assert run(duplicates_stats, tmp_path / "D", "--html", page)[0] == 0
    data = page.read_text().split('id="data">')[1].split("</script>")[0]
    content = json.loads(data)
    assert [len(each["images"]) for each in content["sets"]] == [2]
    assert [image["name"] for image in content["images"]] == ["b.png", "a.png"]
