"""decisions.json overrules whatever is searched, merged and split afterwards."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
from conftest import draw_image
from hypothesis import given, settings
from hypothesis import strategies as st
from result_files import write_scores, write_variants

import duplicates_stats
import find_duplicates
import merge_clusters
import split_data
from common import cache, cli
from common.cache import Provenance
from common.topics import Topic
from keeping import decisions

AT = "C/S/T"


def make(folder: Path, **seeds: int) -> Path:
    """Make a topic of PNGs by name. Images of one seed are copies, each smaller than the last."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, seed) in enumerate(seeds.items()):
        draw_image(seed, (320 - 20 * number, 240 - 15 * number)).save(folder / f"{name}.png")
    return folder


def decide(dataset: Path, **lists: object) -> Path:
    path = dataset / "decisions.json"
    path.write_text(json.dumps(lists))
    return path


def at(*names: str, topic: str = AT) -> list[str]:
    return [f"{topic}/{name}.png" for name in names]


def found(dataset: Path, topic: str = AT) -> dict[str, list[str]]:
    """The map as letters, those that match something."""
    parent, _, name = topic.rpartition("/")
    read = json.loads((dataset / parent / f"duplicates_{name}.json").read_text())
    return {
        image[:-4]: [other[:-4] for other in others] for image, others in read.items() if others
    }


def there(target: Path, topic: str = AT) -> str:
    return "".join(sorted(path.stem for path in (target / topic).glob("*.png")))


def test_a_search_leaves_different_pairs_out_and_takes_same_ones_in(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=1, c=1, x=2, y=3)
    plain = {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "b"]}
    run(find_duplicates, tmp_path / "D")
    assert found(tmp_path / "D") == plain
    decide(tmp_path / "D", different=[at("b", "a")], same=[at("x", "y")], keep=at("c"))
    for options in ((), ("--threshold", 2), ("--threshold", 20)):
        assert run(find_duplicates, tmp_path / "D", *options)[0] == 0
        assert found(tmp_path / "D") == {
            "a": ["c"],
            "b": ["c"],
            "c": ["a", "b"],
            "x": ["y"],
            "y": ["x"],
        }
    (tmp_path / "D/decisions.json").unlink()
    run(find_duplicates, tmp_path / "D")
    assert found(tmp_path / "D") == plain


def test_decisions_hold_with_either_method(tmp_path: Path, run, tower: Path) -> None:
    make(tmp_path / "D" / AT, a=1, b=1, c=1, x=2, y=3)
    clip = ("--method", "clip", "--model", f"local-dir:{tower}", "--threshold", 0.9)
    run(find_duplicates, tmp_path / "D", *clip)
    plain = found(tmp_path / "D")
    assert "b" in plain["a"] and "y" not in plain.get("x", ())
    decide(tmp_path / "D", different=[at("b", "a")], same=[at("x", "y")])
    for options in (clip, (), clip):
        assert run(find_duplicates, tmp_path / "D", *options)[0] == 0
        maps = found(tmp_path / "D")
        assert (
            "b" not in maps["a"]
            and "a" not in maps["b"]
            and maps["a"] == ["c"]
            and maps["x"] == ["y"]
        )


def test_readers_act_on_decisions_that_no_search_has_seen(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=1, c=1, x=2, y=3)
    folder = Topic(str(tmp_path / "D" / AT), "D", "C", "S", "T", 5)
    write_scores(folder, dict.fromkeys(folder.image_stamps(), 5))
    run(find_duplicates, tmp_path / "D")
    split = (
        tmp_path / "D",
        "--train",
        1,
        "--valid",
        4,
        "--exclude-duplicates",
        "--output-dir",
        tmp_path,
    )
    assert run(duplicates_stats, tmp_path / "D")[1]["redundant_images"] == 2
    assert run(split_data, *split)[1]["counts"]["duplicates"] == 2
    decide(tmp_path / "D", different=[at("b", "a")], same=[at("x", "y")], keep=at("c", "y"))
    assert (
        run(duplicates_stats, tmp_path / "D")[1]["redundant_images"] == 3
    )  # keep c, drop a and b; keep y, drop x
    assert run(split_data, *split)[1]["counts"]["duplicates"] == 3
    assert [path[-5] for path in json.loads((tmp_path / "train_set.json").read_text())] == ["c"]
    assert run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full")[1]["duplicates"] == 3
    assert there(tmp_path / "full") == "cy"


def test_two_matching_images_that_a_person_keeps_are_both_kept(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=1, c=1)
    decide(tmp_path / "D", keep=at("b", "c"))
    assert run(find_duplicates, tmp_path / "D")[1]["redundant"] == 1
    run(merge_clusters, tmp_path / "D", "--output", tmp_path / "full")
    assert there(tmp_path / "full") == "bc"


def test_a_decided_pair_is_no_longer_a_variant(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=2, c=3, d=4)
    run(find_duplicates, tmp_path / "D")
    folder = Topic(str(tmp_path / "D" / AT), "D", "C", "S", "T", 4)
    write_variants(folder, {"a.png": {"b.png": "cropped", "c.png": "turned", "d.png": "doubtful"}})
    cache.update_cache(folder, variants=Provenance({}, folder.image_stamps()))
    decide(tmp_path / "D", same=[at("a", "d")], different=[at("a", "b")])
    status, told, _ = run(duplicates_stats, tmp_path / "D")
    assert (status, told["variants"], told["redundant_images"]) == (0, {"turned": 1}, 1)


def test_changed_images_are_named_and_no_longer_the_same(tmp_path: Path, run) -> None:
    folder = make(tmp_path / "D" / AT, a=1, b=1, x=2, y=3)
    seen = {name: [os.stat(folder / f"{name[6]}.png").st_size, "7"] for name in at("a", "x")}
    decide(
        tmp_path / "D",
        different=[at("a", "b")],
        same=[at("x", "y"), at("y", "gone")],
        keep=at("lost"),
        files=seen,
    )
    status, _, said = run(find_duplicates, tmp_path / "D")
    assert status == 0 and found(tmp_path / "D") == {}
    assert said.splitlines()[0] == (
        f"⚠️  {tmp_path}/D/decisions.json: some of its images are gone or changed: "
        "2 gone (C/S/T/gone.png, C/S/T/lost.png); "
        "2 changed since, and so neither dropped nor the same as another until you decide again "
        "(C/S/T/a.png, C/S/T/x.png)"
    )
    seen = {
        name: [
            os.stat(tmp_path / "D" / name).st_size,
            str(os.stat(tmp_path / "D" / name).st_mtime_ns),
        ]
        for name in seen
    }
    decide(tmp_path / "D", same=[at("x", "y")], files=seen)
    assert run(find_duplicates, tmp_path / "D")[2] == "4 images found = 4 searched\n"
    assert found(tmp_path / "D") == {"a": ["b"], "b": ["a"], "x": ["y"], "y": ["x"]}


def test_a_saved_file_joins_what_the_dataset_has(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=1, c=1, x=2, y=3)
    decide(
        tmp_path / "D", different=[at("a", "b"), at("a", "c")], same=[at("x", "y")], keep=at("a")
    )
    saved = tmp_path / "saved.json"
    saved.write_text(
        json.dumps(
            {
                "same": [at("c", "a")],
                "different": [at("y", "x")],
                "keep": at("c"),
                "files": {at("a")[0]: [1, "2"]},
            }
        )
    )
    assert run(find_duplicates, tmp_path / "D", "--decisions", saved)[0] == 0
    joined = {
        "different": [at("a", "b"), at("x", "y")],
        "same": [at("a", "c")],
        "keep": at("a", "c"),
        "files": {at("a")[0]: [1, "2"]},
    }
    assert json.loads((tmp_path / "D/decisions.json").read_text()) == joined
    run(find_duplicates, tmp_path / "D", "--decisions", tmp_path / "D/decisions.json")
    assert json.loads((tmp_path / "D/decisions.json").read_text()) == joined


def test_what_was_saved_may_come_through_a_pipe(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=1)
    reader, writer = os.pipe()
    os.write(writer, json.dumps({"keep": at("b")}).encode())
    os.close(writer)
    status, _, talk = run(find_duplicates, tmp_path / "D", "--decisions", f"/dev/fd/{reader}")
    os.close(reader)
    assert (status, json.loads((tmp_path / "D/decisions.json").read_text())["keep"]) == (
        0,
        at("b"),
    ), talk


def test_a_folder_is_not_a_saved_file(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1, b=1)
    status, _, talk = run(find_duplicates, tmp_path / "D", "--decisions", tmp_path)
    assert status == 2 and f"{tmp_path}: " in talk and "folder" in talk and "Traceback" not in talk


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"keep": at("nowhere")}, "C/S/T/nowhere.png: no such image"),
        ({"different": [[at("a")[0], "T/b.png"]]}, "T/b.png: no such image"),
        ({"keep": ["C/S/T"]}, "C/S/T: no such image"),
        ({"keep": ["C/S/duplicates_T.json"]}, "no such image"),
        ({"keeps": []}, "keeps: not different, same, keep, drop or files"),
        ([], "damaged"),
    ],
)
def test_a_saved_file_with_a_wrong_line_changes_nothing(
    tmp_path: Path, run, content: object, said: str
) -> None:
    make(tmp_path / "D" / AT, a=1, b=1)
    (tmp_path / "D/C/S/duplicates_T.json").write_text("{}")
    saved = tmp_path / "saved.json"
    saved.write_text(json.dumps(content))
    before = sorted(tmp_path.rglob("*"))
    status, _, talk = run(find_duplicates, tmp_path / "D", "--decisions", saved)
    assert status == 2 and talk.count("\n") == 1 and str(saved) in talk and said in talk
    assert sorted(tmp_path.rglob("*")) == before


def test_a_saved_file_is_about_one_dataset(tmp_path: Path, run) -> None:
    make(tmp_path / "D" / AT, a=1)
    make(tmp_path / "E" / AT, a=1)
    saved = decide(tmp_path, keep=at("a"))
    assert (
        "takes one dataset at a time; you gave 2"
        in run(find_duplicates, tmp_path / "D", tmp_path / "E", "--decisions", saved)[2]
    )
    assert (
        "no such file"
        in run(find_duplicates, tmp_path / "D", "--decisions", tmp_path / "none.json")[2]
    )


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"keep": "a.png"}',
        '{"keep": [1]}',
        '{"same": [["a"]]}',
        '{"same": [["a", "a"]]}',
        '{"same": ["ab"]}',
        '{"different": [["a", "b", "c"]]}',
        '{"different": null}',
        '{"files": {"a": 1}}',
        '{"files": []}',
        '{"diffrent": []}',
        '{"keep": ["C/S/T/a\\u0000.png"]}',
        '{"keep": ["C/S/T/\\ud800.png"]}',
        '{"files": {"C/S/T/a.png": [1e999, 1]}}',
        '{"files": {"C/S/T/a.png": [NaN, "1"]}}',
    ],
)
def test_a_damaged_file_stops_whatever_would_act_on_it(tmp_path: Path, run, content: str) -> None:
    make(tmp_path / "D" / AT, a=1, b=1)
    path = tmp_path / "D/decisions.json"
    path.write_text(content)
    for script in (find_duplicates, duplicates_stats, split_data, merge_clusters):
        options = ("--output", tmp_path / "full") if script is merge_clusters else ()
        status, told, said = run(script, tmp_path / "D", *options)
        assert (status, told) == (2, {}) and f"{path}: damaged (" in said, script
    assert (
        sorted(path.name for path in tmp_path.rglob("*.json")) == ["decisions.json"]
        and path.read_text() == content
    )


def test_a_merge_carries_decisions_along_under_the_new_names(tmp_path: Path, run) -> None:
    make(tmp_path / "A" / AT, a=1, b=1, c=1, d=4)
    make(tmp_path / "B" / AT, a=5, b=6, e=7)
    for name in ("c", "d"):
        (tmp_path / "B" / AT / f"{name}.png").write_bytes(
            (tmp_path / "A" / AT / f"{name}.png").read_bytes()
        )
    (tmp_path / "B" / AT / "D.png").write_bytes(
        (tmp_path / "B" / AT / "d.png").read_bytes()
    )  # they become one image
    stat = os.stat(tmp_path / "B" / AT / "a.png")
    decide(tmp_path / "A", different=[at("a", "b"), at("c", "gone")], keep=at("d"))
    decide(
        tmp_path / "B",
        different=[at("a", "b"), at("c", "e"), at("d", "D")],
        same=[[at("e")[0], "/reference/e.png"]],
        keep=at("d", "a"),
        files={at("a")[0]: [stat.st_size, str(stat.st_mtime_ns)], at("e")[0]: [1, "1"]},
    )
    run(find_duplicates, tmp_path / "A", tmp_path / "B")
    assert found(tmp_path / "A") == {"a": ["c"], "b": ["c"], "c": ["a", "b"]}
    for _ in range(2):
        assert (
            run(merge_clusters, tmp_path / "A", tmp_path / "B", "--output", tmp_path / "full")[0]
            == 0
        )
    assert there(tmp_path / "full") == "".join(sorted(["a", "b", "d", "a__B", "b__B", "c", "e"]))
    assert json.loads((tmp_path / "full/decisions.json").read_text()) == {
        "different": [at("a", "b"), at("a__B", "b__B"), at("c", "e")],
        "same": [["/reference/e.png", at("e")[0]]],
        "keep": at("a__B", "d"),
        "files": {at("a__B")[0]: [stat.st_size, str(stat.st_mtime_ns)], at("e")[0]: [1, "1"]},
    }
    (tmp_path / "full/decisions.json").write_text("[]")
    assert run(merge_clusters, tmp_path / "A", "--output", tmp_path / "full")[0] == 2


def test_without_decisions_a_merge_makes_no_file(tmp_path: Path, run) -> None:
    make(tmp_path / "A" / AT, a=1)
    run(merge_clusters, tmp_path / "A", "--output", tmp_path / "full")
    assert not (tmp_path / "full/decisions.json").exists()


letters = st.sampled_from("abcdefg")
pairs = st.sets(st.tuples(letters, letters).filter(lambda pair: pair[0] < pair[1]), max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    seeds=st.dictionaries(letters, st.integers(1, 3), min_size=2),
    different=pairs,
    same=pairs,
    keep=st.sets(letters, max_size=3),
)
def test_decisions_survive_search_merge_and_split(
    tmp_path_factory, seeds, different, same, keep
) -> None:
    """Find, find with other thresholds, merge, find there, split; compare with a naive walk."""
    root = tmp_path_factory.mktemp("decided")
    make(root / "D" / AT, **seeds)

    def call(script, *args: object) -> None:
        assert cli.run_script(script.main, [*map(str, args), "--quiet"]) == 0

    different, same = (
        {pair for pair in several if set(pair) <= seeds.keys()} for several in (different, same)
    )
    keep &= seeds.keys()
    call(find_duplicates, root / "D")
    alike = {
        pair
        for pair in itertools.combinations(sorted(seeds), 2)
        if pair[1] in found(root / "D").get(pair[0], ())
    }
    matches = (alike | same) - different
    order = sorted(seeds, key=lambda name: (name not in keep, list(seeds).index(name)))
    stay: list[str] = []
    for name in order:
        if name in keep or not any(tuple(sorted((name, other))) in matches for other in stay):
            stay.append(name)

    decide(
        root / "D",
        different=[at(*p) for p in different],
        same=[at(*p) for p in same],
        keep=at(*keep),
    )
    for threshold in (14, 6, 14):
        call(find_duplicates, root / "D", "--threshold", threshold)
        maps = found(root / "D")
        now = {
            pair
            for pair in itertools.combinations(sorted(seeds), 2)
            if pair[1] in maps.get(pair[0], ())
        }
        assert now == matches if threshold == 14 else same - different <= now <= matches
    call(merge_clusters, root / "D", "--output", root / "full")
    assert there(root / "full") == "".join(sorted(stay))
    call(find_duplicates, root / "full")
    maps = found(root / "full")
    assert not any(other in maps.get(one, ()) for one, other in different)
    folder = Topic(str(root / "full" / AT), "full", "C", "S", "T", 0)
    write_scores(folder, dict.fromkeys(folder.image_stamps(), 5))
    call(
        split_data,
        root / "full",
        "--train",
        1,
        "--valid",
        9,
        "--exclude-duplicates",
        "--output-dir",
        root,
    )
    chosen = {
        Path(path).stem
        for name in ("train", "valid")
        for path in json.loads((root / f"{name}_set.json").read_text())
    }
    assert not any(other in chosen for one in chosen for other in maps.get(one, ()))
    assert all(set(maps[one]) & chosen for one in set(stay) - chosen)


def test_a_dataset_without_a_file_has_no_decisions(tmp_path: Path) -> None:
    assert (
        decisions.read_decisions(str(tmp_path)) == decisions.NO_DECISIONS
        and decisions.NO_DECISIONS.paths == []
    )
