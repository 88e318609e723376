"""Mistakes that a new user makes: each is answered with one line and a status, and what the line
says to type works when it is typed."""

from __future__ import annotations

import glob
import importlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, draw_image

from common import cli

TOPIC = "DS/Animals/Birds/Owls"
PHASH = ["find_duplicates.py", "DS", "--workers", "0"]


@pytest.fixture
def dataset(make_topic, tmp_path, monkeypatch) -> Path:
    """A scored dataset DS with a copy in it, in the current folder; an empty folder beside it."""
    topic = make_topic(TOPIC, "a.png", "b.png", "c.png")
    draw_image(0).save(topic / "copy of a.png", compress_level=1)
    scores = {"a.png": 5, "b.png": 6, "c.png": 7, "copy of a.png": 5}
    (topic / "aesthetic_data.json").write_text(json.dumps(scores))
    (tmp_path / "Empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return topic


def run_command(words: Sequence[str], capsys) -> tuple[int, str, str]:
    """Run a script of the suite in this process; return its status, stdout and stderr."""
    script = importlib.import_module(os.path.basename(words[0]).removesuffix(".py"))
    try:
        status = cli.run_script(script.main, list(words[1:]))
    except SystemExit as stop:
        status = int(stop.code or 0)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@dataclass(frozen=True)
class Mistake:
    typed: str
    line: str  # a regular expression; `(?P<advice>...)` is what to type instead
    status: int = 2
    instead: str = ""  # the corrected command, made from the advice; "" if there is none to run


MISTAKES = (
    Mistake(
        "find_duplicates.py DSS",
        r"DSS: no such folder; did you mean (?P<advice>DS)\?",
        instead="find_duplicates.py {advice} --workers 0",
    ),
    Mistake("find_duplicates.py Empty", r"Empty: no images found; expected DataSet/"),
    Mistake(
        f"dataset_stats.py {TOPIC}/a.png",
        r"a\.png: not a folder; pass the folder that holds it",
        instead=f"dataset_stats.py {TOPIC}",
    ),
    Mistake(
        "merge_clusters.py DS --keep --output full",
        r"unrecognized arguments: --keep; did you mean (?P<advice>--keep-duplicates) or --keep-un",
        instead="merge_clusters.py DS {advice} --output full",
    ),
    Mistake(
        "find_duplicates.py DS --methd phash",
        r"unrecognized arguments: --methd phash; did you mean (?P<advice>--method)\?",
        instead="find_duplicates.py DS {advice} phash --workers 0",
    ),
    Mistake(
        "find_duplicates.py --against Empty DS",
        r"required: PATH; put them before (?P<advice>--against)",
        instead=f"find_duplicates.py DS {{advice}} {TOPIC}2 --workers 0",
    ),
    Mistake(
        "aesthetic_scorer.py DS --rescore --model tinny",
        r"--model tinny: no such model; did you mean (?P<advice>tiny)\?",
        instead="aesthetic_scorer.py DS --rescore --model {advice} --workers 0",
    ),
    Mistake(
        "aesthetic_scorer.py DS --model clip",
        r"--model clip: no such model; did you mean (?P<advice>ViT-L-14-quickgelu)\?",
        instead="aesthetic_scorer.py DS --only-missing --model {advice}",
    ),
    Mistake(
        "aesthetic_scorer.py DS --model vit-l-14",
        r"--model vit-l-14: no such model; did you mean (?P<advice>ViT-L-14-quickgelu)\?",
        instead="aesthetic_scorer.py DS --only-missing --model {advice}",
    ),
    Mistake(
        "aesthetic_scorer.py DS --rescore --model tiny --device gpu",
        r"--device gpu: choose from cuda, mps, (?P<advice>cpu); or leave it out",
        instead="aesthetic_scorer.py DS --rescore --model tiny --device {advice} --workers 0",
    ),
    Mistake(
        "split_data.py DS --min-score 11",
        r"--min-score 11: the best score is (?P<advice>7\.00); ask for less",
        instead="split_data.py DS --min-score {advice}",
    ),
    Mistake("split_data.py DS --train 0 --valid 0", r"--train 0 --valid 0 picks no images"),
    Mistake(
        "find_duplicates.py DS --method clip --model tiny",
        r"--model tiny measures sharpness and noise.*; use (?P<advice>--method phash)",
        instead="find_duplicates.py DS {advice} --workers 0",
    ),
    Mistake(
        "find_duplicates.py DS --threshold 99",
        r"--threshold 99: a Hamming distance is a whole number from 0 to 64",
    ),
    Mistake(
        "duplicates_stats.py DS",
        r"DS: no usable duplicates files; run (?P<advice>find_duplicates.py DS) first",
        instead="{advice} --workers 0",
    ),
    Mistake(
        "aesthetic_stats.py classes",
        r"classes: no scores found; run (?P<advice>aesthetic_scorer.py classes) first",
        instead="{advice} --model tiny --workers 0",
    ),
    Mistake(
        "split_data.py classes",
        r"classes: no image has a score; run (?P<advice>aesthetic_scorer.py classes) first",
        instead="{advice} --model tiny --workers 0",
    ),
    Mistake(
        "aesthetic_scorer.py DS --model tiny",
        r"4 scores made by something unknown.*: (?P<advice>--only-missing) keeps them",
        instead="aesthetic_scorer.py DS --model tiny {advice} --workers 0",
    ),
    Mistake(
        "aesthetic_scorer.py DS --rescore --model tiny --head nofile",
        r"--head nofile: no such file, nor one of laion-v1, laion-v2",
    ),
    Mistake(
        "split_data.py DS --exclude",
        r"argument --exclude: expected one argument; did you mean (?P<advice>--exclude-dupl.*)\?",
        instead="split_data.py DS {advice}",
    ),
    Mistake(
        "split_data.py DS --exclude DS",
        r"--exclude DS: a folder, and no pattern .*; did you mean (?P<advice>--exclude-dupl.*)\?",
        instead="split_data.py DS {advice}",
    ),
    Mistake(
        "split_data.py DS --exclude Bird*",
        r"--exclude Bird\*: matches no image, no topic and no folder above one "
        r"\(Animals/Birds/Owls\); did you mean (?P<advice>--exclude-duplicates)\?",
        instead="split_data.py DS {advice}",
    ),
    Mistake(
        "merge_clusters.py DS --exclude Bird* --output full",
        r"--exclude Bird\*: matches no .* \(Animals/Birds/Owls\); did you mean '(?P<advice>.*)'\?$",
        instead="merge_clusters.py DS --include {advice} --output full",
    ),
    Mistake(
        "merge_clusters.py DS --exclude",
        r"argument --exclude: expected one argument; give a PATTERN of paths below the dataset$",
    ),
    Mistake(
        "dataset_stats.py DS --exclude *",
        r"--include and --exclude leave no image; widen or drop a pattern",
        instead="dataset_stats.py DS",
    ),
    Mistake("dataset_stats.py", r"arguments are required: PATH; see (?P<advice>--help)"),
    Mistake(
        "find_duplicates.py DS --workers -1",
        r"argument --workers: invalid whole number value: '-1'; see (?P<advice>--help)$",
        instead="find_duplicates.py DS --workers 0",
    ),
    Mistake(
        "split_data.py DS --min-side 9999",
        r"DS: no image to choose; leave out (?P<advice>--min-side), or ask for less$",
        instead="split_data.py DS {advice} 40",
    ),
    Mistake(
        "find_duplicates.py DS --method phsh",
        r"argument --method: invalid choice: 'phsh' \(choose from '?(?P<advice>phash)'?, '?clip",
        instead="find_duplicates.py DS --method {advice} --workers 0",
    ),
    Mistake(
        "dataset_stats.py classes --levels 3",
        r"classes: --levels 3: its images are 1 level below it; give (?P<advice>--levels 1)",
        instead="dataset_stats.py classes {advice}",
    ),
    Mistake(
        "dataset_stats.py classes/rose --levels 1",
        r"give (?P<advice>the folder above it, with --levels 1)",
        instead="dataset_stats.py classes --levels 1",
    ),
    Mistake(
        "find_duplicates.py classes --across --workers 0",
        r"above .*, which is taken for a subcluster; add (?P<advice>--levels 1) if it is a dataset",
        instead="find_duplicates.py classes --across --workers 0 {advice}",
    ),
    Mistake(
        "merge_clusters.py DS --output DS/full",
        r"DS/full: overlaps the source DS .*; give (?P<advice>--output) another place",
        instead="merge_clusters.py DS {advice} full",
    ),
    Mistake(
        "split_data.py DS --output-dir no/such",
        r"no/such: no such folder; make it, or give (?P<advice>--output-dir) another place",
        instead="split_data.py DS {advice} such",
    ),
    Mistake(
        f"dataset_stats.py DS --output {TOPIC}/a.png",
        r"a\.png: an image, not to be replaced; give (?P<advice>--output) another name",
        instead="dataset_stats.py DS {advice} a.json",
    ),
    Mistake(
        "find_duplicates.py DS --decisions nofile.json",
        r"nofile\.json: no such file; give --decisions the file that the review page saved",
    ),
    Mistake(
        "merge_clusters.py DS --drop-variants doubtful",
        r"doubtful pairs never drop an image; decide them in the review page",
    ),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.typed)
def test_a_mistake_is_one_line_with_advice_that_works(mistake, dataset, make_topic, capsys):
    make_topic(f"{TOPIC}2", "x.png", seed=9).rename("References")
    make_topic("classes/rose", "x.png", "y.png", seed=11)
    make_topic("classes/fern", "x.png", seed=12)
    status, out, err = run_command(shlex.split(mistake.typed), capsys)
    assert (status, out) == (mistake.status, "")
    assert err.count("error: ") == 1 and "usage:" not in err
    last = err.splitlines()[-1]
    match = re.search(mistake.line, last)
    assert match, last
    if mistake.instead:
        advice = match.groupdict().get("advice", "")
        typed = mistake.instead.format(advice=advice).replace(f"{TOPIC}2", "References")
        status, _, err = run_command(shlex.split(typed), capsys)
        assert status == 0, err


def test_the_search_without_weights_or_network_does_not_advise_what_it_refuses(
    dataset, capsys, monkeypatch
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    words = ["find_duplicates.py", "DS", "--method", "clip", "--model", "RN50-quickgelu"]
    status, _, err = run_command([*words, "--workers", "0"], capsys)
    assert status == 2
    assert "use --method phash (needs no download)" in err
    assert "tiny" not in err and "--head" not in err


def test_a_folder_of_datasets_names_a_pattern_that_works(make_topic, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("A", "B"):
        make_topic(f"data/{name}/C/S/T", "a.png")
    (tmp_path / "data/notes.txt").write_text("no folder")
    status, _, err = run_command(["dataset_stats.py", "data"], capsys)
    (pattern,) = re.findall(r"pass its subfolders \((.*)\)", err)
    assert status == 2
    status, out, _ = run_command(["dataset_stats.py", *glob.glob(pattern), "--json"], capsys)
    assert (status, json.loads(out)["total_files"]) == (0, 2)


def test_a_broken_file_is_not_asked_to_be_scored_or_searched_again(dataset, capsys):
    (dataset / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    scorer = ["aesthetic_scorer.py", "DS", "--model", "tiny", "--only-missing", "--workers", "0"]
    assert "fetch it again or delete it" in run_command(scorer, capsys)[2]
    run_command(PHASH, capsys)
    _, out, err = run_command(["duplicates_stats.py", "DS"], capsys)
    assert "run find_duplicates.py" not in out + err and "4 searched + 1 unreadable" in err
    _, out, err = run_command(["split_data.py", "DS"], capsys)
    assert "broken.jpg" in err and "or says why one cannot be read" in err
    (dataset / "broken.jpg").unlink()
    assert "without a score" not in run_command(["split_data.py", "DS"], capsys)[2]


def test_a_merge_before_the_search_says_so_once(dataset, make_topic, capsys):
    make_topic("DS/Animals/Birds/Geese", "x.png", seed=4)
    (dataset.parent / "Empty").mkdir()
    words = ["merge_clusters.py", "DS", "--output", "full", "--dry-run"]
    line = "❔ 2 topics never searched for copies: run find_duplicates.py first"
    assert run_command(words, capsys)[1].splitlines().count(line) == 1
    assert line not in run_command([*words, "--keep-duplicates"], capsys)[1]
    run_command(PHASH, capsys)
    assert "never searched" not in run_command(words, capsys)[1]


def test_a_dry_run_lists_what_stays_behind_once(dataset, capsys):
    for name in ("film1.mov", "film2.mov"):
        (dataset / name).write_text("no image")
    _, out, _ = run_command(["merge_clusters.py", "DS", "--output", "full", "--dry-run"], capsys)
    assert out.count("film1.mov") == out.count("film2.mov") == 1
    assert "📎 2 other files would not be copied, see above" in out


def test_a_dry_run_says_would_and_lists_what_is_not_plainly_copied(dataset, capsys):
    run_command(PHASH, capsys)
    words = ["merge_clusters.py", "DS", "--output", "full", "--dry-run"]
    status, out, _ = run_command(words, capsys)
    assert status == 0 and "Would merge" in out and "1 copy would be dropped" in out
    assert "merge_manifest" not in out and not Path("full").exists()
    assert re.findall(r"^(?:copy|drop|skip) .*", out, re.M) == [
        f"drop       {dataset}/copy of a.png, keep Animals/Birds/Owls/a.png "
        "(a copy of a.png, which stays: named like an original)"
    ]
    assert "3 files more copied as they are (-v lists all)" in out
    assert run_command([*words, "-v"], capsys)[1].count("\ncopy ") == 2


def test_an_empty_topic_is_not_asked_to_be_searched(dataset, capsys):
    (dataset.parent / "Nothing yet").mkdir()
    assert run_command(PHASH, capsys)[0] == 0
    _, out, _ = run_command(["duplicates_stats.py", "DS", "--json"], capsys)
    assert json.loads(out)["not_searched"] == []


def test_references_are_counted_only_if_there_are_any(dataset, make_topic, capsys):
    assert "references" not in run_command([*PHASH, "--across"], capsys)[1]
    make_topic("Benchmark", "x.png", seed=5)
    assert "references" in run_command([*PHASH, "--against", "Benchmark"], capsys)[1]


def test_decisions_are_counted_when_they_are_added(dataset, capsys):
    path = "Animals/Birds/Owls"
    decided = {
        "different": [[f"{path}/a.png", f"{path}/b.png"]],
        "keep": [f"{path}/c.png"],
    }
    Path("d.json").write_text(json.dumps(decided))
    command = [*PHASH, "--decisions", "d.json"]
    assert "2 decisions added: 1 different, 1 keep" in run_command(command, capsys)[2]
    again = run_command(command, capsys)[2]
    assert "0 decisions added: all 2 were there already" in again


def test_a_page_says_where_it_is(dataset, capsys, tmp_path):
    _, _, err = run_command(["aesthetic_stats.py", "DS", "--html", "page.html"], capsys)
    assert f"{tmp_path}/page.html" in err


def test_a_split_makes_its_output_folder(dataset, capsys):
    assert run_command(["split_data.py", "DS", "--output-dir", "new"], capsys)[0] == 0
    assert json.loads(Path("new/train_set.json").read_text())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_current_folder_does_not_end_the_statistics_as_json(dataset, capsys, tmp_path):
    tmp_path.chmod(0o555)
    try:
        status, out, err = run_command(["dataset_stats.py", "DS", "--json"], capsys)
    finally:
        tmp_path.chmod(0o755)
    assert status == 0 and json.loads(out)["total_files"] == 4
    assert "read-only: give --output FILE" in err


NEXT_STEPS = (
    "dataset_stats.py DS",
    "aesthetic_stats.py DS",
    "find_duplicates.py DS --workers 0",
    "duplicates_stats.py DS",
    "merge_clusters.py DS --output full",
)


def test_the_next_step_is_a_command_that_the_parser_takes(dataset, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["./x.py"])
    for typed in NEXT_STEPS:
        _, out, err = run_command(shlex.split(typed), capsys)
        match = re.fullmatch(r"👉 next: \./(.*)", out.splitlines()[-1])
        assert match, out + err
        words = shlex.split(match[1])
        assert (ROOT / words[0]).exists()
        status, _, err = run_command([*words, "--help"], capsys)
        assert status == 0, err
    monkeypatch.setenv(cli.NO_NEXT_STEP, "1")
    assert "👉" not in run_command(["dataset_stats.py", "DS"], capsys)[1]


def run_pipeline(*args: str) -> subprocess.CompletedProcess:
    command = [str(ROOT / "pipeline.sh"), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["DS", "--output", "DS/full"], "--output DS/full: overlaps DS; give --output another"),
        (["DS", "--output", "References"], "--output References: not empty, and no merge made it"),
        (["--output", "full", "--modle", "tiny", "DS"], "--modle tiny; did you mean --model?"),
        (["--model", "tinny", "DS"], "--model tinny: no such model; did you mean tiny?"),
        (["--quiet", "--output", "full"], "no dataset given"),
        (["full", "--output", "full"], "no dataset given"),
    ],
)
def test_the_pipeline_checks_everything_before_its_first_script(dataset, make_topic, args, line):
    make_topic("References", "x.png")
    Path("full").mkdir(exist_ok=True)
    ran = run_pipeline(*args)
    assert ran.returncode == 2, ran.stderr
    assert line in ran.stderr
    assert ran.stdout == "" and not list(Path().rglob("images.json"))


def test_the_flags_that_the_pipeline_knows_are_those_of_the_scorer():
    import aesthetic_scorer

    parser = aesthetic_scorer.make_parser()
    flags = set()
    for action in parser._actions:
        if action.nargs == 0:
            flags.update(action.option_strings)
    content = (ROOT / "pipeline.sh").read_text("utf-8")
    (case,) = re.findall(r"--\*=\* \| ([^)]+)\) scorer_options", content)
    of_all_scripts = {"-h", "--help", "--version", "--no-masks"}
    assert flags - of_all_scripts == set(re.findall(r"--[\w-]+", case))
