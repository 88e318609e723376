"""split_data.py: the best of every topic, as a plain loop chooses them, and sets without leaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, run_script
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from result_files import write_copies, write_variants

import split_data
from common import cache, cli, json_files
from common.cache import Provenance
from common.topics import Topic


def make_scored_topic(
    folder: Path, scores: dict[str, object] | None, sizes, matches=None, variants=None
) -> Path:
    """Make a topic of plain images, with the files that the scorer and the search make."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sizes.items():
        Image.new("L", size).save(folder / name, "PNG")
    if scores is not None:
        (folder / "aesthetic_data.json").write_text(json.dumps(scores))
    if matches is not None:
        there = Topic(str(folder), *folder.parts[-4:], image_count=0)
        write_copies(there, {name: set(matches.get(name, ())) for name in sizes})
        cache.update_cache(there, duplicates=Provenance({"method": "phash"}, there.image_stamps()))
    if variants is not None:
        write_variants(there, variants)
        cache.update_cache(there, variants=Provenance({"method": "phash"}, there.image_stamps()))
    return folder


def numbered_names(count: int, start: int = 0) -> list[str]:
    return [f"{number:02}.png" for number in range(start, start + count)]


@pytest.fixture
def split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    """Split into tmp_path/out. Returns the JSON, both lists below tmp_path, stderr and status."""
    (tmp_path / "out").mkdir()

    def run(*args: object) -> dict:
        capsys.readouterr()
        status = cli.run_script(
            split_data.main, [*map(str, args), "--output-dir", str(tmp_path / "out"), "--json"]
        )
        said = capsys.readouterr()
        result = {**(json.loads(said.out) if said.out else {}), "talk": said.err, "status": status}
        for name in ("train", "valid"):
            path = tmp_path / "out" / f"{name}_set.json"
            paths = json.loads(path.read_text()) if path.exists() else []
            result[f"{name}_set"] = [
                os.path.relpath(path, tmp_path) if os.path.isabs(path) else path for path in paths
            ]
        return result

    return run


def test_best_ten_are_for_training_and_the_next_five_for_validation(tmp_path: Path, split) -> None:
    names = numbered_names(20)
    for place, turn in (("DS/C/S/T", 1), ("DS/C/S/A", -1)):
        make_scored_topic(
            tmp_path / place,
            {name: 10 - turn * number / 10 for number, name in enumerate(names)},
            dict.fromkeys(names, (9, 7)),
        )
    result = split(tmp_path / "DS")
    backwards = names[::-1]
    assert result["train_set"] == [f"DS/C/S/A/{n}" for n in backwards[:10]] + [
        f"DS/C/S/T/{n}" for n in names[:10]
    ]
    assert result["valid_set"] == [f"DS/C/S/A/{n}" for n in backwards[10:15]] + [
        f"DS/C/S/T/{n}" for n in names[10:15]
    ]
    numbers = {"chosen": 15, "train": 10, "valid": 5, "available": 20, "lowest_resolution": "9x7"}
    assert {key: result[key] for key in ("train", "valid", "leaks", "topics", "status")} == {
        "train": 20,
        "valid": 10,
        "leaks": [],
        "topics": {
            "DS/C/S/A": {**numbers, "lowest_score": 10.5},
            "DS/C/S/T": {**numbers, "lowest_score": 8.6},
        },
        "status": 0,
    }
    assert "40 images found = 20 train + 10 valid + 10 not chosen" in result["talk"]


def test_images_rank_by_resolution_times_score_and_ties_by_name(tmp_path: Path, split) -> None:
    sizes = {
        "large.png": (20, 20),
        "fine.png": (10, 10),
        "b.png": (20, 10),
        "a.png": (10, 20),
        "low.png": (90, 90),
    }
    scores = {"large.png": 3, "fine.png": 9, "b.png": 5, "a.png": 5, "low.png": -1}
    make_scored_topic(tmp_path / "DS/C/S/T", scores, sizes)
    result = split(tmp_path / "DS", "--train", 3, "--valid", 2)
    assert result["train_set"] == [f"DS/C/S/T/{n}" for n in ("large.png", "a.png", "b.png")]
    assert result["valid_set"] == [f"DS/C/S/T/{n}" for n in ("fine.png", "low.png")]


def test_images_below_a_threshold_are_counted_and_not_chosen(tmp_path: Path, split) -> None:
    sizes = {
        "edge.png": (20, 30),
        "thin.png": (90, 19),
        "low.png": (90, 90),
        "good.png": (25, 25),
        "bad.png": (5, 5),
    }
    scores = {"edge.png": 5.5, "thin.png": 9, "low.png": 5.4999, "good.png": 6, "bad.png": 1}
    make_scored_topic(tmp_path / "DS/C/S/T", scores, sizes)
    result = split(tmp_path / "DS", "--min-score", 5.5, "--min-side", 20)
    assert result["train_set"] == [f"DS/C/S/T/{n}" for n in ("good.png", "edge.png")]
    assert result["counts"] == {
        **dict.fromkeys(
            (
                "valid",
                "not_chosen",
                "duplicates",
                "variants_left_out",
                "dropped",
                "without_score",
                "unreadable",
                "match_a_reference",
                "related_to_chosen",
            ),
            0,
        ),
        "train": 2,
        "below_the_cut": 3,
    }
    assert "5 images found = 2 train + 3 below the cut" in result["talk"]
    assert result["topics"]["DS/C/S/T"]["available"] == 2
    assert split(tmp_path / "DS", "--min-score", 9.5)["status"] == 2


def test_image_below_a_threshold_is_not_the_keeper_of_its_copy(tmp_path: Path, split) -> None:
    sizes = {"large.png": (50, 50), "fine.png": (20, 20)}
    make_scored_topic(
        tmp_path / "DS/C/S/T", {"large.png": 4, "fine.png": 7}, sizes, {"large.png": ["fine.png"]}
    )
    assert split(tmp_path / "DS", "--exclude-duplicates")["train_set"] == ["DS/C/S/T/large.png"]
    result = split(tmp_path / "DS", "--exclude-duplicates", "--min-score", 5)
    assert result["train_set"] == ["DS/C/S/T/fine.png"]
    assert "2 images found = 1 train + 1 below the cut" in result["talk"]


def test_count_megapixels_changes_the_order_and_not_which_copies_are_excluded(
    tmp_path: Path, split
) -> None:
    sizes = {
        "snap.png": (2000, 1500),
        "copy.png": (1999, 1500),
        "photo.png": (1000, 1000),
        "small.png": (500, 1000),
    }
    scores = {"snap.png": 4, "copy.png": 5, "photo.png": 8, "small.png": 9}
    make_scored_topic(tmp_path / "DS/C/S/T", scores, sizes, {"snap.png": ["copy.png"]})
    order = {
        (): ["copy", "snap", "photo", "small"],
        ("--count-megapixels", 1): ["photo", "copy", "small", "snap"],
        ("--count-megapixels", 0.5): ["small", "photo", "copy", "snap"],
        ("--count-megapixels", 1, "--exclude-duplicates"): ["photo", "copy", "small"],
        ("--exclude-duplicates",): ["copy", "photo", "small"],
    }
    for options, names in order.items():
        assert split(tmp_path / "DS", *options)["train_set"] == [
            f"DS/C/S/T/{name}.png" for name in names
        ], options


def test_images_without_a_usable_score_and_unreadable_ones_are_reported(
    tmp_path: Path, split
) -> None:
    names = numbered_names(8)
    folder = make_scored_topic(tmp_path / "DS/C/S/T", None, dict.fromkeys(names, (5, 5)))
    scores = dict.fromkeys(names[:6], 5) | {"01.png": float("nan"), "02.png": "high", "gone.png": 9}
    (folder / "aesthetic_data.json").write_text(json.dumps(scores))
    (folder / "00.png").write_bytes(b"")
    result = split(tmp_path / "DS", "--strict", "--bad-files", tmp_path / "bad.jsonl")
    assert (
        result["train_set"] == [f"DS/C/S/T/{name}" for name in names[3:6]] and result["status"] == 1
    )
    assert "00.png: empty file" in result["talk"]
    assert "2 without a score (06.png, 07.png)" in result["talk"]
    assert (
        "2 whose score is no number (01.png, 02.png); 1 scored but gone (gone.png)"
        in result["talk"]
    )
    assert "8 images found = 3 train + 4 without score + 1 unreadable" in result["talk"]
    assert json.loads((tmp_path / "bad.jsonl").read_text())["path"] == str(folder / "00.png")


def test_summary_lists_topics_without_scores_and_topics_too_small(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_scored_topic(tmp_path / "DS/C/S/bare", None, dict.fromkeys(numbered_names(3), (5, 5)))
    make_scored_topic(
        tmp_path / "DS/C/S/small",
        dict.fromkeys(numbered_names(12), 5),
        dict.fromkeys(numbered_names(12), (5, 5)),
    )
    assert cli.run_script(split_data.main, ["DS"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "🎯 10 for training and 2 for validation",
        "   from 2 topics: the best 10 and the next 5 of each",
        "📉 Topics too small for both sets: 1",
        "   DS/C/S/small: 12",
        "❔ Topics without scores (run aesthetic_scorer.py): 1",
        f"   {tmp_path}/DS/C/S/bare",
        "📄 ./train_set.json",
        "📄 ./valid_set.json",
    ]


def test_require_full_chooses_nothing_from_small_topics(tmp_path: Path, split) -> None:
    make_scored_topic(
        tmp_path / "DS/C/S/small",
        dict.fromkeys(numbered_names(14), 5),
        dict.fromkeys(numbered_names(14), (5, 5)),
    )
    make_scored_topic(
        tmp_path / "DS/C/S/full",
        dict.fromkeys(numbered_names(15), 5),
        dict.fromkeys(numbered_names(15), (5, 5)),
    )
    result = split(tmp_path / "DS", "--require-full")
    assert {path.split("/")[3] for path in result["train_set"] + result["valid_set"]} == {"full"}
    assert (
        result["topics"]["DS/C/S/small"]["chosen"] == 0
        and result["topics"]["DS/C/S/small"]["available"] == 14
    )


CHAIN = {"00.png": ["11.png"], "01.png": ["02.png"], "11.png": ["12.png"], "03.png": ["14.png"]}


def test_leaks_are_direct_matches_across_the_sets_and_can_be_excluded(
    tmp_path: Path, split
) -> None:
    names = numbered_names(20)
    make_scored_topic(
        tmp_path / "DS/C/S/T",
        {name: 10 - number / 10 for number, name in enumerate(names)},
        dict.fromkeys(names, (5, 5)),
        CHAIN,
    )
    result = split(tmp_path / "DS")
    assert result["leaks"] == [
        {"topic": "DS/C/S/T", "valid": "11.png", "train": "00.png", "kind": "copy"},
        {
            "topic": "DS/C/S/T",
            "valid": "12.png",
            "train": "00.png",
            "kind": "related",
            "through": ["11.png"],
        },
        {"topic": "DS/C/S/T", "valid": "14.png", "train": "03.png", "kind": "copy"},
    ]
    result = split(tmp_path / "DS", "--exclude-duplicates")
    assert result["leaks"] == []
    # 12 matches 11, which matches 00
    unwanted = ("02.png", "11.png", "12.png", "14.png")
    chosen = [name for name in names if name not in unwanted][:15]
    both = result["train_set"] + result["valid_set"]
    assert [os.path.basename(path) for path in both] == chosen


VARIANTS = {
    "00.png": {"10.png": "mirrored", "01.png": "cropped"},  # across the sets, and within training
    "02.png": {"13.png": "doubtful"},
    "11.png": {"12.png": "turned"},  # both for validation
}


def test_variants_are_leaks_and_doubtful_pairs_are_not(tmp_path: Path, split) -> None:
    names = numbered_names(20)
    scores = {name: 10 - number / 10 for number, name in enumerate(names)}
    folder = make_scored_topic(
        tmp_path / "DS/C/S/T",
        scores,
        dict.fromkeys(names, (5, 5)),
        {"03.png": ["14.png"]},
        VARIANTS,
    )
    result = split(tmp_path / "DS")
    assert result["leaks"] == [
        {"topic": "DS/C/S/T", "valid": "10.png", "train": "00.png", "kind": "mirrored"},
        {"topic": "DS/C/S/T", "valid": "14.png", "train": "03.png", "kind": "copy"},
    ]
    result = split(tmp_path / "DS", "--exclude-duplicates")
    assert result["leaks"] == []
    assert result["train_set"] == [
        f"DS/C/S/T/{name}" for name in names[:10]
    ]  # variants may share a side
    assert result["valid_set"] == [f"DS/C/S/T/{names[n]}" for n in (11, 12, 13, 15, 16)]
    assert (
        "20 images found = 10 train + 5 valid + 3 not chosen + 1 duplicate + 1 related to chosen"
        in result["talk"]
    )
    os.utime(folder / "10.png")
    result = split(tmp_path / "DS")
    assert [leak["valid"] for leak in result["leaks"]] == ["14.png"]
    assert (
        "variants_T.json: no longer fits its folder (run find_duplicates.py --variants again)"
        in result["talk"]
    )
    (tmp_path / "DS/C/S/variants_T.json").write_text('{"a.png": ["b.png"]}')
    assert split(tmp_path / "DS")["status"] == 2


def test_topic_is_too_small_if_variants_leave_too_few_validation_images(
    tmp_path: Path, split
) -> None:
    names = numbered_names(4)
    make_scored_topic(
        tmp_path / "DS/C/S/T",
        dict.fromkeys(names, 5),
        dict.fromkeys(names, (5, 5)),
        {},
        {"00.png": {"02.png": "turned"}},
    )
    make_scored_topic(
        tmp_path / "DS/C/S/U", dict.fromkeys(names, 5), dict.fromkeys(names, (5, 5)), {}
    )
    rules = (tmp_path / "DS", "--train", 2, "--valid", 2, "--require-full")
    assert len(split(*rules)["train_set"]) == 4
    result = split(*rules, "--exclude-duplicates")
    assert result["train_set"] + result["valid_set"] == [f"DS/C/S/U/{name}" for name in names]
    assert result["topics"]["DS/C/S/T"]["available"] == 3


def test_outdated_duplicates_file_is_reported_and_its_valid_part_used(
    tmp_path: Path, split
) -> None:
    names = numbered_names(12)
    folder = make_scored_topic(
        tmp_path / "DS/C/S/T",
        dict.fromkeys(names, 5),
        dict.fromkeys(names, (5, 5)),
        {"00.png": ["10.png", "11.png"]},
    )
    os.utime(folder / "11.png")
    result = split(tmp_path / "DS")
    assert "1 changed since (11.png)" in result["talk"]
    assert [leak["valid"] for leak in result["leaks"]] == ["10.png"]


def test_images_changed_since_they_were_scored_are_reported(tmp_path: Path, split) -> None:
    folder = make_scored_topic(
        tmp_path / "DS/C/S/T", {"a.png": 5, "b.png": 4}, dict.fromkeys(("a.png", "b.png"), (5, 5))
    )
    there = Topic(str(folder), *folder.parts[-4:], image_count=2)
    cache.update_cache(there, scores=Provenance({"model": "m"}, there.image_stamps()))
    os.utime(folder / "b.png", ns=(1, 1))
    assert (
        "1 changed since scored (b.png); aesthetic_scorer.py scores them"
        in split(tmp_path / "DS")["talk"]
    )


def test_relative_paths_start_below_the_dataset(tmp_path: Path, split) -> None:
    for dataset in ("A", "B"):
        make_scored_topic(tmp_path / dataset / "C/S" / dataset, {"x.png": 5}, {"x.png": (5, 5)})
    assert split(tmp_path / "A", tmp_path / "B", "--relative")["train_set"] == [
        "C/S/A/x.png",
        "C/S/B/x.png",
    ]
    make_scored_topic(tmp_path / "B/C/S/A", {"x.png": 5}, {"x.png": (5, 5)})
    result = split(tmp_path / "A", tmp_path / "B", "--relative")
    assert result["status"] == 2 and "C/S/A/x.png: in two datasets" in result["talk"]
    assert split(tmp_path / "B/C/S/A", "--relative")["train_set"] == ["C/S/A/x.png"]


@pytest.mark.parametrize("name", ["new\nline.png", "'q\".png", "-x.png", "梟.png", "caf\udce9.png"])
def test_any_name_survives(tmp_path: Path, split, name: str) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", {name: 5}, {name: (5, 5)})
    assert split(tmp_path / "DS")["train_set"] == [f"DS/C/S/T/{name}"]


def damaged_scores(folder: Path) -> list[str]:
    (folder / "aesthetic_data.json").write_text("[1]")
    return []


def damaged_duplicates(folder: Path) -> list[str]:
    (folder.parent / "duplicates_T.json").write_text("{")
    return []


def no_scores(folder: Path) -> list[str]:
    (folder / "aesthetic_data.json").unlink()
    return []


@pytest.mark.parametrize(
    ("arrange", "said"),
    [
        (damaged_scores, "aesthetic_data.json: damaged (not a JSON object of scores)"),
        (damaged_duplicates, "duplicates_T.json: damaged"),
        (no_scores, "no image has a score; run aesthetic_scorer.py"),
        (lambda folder: ["--require-full"], "no image to choose"),
        (lambda folder: ["--output-dir", str(folder / "nowhere/deep")], "no such folder"),
        (lambda folder: ["--min-score", "11"], "--min-score 11: the best score is 5.00"),
        (lambda folder: [str(folder / "nowhere")], "no such folder"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, capsys, monkeypatch, arrange, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = make_scored_topic(tmp_path / "DS/C/S/T", {"a.png": 5}, {"a.png": (5, 5)})
    assert cli.run_script(split_data.main, ["DS", *arrange(folder)]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize(
    "option",
    [
        ("--train", "-1"),
        ("--valid", "x"),
        ("--train", "0", "--valid", "0"),
        ("--min-side", "0"),
        ("--min-score", "good"),
        ("--count-megapixels", "0"),
        ("--count-megapixels", "nan"),
    ],
)
def test_wrong_numbers_are_refused(tmp_path: Path, option: tuple[str, ...]) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", {"a.png": 5}, {"a.png": (5, 5)})
    ran = run_script("split_data.py", tmp_path / "DS", *option, cwd=tmp_path)
    assert (
        ran.returncode == 2
        and "Traceback" not in ran.stderr
        and list(tmp_path.glob("*.json")) == []
    )


names = st.sampled_from([f"{letter}.png" for letter in "abcdefgh"])


@settings(max_examples=60, deadline=None)
@example(
    sizes={"a.png": (1, 2), "b.png": (1, 1)},
    scores={"a.png": -1.0, "b.png": -1.0},
    pairs=[],
    kinds={},
    exclude=False,
)
@given(
    sizes=st.dictionaries(names, st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1),
    scores=st.dictionaries(names, st.floats(-1, 3) | st.integers(0, 2), min_size=1),
    pairs=st.lists(st.tuples(names, names), max_size=8),
    kinds=st.dictionaries(
        st.tuples(names, names), st.sampled_from(json_files.VARIANT_KINDS), max_size=8
    ),
    exclude=st.booleans(),
)
def test_agrees_with_a_plain_loop(tmp_path_factory, sizes, scores, pairs, kinds, exclude) -> None:
    root = tmp_path_factory.mktemp("split")
    matches: dict[str, list[str]] = {}
    for one, other in pairs:
        if {one, other} <= sizes.keys():
            matches.setdefault(one, []).append(other)
            matches.setdefault(other, []).append(one)
    kinds = {
        pair: kind
        for pair, kind in kinds.items()
        if set(pair) <= sizes.keys() and len(set(pair)) == 2
    }
    variants: dict[str, dict[str, str]] = {}
    for (one, other), kind in kinds.items():
        variants.setdefault(one, {})[other] = kind
    make_scored_topic(root / "DS/C/S/T", scores, sizes, matches, variants)
    options = ["--train", "3", "--valid", "2", *(["--exclude-duplicates"] if exclude else [])]
    status = cli.run_script(
        split_data.main, [str(root / "DS"), "--output-dir", str(root), "--quiet", *options]
    )

    pixels = {name: width * height for name, (width, height) in sizes.items() if name in scores}
    worth = {  # few pixels do not make a bad score better
        name: pixels[name] * scores[name] if scores[name] > 0 else scores[name] for name in pixels
    }
    scored = all(scores[name] > 0 for name in pixels)
    size = {name: (root / "DS/C/S/T" / name).stat().st_size for name in pixels}
    kept: list[str] = []
    for name in sorted(
        pixels, key=lambda name: (-(worth if scored else pixels)[name], -size[name], name)
    ):
        if not any(name in matches.get(other, ()) and name != other for other in kept):
            kept.append(name)
    chosen = sorted(kept if exclude else pixels, key=lambda name: (-worth[name], name))
    related = {frozenset(pair) for pair, kind in kinds.items() if kind != "doubtful"}
    related |= {frozenset((name, other)) for name in matches for other in matches[name]}
    train, rest = chosen[:3], chosen[3:]
    connected = set(train)
    for _ in sizes:
        connected |= {name for pair in related if pair & connected for name in pair}
    valid = [n for n in rest if not (exclude and n in connected)][:2]

    assert status == (0 if chosen else 2)
    if chosen:
        for file, expected in (("train", train), ("valid", valid)):
            assert json.loads((root / f"{file}_set.json").read_text()) == [
                str(root / "DS/C/S/T" / n) for n in expected
            ]


def test_neither_numpy_nor_torch_is_loaded_and_pillow_only_without_a_cache(tmp_path: Path) -> None:
    folder = make_scored_topic(tmp_path / "DS/C/S/T", {"a.png": 5}, {"a.png": (5, 5)})
    code = (
        "import sys, split_data; split_data.main(sys.argv[1:]); "
        "print(sorted({'numpy', 'torch', 'PIL'} & sys.modules.keys()), file=sys.stderr)"
    )
    command = [
        sys.executable,
        "-c",
        code,
        str(tmp_path / "DS"),
        "--output-dir",
        str(tmp_path),
        "--quiet",
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr == "['PIL']\n"
    there = Topic(str(folder), *folder.parts[-4:], image_count=1)
    cache.update_cache(there, {"a.png": (there.image_stamps()["a.png"], (5, 5))})
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stderr == "[]\n"


def test_images_that_match_through_another_one_are_on_one_side(tmp_path: Path, split) -> None:
    """b matches a, and c matches b; a and c do not match, and b has no score."""
    sizes = {f"{name}.png": (90 - place, 10) for place, name in enumerate("acbdefgh")}
    scores = {name: 5.0 for name in sizes if name != "b.png"}
    chain = {"a.png": ["b.png"], "b.png": ["a.png", "c.png"], "c.png": ["b.png"]}
    make_scored_topic(tmp_path / "D/C/S/T", scores, sizes, chain)
    result = split(tmp_path / "D", "--train", 1, "--valid", 2)
    assert result["leaks"] == [
        {
            "topic": "D/C/S/T",
            "valid": "c.png",
            "train": "a.png",
            "kind": "related",
            "through": ["b.png"],
        }
    ]
    result = split(tmp_path / "D", "--train", 1, "--valid", 2, "--exclude-duplicates")
    assert result["leaks"] == []
    assert [os.path.basename(path) for path in result["valid_set"]] == ["d.png", "e.png"]
    assert result["changes"] == {"train_changed": 0, "moved_to_valid": 0}


def test_a_topic_whose_images_are_all_related_to_training_is_named(tmp_path: Path, capsys) -> None:
    sizes = {f"{name}.png": (90 - place, 10) for place, name in enumerate("abc")}
    variants = {"a.png": {"b.png": "mirrored"}, "b.png": {"c.png": "mirrored"}}
    variants = json_files.symmetrize(variants, json_files.VARIANT_KINDS)
    make_scored_topic(tmp_path / "D/C/S/T", dict.fromkeys(sizes, 5.0), sizes, {}, variants)
    args = ["--train", "1", "--valid", "1", "--exclude-duplicates"]
    status = cli.run_script(
        split_data.main, [str(tmp_path / "D"), *args, "--output-dir", str(tmp_path)]
    )
    assert status == 0
    assert "Topics without validation images" in capsys.readouterr().out


def test_a_negative_score_never_wins_by_few_pixels(tmp_path: Path, split) -> None:
    sizes = {"large.png": (90, 90), "small.png": (10, 10), "tiny.png": (5, 5)}
    scores = {"large.png": -1.0, "small.png": -2.0, "tiny.png": -0.5}
    make_scored_topic(tmp_path / "D/C/S/T", scores, sizes)
    result = split(tmp_path / "D", "--train", 2, "--valid", 1)
    assert [os.path.basename(path) for path in result["train_set"]] == ["tiny.png", "large.png"]


def test_a_split_counts_how_it_differs_from_the_one_that_it_replaces(tmp_path: Path, split) -> None:
    sizes = {"a.png": (30, 10), "b.png": (20, 10)}
    folder = make_scored_topic(tmp_path / "D/C/S/T", dict.fromkeys(sizes, 5.0), sizes)
    assert "changes" not in split(tmp_path / "D", "--train", 1, "--valid", 1)
    (folder / "aesthetic_data.json").write_text(json.dumps({"a.png": 1.0, "b.png": 5.0}))
    result = split(tmp_path / "D", "--train", 1, "--valid", 1)
    assert result["changes"] == {"train_changed": 1, "moved_to_valid": 1}
