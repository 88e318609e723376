"""Two windows of one picture: linked and shown as overlapping, and neither is ever dropped."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import draw_image
from pinning_pairs import picture_in_collage, to_small
from result_files import write_scores
from test_hash_rows import scene

import duplicates_stats
import find_duplicates
import merge_clusters
import split_data
from common import cli, json_files, tree
from duplicates.classification import decide_as_variant

ALL_KINDS = ",".join(json_files.ACTIONABLE_KINDS)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Path:
    """Two windows in one topic, a window of the same picture in another, and other images."""
    dataset = tmp_path_factory.mktemp("windows") / "Set"
    whole = scene(5, (448, 240))
    left, middle, right = (whole.crop((x, 0, x + 320, 240)) for x in (0, 64, 128))
    for topic, images in {"T": {"left": left, "right": right}, "U": {"middle": middle}}.items():
        folder = dataset / "C/S" / topic
        folder.mkdir(parents=True)
        for name, image in images.items():
            image.save(folder / f"{name}.jpg", quality=85)
        draw_image(ord(topic), (320, 240)).save(folder / "other.jpg")
    for topic in tree.find_topics([str(dataset)], print):
        write_scores(topic, dict.fromkeys(topic.image_names(), 5.0))
    search(dataset, "--variants", "--across")
    return dataset


@pytest.fixture
def dataset(searched: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(searched, tmp_path / "Set")
    yield tmp_path / "Set"


def search(dataset: Path, *options: str) -> None:
    arguments = [str(dataset), "--quiet", "--workers", "0", *options]
    assert cli.run_script(find_duplicates.main, arguments) == 0


def merge(dataset: Path, target: Path) -> set[str]:
    arguments = [str(dataset), "--drop-variants", ALL_KINDS, "--output", str(target)]
    assert cli.run_script(merge_clusters.main, arguments) == 0
    return {path.name for path in (target / "C/S/T").glob("*.jpg")}


def count_kinds(dataset: Path, capsys) -> tuple[dict[str, int], dict[str, int]]:
    capsys.readouterr()
    assert cli.run_script(duplicates_stats.main, [str(dataset), "--json", "--quiet"]) == 0
    result = json.loads(capsys.readouterr().out)
    return result["variants"], result["across"]["pairs"]


def test_files_say_cropped_and_the_record_has_the_name(dataset: Path, capsys) -> None:
    assert json.loads((dataset / "C/S/variants_T.json").read_text()) == {
        "left.jpg": {"right.jpg": "cropped"},
        "right.jpg": {"left.jpg": "cropped"},
    }
    across = json.loads((dataset / "duplicates_across.json").read_text())
    assert set(across["C/S/U/middle.jpg"].values()) == {"cropped"}
    for record, one in ((dataset / "C/S/T", "left.jpg"), (dataset, "C/S/T/left.jpg")):
        recorded = json.loads((record / ".cache/pairs.json").read_text())
        assert {kind for kind, _ in recorded[one].values()} == {"overlapping"}
    assert count_kinds(dataset, capsys) == ({"overlapping": 1}, {"overlapping": 2})


def test_a_picture_that_a_collage_shows_cropped_is_overlapping() -> None:
    picture, collage = map(to_small, picture_in_collage())
    for one, other in ((picture, collage), (collage, picture)):
        decision = decide_as_variant(one, other)
        assert decision.verdict.kind == "overlapping" and decision.as_variant
        assert 0.5 < max(decision.as_variant.seen.overlap) < 0.65


def test_one_scene_with_other_things_before_it_is_not_overlapping() -> None:
    picture, collage = map(to_small, picture_in_collage(0.4))
    assert decide_as_variant(picture, collage).verdict.kind == ""


def test_the_name_outlives_a_search_without_variants(dataset: Path, capsys) -> None:
    search(dataset)
    assert count_kinds(dataset, capsys)[0] == {"overlapping": 1}


def test_the_summary_counts_them(dataset: Path, capsys) -> None:
    assert cli.run_script(find_duplicates.main, [str(dataset), "--variants"]) == 0
    assert "1 overlapping" in capsys.readouterr().out


def test_the_page_to_review_shows_them(dataset: Path, tmp_path: Path, capsys) -> None:
    (dataset / "duplicates_across.json").unlink()  # leaves the pair within a topic
    page = tmp_path / "review.html"
    arguments = [str(dataset), "--html", str(page), "--quiet"]
    assert cli.run_script(duplicates_stats.main, arguments) == 0
    text = page.read_text()
    assert "overlapping" in text and "cropped" not in text.replace("cropped by", "")


def test_a_merge_keeps_both_whatever_it_drops(dataset: Path, tmp_path: Path) -> None:
    assert merge(dataset, tmp_path / "full") == {"left.jpg", "right.jpg", "other.jpg"}


def test_a_merge_keeps_both_where_the_cache_was_deleted(
    dataset: Path, tmp_path: Path, capsys
) -> None:
    for cache in dataset.rglob(".cache"):
        shutil.rmtree(cache)
    assert merge(dataset, tmp_path / "full") == {"left.jpg", "right.jpg", "other.jpg"}
    assert "not recorded whether one of two cropped images shows" in capsys.readouterr().err


def test_a_split_reports_the_leak_or_keeps_them_on_one_side(
    dataset: Path, tmp_path: Path, capsys
) -> None:
    arguments = [str(dataset / "C/S/T"), "--output-dir", str(tmp_path), "--json", "--train", "1"]
    arguments += ["--valid", "2", "--quiet"]
    assert cli.run_script(split_data.main, arguments) == 0
    [leak] = json.loads(capsys.readouterr().out)["leaks"]
    assert leak["kind"] == "overlapping"
    assert cli.run_script(split_data.main, [*arguments, "--exclude-duplicates"]) == 0
    assert json.loads(capsys.readouterr().out)["leaks"] == []
    [chosen] = json.loads((tmp_path / "train_set.json").read_text())
    assert Path(chosen).name == "left.jpg"


def test_explain_names_rule_and_share(dataset: Path, capsys) -> None:
    folder = dataset / "C/S/T"
    pair = [str(folder / "left.jpg"), str(folder / "right.jpg")]
    assert cli.run_script(find_duplicates.main, ["--explain", *pair]) == 0
    text = capsys.readouterr().out
    assert text.startswith("🔍 overlapping") and 'by the rule "is overlapping"' in text
    assert "59%  of one, 59% of the other" in text
