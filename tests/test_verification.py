"""Each pair is verified once, and its images are opened once."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from test_hash_rows import scene

from common.reporter import Reporter
from common.topics import Topic
from duplicates import thumbnails, verification
from duplicates.pool import Pool


def test_no_pair_is_verified_twice_in_whichever_round_it_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for variants has rounds. An early one must not drop what a later one wants."""
    for seed in range(4):
        scene(seed).convert("RGB").save(tmp_path / f"{seed}.jpg")
    topic = Topic(str(tmp_path), "D", "C", "S", "T", image_count=4)
    first = [("0.jpg", "1.jpg")]
    whole = [*first, ("0.jpg", "2.jpg"), ("2.jpg", "3.jpg")]
    opened: list[str] = []
    read = thumbnails.read_small_images

    def counting_read(paths: list[str], **options: object) -> list[thumbnails.SmallImage | None]:
        opened.extend(paths)
        return read(paths, **options)

    monkeypatch.setattr(thumbnails, "read_small_images", counting_read)
    with Pool(1) as pool:
        opener = verification.ImageOpener(pool, 10**8, Reporter(argparse.Namespace(quiet=True)))

        def count_opened(pairs: list[tuple[str, str]], keep_others: bool = False) -> int:
            before = len(opened)
            verification.verify_pairs(
                topic, topic.image_stamps(), pairs, False, opener, keep_others=keep_others
            )
            return len(opened) - before

        assert [count_opened(first, keep_others=True), count_opened(whole)] == [2, 3]
        assert [count_opened(first, keep_others=True), count_opened(whole)] == [0, 0]
        # Verdicts on pairs that the last search did not propose are dropped.
        assert [count_opened(first), count_opened(whole)] == [0, 3]
