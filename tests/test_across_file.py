"""duplicates_across.json: what is in it, who acts on it; stale entries have no effect."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from result_files import write_copies, write_scores

import duplicates_stats
import merge_clusters
import split_data
from common import atomic_files, cache, cli
from common.topics import Stamp, Topic
from keeping import across_file

MADE = {"method": "phash", "threshold": 14}


def make(dataset: Path, **topics: str) -> Path:
    """Make topics C/S/NAME of scored, searched images a.png, b.png ..., the first the largest."""
    for place, letters in topics.items():
        folder = dataset / "C/S" / place
        folder.mkdir(parents=True, exist_ok=True)
        for number, letter in enumerate(letters):
            Image.new("L", (60 - number, 40), ord(letter)).save(folder / f"{letter}.png")
        there = Topic(str(folder), dataset.name, "C", "S", place, len(letters))
        stamps = there.image_stamps()
        write_scores(there, dict.fromkeys(stamps, 5))
        write_copies(there, {name: set() for name in stamps})
        extents = {name: (stamp, Image.open(folder / name).size) for name, stamp in stamps.items()}
        cache.update_cache(
            there,
            extents,
            duplicates=cache.Provenance({}, stamps),
            scores=cache.Provenance({}, stamps),
        )
    return dataset


def stamp(path: Path) -> Stamp:
    return path.stat().st_size, path.stat().st_mtime_ns


def put(dataset: Path, *pairs: str, compared: bool = True) -> None:
    """Write what a search across topics finds: "T/a U/b mirrored", or "T/a U/b" for a copy."""
    found: dict[str, dict[str, str]] = {}
    for pair in pairs:
        one, other, *kind = pair.split()
        paths = [name if name.startswith("/") else f"C/S/{name}.png" for name in (one, other)]
        found.setdefault(paths[0], {})[paths[1]] = kind[0] if kind else "copy"
    named = {path for one, others in found.items() for path in (one, *others)}
    stamps = {path: stamp(dataset / path) for path in named}
    across_file.write_across(
        str(dataset), found, lambda one, other, kind: compared, MADE, stamps, pytest.fail
    )


def held(dataset: Path) -> dict[str, dict[str, str]]:
    return json.loads((dataset / "duplicates_across.json").read_text())


def test_the_file_and_its_provenance(tmp_path: Path) -> None:
    make(tmp_path / "D", T="ab", U="c")
    (tmp_path / "r.png").write_bytes(b"reference")
    put(tmp_path / "D", "T/a U/c", f"T/b {tmp_path}/r.png mirrored")
    assert held(tmp_path / "D") == {
        "C/S/T/a.png": {"C/S/U/c.png": "copy"},
        "C/S/T/b.png": {f"{tmp_path}/r.png": "mirrored"},
        "C/S/U/c.png": {"C/S/T/a.png": "copy"},
    }
    paths = ("C/S/T/a.png", "C/S/T/b.png", "C/S/U/c.png", f"{tmp_path}/r.png")
    assert json.loads((tmp_path / "D/.cache/images.json").read_text())["duplicates"] == {
        "made_by": MADE,
        "images": {path: list(stamp(tmp_path / "D" / path)) for path in paths},
        "digest": atomic_files.file_digest(str(tmp_path / "D/duplicates_across.json")),
    }
    said: list[str] = []
    found = across_file.read_across(
        [Topic(str(tmp_path / "D/C/S/T"), "D", "C", "S", "T", 2)], said.append
    )
    assert said == [] and found.references == {f"{tmp_path}/r.png"}
    assert found.matches_in_dataset(f"{tmp_path}/D/C/S/U/c.png") == {
        f"{tmp_path}/D/C/S/T/a.png": "copy"
    }
    assert found.matches_in_dataset(f"{tmp_path}/D/C/S/T/b.png") == {}
    assert found.reference_match(f"{tmp_path}/D/C/S/T/b.png") == f"{tmp_path}/r.png"
    assert found.reference_match(f"{tmp_path}/D/C/S/T/b.png", ["copy"]) is None


def test_what_was_not_compared_stays_and_what_changed_does_not_come_back(tmp_path: Path) -> None:
    make(tmp_path / "D", T="ab", U="cd", V="ef")
    put(tmp_path / "D", "T/a U/c", "T/b V/e", "U/d V/f")
    put(tmp_path / "D", "T/a U/d", compared=False)
    assert held(tmp_path / "D")["C/S/T/a.png"] == {"C/S/U/c.png": "copy", "C/S/U/d.png": "copy"}
    os.utime(tmp_path / "D/C/S/U/d.png")
    put(tmp_path / "D", "T/b U/d", compared=False)
    assert held(tmp_path / "D") == {
        "C/S/T/a.png": {"C/S/U/c.png": "copy"},
        "C/S/T/b.png": {"C/S/U/d.png": "copy", "C/S/V/e.png": "copy"},
        "C/S/U/c.png": {"C/S/T/a.png": "copy"},
        "C/S/U/d.png": {"C/S/T/b.png": "copy"},
        "C/S/V/e.png": {"C/S/T/b.png": "copy"},
    }
    put(tmp_path / "D", "T/a V/f")
    assert held(tmp_path / "D") == {
        "C/S/T/a.png": {"C/S/V/f.png": "copy"},
        "C/S/V/f.png": {"C/S/T/a.png": "copy"},
    }


def within(dataset: Path, name: str, warn: Callable[[str], None] = pytest.fail) -> dict[str, str]:
    """The matches of an image in T that are relied on."""
    found = across_file.read_across(
        [Topic(str(dataset / "C/S/T"), dataset.name, "C", "S", "T", 2)], warn
    )
    return found.matches_in_dataset(f"{dataset}/C/S/T/{name}.png")


def test_a_provenance_holds_for_its_file_alone_and_without_one_images_may_not_be_younger(
    tmp_path: Path,
) -> None:
    dataset = tmp_path / "D"
    make(dataset, T="ab", U="cd")
    put(dataset, "T/a U/c", "T/b U/d")
    image, file = dataset / "C/S/U/c.png", dataset / "duplicates_across.json"
    long_ago = image.stat().st_mtime_ns - 10**12
    os.utime(image, ns=(long_ago, long_ago))
    said: list[str] = []
    assert within(dataset, "a", said.append) == {} and len(said) == 1  # not what the record says
    file.write_bytes(file.read_bytes() + b"\n")  # by another program, from all that is there now
    assert within(dataset, "a") == {f"{dataset}/C/S/U/c.png": "copy"}
    os.utime(image, ns=(2 * 10**18, 2 * 10**18))
    assert within(dataset, "a", said.append) == {} and len(said) == 2
    put(dataset, "T/a U/d", compared=False)
    assert (
        within(dataset, "a", said.append) == {f"{dataset}/C/S/U/d.png": "copy"} and len(said) == 3
    )


def test_decisions_hold_across_topics(tmp_path: Path) -> None:
    make(tmp_path / "D", T="ab", U="cd")
    decided = {
        "different": [["C/S/T/a.png", "C/S/U/c.png"]],
        "same": [["C/S/T/b.png", "C/S/U/d.png"], ["C/S/T/a.png", "C/S/T/b.png"]],
    }
    (tmp_path / "D/decisions.json").write_text(json.dumps(decided))
    put(tmp_path / "D", "T/a U/c", "T/b U/d mirrored")
    assert held(tmp_path / "D") == {
        "C/S/T/b.png": {"C/S/U/d.png": "copy"},
        "C/S/U/d.png": {"C/S/T/b.png": "copy"},
    }
    found = across_file.read_across(
        [Topic(str(tmp_path / "D/C/S/T"), "D", "C", "S", "T", 2)], pytest.fail
    )
    assert found.matches_in_dataset(f"{tmp_path}/D/C/S/T/b.png") == {
        f"{tmp_path}/D/C/S/U/d.png": "copy"
    }


def test_stale_entries_are_named_and_have_no_effect(tmp_path: Path, run) -> None:
    make(tmp_path / "D", T="abc", U="def")
    (tmp_path / "r.png").write_bytes(b"reference")
    put(tmp_path / "D", "T/a U/d", "T/b U/e", f"T/c {tmp_path}/r.png")
    os.utime(tmp_path / "D/C/S/U/d.png")
    (tmp_path / "D/C/S/U/e.png").unlink()
    (tmp_path / "r.png").write_bytes(b"another")
    status, told, said = run(
        merge_clusters, tmp_path / "D", "--drop-across", "--output", tmp_path / "full"
    )
    assert (status, told["copied"], told["duplicates"], told["references"]) == (0, 5, 0, 0)
    assert (
        f"{tmp_path}/D/duplicates_across.json: no longer fits "
        "(run find_duplicates.py --across again): "
        f"3 changed since or gone ({tmp_path}/r.png, C/S/U/d.png, C/S/U/e.png)"
    ) in said


@pytest.mark.parametrize("content", ["[]", "{", '{"a": {"b": "twin"}}', '{"a": ["b"]}'])
def test_a_damaged_file_stops_whatever_acts_on_it(tmp_path: Path, run, content: str) -> None:
    make(tmp_path / "D", T="a")
    (tmp_path / "D/duplicates_across.json").write_text(content)
    for script, options in (
        (split_data, ["--output-dir", tmp_path]),
        (merge_clusters, ["--output", tmp_path / "full"]),
    ):
        status, _, said = run(script, tmp_path / "D", *options)
        assert status == 2 and "duplicates_across.json: damaged" in said
    assert not (tmp_path / "full").exists() and not (tmp_path / "train_set.json").exists()


def test_statistics_count_pairs_topics_and_references(tmp_path: Path, run) -> None:
    make(tmp_path / "D", T="abc", U="def", V="gh")
    (tmp_path / "r.png").write_bytes(b"reference")
    put(
        tmp_path / "D",
        "T/a U/d",
        "T/b U/e mirrored",
        "T/c U/f doubtful",
        "V/g T/a",
        f"V/h {tmp_path}/r.png",
    )
    assert run(duplicates_stats, tmp_path / "D")[1]["across"] == {
        "pairs": {"copy": 2, "mirrored": 1, "doubtful": 1},
        "topics": [
            {"topics": ["D/C/S/T", "D/C/S/U"], "pairs": 2},
            {"topics": ["D/C/S/T", "D/C/S/V"], "pairs": 1},
        ],
        "references": {"copy": 1},
    }
    assert run(duplicates_stats, tmp_path / "D/C/S/V", "--top", 1)[1]["across"] == {
        "pairs": {"copy": 1},
        "topics": [{"topics": ["D/C/S/T", "D/C/S/V"], "pairs": 1}],
        "references": {"copy": 1},
    }
    duplicates_stats.main([str(tmp_path / "D")])


def chosen(folder: Path) -> dict[str, list[str]]:
    sets = {
        name: json.loads((folder / f"{name}_set.json").read_text()) for name in ("train", "valid")
    }
    return {
        name: [f"{Path(path).parent.name}/{Path(path).stem}" for path in paths]
        for name, paths in sets.items()
    }


def test_a_split_knows_all_topics_and_references(tmp_path: Path, run) -> None:
    make(tmp_path / "D", T="abcdef", U="ghijkl")
    (tmp_path / "r.png").write_bytes(b"reference")
    put(
        tmp_path / "D",
        "T/a U/i",
        "T/d U/g mirrored",
        "T/b U/h",
        "T/c U/j doubtful",
        f"T/e {tmp_path}/r.png cropped",
    )
    options = ("--train", 2, "--valid", 2, "--output-dir", tmp_path)
    told = run(split_data, tmp_path / "D", *options)[1]
    assert chosen(tmp_path) == {
        "train": ["T/a", "T/b", "U/g", "U/h"],
        "valid": ["T/c", "T/d", "U/i", "U/j"],
    }
    assert told["leaks"] == [
        {"topic": "D/C/S/T", "valid": "d.png", "train": "../U/g.png", "kind": "mirrored"},
        {"topic": "D/C/S/U", "valid": "i.png", "train": "../T/a.png", "kind": "copy"},
    ]
    assert told["counts"]["match_a_reference"] == 1
    told = run(split_data, tmp_path / "D", *options, "--exclude-duplicates")[1]
    assert told["leaks"] == [] and told["counts"]["related_to_chosen"] == 3
    assert chosen(tmp_path) == {
        "train": ["T/a", "T/b", "U/g", "U/j"],
        "valid": ["T/c", "T/f", "U/k", "U/l"],
    }


places = st.sampled_from(
    [
        f"{place}/{letter}"
        for place, letters in (("T", "abcd"), ("U", "efgh"), ("V", "ijkl"))
        for letter in letters
    ]
)


def test_of_copies_in_two_topics_the_better_is_chosen_wherever_it_lies(tmp_path: Path, run) -> None:
    """a.png is the largest of its topic; its copy U/g is in a topic that comes later by name."""
    make(tmp_path / "D", T="abcd", U="efgh")
    options = ("--train", 2, "--valid", 1, "--exclude-duplicates", "--output-dir", tmp_path)
    put(tmp_path / "D", "T/b U/e")  # the original lies in U, a smaller one in T
    told = run(split_data, tmp_path / "D", *options)[1]
    assert chosen(tmp_path) == {"train": ["T/a", "T/c", "U/e", "U/f"], "valid": ["T/d", "U/g"]}
    assert told["counts"]["related_to_chosen"] == 1
    put(
        tmp_path / "D", "T/c U/h", compared=True
    )  # c is better than h, but neither is among the best two
    run(split_data, tmp_path / "D", *options)
    assert chosen(tmp_path) == {"train": ["T/a", "T/b", "U/e", "U/f"], "valid": ["T/c", "U/g"]}
    put(tmp_path / "D", "T/b U/g", "T/c U/f")  # b has room where it lies, g and f give way
    run(split_data, tmp_path / "D", *options)
    assert chosen(tmp_path) == {"train": ["T/a", "T/b", "U/e", "U/f"], "valid": ["T/d", "U/h"]}
    (tmp_path / "D/decisions.json").write_text(json.dumps({"keep": ["C/S/U/g.png"]}))
    run(split_data, tmp_path / "D", "--train", 3, *options[2:])
    assert chosen(tmp_path) == {"train": ["T/a", "T/d", "U/e", "U/f", "U/g"], "valid": ["U/h"]}


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.dictionaries(
        st.tuples(places, places).filter(lambda pair: pair[0][0] < pair[1][0]),
        st.sampled_from(across_file.ACROSS_KINDS),
        max_size=10,
    ),
    barred=st.sets(places, max_size=2),
)
def test_no_leak_and_no_image_twice(tmp_path_factory, pairs, barred) -> None:
    """Against a look at every pair of chosen images; without the option every leak is reported."""
    root = tmp_path_factory.mktemp("split")
    make(root / "D", T="abcd", U="efgh", V="ijkl")
    (root / "r.png").write_bytes(b"reference")
    put(
        root / "D",
        *(f"{one} {other} {kind}" for (one, other), kind in pairs.items()),
        *(f"{one} {root}/r.png" for one in barred),
    )
    both = pairs | {pair[::-1]: kind for pair, kind in pairs.items()}
    for options in ([], ["--exclude-duplicates"]):
        args = [
            str(root / "D"),
            "--train",
            "1",
            "--valid",
            "2",
            "--quiet",
            "--json",
            "--output-dir",
            str(root),
            *options,
        ]
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            assert cli.run_script(split_data.main, args) == 0
        sets = chosen(root)
        assert not {*sets["train"], *sets["valid"]} & barred
        leaks = {
            (v, t)
            for v in sets["valid"]
            for t in sets["train"]
            if both.get((v, t), "doubtful") != "doubtful"
        }
        told = [e for e in json.loads(printed.getvalue())["leaks"] if e["kind"] != "related"]
        assert len(told) == len(leaks)
        assert {(f"{e['topic'][-1]}/{e['valid'][0]}", e["train"][3:6]) for e in told} == leaks
        if options:
            assert not leaks
            assert "copy" not in {
                both.get(pair) for pair in itertools.combinations(sets["train"] + sets["valid"], 2)
            }
            copies = [pair for pair, kind in both.items() if kind == "copy"]
            for one, other in copies:
                alone = sum(bool({one, other} & {*pair}) for pair in copies) == 2  # in no chain
                if alone and one in sets["train"] and better(other, one):
                    assert other in barred or any(
                        name[0] == other[0] and better(name, other) for name in sets["train"]
                    )


def better(one: str, other: str) -> bool:
    """Of `make`'s images: the larger is better, then the first by name."""
    return ("abcdefghijkl".index(one[2]) % 4, one) < ("abcdefghijkl".index(other[2]) % 4, other)


def test_a_merge_keeps_copies_in_other_topics_without_drop_across(tmp_path: Path, run) -> None:
    make(tmp_path / "D", T="abc", U="def")
    put(tmp_path / "D", "T/b U/d", "T/a U/e", "U/f T/c mirrored")
    assert run(merge_clusters, tmp_path / "D", "--output", tmp_path / "all")[1]["copied"] == 6
    told = run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full", "--drop-across")[1]
    assert (told["copied"], told["duplicates"]) == (4, 2)
    lines = [
        json.loads(line)
        for line in (tmp_path / "full/merge_manifest.jsonl").read_text().splitlines()
    ]
    assert {
        line["source"][-7:-4]: (line["kept"], line["reason"])
        for line in lines
        if line["action"] == "duplicate"
    } == {
        "T/b": (
            "C/S/U/d.png",
            "a copy of C/S/U/d.png, which stays: more pixels x score",
        ),  # d is larger than b
        "U/e": ("C/S/T/a.png", "a copy of C/S/T/a.png, which stays: more pixels x score"),
    }
    before = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "full").rglob("*"))
    assert (
        run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full", "--drop-across")[1][
            "already_there"
        ]
        == 4
    )
    assert (
        sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "full").rglob("*")) == before
    )


def test_a_chain_through_topics_leaves_a_kept_match_for_each(tmp_path: Path, run) -> None:
    """In its topic, b is dropped for a. With --drop-across a is dropped for c, so b is kept."""
    make(tmp_path / "D", S="c", T="xab")
    there = Topic(str(tmp_path / "D/C/S/T"), "D", "C", "S", "T", 3)
    write_copies(there, {"a.png": {"b.png"}, "x.png": set()})
    put(tmp_path / "D", "T/a S/c")
    run(merge_clusters, tmp_path / "D", "--output", tmp_path / "plain")
    run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full", "--drop-across")
    names = {
        to: sorted(path.stem for path in (tmp_path / to).rglob("*.png")) for to in ("plain", "full")
    }
    assert names == {"plain": ["a", "c", "x"], "full": ["b", "c", "x"]}


def test_copies_of_references_are_left_out_and_never_all_of_a_dataset(tmp_path: Path, run) -> None:
    make(tmp_path / "D", T="abcd")
    make(tmp_path / "E", T="e")
    (tmp_path / "r.png").write_bytes(b"reference")
    (tmp_path / "D/decisions.json").write_text('{"keep": ["C/S/T/d.png"]}')
    put(
        tmp_path / "D",
        f"T/a {tmp_path}/r.png",
        f"T/b {tmp_path}/r.png mirrored",
        f"T/d {tmp_path}/r.png",
    )
    told = run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full")[1]
    assert (told["copied"], told["references"]) == (3, 1)
    line = json.loads((tmp_path / "full/merge_manifest.jsonl").read_text().splitlines()[0])
    assert (line["action"], line["kept"], line["reason"]) == (
        "reference",
        None,
        f"matches the reference {tmp_path}/r.png",
    )
    assert (
        run(merge_clusters, tmp_path / "D", "--output", tmp_path / "all", "--keep-duplicates")[1][
            "copied"
        ]
        == 4
    )
    put(tmp_path / "E", f"T/e {tmp_path}/r.png")
    status, _, said = run(
        merge_clusters, tmp_path / "D", tmp_path / "E", "--output", tmp_path / "both"
    )
    assert status == 2 and f"{tmp_path}/E: every image in it is a copy of a reference image" in said
    assert not (tmp_path / "both").exists()
