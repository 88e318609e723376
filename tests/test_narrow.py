"""Summaries fit a terminal of 40 columns, and say everything that they say on 80 columns."""

from __future__ import annotations

import importlib
import os
import pty
import re
import subprocess
import sys
import termios

import pytest
from conftest import ROOT, draw_image
from wcwidth import wcswidth

PLACES = [
    f"Set/A cluster with rather a long name {cluster}/フクロウ and other owls of the night/{topic}"
    for cluster in "12"
    for topic in ("🦉" * 12, "Photographs that were taken by day", "x" * 60)
]
SCRIPTS = {  # in this order: later ones read what earlier ones wrote
    "dataset_stats": ["--output", "a folder with a long name for what was counted.json"],
    "aesthetic_scorer": ["--model", "tiny"],
    "aesthetic_stats": [],
    "find_duplicates": [],
    "duplicates_stats": [],
    "merge_clusters": ["--output", "everything that came out of it in one place"],
    "split_data": ["--train", "1", "--valid", "1"],
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("narrow")
    for seed, place in enumerate(PLACES):
        topic = folder / place
        topic.mkdir(parents=True)
        for name in (
            "the one that stays, in full size.png",
            "a copy of it that was found elsewhere.png",
        ):
            draw_image(seed).save(topic / name)
        (topic / "a download that broke off half way.jpg").write_bytes(b"\xff\xd8\xff")
        (topic / "the one that stays, in full size.txt").write_text("an owl")
    for name in ("aesthetic_scorer", "find_duplicates"):
        printed = subprocess.run(command(name), cwd=folder, capture_output=True, check=True).stdout
        assert printed
    return folder


def command(name: str) -> list[str]:
    return [sys.executable, str(ROOT / f"{name}.py"), "Set", *SCRIPTS[name]]


@pytest.mark.parametrize("name", SCRIPTS)
def test_summary_fits_40_columns_and_says_all_that_80_say(dataset, monkeypatch, capsys, name):
    monkeypatch.chdir(dataset)
    main = importlib.import_module(name).main
    main(["Set", *SCRIPTS[name]])  # the two runs that are compared then have nothing to do
    capsys.readouterr()
    printed = {}
    for columns in (80, 40):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main(["Set", *SCRIPTS[name]]) == 0
        printed[columns] = capsys.readouterr().out
    assert [line for line in printed[40].splitlines() if not 0 <= wcswidth(line) <= 40] == []
    narrow = "".join(printed[40].split())
    assert [word for word in complete_words(printed[80]) if word not in narrow] == []


def complete_words(printed: str) -> list[str]:
    """List words and figures of a summary, without bars, cut names, and what differs by run."""
    lines = (line for line in printed.splitlines() if not re.search("⏱|quartiles|were free", line))
    return [
        word
        for line in lines
        for word in line.split()
        if re.search(r"\w", word) and not re.search("[…~]", word)
    ]


def test_a_real_terminal_of_40_columns(dataset):
    master, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 40))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen(
        command("duplicates_stats"),
        cwd=dataset,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
    ) as process:
        os.close(terminal)
        printed = b""
        while block := read_terminal(master):
            printed += block
    os.close(master)
    assert process.returncode == 0
    lines = printed.decode().split("\r\n")
    assert [line for line in lines if not 0 <= wcswidth(line) <= 40] == []
    assert any(line.startswith("      images 3 · duplicates 2") for line in lines)


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # on Linux: all writers have ended
        return b""
