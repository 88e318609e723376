"""aesthetic_stats.py against numpy and a naive ranking, and its summary against a golden file."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, run_script
from wcwidth import wcswidth

import aesthetic_stats
from common import cache, cli, tree

GOLDEN = Path(__file__).parent / "golden"
CLIP = {
    "model": "ViT-L-14-quickgelu",
    "weights": "openai",
    "head": "laion-v1",
    "precision": "fp32",
    "decode": "exact",
    "judges": "aesthetics",
}


@pytest.fixture
def stats(tmp_path, capsys):
    """Run the script in this process. stats(*arguments) returns the JSON, stdout and stderr."""

    def run(*arguments, status=0):
        output = tmp_path / "scores.json"
        output.unlink(missing_ok=True)
        assert (
            cli.run_script(aesthetic_stats.main, [*map(str, arguments), "--output", str(output)])
            == status
        )
        said = capsys.readouterr()
        return (json.loads(output.read_text()) if output.exists() else None), said.out, said.err

    return run


@pytest.fixture
def scored(tmp_path):
    """Make a topic of empty image files: scored("Set/C/S/T", {"a.jpg": 5.1}, made_by=CLIP)."""

    def make(
        path: str, scores: object, made_by: Mapping[str, str] | None = CLIP, images=None
    ) -> Path:
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        for name in images if images is not None else scores:
            (folder / name).touch()
        (folder / "aesthetic_data.json").write_text(
            scores if isinstance(scores, str) else json.dumps(scores)
        )
        if made_by is not None:
            (topic,) = tree.find_topics([str(folder)], print)
            cache.update_cache(topic, scores=cache.Provenance(made_by, topic.image_stamps()))
        return folder

    return make


def named(*scores: float) -> dict[str, float]:
    return {f"{number:03}.jpg": score for number, score in enumerate(scores)}


def entry(topic: str, *scores: float) -> dict[str, object]:
    q1, median, q3 = np.quantile(scores, [0.25, 0.5, 0.75])
    return {
        "topic": topic,
        "images": len(scores),
        "median": median,
        "q1": q1,
        "q3": q3,
        "few": len(scores) < 5,
    }


def described(*scores: float) -> dict[str, object]:
    quantiles = dict(
        zip(
            ("min", "p5", "q1", "median", "q3", "p95", "max"),
            np.quantile(scores, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]),
            strict=True,
        )
    )
    return {"images": len(scores), "few": len(scores) < 5, **quantiles}


def test_the_whole_json(scored, stats, tmp_path):
    a, b = (4.0, 5.0, 6.0, 7.0, 8.0), (1.0, 2.0)
    scored("Set/C/S/A", named(*a))
    scored("Set/C/S/B", named(*b))
    data, _, err = stats(tmp_path / "Set", "--top", 1)
    folder = {
        **described(*a, *b),
        "topics": 2,
        "ranking": ["Set/C/S/A", "Set/C/S/B"],
        "top": [entry("Set/C/S/A", *a)],
        "bottom": [entry("Set/C/S/B", *b)],
        "in_both": [],
    }
    assert data == {
        "topics_found": 2,
        "topics": {"Set/C/S/A": described(*a), "Set/C/S/B": described(*b)},
        "subclusters": {"Set/C/S": folder},
        "clusters": {"Set/C": folder},
        "datasets": {"Set": folder},
        "overall": {
            **described(*a, *b),
            "topics": 2,
            "histogram": [
                {
                    "from": step / 2,
                    "to": step / 2 + 0.5,
                    "images": int(step / 2 in a + b or step == 15),
                }
                for step in range(2, 16)
            ],
        },
        "score_at_least": {
            f"{step / 2:.1f}": sum(score >= step / 2 for score in a + b) for step in range(2, 17)
        },
        "top": 1,
        "min_images": 5,
        "few_images": ["Set/C/S/B"],
        "found": 7,
        "made_by": {"ViT-L-14-quickgelu (openai) + laion-v1": 7},
        "judges": ["aesthetics"],
        "topics_without_scores": [],
        "images_without_score": {},
        "unusable_scores": {},
        "vanished_images": {},
        "damaged_files": [],
    }
    assert err.splitlines()[-1] == "7 images found = 7 scored"


@pytest.mark.parametrize("seed", range(5))
def test_medians_and_ranking_against_a_naive_one(scored, stats, tmp_path, seed):
    chance = random.Random(seed)
    truth: dict[str, list[float]] = {}
    for number in range(chance.randint(1, 14)):
        path = f"Set/C{chance.randint(0, 1)}/S{chance.randint(0, 2)}/T{number:02}"
        truth[path] = [
            round(chance.choice((chance.gauss(5, 1), 5.0)), 4) for _ in range(chance.randint(1, 9))
        ]
        scored(path, named(*truth[path]))
    top = chance.randint(1, 4)
    data, _, _ = stats(tmp_path / "Set", "--top", top)
    medians = {path: float(np.median(scores)) for path, scores in truth.items()}
    assert {path: topic["median"] for path, topic in data["topics"].items()} == medians
    every = [score for scores in truth.values() for score in scores]
    assert data["overall"]["median"] == np.median(every)
    halves = [half / 2 for half in range(-200, 200) if min(every) - 0.5 < half / 2 <= max(every)]
    assert data["score_at_least"] == {
        f"{half:.1f}": sum(score >= half for score in every) for half in halves
    }
    for label, subcluster in data["subclusters"].items():
        inside = [path for path in sorted(truth) if path.startswith(label + "/")]
        assert subcluster["median"] == np.median(
            [score for path in inside for score in truth[path]]
        )
        best = sorted(
            inside, key=medians.__getitem__, reverse=True
        )  # a stable sort: ties stay by name
        worst = sorted(inside, key=medians.__getitem__)
        assert [entry["topic"] for entry in subcluster["top"]] == best[:top]
        assert [entry["topic"] for entry in subcluster["bottom"]] == worst[:top]
        assert subcluster["in_both"] == [path for path in best[:top] if path in worst[:top]]


def section(out: str, label: str) -> list[str]:
    lines = out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"📂 {label}"))
    return lines[start + 1 : lines.index("", start)]


@pytest.mark.parametrize("topics", range(1, 7))
def test_no_topic_is_both_top_and_bottom_without_a_word(scored, stats, tmp_path, topics):
    for number in range(topics):
        scored(f"Set/C/S/T{number}", named(*[5 + number / 10] * 6))
    _, brief, _ = stats(tmp_path / "Set", "--top", 2)
    assert sorted(re.findall(r"T\d", brief)) == sorted(set(re.findall(r"T\d", brief)))
    assert len(re.findall(r"T\d", brief)) == min(topics, 4)
    _, out, _ = stats(tmp_path / "Set", "--top", 2, "--all")
    shown = [line.split()[0] for line in section(out, "Set/C/S") if line.split()[0].startswith("T")]
    assert len(shown) == len(set(shown)) == min(topics, 4)
    assert ("bottom 2, worst first" in out) == (topics >= 4)
    assert (f"all {topics}, best first" in out) == (topics < 4)


def test_ties_go_by_name_on_both_sides(scored, stats, tmp_path):
    for name in "cabd":
        scored(f"Set/C/S/{name}", named(5.0, 5.0))
    data, _, _ = stats(tmp_path / "Set", "--top", 2)
    subcluster = data["subclusters"]["Set/C/S"]
    assert [[one["topic"][-1] for one in subcluster[side]] for side in ("top", "bottom")] == [
        ["a", "b"],
        ["a", "b"],
    ]
    assert subcluster["in_both"] == ["Set/C/S/a", "Set/C/S/b"]
    data, _, _ = stats(*(tmp_path / "Set/C/S" / name for name in "dbca"), "--top", 2)
    assert data["subclusters"]["Set/C/S"] == subcluster  # whatever the order of the paths


def test_scores_of_a_wild_range_do_not_fill_the_memory(scored, stats, tmp_path):
    scored("Set/C/S/T", named(-1e6, 5.0, 1e6))
    data, _, _ = stats(tmp_path / "Set")
    assert data["score_at_least"]["-1000000.0"] == 3 and len(data["score_at_least"]) < 1000


def test_few_images_are_flagged_and_stay(scored, stats, tmp_path):
    scored("Set/C/S/few", named(9.0, 9.0))
    scored("Set/C/S/many", named(*[5.0] * 5))
    _, brief, _ = stats(tmp_path / "Set")
    assert "    best  few 9.00*\n    worst many 5.00\n" in brief
    data, out, _ = stats(tmp_path / "Set", "--all")
    assert data["few_images"] == ["Set/C/S/few"]
    assert [line.endswith("few") for line in section(out, "Set/C/S")[1:]] == [True, False]
    assert stats(tmp_path / "Set", "--min-images", 2)[0]["few_images"] == []


def test_what_is_wrong_is_counted_and_named(scored, stats, tmp_path):
    good = '"a.jpg": 5.0, "b.jpg": 6'
    wrong = (
        '"nan.jpg": NaN, "text.jpg": "6.5", "yes.jpg": true, "null.jpg": null, "huge.jpg": 1e999'
    )
    names = ["a.jpg", "b.jpg", "new.jpg", "nan.jpg", "text.jpg", "yes.jpg", "null.jpg", "huge.jpg"]
    scored("Set/C/S/T", f'{{{good}, "gone.jpg": 9.9, {wrong}}}', images=names)
    scored("Set/C/S/Unscored", "{}", made_by=None, images=["x.jpg", "y.jpg"])
    scored("Set/C/S/Broken", '{"a.jpg": 5.', made_by=None, images=["x.jpg"])
    scored("Set/C/S/List", "[1, 2]", made_by=None, images=["x.jpg"])
    data, out, err = stats(tmp_path / "Set")
    assert data["topics"] == {"Set/C/S/T": described(5.0, 6.0)}
    assert data["images_without_score"] == {"Set/C/S/T": ["new.jpg"]}
    assert data["unusable_scores"] == {
        "Set/C/S/T": ["huge.jpg", "nan.jpg", "null.jpg", "text.jpg", "yes.jpg"]
    }
    assert data["vanished_images"] == {"Set/C/S/T": ["gone.jpg"]}
    assert data["topics_without_scores"] == ["Set/C/S/Unscored"]
    assert [file["path"] for file in data["damaged_files"]] == [
        "Set/C/S/Broken/aesthetic_data.json",
        "Set/C/S/List/aesthetic_data.json",
    ]
    for said in (
        "1 image without a score",
        "5 images with NaN or text",
        "1 score of images that are gone",
        "2 topics with a damaged aesthetic_data.json",
        "1 topic without scores",
    ):
        assert said in out
    assert "damaged" in err
    assert err.splitlines()[-1] == "12 images found = 2 scored + 10 without score"
    assert sorted(path.name for path in (tmp_path / "Set/C/S/Broken").iterdir()) == [
        "aesthetic_data.json",
        "x.jpg",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"precision": "fp16"}, None),
        ({"head": "laion-v2"}, "ViT-L-14-quickgelu (openai) + laion-v2"),
        ({"model": "ViT-B-32-quickgelu"}, "ViT-B-32-quickgelu (openai) + laion-v1"),
        ({"weights": "laion400m"}, "ViT-L-14-quickgelu (laion400m) + laion-v1"),
        ({"decode": "draft"}, "ViT-L-14-quickgelu (openai) + laion-v1, draft decoding"),
        (None, "something not recorded"),
    ],
)
def test_scores_of_different_origin_are_named(scored, stats, tmp_path, change, said):
    scored("Set/C/S/A", named(5.0, 6.0))
    scored("Set/C/S/B", named(5.0), made_by=None if change is None else CLIP | change)
    data, out, err = stats(tmp_path / "Set")
    if said is None:
        assert "origin" not in out + err
        assert data["made_by"] == {"ViT-L-14-quickgelu (openai) + laion-v1": 3}
    else:
        assert (
            f"2 scores by ViT-L-14-quickgelu (openai) + laion-v1, 1 score by {said}" in err
            or f"1 score by {said}" in err
        )
        assert f"1 score by {said}" in out
        assert data["made_by"] == {"ViT-L-14-quickgelu (openai) + laion-v1": 2, said: 1}


def test_scores_beside_the_recorded_ones_are_of_unknown_origin(scored, stats, tmp_path):
    topic = scored("Set/C/S/A", named(5.0, 6.0))
    (topic / "late.jpg").touch()
    (topic / "aesthetic_data.json").write_text(json.dumps(named(5.0, 6.0) | {"late.jpg": 7.0}))
    data, _, _ = stats(tmp_path / "Set")
    assert data["made_by"] == {
        "ViT-L-14-quickgelu (openai) + laion-v1": 2,
        "something not recorded": 1,
    }


@pytest.mark.parametrize("judges", [{}, {"judges": "technical quality"}])
def test_the_embedded_model_means_technical_quality(scored, stats, tmp_path, judges):
    scored(
        "Set/C/S/A",
        named(5.0),
        made_by={"model": "tiny", "weights": "abc", "head": "tiny"} | judges,
    )
    data, out, _ = stats(tmp_path / "Set")
    assert data["judges"] == ["technical quality"]
    assert "scores mean technical quality, not aesthetics" in out


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ("{}", "no scores found; run aesthetic_scorer.py "),
        ("{", "aesthetic_data.json damaged"),
        ('{"gone.jpg": 1}', "no scores found"),
    ],
)
def test_nothing_to_rank(scored, stats, tmp_path, scores, said):
    scored("Set/C/S/A", scores, made_by=None, images=["a.jpg"])
    data, out, err = stats(tmp_path / "Set", status=2)
    assert (data, out) == (None, "")
    assert said in err.splitlines()[-1]


def test_a_damaged_cache_is_no_reason_to_stop(scored, stats, tmp_path):
    (scored("Set/C/S/A", named(5.0)) / ".cache/images.json").write_text("{")
    assert stats(tmp_path / "Set")[0]["made_by"] == {"something not recorded": 1}


def test_only_a_topic(scored, stats, tmp_path):
    scored("Set/C/S/A", named(5.0, 6.0))
    scored("Set/C/S/B", named(1.0))
    data, _, _ = stats(tmp_path / "Set/C/S/A")
    assert list(data["topics"]) == ["Set/C/S/A"]


def golden_tree(scored) -> None:
    chance = random.Random(7)
    for cluster, subcluster, topics in (
        ("Animals", "Birds", ("Owls", "Herons", "Finches", "Parrots", "Gulls", "Crows")),
        ("Animals", "Insects", ("Bees", "Moths")),
        ("Scenes", "夜景", ("Bridges 🌉", "Streets at night, from above and from below")),
    ):
        for number, topic in enumerate(topics):
            count = 3 if topic == "Bees" else 12
            scores = [round(5.6 - number / 4 + chance.gauss(0, 0.6), 4) for _ in range(count)]
            scored(f"Set/{cluster}/{subcluster}/{topic}", named(*scores))
    scored("Set/Animals/Insects/Ants", "{}", made_by=None, images=["a.jpg"])
    scored("Set/Scenes/夜景/Broken", "{", made_by=None, images=["a.jpg"])
    scored(
        "Set/Scenes/夜景/Other",
        named(*[5.5] * 5) | {"bad.jpg": None},
        made_by=CLIP | {"head": "laion-v2"},
    )


@pytest.mark.parametrize(
    ("options", "name"), [(["--all"], "aesthetic_stats.txt"), ([], "aesthetic_stats_brief.txt")]
)
def test_summary_is_the_golden_one(scored, stats, tmp_path, options, name):
    golden_tree(scored)
    _, out, _ = stats(tmp_path / "Set", "--top", 2, *options)
    golden = GOLDEN / name
    out, _, next_step = out.partition("👉 next: ")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(out)
    assert out == golden.read_text()
    assert next_step.endswith(f"/find_duplicates.py {tmp_path / 'Set'}\n")


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_summary_fits_80_columns_whatever_the_names(scored, stats, tmp_path, options):
    for name in ("x" * 200, "フ" * 60, "🦉" * 40, "e\u0301" * 70, "a\nb\x1b[31m", "\udcff"):
        scored(
            f"Set/{name}/S/{name}",
            {f"{name[:40]}.jpg": -1234.5, "b.jpg": 99999.0, "bad.jpg": None},
            made_by={"model": "m" * 90},
        )
    _, out, _ = stats(tmp_path / "Set", *options)
    out, _, _ = out.partition("👉 next: ")  # a command to copy is not wrapped
    assert [line for line in out.splitlines() if not 0 <= wcswidth(line) <= 80] == []


LONG = [
    "Great horned owls by night",
    "フクロウ" * 9,
    "🦉" * 30,
    "Great horned owls at night",
    "e\u0301" * 50,
]


@pytest.mark.parametrize(("columns", "most"), [(40, 4), (80, 1), (200, 1)])
def test_every_subcluster_names_its_best_and_worst_topics(
    scored, stats, tmp_path, monkeypatch, columns, most
):
    """Five each on one line in a terminal of usual width; unique names, no line too long."""
    for number in range(14):
        scored(
            f"Set/C/Owls/{LONG[number % 5]} {number:02}",
            named(*[5 + number / 10] * (number % 7 + 1)),
        )
    monkeypatch.setenv("COLUMNS", str(columns))
    data, out, _ = stats(tmp_path / "Set")
    own, *lines = section(out, "Subclusters, best first")[columns >= 80 :]
    if columns < 80:  # figures instead of a table, folded
        while not lines[0].startswith("    best  "):
            own += lines.pop(0)
        assert own.split()[:3] == ["Owls", "images", "56"]
        assert " median " in own and " quartiles " in own
    else:
        assert own.split()[0] == "Owls" and "╋" in own
        assert wcswidth(own) <= 80
    assert max(map(wcswidth, lines)) <= columns
    middle = next(number for number, line in enumerate(lines) if line.startswith("    worst "))
    assert lines[0].startswith("    best  ")
    shown = []
    for side, key in ((lines[:middle], "top"), (lines[middle:], "bottom")):
        assert 1 <= len(side) <= most
        items = " ".join(line[10:] for line in side).split(", ")
        shown += [item.rpartition(" ")[0] for item in items]
        for item, entry in zip(items, data["subclusters"]["Set/C/Owls"][key], strict=True):
            assert item.rpartition(" ")[2] == f"{entry['median']:.2f}{'*' if entry['few'] else ''}"
            assert item.rpartition(" ")[0][-2:] == entry["topic"][-2:]
    assert len(set(shown)) == 10


def test_many_subclusters_show_the_ends_and_say_so(scored, stats, tmp_path):
    for number in range(15):
        scored(f"Set/C/S{number:02}/T", named(*[5 + number / 10] * 5))
    _, out, _ = stats(tmp_path / "Set", "--all")
    assert "worst 6 (3 more between)" in out


def test_folders_of_one_name_are_told_apart(scored, stats, tmp_path):
    for path in ("One/Animals/Cats/T", "Two/Animals/Dogs/T", "Two/Plants/Cats/T"):
        scored(path, named(5.0))
    _, out, _ = stats(tmp_path / "One", tmp_path / "Two", "--all")
    names = {
        line.split()[0] for line in out.splitlines() if line.startswith("   ") and " 5.00 " in line
    }
    assert {
        "One/Animals",
        "Two/Animals",
        "Plants",
        "One/Animals/Cats",
        "Two/Plants/Cats",
        "Dogs",
        "T",
    } <= names


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_names_stay_apart_where_they_are_cut(scored, stats, tmp_path, options):
    """Also from the subclusters that --all leaves out between the best and the worst."""
    for number in range(15):
        scored(f"Set/Cluster {number:02}/A subcluster in the middle/T", named(5.0 + number / 10))
    scored("Set/Cluster 16/Birds/T", named(9.0))
    scored("Set/Cluster 17/Birds/T", named(5.65))
    _, out, _ = stats(tmp_path / "Set", *options)
    names = [line[3:25].strip() for line in section(out, "Subclusters, best first") if "╋" in line]
    assert len(names) == len(set(names)) == (12 if options else 17)
    assert names[0] == "Set/Cluster 16/Birds"


def test_json_on_stdout_is_the_output_file(scored, stats, tmp_path):
    scored("Set/C/S/A", named(5.0))
    data, out, err = stats(tmp_path / "Set", "--json", "--quiet")
    assert (json.loads(out), err) == (data, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no such folder"),
        (["."], "no images found"),
        ([".", "--top", "0"], "number of at least 1"),
        ([".", "--output", "no/x"], "no such folder; make it"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(tmp_path, arguments, said):
    done = run_script("aesthetic_stats.py", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[-1]


def test_the_standard_library_does(scored, tmp_path):
    scored("Set/C/S/A", named(5.0))
    code = (
        "import sys, aesthetic_stats; aesthetic_stats.main(['Set', '--quiet']); "
        "print(sorted({'numpy', 'torch', 'jinja2', 'PIL', 'open_clip'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
