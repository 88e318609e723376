"""What a merge does grows with the number of images, also for names that differ by case alone.

Counts calls of functions: the same on every machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

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
