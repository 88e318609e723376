"""A number that two scripts tell is the same number: all seven on one messy tree."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from conftest import draw_image
from PIL import Image

import aesthetic_stats
from common import cli, terminal

OPTIONS = {  # in the order of a pipeline
    "dataset_stats": (),
    "aesthetic_scorer": ("--model", "tiny", "--workers", "0"),
    "aesthetic_stats": (),
    "find_duplicates": ("--variants", "--across", "--workers", "0"),
    "duplicates_stats": (),
    "merge_clusters": ("--output", "full"),
    "split_data": ("--output-dir", "lists"),
}


def make_topic(folder: Path, images: int, seed: int) -> Path:
    folder.mkdir(parents=True)
    for number in range(images):
        draw_image(100 * seed + number, (160, 120)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return what each script prints with --json: about a messy dataset, and about its merge."""
    root = tmp_path_factory.mktemp("messy")
    owls = make_topic(root / "DS/Animals/Birds/Owls", 16, 1)
    draw_image(100, (160, 120)).save(owls / "copy.jpg", quality=95)
    draw_image(101, (160, 120)).resize((80, 60)).save(owls / "small.png")
    mirrored = draw_image(100, (160, 120)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(owls / "mirror.png")
    (owls / "broken.jpg").write_bytes(b"no image")
    (owls / "photo.jxl").write_bytes(b"\xff\x0a")
    geese = make_topic(root / "DS/Animals/Birds/Geese", 4, 2)
    draw_image(203, (160, 120)).save(geese / "again.png", compress_level=1)
    (geese / "torn.png").write_bytes((geese / "00.png").read_bytes()[:20])
    (root / "DS/Animals/Birds/Empty").mkdir()
    oaks = make_topic(root / "DS/Plants/Trees/Oaks", 15, 3)
    draw_image(100, (160, 120)).save(oaks / "owl.png", compress_level=2)
    make_topic(root / "DS/Plants/Trees/Bad", 0, 4).joinpath("only.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.MonkeyPatch.context() as patch, pytest.MonkeyPatch.context():
        patch.chdir(root)
        return {place: run_all(place) for place in ("DS", "full")}


def run_all(dataset: str) -> dict[str, tuple[dict, str]]:
    """Run all scripts; return the JSON and the last line of the talk of each."""
    import contextlib
    import io

    results = {}
    for script, options in OPTIONS.items():
        if script == "merge_clusters" and dataset == "full":
            continue
        out, talk = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(talk):
            main = importlib.import_module(script).main
            assert cli.run_script(main, [dataset, "--json", *options]) == 0, talk.getvalue()
        (totals,) = re.findall(r"^.* found = .*$", talk.getvalue(), re.M)
        results[script] = json.loads(out.getvalue()), totals
    return results


@pytest.mark.parametrize("dataset", ["DS", "full"])
def test_scripts_agree_on_what_they_count(results, dataset):
    data = {script: result for script, (result, _) in results[dataset].items()}
    talk = {script: line for script, (_, line) in results[dataset].items()}
    census, searched = data["dataset_stats"], data["find_duplicates"]
    counted, scored = data["duplicates_stats"], data["aesthetic_scorer"]
    images = census["total_files"]
    assert {re.split(" found", line)[0] for line in talk.values()} == {f"{images} images"}
    assert images == scored["images"] == searched["images"] == counted["images"]
    assert images == data["aesthetic_stats"]["found"] == sum(data["split_data"]["counts"].values())
    assert census["unreadable"] == scored["unreadable"] == searched["unreadable"]
    unreadable = 3 if dataset == "DS" else 0  # a merge leaves out damaged images
    assert census["unreadable"] == counted["unreadable"] == unreadable
    assert counted["searched"] == searched["images"] - unreadable
    assert talk["find_duplicates"] == talk["duplicates_stats"]
    topics = len(census["topics"])
    assert topics == scored["topics"] == searched["topics"] == counted["topics"]
    assert topics == len(data["split_data"]["topics"]) == (5 if dataset == "DS" else 3)
    assert searched["redundant"] == counted["redundant_images"]
    assert searched["variants"] == counted["variants"]
    assert searched["across"] == {key: counted["across"][key] for key in ("pairs", "references")}
    with_scores = data["aesthetic_stats"]["overall"]["images"]
    assert with_scores == scored["scored"] + scored["already_scored"]
    assert data["split_data"]["counts"]["without_score"] == images - with_scores
    totals = Counter[str]()
    for cluster in counted["clusters"].values():
        totals.update({key: value for key, value in cluster.items() if isinstance(value, int)})
    for key in ("images", "topics", "searched", "unreadable", "redundant_images"):
        assert totals[key] == counted[key]


def numbers_in(value: object, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], float]:
    """Return each number in a JSON object by the keys that lead to it."""
    if isinstance(value, dict):
        numbers = {}
        for key, inner in value.items():
            numbers |= numbers_in(inner, (*path, key))
        return numbers
    return {path: value} if isinstance(value, int | float) else {}


@pytest.mark.parametrize("dataset", ["DS", "full"])
def test_every_number_that_two_scripts_tell_is_the_same(results, dataset):
    told: dict[tuple[str, ...], dict[str, float]] = {}
    for script, (result, _) in results[dataset].items():
        for path, number in numbers_in(result).items():
            told.setdefault(path, {})[script] = number
    compared = 0
    for path, by_script in told.items():
        if path == ("topics",):
            by_script.pop("merge_clusters", None)  # of the target
        if path[0] in ("datasets", "clusters", "subclusters", "topics"):
            scored = by_script.pop("aesthetic_stats", None)
            if scored is not None and path[-1] == "images":
                unreadable = told[*path[:-1], "unreadable"]["dataset_stats"]
                assert scored == by_script["dataset_stats"] - unreadable, path
        assert len(set(by_script.values())) <= 1, path
        compared += len(by_script) > 1
    assert compared > 10


def test_topics_without_scores_are_told_apart(results):
    data, _ = results["DS"]["aesthetic_stats"]
    _, counts, *_ = aesthetic_stats.heading_lines(data)
    assert counts == "   40 scored images · 2 clusters · 2 subclusters · 3 of 5 topics with scores"


def test_a_merge_counts_what_is_in_its_target_then(results):
    merged, _ = results["DS"]["merge_clusters"]
    there, _ = results["full"]["dataset_stats"]
    assert merged["copied"] == there["total_files"]
    assert merged["topics"] == len(there["topics"])
    assert merged["duplicates"] == results["DS"]["find_duplicates"][0]["redundant"]
    assert all(result["unread_files"] == {".jxl": 1} for result, _ in results["DS"].values())


@pytest.mark.parametrize("columns", [80, 160])
def test_names_are_cut_only_where_the_terminal_is_too_narrow(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    name = "DataSet_with_a_long_name/Minerals/Crystalline/Amethystine/drusy_quartz_on_matrix"
    lines = terminal.format_table([("", "images", "share"), (name, "12", "50.0 %")], " rr")
    assert (name in lines[1]) == (columns == 160)
    assert max(map(len, lines)) <= columns
