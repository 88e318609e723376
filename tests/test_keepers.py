"""Which image is kept: chains, stars, ties and missing scores, and a naive judge beside it."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_image

from common import cache, tree
from common.topics import Topic
from keeping import keepers
from keeping.keeper_order import Candidate, rank_candidates


def linked(*pairs: str) -> dict[str, set[str]]:
    matches: dict[str, set[str]] = {}
    for one, other in pairs:
        matches.setdefault(one, set()).add(other)
        matches.setdefault(other, set()).add(one)
    return matches


def images(worths: str | dict[str, int]) -> list[Candidate]:
    """Candidates named by letters, best first, or with the pixels given."""
    if isinstance(worths, str):
        worths = {name: 1000 - place for place, name in enumerate(worths)}
    return [Candidate(name, pixels, 10, None) for name, pixels in worths.items()]


@pytest.mark.parametrize(
    ("order", "pairs", "out"),
    [
        ("abc", (), {}),
        ("ab", ("ab",), {"b": "a"}),
        ("ba", ("ab",), {"a": "b"}),
        (
            "abc",
            ("ab", "bc"),
            {"b": "a"},
        ),  # a chain: c matches only b, which does not stay, so c stays
        ("bac", ("ab", "bc"), {"a": "b", "c": "b"}),
        ("abcde", ("ab", "bc", "cd", "de"), {"b": "a", "d": "c"}),
        (
            "hxyz",
            ("hx", "hy", "hz"),
            {"x": "h", "y": "h", "z": "h"},
        ),  # a star with the best in its middle
        (
            "xyzh",
            ("hx", "hy", "hz"),
            {"h": "x"},
        ),  # a star with the worst in its middle: strangers stay
        ("abc", ("ab", "bc", "ac"), {"b": "a", "c": "a"}),
        ("abcd", ("ab", "cd"), {"b": "a", "d": "c"}),
        (
            "abc",
            ("ac", "bc"),
            {"c": "a"},
        ),  # it matches two kept images: the better one is its keeper
    ],
)
def test_redundant_images_and_their_keepers(
    order: str, pairs: tuple[str, ...], out: dict[str, str]
) -> None:
    for listed in itertools.permutations(images(order)):
        assert keepers.select_redundant(listed, linked(*pairs)).keepers == out


@pytest.mark.parametrize(
    ("candidates", "names"),
    [
        ([Candidate("small", 10, 9, 9.0), Candidate("large", 20, 1, 5.0)], ["large", "small"]),
        ([Candidate("small", 10, 9, 9.0), Candidate("large", 20, 1, 4.0)], ["small", "large"]),
        (
            [
                Candidate("small", 10, 9, 9.0),
                Candidate("large", 20, 1, 4.0),
                Candidate("x", 1, 1, None),
            ],
            ["large", "small", "x"],
        ),
        ([Candidate("small", 10, 9, 9.0), Candidate("large", 20, 1, 0.0)], ["large", "small"]),
        ([Candidate("small", 10, 9, 9.0), Candidate("large", 20, 1, -1.0)], ["large", "small"]),
        ([Candidate("small", 10, 9, 9.0), Candidate("large", 20, 1, math.nan)], ["large", "small"]),
        (
            [Candidate("b", 10, 5, None), Candidate("a", 10, 4, None), Candidate("c", 10, 5, None)],
            ["b", "c", "a"],
        ),
        ([Candidate("b", 10, 5, 1.0), Candidate("a", 10, 5, 1.0)], ["a", "b"]),
        ([Candidate("a2", 10, 5, None), Candidate("a10", 10, 5, None)], ["a10", "a2"]),
    ],
)
def test_candidates_are_ranked_best_first(candidates: list[Candidate], names: list[str]) -> None:
    for listed in itertools.permutations(candidates):
        assert [image.name for image in rank_candidates(listed).order] == names


def test_every_image_left_out_has_a_kept_match_and_no_two_kept_match() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        names = [f"{k:02}" for k in range(rng.integers(1, 14))]
        share = rng.random() * 0.5
        matches = linked(
            *[pair for pair in itertools.combinations(names, 2) if rng.random() < share]
        )  # type: ignore[arg-type]
        candidates = [
            Candidate(name, int(rng.integers(1, 4)), int(rng.integers(1, 3)), None)
            for name in names
        ]
        out = keepers.select_redundant(candidates, matches).keepers
        kept = set(names) - set(out)
        assert all(keeper in kept and keeper in matches[name] for name, keeper in out.items())
        assert not any(other in kept for name in kept for other in matches.get(name, ()))


def topic_of(folder: Path) -> Topic:
    return tree.find_topics([str(folder)], print)[0]


def test_sizes_come_from_the_cache_and_else_from_the_header(make_topic) -> None:
    folder = make_topic("DataSet/C/S/T", "small.png", "large.png", "lonely.png")
    draw_image(1, (30, 20)).save(folder / "large.png")
    draw_image(1, (3, 2)).save(folder / "small.png")
    os.truncate(folder / "lonely.png", 20)
    topic = topic_of(folder)
    stamps, bad = topic.image_stamps(), []
    matches = {"small.png": {"large.png"}, "large.png": {"small.png"}, "lonely.png": set()}
    redundant = keepers.topic_redundant(
        topic, stamps, cache.Cache(), {}, matches, lambda path, reason: bad.append(path)
    )
    assert redundant.keepers == {"small.png": "large.png"}
    assert bad == []  # what matches nothing is not opened
    claimed = cache.Cache({"small.png": (stamps["small.png"], (9000, 9000))})
    assert keepers.topic_redundant(topic, stamps, claimed, {}, matches, print).keepers == {
        "large.png": "small.png"
    }
    stale = cache.Cache({"small.png": ((1, 1), (9000, 9000))})
    assert keepers.topic_redundant(topic, stamps, stale, {}, matches, print).keepers == {
        "small.png": "large.png"
    }


def test_an_image_whose_size_cannot_be_read_ranks_last_and_is_reported(make_topic) -> None:
    folder = make_topic("DataSet/C/S/T", "a.png", "b.png")
    (folder / "a.png").write_bytes(b"no picture" * 1000)
    topic, bad = topic_of(folder), []
    matches = {"a.png": {"b.png"}, "b.png": {"a.png"}}
    redundant = keepers.topic_redundant(
        topic, topic.image_stamps(), cache.Cache(), {}, matches, lambda path, why: bad.append(path)
    )
    assert redundant.keepers == {"a.png": "b.png"} and bad == [str(folder / "a.png")]
