"""--include and --exclude, in all scripts: what a run works on, and what stays as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import draw_image

TINY = ("--model", "tiny", "--workers", 0)


@pytest.fixture
def run(run_by_name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return run_by_name


@pytest.fixture
def dataset(tmp_path, make_topic) -> Path:
    """Three topics; an owl is in two of them."""
    for seed, place in enumerate(
        ("Animals/Birds/Owls", "Animals/Birds/Geese", "Plants/Trees/Oaks")
    ):
        make_topic(f"DS/{place}", "a.png", "b.png", "c.png", seed=seed + 1)
    draw_image(1000).save(tmp_path / "DS/Plants/Trees/Oaks/owl.png", compress_level=1)
    draw_image(1000).save(tmp_path / "DS/Animals/Birds/Owls/again.png", compress_level=1)
    return tmp_path / "DS"


def read_all(folder: Path) -> dict[str, bytes]:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            files[str(path)] = path.read_bytes()
    return files


def test_a_run_works_on_the_included_topics_only(run, dataset):
    for script, options in (
        ("dataset_stats", ()),
        ("aesthetic_scorer", TINY),
        ("aesthetic_stats", ()),
        ("find_duplicates", ("--workers", 0)),
        ("duplicates_stats", ()),
        ("split_data", ()),
    ):
        _, talk = run(
            script, dataset, "--include", "Animals/Birds", "--exclude", "*/Gee*", *options
        )
        (totals,) = re.findall(r"^.* found = .*$", talk, re.M)
        assert totals.startswith("11 images found = 4 ") or "2 not chosen" in totals
        assert totals.endswith(" + 7 excluded")
    assert not list(dataset.rglob("Geese/aesthetic_data.json"))
    assert not list(dataset.rglob("duplicates_[GO]a*.json"))


def test_records_of_other_topics_stay_and_nothing_is_done_twice(run, dataset):
    run("aesthetic_scorer", dataset, *TINY)
    run("find_duplicates", dataset, "--across", "--workers", 0)
    before = read_all(dataset)
    for patterns in (("--include", "*/Owls"), ("--exclude", "Plants"), ()):
        scored, _ = run("aesthetic_scorer", dataset, *TINY, *patterns)
        assert scored["scored"] == 0
        run("find_duplicates", dataset, "--across", "--workers", 0, *patterns)
        assert read_all(dataset) == before


def test_merge_and_export_leave_what_other_topics_brought(run, dataset):
    run("aesthetic_scorer", dataset, *TINY)
    run("find_duplicates", dataset, "--across", "--workers", 0)
    options = ("--output", "full", "--drop-across")
    merged, talk = run("merge_clusters", dataset, *options, "--exclude", "Animals")
    assert merged["copied"] == 4 and "7 excluded" in talk  # its keeper does not come
    run("merge_clusters", dataset, "--output", "all")
    run("split_data", "all", "--export", "ready")
    before = read_all(Path("ready"))
    run("split_data", "all", "--export", "ready", "--include", "Plants")
    after = read_all(Path("ready"))
    assert {path for path in before if "/Animals/" in path} <= after.keys()
    rows = "".join(content.decode() for path, content in after.items() if "metadata" in path)
    assert rows.count("Geese") >= 3


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (("--exclude", "DS"), "a folder, and no pattern"),
        (("--exclude", "Bird*"), "did you mean --exclude-duplicates?"),
        (("--include", "*/Crows"), "matches no image, no topic and no folder above one"),
        (("--exclude", "*"), "leave no image"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(run, dataset, patterns, words):
    _, talk = run("split_data", dataset, *patterns, status=2)
    assert words in talk and talk.count("error: ") == 1
