"""The shared command line: how runs end, and what they print on any terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from argparse import Namespace
from http import HTTPStatus
from pathlib import Path

import pytest
from conftest import ROOT

from common import cli
from common.errors import UserError
from common.reporter import Reporter, dump_json

START = """
import os, sys, time
sys.path.insert(0, os.environ["ROOT"])
from common import atomic_files, cli, terminal
from common.errors import UserError
from common.reporter import Reporter, print_result
def main(argv=None):
    args = cli.make_parser("A script.").parse_args(argv)
    reporter = Reporter(args)
"""
END = """
    return reporter.status
if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
"""
NAMES = ("夕焼け", "é", "𠮷", "🎨", "\udcff", "new\nline", 'quo"te', "\\u00e9", "\x1b[31m")
SHOW = f"""
    names = {NAMES!r}
    lines = ["🎨 ░█ × ≤ 5 %"] + [terminal.escape(name) for name in names]
    print_result(args, lines, {{name: 1 for name in names}})
    reporter.warn("⚠ → …")
    reporter.report_unreadable(args.paths[0], "torn")
"""


@pytest.fixture
def script(tmp_path):
    """Write a script of this project around the lines of a main; returns its command."""

    def make(body: str) -> list[str]:
        path = tmp_path / "script.py"
        path.write_text(START + body + END, encoding="utf-8")
        return [sys.executable, str(path)]

    return make


def make_environment(**changes: str) -> dict[str, str]:
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "LC_", "LANG"))
    }
    return {**plain, "ROOT": str(ROOT), **changes}


def run_command(
    command: list, *args: str, env: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*command, *args],
        env=env or make_environment(),
        capture_output=True,
        timeout=60,
        **options,
    )


def run_in_bash(line: str, command: list[str]) -> subprocess.CompletedProcess:
    """Run a line of bash in which $S is the script; it ends with the status of each part."""
    call = f"S={' '.join(command)!r}; {line}; echo status ${{PIPESTATUS[@]}}"
    return subprocess.run(
        ["bash", "-c", call], env=make_environment(), capture_output=True, text=True, timeout=60
    )


def make_reporter(**options) -> Reporter:
    return Reporter(Namespace(**{"quiet": False, "strict": False, "bad_files": None, **options}))


@pytest.mark.parametrize(
    ("body", "status", "output"),
    [
        (
            "raise UserError('x\\n.json: torn; mend it')",
            2,
            r"script.py: error: x\n.json: torn; mend it" + "\n",
        ),
        (
            "raise KeyboardInterrupt",
            130,
            "script.py: interrupted; finished work is kept; run the same command again\n",
        ),
        (
            "open('/no/x')",
            2,
            "script.py: error: /no/x: No such file or directory; fix that, then run again\n",
        ),
        ("raise SystemExit(5)", 5, ""),
        ("return 1", 1, ""),
        (
            "import warnings; warnings.warn('chatter'); import logging; logging.error('chatter')",
            0,
            "",
        ),
    ],
)
def test_each_ending_has_its_status_and_one_line(script, body, status, output):
    process = run_command(script(f"    {body}"), ".")
    assert (process.returncode, process.stderr.decode(), process.stdout) == (status, output, b"")


def test_a_bug_shows_its_traceback(script):
    process = run_command(script("    {}['bug']"), ".")
    assert (
        process.returncode == 1 and b"Traceback" in process.stderr and b"KeyError" in process.stderr
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_tidies_up_says_one_line_and_has_its_status(script, tmp_path, number, status):
    (tmp_path / "out").mkdir()
    body = f"""
    with atomic_files.atomic_write({str(tmp_path / "out/x")!r}) as file:
        print("go", flush=True)
        while True:
            file.write(b"x"); reporter.say("x" * 50); time.sleep(0.0001)
"""
    with subprocess.Popen(
        [*script(body), "."], env=make_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stdout.readline() == b"go\n"
        time.sleep(0.05)
        process.send_signal(number)
        _, output = process.communicate(timeout=30)
    assert process.returncode == status, output
    assert output.count(b"finished work is kept; run the same command again\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_library_that_trips_over_a_signal_does_not_hide_it(script, number, status):
    body = f"""
    try:
        os.kill(os.getpid(), {number})
    finally:
        raise RuntimeError('no lock')
"""
    process = run_command(script(body), ".")
    assert process.returncode == status and process.stderr.count(b"\n") == 1


def test_under_nohup_a_hangup_is_ignored(script):
    body = "    import signal; os.kill(os.getpid(), signal.SIGHUP); print('goes on')"
    process = run_command(
        script(body), ".", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    assert (process.returncode, process.stdout) == (0, b"goes on\n")


@pytest.mark.parametrize(
    "pipe", ["$S . | head -1", "$S . --json | head -1", "$S --help | true", "$S . 2>&1 | head -1"]
)
def test_a_closed_pipe_is_no_error(script, pipe):
    body = """
    lines = ['x' * 99] * 100_000
    print_result(args, lines, {str(n): line for n, line in enumerate(lines)})
"""
    process = run_in_bash(pipe, script(body))
    assert process.stderr == ""
    assert process.stdout.splitlines()[-1] in ("status 141 0", "status 0 0")


@pytest.mark.parametrize(
    ("line", "status", "output"),
    [
        (
            "$S . >/dev/full",
            2,
            "script.py: error: output: could not be written (No space left on device); ",
        ),
        ("$S . >&-", 0, ""),
        ("$S . 2>&- >&-", 0, ""),
        ("$S nowhere 2>&-", 0, ""),
        ("$S . --quiet 2>/dev/full", 0, ""),
    ],
)
def test_outputs_that_are_closed_or_full(script, line, status, output):
    process = run_in_bash(
        line, script("    reporter.warn('careful'); print_result(args, ['done'], {})")
    )
    assert process.stdout.splitlines()[-1] == f"status {status}"
    assert "careful" not in process.stdout and "Exception ignored" not in process.stderr
    errors = [line for line in process.stderr.splitlines() if "careful" not in line]
    assert "".join(errors).startswith(output) and len(errors) <= 1


TERMINALS = {
    "utf-8": {"LC_ALL": "C.UTF-8"},
    "C": {"LC_ALL": "C"},
    "strict ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "utf-16": {"PYTHONIOENCODING": "utf-16"},
}


@pytest.mark.parametrize("terminal", TERMINALS)
def test_no_terminal_makes_the_output_fail_or_changes_the_json(script, tmp_path, terminal):
    env = make_environment(**TERMINALS[terminal])
    command = script(SHOW)
    encoding = env.get("PYTHONIOENCODING", "ascii" if terminal == "strict ascii" else "utf-8")
    plain = run_command(command, "夕/é", env=env)
    assert plain.returncode == 0, plain.stderr
    shown = plain.stdout.decode(encoding).splitlines()
    assert len(shown) == 1 + len(NAMES)
    assert "\x1b" not in plain.stdout.decode(encoding) and "torn" in plain.stderr.decode(encoding)
    if encoding != "ascii":
        assert "é" in shown
    else:
        assert shown[:3] == [" .# x <= 5 %", r"\u5915\u713c\u3051", r"\xe9"]
    bad_files = tmp_path / "bad.jsonl"
    data = run_command(
        command, "夕/é", "--json", "--quiet", "--bad-files", str(bad_files), env=env, cwd=tmp_path
    )
    assert json.loads(data.stdout.decode(encoding)) == dict.fromkeys(NAMES, 1)
    assert json.loads(bad_files.read_text("utf-8")) == {
        "path": str(tmp_path / "夕/é"),
        "reason": "torn",
    }


def test_bad_files_are_appended_as_json_lines(tmp_path, capsys):
    bad_files = tmp_path / "bad.jsonl"
    name = os.fsdecode(b"\xff\n.jpg")
    for _ in range(2):
        reporter = make_reporter(bad_files=str(bad_files), strict=True)
        assert reporter.status == 0
        reporter.report_unreadable(tmp_path / name, "empty file")
        assert (reporter.unreadable, reporter.status) == (1, 1)
    lines = bad_files.read_bytes().decode("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"path": str(tmp_path / name), "reason": "empty file"}
    ] * 2
    assert capsys.readouterr().err == f"❌ {tmp_path}/\\udcff\\n.jpg: empty file\n" * 2


def test_bad_files_that_cannot_be_written_are_an_error_at_once(tmp_path):
    with pytest.raises(
        UserError, match=r"none/bad: cannot be written .*give --bad-files another place"
    ):
        make_reporter(bad_files=str(tmp_path / "none/bad"))


def test_quiet_leaves_only_errors(capsys):
    reporter = make_reporter(quiet=True)
    reporter.say("talk")
    reporter.warn("warning")
    reporter.print_totals(1, done=1)
    with reporter.progress(10) as bar:
        bar.update(5)
    reporter.report_unreadable("a.jpg", "torn")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "❌ a.jpg: torn\n")
    assert make_reporter().status == 0


@pytest.mark.parametrize(
    ("found", "parts", "line"),
    [
        (
            1000,
            {"scored": 997, "already_scored": 2, "unreadable": 1},
            "997 scored + 2 already scored + 1 unreadable",
        ),
        (2, {"scored": 0, "already_scored": 2, "unreadable": 0}, "2 already scored"),
        (0, {"scored": 0, "unreadable": 0}, "0 scored"),
    ],
)
def test_totals_add_up(capsys, found, parts, line):
    make_reporter().print_totals(found, **parts)
    assert capsys.readouterr().err == f"{found:,} images found = {line}\n"
    with pytest.raises(AssertionError):
        make_reporter().print_totals(found + 1, **parts)


def test_progress_is_for_terminals_only(script):
    command = script(
        "    with reporter.progress(50) as bar:\n"
        "        for _ in range(50): bar.update(); time.sleep(0.01)"
    )
    assert run_command(command, ".").stderr == b""
    main, other = pty.openpty()
    termios.tcsetwinsize(other, (24, 80))
    process = subprocess.run(
        [*command, "."], env=make_environment(TERM="xterm"), stderr=other, timeout=60
    )
    output = os.read(main, 10_000) if select.select([main], [], [], 5)[0] else b""
    os.close(other)
    os.close(main)
    assert process.returncode == 0 and b"image/s" in output


@pytest.mark.parametrize(
    ("value", "number"),
    [("1", 1), ("200", 200), ("0", None), ("-5", None), ("x", None), ("1.5", None)],
)
def test_numbers_are_checked_by_the_parser(value, number, capsys):
    parser = cli.make_parser("A script.")
    if number:
        assert parser.parse_args([".", f"--max-pixels={value}"]).max_pixels == number
        return
    with pytest.raises(SystemExit) as stop:
        parser.parse_args([".", f"--max-pixels={value}"])
    assert stop.value.code == 2
    assert (
        f"argument --max-pixels: invalid number of at least 1 value: '{value}'"
        in capsys.readouterr().err
    )


def test_options_are_those_that_make_sense():
    def options(**switches: bool) -> set[str]:
        return set(vars(cli.make_parser("A script.", **switches).parse_args(["."])))

    always = {"paths", "levels", "include", "exclude", "no_masks", "json", "quiet", "strict"}
    assert options() == always | {"bad_files", "max_pixels"}
    assert options(limits_pixels=False) == always | {"bad_files"}
    assert options(opens_images=False) == always


def test_our_json_is_sorted_readable_and_refuses_nan():
    assert dump_json({"b": "é", "a": 1}) == '{\n  "a": 1,\n  "b": "é"\n}\n'
    assert dump_json({"b": 1, "a": "\udcff"}, indent=None) == '{"a": "\\udcff", "b": 1}\n'
    with pytest.raises(ValueError):
        dump_json({"a": float("nan")})


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        [{}, [], (), {"b": [1, (2, -0.0)], "a": {"z": None, "y": True}}],
        {1: 2, 10: [3]},
        {"tab\t": 'quote" \\ \u2028', "é": 10**30},
        {HTTPStatus.OK: HTTPStatus.OK, 5: [HTTPStatus.OK]},
        "text",
        1.5,
    ],
)
def test_our_json_is_that_of_the_standard_library(value):
    as_library = {"indent": 2, "sort_keys": True, "ensure_ascii": False}
    assert dump_json(value) == json.dumps(value, **as_library) + "\n"


def test_a_script_runs_through_a_symlink_from_another_folder(tmp_path):
    scripts = sorted(ROOT.glob("*.py"))
    if not scripts:
        pytest.skip("no scripts yet")
    (tmp_path / "link").symlink_to(scripts[0])
    process = run_command([sys.executable, str(tmp_path / "link")], "nowhere", cwd=Path("/"))
    assert process.returncode == 2 and b"error: nowhere: no such folder" in process.stderr


@pytest.mark.parametrize(
    ("script_name", "given", "meant"),
    [
        ("merge_clusters.py", "--keep", "--keep-duplicates or --keep-unreadable"),
        ("split_data.py", "--exclude-dup", "--exclude-duplicates"),
        ("find_duplicates.py", "--treshold=4", "--threshold"),
        ("aesthetic_scorer.py", "--batchsize", "--batch-size"),
        ("dataset_stats.py", "--htlm", "--html"),
        ("duplicates_stats.py", "--tops", "--top"),
        ("aesthetic_stats.py", "--min", "--min-images"),
    ],
)
def test_a_mistyped_or_short_option_is_refused_with_the_full_name(script_name, given, meant):
    process = run_command([sys.executable, str(ROOT / script_name)], ".", given)
    assert process.returncode == 2
    line = process.stderr.decode().splitlines()[-1]
    assert line == f"{script_name}: error: unrecognized arguments: {given}; did you mean {meant}?"


def test_version_names_the_changelogs_and_gits():
    process = run_command([sys.executable, str(ROOT / "merge_clusters.py")], "--version")
    assert process.returncode == 0
    assert process.stdout.startswith(b"merge_clusters.py 1.")
    assert (b"(" in process.stdout) == (ROOT / ".git").exists()


def test_a_package_that_is_missing_later_is_one_line(script):
    process = run_command(script("    import no_such_package"), ".")
    assert process.returncode == 2
    assert b"has no no_such_package; run: " in process.stderr
    assert run_command(script("    import common.nothing"), ".").returncode == 1
