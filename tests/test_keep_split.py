"""--keep-split fills both sets from the lists of an earlier split first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from test_split_data import make_scored_topic

import split_data
from common import cli

SIZE = (20, 10)
COUNTS = ("--train", "3", "--valid", "2")


@pytest.fixture
def split(tmp_path: Path, capsys):
    """Split into tmp_path/out; return the names in both lists, and the result."""

    def run(*options: str) -> tuple[list[str], list[str], dict]:
        arguments = [str(tmp_path / "DS"), *COUNTS, "--output-dir", str(tmp_path / "out")]
        capsys.readouterr()
        assert cli.run_script(split_data.main, [*arguments, "--json", *options]) == 0
        result = json.loads(capsys.readouterr().out)
        lists = []
        for name in ("train", "valid"):
            paths = json.loads((tmp_path / "out" / f"{name}_set.json").read_text())
            lists.append([Path(path).stem for path in paths])
        return lists[0], lists[1], result

    return run


def make_topic(
    tmp_path: Path, scores: Mapping[str, float], matches: Mapping[str, list[str]] | None = None
) -> None:
    in_files = {f"{name}.png": score for name, score in scores.items()}
    copies = {}
    for name, others in (matches or {}).items():
        copies[f"{name}.png"] = [f"{other}.png" for other in others]
    sizes = dict.fromkeys(in_files, SIZE)
    make_scored_topic(tmp_path / "DS/C/S/T", in_files, sizes, copies)


BEFORE = {"a": 9, "b": 8, "c": 7, "d": 6, "e": 5, "f": 4}


@pytest.mark.parametrize("options", [(), ("--relative",)])
def test_new_images_move_none_that_was_chosen(tmp_path: Path, split, options) -> None:
    make_topic(tmp_path, BEFORE)
    assert split(*options)[:2] == (["a", "b", "c"], ["d", "e"])
    make_topic(tmp_path, {**BEFORE, "best": 9.9, "good": 6.5})
    train, valid, result = split(*options, "--keep-split")
    assert (train, valid) == (["a", "b", "c"], ["d", "e"])
    assert result["kept_split"] == {"kept": 5, "not_kept": 0}
    assert result["changes"] == {"train_changed": 0, "moved_to_valid": 0}
    assert split(*options)[:2] == (["best", "a", "b"], ["c", "good"])


def test_what_is_gone_or_dropped_is_replaced_by_the_best(tmp_path: Path, split) -> None:
    make_topic(tmp_path, BEFORE)
    split()
    (tmp_path / "DS/C/S/T/a.png").unlink()
    (tmp_path / "DS/decisions.json").write_text(json.dumps({"drop": ["C/S/T/e.png"]}))
    later = {**BEFORE, "new": 9.5}
    del later["a"]
    make_topic(tmp_path, later)
    train, valid, result = split("--keep-split")
    assert (train, valid) == (["new", "b", "c"], ["d", "f"])
    assert result["kept_split"] == {"kept": 3, "not_kept": 2}


def test_the_kept_one_of_two_copies_stays_and_a_related_one_leaves(tmp_path: Path, split) -> None:
    make_topic(tmp_path, BEFORE)
    split("--exclude-duplicates")
    later = {**BEFORE, "better": 9.5}
    make_topic(tmp_path, later, {"better": ["c"], "c": ["better"], "b": ["d"], "d": ["b"]})
    train, valid, result = split("--keep-split", "--exclude-duplicates")
    assert (train, valid) == (["a", "b", "c"], ["e", "f"])
    assert result["kept_split"] == {"kept": 4, "not_kept": 1}
    assert result["leaks"] == []


def test_no_new_training_image_is_related_to_what_stays_in_validation(
    tmp_path: Path, split
) -> None:
    make_topic(tmp_path, BEFORE)
    split("--exclude-duplicates")
    (tmp_path / "DS/C/S/T/a.png").unlink()
    later = {**BEFORE, "new": 9.5}
    del later["a"]
    make_topic(tmp_path, later)
    variants = {"d.png": {"new.png": "mirrored"}, "new.png": {"d.png": "mirrored"}}
    (tmp_path / "DS/C/S/variants_T.json").write_text(json.dumps(variants))
    train, valid, result = split("--keep-split", "--exclude-duplicates")
    assert (train, valid) == (["b", "c", "f"], ["d", "e"])
    assert result["leaks"] == []


def test_without_earlier_lists_it_is_a_plain_split_and_a_damaged_one_ends_it(
    tmp_path: Path, split, capsys
) -> None:
    make_topic(tmp_path, BEFORE)
    assert split("--keep-split")[:2] == (["a", "b", "c"], ["d", "e"])
    (tmp_path / "out/valid_set.json").write_text('{"a": 1}')
    arguments = [str(tmp_path / "DS"), "--output-dir", str(tmp_path / "out"), "--keep-split"]
    assert cli.run_script(split_data.main, arguments) == 2
    assert "valid_set.json" in capsys.readouterr().err
