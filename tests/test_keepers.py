"""Who stays: the rule of duplicates/keepers.py on chains, stars, ties and missing scores, and against a naive judge."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import picture

from common import cache, json_files, keepers, tree
from common.keepers import Candidate


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
        ("abc", ("ac", "bc"), {"c": "a"}),  # two kept ones match: the better stands for it
    ],
)
def test_who_is_left_out(order: str, pairs: tuple[str, ...], out: dict[str, str]) -> None:
    for listed in itertools.permutations(images(order)):
        assert keepers.select_redundant(listed, linked(*pairs)) == out


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
def test_best_first(candidates: list[Candidate], names: list[str]) -> None:
    for listed in itertools.permutations(candidates):
        assert [image.name for image in keepers.rank_candidates(listed)] == names


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
        out = keepers.select_redundant(candidates, matches)
        kept = set(names) - set(out)
        assert all(keeper in kept and keeper in matches[name] for name, keeper in out.items())
        assert not any(other in kept for name in kept for other in matches.get(name, ()))


def topic_of(folder: Path) -> tree.Topic:
    return tree.find_topics([str(folder)], print)[0]


def test_matches_are_held_against_the_folder(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "c.png", "d.png"))
    names = ["a.png", "b.png", "c.png", "gone.png"]
    json_files.write_matches(topic, {name: set(names) - {name} for name in names})
    stamps = topic.stamps()
    seen = {**{name: stamps.get(name, (1, 1)) for name in names}, "b.png": (7, 7)}
    cache.update_cache(topic, duplicates=cache.Provenance({}, seen))
    found = keepers.current_matches(topic, stamps, cache.load_cache(topic))
    assert found is not None
    assert (found.unknown, found.changed, found.gone) == (["d.png"], ["b.png"], ["gone.png"])
    assert found.usable == {"a.png": {"c.png"}, "c.png": {"a.png"}}
    assert not found.fits
    assert "d.png" in found.misfit and "b.png" in found.misfit and "gone.png" in found.misfit


def test_variants_are_held_against_the_folder(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "c.png", "d.png", "e.png"))
    assert keepers.current_variants(topic, topic.stamps(), cache.Cache()) is None
    json_files.write_variants(
        topic, {"a.png": {"b.png": "turned", "c.png": "doubtful", "gone.png": "cropped"}}
    )
    stamps = topic.stamps()
    seen = {**stamps, "b.png": (7, 7), "gone.png": (1, 1)}
    del seen["d.png"]
    cache.update_cache(topic, variants=cache.Provenance({}, seen))
    found = keepers.current_variants(topic, stamps, cache.load_cache(topic))
    assert found is not None
    assert (found.unknown, found.changed, found.gone) == (["d.png"], ["b.png"], ["gone.png"])
    assert found.usable == {"a.png": {"c.png": "doubtful"}, "c.png": {"a.png": "doubtful"}}
    assert found.misfit.startswith(
        "no longer fits its folder (run find_duplicates.py --variants again): 1 not in it"
    )
    unrecorded = keepers.current_variants(
        topic, stamps, cache.Cache()
    )  # a lost cache: what is there is taken as it is
    assert unrecorded is not None and (unrecorded.unknown, unrecorded.gone) == ([], ["gone.png"])


def test_a_record_of_the_search_is_believed_for_its_file_alone(make_topic) -> None:
    topic = topic_of(make_topic("DataSet/C/S/T", "a.png", "b.png", "new.png"))
    seen = {"a.png": topic.stamps()["a.png"], "b.png": (7, 7)}
    both = {"a.png": {"b.png"}, "b.png": {"a.png"}, "new.png": set()}
    made = cache.Provenance({}, seen)
    kinds = json_files.variants_content({"a.png": {"b.png": "turned", "new.png": "turned"}})
    cache.write_with_provenance(
        topic, {"variants": (kinds, made), "duplicates": (json_files.matches_content(both), made)}
    )
    for found in (keepers.current_matches, keepers.current_variants):
        held = found(topic, topic.stamps(), cache.load_cache(topic))
        assert held is not None and (held.unknown, held.changed) == (
            ["new.png"],
            ["b.png"],
        )  # as the record has it
    json_files.write_matches(
        topic, {**both, "gone.png": set()}
    )  # by another program: images not younger are unchanged
    json_files.write_variants(topic, {"a.png": {"b.png": "cropped", "new.png": "turned"}})
    os.utime(topic.file("new.png"), (2**32, 2**32))
    for found in (keepers.current_matches, keepers.current_variants):
        held = found(topic, topic.stamps(), cache.load_cache(topic))
        assert held is not None and (held.unknown, held.changed) == ([], ["new.png"])


def test_a_topic_is_not_confused_with_one_whose_name_begins_like_it(make_topic) -> None:
    short = topic_of(make_topic("DataSet/C/S/a", "x.png", "y.png"))
    long = topic_of(make_topic("DataSet/C/S/a_b", "x.png", "y.png"))
    json_files.write_matches(long, {"x.png": {"y.png"}, "y.png": {"x.png"}})
    assert keepers.current_matches(short, short.stamps(), cache.Cache()) is None
    found = keepers.current_matches(long, long.stamps(), cache.Cache())
    assert (
        found is not None
        and found.fits
        and found.usable == {"x.png": {"y.png"}, "y.png": {"x.png"}}
    )


def test_sizes_come_from_the_cache_and_else_from_the_header(make_topic) -> None:
    folder = make_topic("DataSet/C/S/T", "small.png", "large.png", "lonely.png")
    picture(1, (30, 20)).save(folder / "large.png")
    picture(1, (3, 2)).save(folder / "small.png")
    os.truncate(folder / "lonely.png", 20)
    topic = topic_of(folder)
    stamps, bad = topic.stamps(), []
    matches = {"small.png": {"large.png"}, "large.png": {"small.png"}, "lonely.png": set()}
    redundant = keepers.topic_redundant(
        topic, stamps, cache.Cache(), {}, matches, lambda path, reason: bad.append(path)
    )
    assert redundant == {"small.png": "large.png"}
    assert bad == []  # what matches nothing is not opened
    claimed = cache.Cache({"small.png": (stamps["small.png"], (9000, 9000))})
    assert keepers.topic_redundant(topic, stamps, claimed, {}, matches, print) == {
        "large.png": "small.png"
    }
    stale = cache.Cache({"small.png": ((1, 1), (9000, 9000))})
    assert keepers.topic_redundant(topic, stamps, stale, {}, matches, print) == {
        "small.png": "large.png"
    }


def test_an_image_whose_size_cannot_be_read_loses_and_is_told_of(make_topic) -> None:
    folder = make_topic("DataSet/C/S/T", "a.png", "b.png")
    (folder / "a.png").write_bytes(b"no picture" * 1000)
    topic, bad = topic_of(folder), []
    matches = {"a.png": {"b.png"}, "b.png": {"a.png"}}
    redundant = keepers.topic_redundant(
        topic, topic.stamps(), cache.Cache(), {}, matches, lambda path, why: bad.append(path)
    )
    assert redundant == {"a.png": "b.png"} and bad == [str(folder / "a.png")]
