"""Masks beside their images are sidecars: no script takes them for images, a merge moves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import draw_image

import aesthetic_scorer
import aesthetic_stats
import dataset_stats
import duplicates_stats
import find_duplicates
import merge_clusters
import split_data
from common import cli
from common.image_formats import drop_masks, find_masks

PHOTOS = ("a.jpg", "b.png", "gas_mask.png")
MASKS = ("a_mask.png", "a-masklabel.png", "b-condlabel.PNG")
ALL = (*PHOTOS, *MASKS)


@pytest.mark.parametrize(
    ("names", "masks"),
    [
        (("x.jpg", "x_mask.png"), {"x_mask.png"}),
        (("x.jpg", "x_mask.jpg", "x-mask.png", "y_mask.png"), set()),
        (("x.txt", "x_mask.png"), set()),
        (("x_mask.png", "x_mask_mask.png"), {"x_mask_mask.png"}),
        (("x.jpg", "x_mask.png", "x_mask_mask.png"), {"x_mask.png"}),
        (("X.jpg", "x_mask.png"), set()),
        (("_mask.png", ".jpg"), set()),
    ],
)
def test_a_mask_is_beside_an_image_of_exactly_its_stem(
    names: tuple[str, ...], masks: set[str]
) -> None:
    assert find_masks(names) == find_masks(reversed(names)) == masks


def test_masks_among_names_that_are_gone_do_not_count() -> None:
    assert drop_masks(["x_mask.png", "y_mask.png", "z.png"], ["x.jpg"]) == ["y_mask.png", "z.png"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    for seed, name in enumerate(ALL):
        draw_image(seed, (64, 48)).save(folder / name)
    return tmp_path / "Set"


@pytest.fixture
def run_script(capsys) -> Callable[..., tuple[dict, str]]:
    """Run a script; return its JSON and what it said."""

    def run(main: Callable, *arguments: object) -> tuple[dict, str]:
        capsys.readouterr()
        assert cli.run_script(main, [*map(str, arguments), "--json"]) == 0
        said = capsys.readouterr()
        return json.loads(said.out), said.err

    return run


@pytest.mark.parametrize(("options", "count"), [((), 3), (("--no-masks",), 6)])
def test_every_script_counts_the_same_images(
    dataset: Path, tmp_path: Path, run_script, options: tuple[str, ...], count: int
) -> None:
    masks = {"masks": 3} if not options else {}
    ending = ("--workers", "0", *options)
    scored, said = run_script(aesthetic_scorer.main, dataset, "--model", "tiny", *options)
    assert scored["scored"] == count
    assert ("3 masks" in said) == bool(masks)
    assert len(json.loads((dataset / "C/S/T/aesthetic_data.json").read_text())) == count
    results = [scored]
    results.append(run_script(find_duplicates.main, dataset, *ending)[0])
    assert results[-1]["images"] == count
    copies = json.loads((dataset / "C/S/duplicates_T.json").read_text())
    assert len(copies) == count
    results.append(run_script(duplicates_stats.main, dataset, *options)[0])
    assert results[-1]["images"] == results[-1]["searched"] == count
    results.append(run_script(aesthetic_stats.main, dataset, *options)[0])
    assert results[-1]["overall"]["images"] == count
    census = tmp_path / "census.json"
    results.append(run_script(dataset_stats.main, dataset, "--output", census, *options)[0])
    assert results[-1]["total_files"] == count
    results.append(run_script(split_data.main, dataset, "--output-dir", tmp_path, *options)[0])
    assert results[-1]["train"] == count
    assert [{"masks": each["masks"]} if "masks" in each else {} for each in results] == [masks] * 6


def test_masks_go_with_their_image_in_a_merge(dataset: Path, tmp_path: Path, run_script) -> None:
    other = tmp_path / "Other"
    shutil.copytree(dataset, other)
    draw_image(9, (64, 48)).save(other / "C/S/T/a.jpg")
    draw_image(10, (64, 48)).save(other / "C/S/T/a_mask.png")
    target = tmp_path / "full"
    result, _ = run_script(merge_clusters.main, dataset, other, "--output", target)
    assert (result["found"], result["copied"], result["identical"]) == (6, 4, 2)
    assert result["left_behind"] == []
    names = {path.name for path in (target / "C/S/T").iterdir() if path.is_file()}
    assert names == {*ALL, "a__Other.jpg", "a__Other_mask.png", "a__Other-masklabel.png"}
    renamed = (target / "C/S/T/a__Other_mask.png").read_bytes()
    assert renamed == (other / "C/S/T/a_mask.png").read_bytes()
    again, _ = run_script(merge_clusters.main, dataset, other, "--output", target)
    assert (again["copied"], again["sidecars"], again["left_behind"]) == (0, 0, [])


def test_records_of_before_that_name_masks_are_not_stale(
    dataset: Path, tmp_path: Path, run_script
) -> None:
    run_script(aesthetic_scorer.main, dataset, "--model", "tiny", "--no-masks")
    run_script(find_duplicates.main, dataset, "--variants", "--workers", "0", "--no-masks")
    scores = dataset / "C/S/T/aesthetic_data.json"
    before = scores.read_bytes()
    result, said = run_script(aesthetic_scorer.main, dataset, "--model", "tiny")
    assert (result["scored"], scores.read_bytes()) == (0, before)
    result, said = run_script(duplicates_stats.main, dataset)
    assert (result["outdated"], result["images"]) == ({}, 3)
    result, said = run_script(aesthetic_stats.main, dataset)
    assert result["vanished_images"] == {}
    assert result["overall"]["images"] == 3
    result, said = run_script(split_data.main, dataset, "--output-dir", tmp_path)
    assert result["train"] == 3
    assert "gone" not in said
    result, said = run_script(merge_clusters.main, dataset, "--output", tmp_path / "full")
    assert result["copied"] == 3
    assert "no longer fits" not in said
