"""What a merge does grows with the number of images, also for names that differ by case alone.

Counts calls of functions: the same on every machine.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from test_merge_clusters import add_records

import merge_clusters

LETTERS = "abcdefgh"


def cased_names(count: int) -> list[str]:
    names = []
    for number in range(count):
        letters = [c.upper() if number >> i & 1 else c for i, c in enumerate(LETTERS)]
        names.append(f"{''.join(letters)}.jpg")
    return names


def count_calls(root: Path, images: int, capsys) -> int:
    """Merge two datasets of so many names, half of them with the same bytes in both."""
    for dataset in ("A", "B"):
        folder = root / f"{images}/{dataset}/C/S/T"
        folder.mkdir(parents=True)
        for number, name in enumerate(cased_names(images)):
            own = dataset if number % 2 else ""
            (folder / name).write_bytes(f"{number:6} {own:1}".encode())
    calls = 0

    def count(frame: object, event: str, _: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sources = [str(root / f"{images}/{dataset}") for dataset in ("A", "B")]
    sys.setprofile(count)
    try:
        target = str(root / f"{images}/out")
        assert merge_clusters.main([*sources, "--output", target, "--quiet", "--json"]) == 0
    finally:
        sys.setprofile(None)
    assert f'"identical": {images // 2}' in capsys.readouterr().out
    return calls


@pytest.mark.filterwarnings("ignore")
def test_names_that_differ_by_case_alone_cost_as_much_as_others(tmp_path: Path, capsys) -> None:
    few, many = (count_calls(tmp_path, images, capsys) for images in (60, 240))
    assert many < 4.5 * few


def test_a_merge_opens_the_records_of_a_source_topic_twice(
    make_topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_topic("A/C/S/T", "a.jpg", "b.jpg", "c.jpg")
    add_records(folder, {"a.jpg": 5, "b.jpg": 4, "c.jpg": 3}, {"a.jpg": ["b.jpg"]})
    opened: Counter[str] = Counter()
    open_file = os.open

    def note_and_open(path, *args, **options):
        if str(path).startswith(str(folder)):
            opened[os.path.basename(path)] += 1
        return open_file(path, *args, **options)

    monkeypatch.setattr(os, "open", note_and_open)
    command = [str(tmp_path / "A"), "--output", str(tmp_path / "full"), "--quiet"]
    assert merge_clusters.main(command) == 0
    # For the plan, and when its images are in the target.
    assert opened["images.json"] == opened["aesthetic_data.json"] == 2
    assert opened["a.jpg"] == opened["c.jpg"] == 1 and opened["b.jpg"] == 0
    opened.clear()
    assert merge_clusters.main(command) == 0
    assert opened["images.json"] == 1
