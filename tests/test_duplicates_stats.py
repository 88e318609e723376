"""duplicates_stats.py as people run it: whole JSON, changed folders, and how little it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, draw_image, run_script
from result_files import write_copies, write_variants

import duplicates_stats
from common import cache, cli, tree


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict, str]]:
    def call(*args: object) -> tuple[int, dict, str]:
        capsys.readouterr()
        status = cli.run_script(duplicates_stats.main, [*map(str, args), "--json"])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else {}, printed.err

    return call


def search(folder: Path, *groups: str) -> None:
    """Write what a search writes if the images of each group (of letters) all match."""
    topic = tree.find_topics([str(folder)], print)[0]
    stamps = topic.image_stamps()
    matches: dict[str, set[str]] = {name: set() for name in stamps}
    for group in groups:
        for letter in group:
            matches[f"{letter}.png"] |= {f"{other}.png" for other in group if other != letter}
    write_copies(topic, matches)
    sizes = {name: (stamp, (64, 48)) for name, stamp in stamps.items()}
    cache.update_cache(
        topic, extents=sizes, duplicates=cache.Provenance({"method": "phash"}, stamps)
    )


def names(letters: str) -> list[str]:
    return [f"{letter}.png" for letter in letters]


@pytest.fixture
def dataset(tmp_path: Path, make_topic) -> Path:
    """Three clusters; topic `a` was not searched, though `a_b` was."""
    search(make_topic("DataSet/Animals/Birds/owl", *names("abcdef")), "abc", "de")
    search(make_topic("DataSet/Animals/Birds/tit", *names("ab")))
    search(make_topic("DataSet/Places/Near/a_b", *names("abc")), "ab")
    make_topic("DataSet/Places/Near/a", *names("ab"))
    search(make_topic("DataSet/Things/Small/pin", *names("abcd")))
    return tmp_path / "DataSet"


def entry(
    topics: int, images: int, searched: int, duplicates: int, redundant: int, **variants: int
) -> dict:
    return {
        "topics": topics,
        "images": images,
        "searched": searched,
        "unreadable": 0,
        "duplicate_entries": duplicates,
        "redundant_images": redundant,
        "variants": variants,
    }


def test_the_whole_object(dataset: Path, run) -> None:
    status, told, said = run(dataset)
    assert status == 0
    assert told == {
        **entry(5, 17, 15, 7, 4),
        "sets_by_size": 3,
        "median_images_per_cluster": 5,
        "median_duplicates_per_cluster": 2,
        "clusters": {
            "DataSet/Animals": entry(2, 8, 8, 5, 3),
            "DataSet/Places": entry(2, 5, 3, 2, 1),
            "DataSet/Things": entry(1, 4, 4, 0, 0),
        },
        "worst_topics": [
            {"topic": "DataSet/Animals/Birds/owl", **entry(1, 6, 6, 5, 3)},
            {"topic": "DataSet/Places/Near/a_b", **entry(1, 3, 3, 2, 1)},
        ],
        "across": {"pairs": {}, "topics": [], "references": {}},
        "not_searched": ["DataSet/Places/Near/a"],
        "outdated": {},
        "damaged": {},
        "strays": [],
    }
    assert said == "17 images found = 15 searched + 2 not searched\n"


def test_variants_are_counted_by_kind(dataset: Path, run) -> None:
    """Of the pairs b is in none: it has changed since. A pair counts once, and costs no image."""
    for place, variants in (
        (
            "owl",
            {
                "a.png": {"f.png": "cropped", "d.png": "cropped", "b.png": "turned"},
                "f.png": {"d.png": "doubtful"},
            },
        ),
        ("tit", {"a.png": {"b.png": "mirrored"}}),
    ):
        topic = tree.find_topics([str(dataset / "Animals/Birds" / place)], print)[0]
        write_variants(topic, variants)
        cache.update_cache(
            topic, variants=cache.Provenance({"method": "phash"}, topic.image_stamps())
        )
    os.utime(dataset / "Animals/Birds/owl/b.png")
    told = run(dataset)[1]
    assert told["variants"] == {"cropped": 2, "doubtful": 1, "mirrored": 1}
    assert told["clusters"]["DataSet/Animals"] == entry(
        2, 8, 8, 4, 2, cropped=2, doubtful=1, mirrored=1
    )
    assert told["clusters"]["DataSet/Places"] == entry(2, 5, 3, 2, 1)
    assert told["outdated"]["DataSet/Animals/Birds/owl"] == (
        "no longer fits its folder (run find_duplicates.py again): 1 changed since (b.png); "
        "variants: no longer fits its folder (run find_duplicates.py --variants again): "
        "1 changed since (b.png)"
    )
    ended = run_script("duplicates_stats.py", dataset)
    assert (
        "pairs of variants                          4  1 mirrored, 2 cropped, 1 doubtful\n"
        in ended.stdout
    )
    path = dataset / "Animals/Birds/variants_tit.json"
    path.write_text("[]")
    assert run(dataset)[1]["damaged"] == {
        "DataSet/Animals/Birds/tit": "variants_tit.json: not a JSON object of objects"
    }


def test_a_chain_counts_what_a_merge_would_leave_out(tmp_path: Path, make_topic, run) -> None:
    search(make_topic("DataSet/C/S/T", *names("abc")), "ab", "bc")
    told = run(tmp_path / "DataSet")[1]
    keeper = max(
        names("abc"),
        key=lambda name: (os.path.getsize(tmp_path / "DataSet/C/S/T" / name), name < "b"),
    )
    assert told["duplicate_entries"] == 3
    assert told["redundant_images"] == (2 if keeper == "b.png" else 1)


def test_top_limits_the_worst_topics(dataset: Path, run) -> None:
    assert [each["topic"] for each in run(dataset, "--top", 1)[1]["worst_topics"]] == [
        "DataSet/Animals/Birds/owl"
    ]


def test_a_file_that_no_longer_fits_counts_only_unchanged_images(dataset: Path, run) -> None:
    owl = dataset / "Animals/Birds/owl"
    (owl / "a.png").unlink()
    draw_image(77, (80, 60)).save(owl / "d.png")
    draw_image(78).save(owl / "new.png")
    told = run(dataset)[1]
    assert list(told["outdated"]) == ["DataSet/Animals/Birds/owl"]
    for said in ("new.png", "d.png", "a.png", "find_duplicates.py"):
        assert said in told["outdated"]["DataSet/Animals/Birds/owl"]
    assert told["clusters"]["DataSet/Animals"] == entry(2, 8, 7, 2, 1)  # b and c still match


def test_only_the_time_differs(dataset: Path, run) -> None:
    os.utime(dataset / "Animals/Birds/owl/a.png", ns=(1, 1))
    told = run(dataset)[1]
    assert "1 changed since (a.png)" in told["outdated"]["DataSet/Animals/Birds/owl"]


@pytest.mark.parametrize("content", ["{", "[]", '{"a.png": "b.png"}', '{"a.png": [1]}', ""])
def test_a_damaged_file_is_told_of_and_left_alone(dataset: Path, run, content: str) -> None:
    path = dataset / "Animals/Birds/duplicates_owl.json"
    path.write_text(content)
    status, told, said = run(dataset)
    assert status == 0 and str(path) in said
    assert list(told["damaged"]) == ["DataSet/Animals/Birds/owl"]
    assert told["clusters"]["DataSet/Animals"] == entry(2, 8, 2, 0, 0)
    assert path.read_text() == content


def test_a_file_whose_topic_is_gone(dataset: Path, run) -> None:
    stray = dataset / "Animals/Birds/duplicates_gone.json"
    stray.write_text("{}")
    assert run(dataset)[1]["strays"] == [str(stray)]


def test_nothing_searched_is_an_error(tmp_path: Path, make_topic, run) -> None:
    make_topic("DataSet/C/S/T", "a.png")
    status, told, said = run(tmp_path / "DataSet")
    assert (status, told) == (2, {})
    assert f"run find_duplicates.py {tmp_path}/DataSet first" in said


def test_several_datasets_and_two_of_one_name(
    dataset: Path, tmp_path: Path, make_topic, run
) -> None:
    search(make_topic("Elsewhere/DataSet/Animals/Birds/owl", *names("ab")), "ab")
    told = run(dataset, tmp_path / "Elsewhere/DataSet")[1]
    assert told["duplicate_entries"] == 9
    assert told["clusters"][str(dataset / "Animals")]["duplicate_entries"] == 5
    assert told["clusters"][str(tmp_path / "Elsewhere/DataSet/Animals")]["duplicate_entries"] == 2


def test_scores_weigh_in(tmp_path: Path, make_topic, run) -> None:
    """With scores b is the best of the chain a-b-c, and both others go."""
    folder = make_topic("DataSet/C/S/T", *names("abc"))
    search(folder, "ab", "bc")
    (folder / "aesthetic_data.json").write_text('{"a.png": 1, "b.png": 9, "c.png": 1}')
    assert run(tmp_path / "DataSet")[1]["redundant_images"] == 2
    (folder / "aesthetic_data.json").write_text("{")
    status, _, said = run(tmp_path / "DataSet")
    assert status == 0 and "resolution alone" in said


def test_it_changes_nothing(dataset: Path, run) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {
            str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in dataset.rglob("*")
        }

    before = state()
    run(dataset)
    assert state() == before


def loaded(dataset: Path) -> set[str]:
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import duplicates_stats\n"
        f"duplicates_stats.main([{str(dataset)!r}, '--quiet', '--json'])\n"
        "print(*{'numpy', 'torch', 'PIL', 'scipy', 'faiss'} & set(sys.modules), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stderr.split())


def test_pillow_only_where_a_size_is_not_known(dataset: Path) -> None:
    assert loaded(dataset) == set()
    (dataset / "Places/Near/a_b/.cache/images.json").unlink()
    assert loaded(dataset) == {"PIL"}


def test_an_image_with_no_known_size_that_cannot_be_read(
    dataset: Path, tmp_path: Path, run
) -> None:
    folder = dataset / "Places/Near/a_b"
    (folder / "a.png").write_bytes(b"no picture")
    os.utime(folder / "a.png", ns=(1, 1))
    (folder / ".cache/images.json").unlink()
    status, told, said = run(dataset, "--strict", "--bad-files", tmp_path / "bad.jsonl")
    assert status == 1 and said.count("❌") == 1
    assert told["clusters"]["DataSet/Places"]["redundant_images"] == 1
    assert json.loads((tmp_path / "bad.jsonl").read_text())["path"] == str(folder / "a.png")


def test_the_summary_for_people(dataset: Path) -> None:
    (dataset / "Animals/Birds/duplicates_gone.json").write_text("{}")
    ended = run_script("duplicates_stats.py", dataset)
    assert ended.returncode == 0
    for line in (
        "redundant                                  4  26.7 %",
        "DataSet/Animals",
        "duplicates_gone.json",
    ):
        assert line in ended.stdout, ended.stdout
    summary, _, next_step = ended.stdout.partition("👉 next: ")
    assert max(map(len, summary.splitlines())) <= 110
    assert next_step.count("\n") == 1 and ".py" in next_step
    assert run_script("duplicates_stats.py", "--help").stdout.startswith("usage")
