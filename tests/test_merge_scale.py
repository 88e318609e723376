"""What a merge does grows with the number of images, also for names that differ by case alone.

Counts calls of functions: the same on every machine.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from test_merge_clusters import add_records, topic

import merge_clusters
from common import cache
from imaging import image_identity

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


def count_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return a counter of how often each file below the folder is opened from now on, by name."""
    opened: Counter[str] = Counter()
    open_file = os.open

    def note_and_open(path, *args, **options):
        if str(path).startswith(str(folder)):
            opened[os.path.basename(path)] += 1
        return open_file(path, *args, **options)

    monkeypatch.setattr(os, "open", note_and_open)
    return opened


def test_a_merge_opens_the_records_of_a_source_topic_twice(
    make_topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_topic("A/C/S/T", "a.jpg", "b.jpg", "c.jpg")
    add_records(folder, {"a.jpg": 5, "b.jpg": 4, "c.jpg": 3}, {"a.jpg": ["b.jpg"]})
    opened = count_opened(folder, monkeypatch)
    command = [str(tmp_path / "A"), "--output", str(tmp_path / "full"), "--quiet"]
    assert merge_clusters.main(command) == 0
    # For the plan, and when its images are in the target.
    assert opened["images.json"] == opened["aesthetic_data.json"] == 2
    assert opened["a.jpg"] == opened["c.jpg"] == 1 and opened["b.jpg"] == 0
    opened.clear()
    assert merge_clusters.main(command) == 0
    assert opened["images.json"] == 1


def test_a_merge_of_a_copied_dataset_reads_each_image_once_to_recognise_it(
    make_topic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_topic("A/C/S/T", "a.jpg", "b.jpg")
    there = topic(folder)
    looks = image_identity.read_looks([str(folder / name) for name in ("a.jpg", "b.jpg")])
    stamps = image_identity.stamps_as_recorded(there, {})
    records = stamps.make_records(zip(("a.jpg", "b.jpg"), looks, strict=True))
    cache.update_cache(there, records=records)
    add_records(folder, {"a.jpg": 5, "b.jpg": 4})
    for name in ("a.jpg", "b.jpg"):
        os.utime(folder / name, ns=(1, 1))
    opened = count_opened(folder, monkeypatch)
    command = [str(tmp_path / "A"), "--output", str(tmp_path / "full"), "--quiet"]
    assert merge_clusters.main(command) == 0
    assert opened["a.jpg"] == opened["b.jpg"] == 2  # to compare its digest, and to copy it
