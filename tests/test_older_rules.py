"""Results of an earlier version's rules are used, said once, and looked at again by a search."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_hash_rows import scene

import duplicates_stats
import find_duplicates
import merge_clusters
import split_data
from duplicates import verification
from keeping import topic_relations


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two topics, each with a copy, whose records say that older rules found it."""
    for name in ("T", "U"):
        topic = tmp_path / "D" / "C" / "S" / name
        topic.mkdir(parents=True)
        scene(1).save(topic / "a.png")
        scene(1).convert("RGB").save(topic / "b.jpg")
        (topic / "aesthetic_data.json").write_text('{"a.png": 6.0, "b.jpg": 5.0}')
    find_duplicates.main([str(tmp_path / "D"), "--quiet"])
    for path in (tmp_path / "D").rglob("images.json"):
        record = json.loads(path.read_text())
        record["duplicates"]["made_by"]["rules"] = topic_relations.RULES_VERSION - 1
        path.write_text(json.dumps(record))
    return tmp_path / "D"


def test_scripts_use_them_and_say_so_once(
    dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where a split writes
    capsys.readouterr()
    assert merge_clusters.main([str(dataset), "--output", str(tmp_path / "M")]) == 0
    assert len(list((tmp_path / "M").rglob("*.png")) + list((tmp_path / "M").rglob("*.jpg"))) == 2
    assert capsys.readouterr().err.count(topic_relations.OLDER_RULES) == 1
    for script in (split_data, duplicates_stats):
        script.main([str(dataset)])
        assert capsys.readouterr().err.count(topic_relations.OLDER_RULES) == 1


def test_a_search_looks_at_them_again(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_duplicates.main([str(dataset), "--quiet"])
    capsys.readouterr()
    duplicates_stats.main([str(dataset)])
    assert topic_relations.OLDER_RULES not in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--variants"]])
def test_verdicts_of_older_rules_are_replaced_without_a_warning(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch, options: list[str]
) -> None:
    for path in dataset.rglob("looked*.npz"):
        path.unlink()
    monkeypatch.setattr(verification, "RULES_VERSION", topic_relations.RULES_VERSION - 1)
    find_duplicates.main([str(dataset), *options])
    before = sorted(dataset.rglob("looked*.npz"))
    old_bytes = [path.read_bytes() for path in before]
    assert before
    monkeypatch.undo()
    capsys.readouterr()

    find_duplicates.main([str(dataset), *options])

    assert "⚠️" not in capsys.readouterr().err
    assert sorted(dataset.rglob("looked*")) == before
    assert all(path.read_bytes() != old for path, old in zip(before, old_bytes, strict=True))
