"""Datasets with fewer levels than DataSet/Cluster/Subcluster/Topic, in all seven scripts."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, draw_image

from common import cli, tree

PLACES = {1: "", 2: "Birds", 3: "Birds/Night"}  # between a dataset and its topics
OUTSIDE = ("newcomer", "cls")  # names of folders above the datasets
IN_TOPIC = ("aesthetic_data.json", ".cache")


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run_script(script: str, *arguments: object) -> tuple[int, dict, str]:
        module = importlib.import_module(script)
        status = cli.run_script(module.main, [*map(str, arguments), "--json"])
        printed = capsys.readouterr()
        return status, json.loads(printed.out or "{}"), printed.err

    return run_script


def make_datasets(tmp_path: Path, levels: int) -> tuple[Path, Path]:
    """Make A and B in newcomer/cls, both with a topic `rose`; A has a copy across topics."""
    root = tmp_path.joinpath(*OUTSIDE)
    number = 0
    for name in ("A/rose", "A/fern", "B/rose"):
        dataset, topic = name.split("/")
        folder = root / dataset / PLACES[levels] / topic
        folder.mkdir(parents=True)
        for image in range(3):
            number += 1
            draw_image(number).save(folder / f"{dataset}{image}.png")
    draw_image(1).save(root / "A" / PLACES[levels] / "fern/copy.png", compress_level=1)
    return root / "A", root / "B"


def list_entries_outside(tmp_path: Path, *datasets: Path) -> set[str]:
    """List everything that is neither in the datasets nor in the current folder."""
    entries = set()
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            path = Path(folder, name)
            if not any(map(path.is_relative_to, (*datasets, tmp_path / "work"))):
                entries.add(str(path))
    return entries


@pytest.mark.parametrize("levels", PLACES)
def test_all_scripts_take_datasets_of_so_many_levels(run, tmp_path, levels):
    datasets = make_datasets(tmp_path, levels)
    place = os.path.join(PLACES[levels], "rose")
    label = os.path.join("A", place)
    given = (*datasets, "--levels", levels)
    assert run("dataset_stats", *given)[1]["topics"].keys() >= {label}
    scored = run("aesthetic_scorer", *given, "--model", "tiny", "--workers", 0)
    assert (scored[0], scored[1]["scored"], scored[1]["topics"]) == (0, 10, 3)
    ranking = run("aesthetic_stats", *given, "--html", "scores.html")[1]
    assert ranking["datasets"].keys() == {"A", "B"} and label in ranking["topics"]
    searched = run("find_duplicates", *given, "--across", "--variants", "--workers", 0)
    assert searched[1]["across"]["pairs"] == {"copy": 1}
    across = json.loads((datasets[0] / "duplicates_across.json").read_text())
    assert across.keys() >= {f"{place}/A0.png"}
    counts = run("duplicates_stats", *given, "--html", "review.html")[1]
    assert counts["strays"] == [] and counts["across"]["topics"][0]["topics"][1] == label
    merged = run("merge_clusters", *given, "--output", "full", "--drop-across")
    assert (merged[0], merged[1]["copied"], merged[1]["duplicates"]) == (0, 9, 1)
    assert {path.name[0] for path in Path("full", place).glob("*.png")} == {"A", "B"}
    assert run("merge_clusters", *given, "--output", "full", "--drop-across")[1]["copied"] == 0
    split = run("split_data", "full", "--levels", levels, "--train", 2, "--export", "ready")
    assert split[0] == 0 and os.path.join("full", place) in split[1]["topics"]
    assert not list_entries_outside(tmp_path, *datasets)
    row = json.loads(Path("ready/train/metadata.jsonl").read_text().splitlines()[0])
    assert ("cluster" in row, "subcluster" in row) == (levels > 1, levels > 2)
    for path in (*Path("ready").rglob("*"), *Path("full").rglob("*")):
        assert not {"newcomer", "cls"} & set(path.parts)
    pages = Path("scores.html").read_text() + Path("ready/train/metadata.jsonl").read_text()
    pages = pages.replace(f"{datasets[0].parent}/", "")  # where the images lie is no name
    assert "newcomer/" not in pages and "cls/" not in pages


@pytest.mark.parametrize("levels", PLACES)
def test_without_levels_nothing_is_written_above_the_given_folders(run, tmp_path, levels):
    datasets = make_datasets(tmp_path, levels)
    for script, *options in (
        ("dataset_stats",),
        ("aesthetic_scorer", "--model", "tiny", "--workers", 0),
        ("aesthetic_stats",),
        ("find_duplicates", "--variants", "--workers", 0),
        ("duplicates_stats",),
        ("merge_clusters", "--output", "full"),
        ("split_data",),
    ):
        status, _, talk = run(script, *datasets, *options)
        assert status == 0
        what = f"A, B: taken for {tree.LEVEL_NAMES[levels]}s of dataset "
        advice = f"if they are datasets of their own, add --levels {levels}"
        assert (what in talk) == (advice in talk) == (levels < 3)
    assert not list_entries_outside(tmp_path, *datasets)


def test_flat_folder_is_a_topic_whose_matches_are_beside_it(run, tmp_path):
    datasets = make_datasets(tmp_path, 1)
    status, _, talk = run("find_duplicates", datasets[0] / "rose", "--workers", 0)
    assert status == 0 and f"if {datasets[0]} is the dataset, give that with --levels 1" in talk
    assert {path.name for path in datasets[0].iterdir()} == {
        "fern",
        "rose",
        "duplicates_rose.json",
    }


def test_topics_of_one_name_are_told_apart_and_the_advice_works(run, tmp_path):
    datasets = make_datasets(tmp_path, 1)
    topics = [dataset / "rose" for dataset in datasets]
    _, _, talk = run("dataset_stats", *topics)
    assert "A/rose, B/rose: taken for topics of dataset " in talk
    assert f"if {datasets[0]}, {datasets[1]} are the datasets, give them with --levels 1" in talk
    joined = run("merge_clusters", *datasets, "--levels", 1, "--output", "full")[1]
    assert joined["topics"] == 2


@pytest.mark.parametrize("option", ["--across", "--against", "--decisions"])
def test_files_of_a_dataset_above_the_given_folder_are_not_made(run, tmp_path, option):
    dataset, other = make_datasets(tmp_path, 1)
    value = {"--across": (), "--against": (other,), "--decisions": ("saved.json",)}[option]
    Path("saved.json").write_text('{"keep": ["rose/A0.png"]}')
    status, _, talk = run("find_duplicates", dataset, option, *value, "--workers", 0)
    advice = "add --levels 1 if it is a dataset of its own"
    assert status == 2 and advice in talk and f"above {dataset}" in talk
    assert not list_entries_outside(tmp_path, dataset, other)
    assert run("find_duplicates", dataset, option, *value, "--workers", 0, "--levels", 1)[0] == 0


def test_file_that_a_dataset_has_already_is_still_updated(run, tmp_path):
    dataset, _ = make_datasets(tmp_path, 3)
    assert run("find_duplicates", dataset, "--across", "--workers", 0)[0] == 0
    (dataset / "Birds/Night/rose/A0.png").unlink()
    assert run("find_duplicates", dataset / "Birds", "--across", "--workers", 0)[0] == 0
    assert json.loads((dataset / "duplicates_across.json").read_text()) == {}


def test_merges_of_other_levels_into_one_target_are_refused(run, tmp_path):
    dataset, other = make_datasets(tmp_path, 1)
    assert run("merge_clusters", dataset, "--levels", 1, "--output", "full")[0] == 0
    assert Path("full/merge_manifest.jsonl").read_text().startswith('{"levels": 1}\n')
    before = sorted(Path("full").rglob("*"))
    status, _, talk = run("merge_clusters", other, "--output", "full")
    assert status == 2 and "made with --levels 1, not 3; add --levels 1" in talk
    assert sorted(Path("full").rglob("*")) == before
    assert run("merge_clusters", other, "--levels", 1, "--output", "full")[1]["copied"] == 3


def test_levels_that_do_not_fit_name_those_that_do(run, tmp_path):
    dataset, _ = make_datasets(tmp_path, 2)
    status, _, talk = run("dataset_stats", dataset, "--levels", 3)
    assert status == 2 and "its images are 2 levels below it; give --levels 2" in talk
    status, _, talk = run("dataset_stats", dataset, "--levels", 1)
    assert status == 2 and f"give --levels 2, or its subfolders ({dataset}/*/)" in talk
    assert run("dataset_stats", *dataset.glob("*/"), "--levels", 1)[1]["total_files"] == 7
    shutil.move(dataset / "Birds/rose", dataset / "across")
    status, _, talk = run("dataset_stats", dataset / "across", "--levels", 1)
    assert status == 2 and "give the folder above it, with --levels 1" in talk
    shutil.rmtree(dataset / "Birds")
    status, _, talk = run("dataset_stats", dataset, "--levels", 1)
    assert status == 2 and "rename this folder" in talk


def test_pipeline_hands_levels_to_every_step(tmp_path):
    datasets = make_datasets(tmp_path, 1)
    command = [ROOT / "pipeline.sh", "--levels", "1", *datasets, "--output", tmp_path / "full"]
    ended = subprocess.run(
        [*command, "--model", "tiny", "--workers", "0"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "full/rose/A0.png").exists()
    steps = [line for line in ended.stderr.splitlines() if line.startswith("$")]
    assert len(steps) == 11 and all("--levels 1" in step for step in steps)
