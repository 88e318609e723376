"""Ctrl-C, SIGTERM and SIGHUP on a real terminal, at any moment.

Each run ends with one line, the right exit status, and no process left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import ROOT, draw_image

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_SECONDS_TO_END = 3.0  # seconds from the last signal to the end
GAPS_SECONDS = (0, 0.005, 0.04, 0.5)  # seconds between signals
OPTIONS = {
    "aesthetic_scorer.py": ["--model", "tiny"],
    "find_duplicates.py": [],
    "merge_clusters.py": ["--output", "merged"],
}
# Runs a script, and writes a byte to descriptor 3 as soon as its first line has run.
STARTER = """
import os, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
__file__ = sys.argv[0]
code = compile(open(__file__).read(), __file__, "exec")
import common.signals
os.write(3, b"x")
exec(code)
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough small images to keep every script busy for some seconds."""
    root = tmp_path_factory.mktemp("signals")
    for number in range(4):
        draw_image(number, (640, 480)).save(root / f"{number}.jpg", quality=90)
    for topic in range(60):
        folder = root / "DS" / "C" / "S" / f"T{topic:02}"
        folder.mkdir(parents=True)
        for number in range(100):
            os.link(root / f"{number % 4}.jpg", folder / f"{number}.jpg")
    return root / "DS"


class Terminal:
    """A process that leads a session on its own terminal."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self.output = b""
        self._main, other = pty.openpty()
        self._start_reader, start_writer = os.pipe()

        def take_terminal() -> None:
            for number in STOP_SIGNALS:  # they may be ignored here, as under nohup
                signal.signal(number, signal.SIG_DFL)
            fcntl.ioctl(other, termios.TIOCSCTTY, 0)
            os.dup2(start_writer, 3)

        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=take_terminal,
            close_fds=False,
        )
        os.close(other)
        os.close(start_writer)

    def read(self, seconds: float) -> None:
        """Read what it prints, for some seconds or until it ends."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and (left := end - time.monotonic()) > 0:
            if select.select([self._main], [], [], min(left, 0.02))[0]:
                with contextlib.suppress(OSError):
                    self.output += os.read(self._main, 1 << 16)

    def has_started(self, seconds: float = 0) -> bool:
        return bool(select.select([self._start_reader], [], [], seconds)[0])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            while select.select([self._main], [], [], 0.05)[0]:
                self.output += os.read(self._main, 1 << 16)
        os.close(self._main)
        os.close(self._start_reader)

    def list_alive(self) -> list[str]:
        """List the processes of its session that still run."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    about = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                    if int(about[3]) == self.process.pid and about[0] not in "ZX":
                        found.append(Path("/proc", entry, "cmdline").read_text())
        return found


def check_stop(
    script: str,
    dataset: Path,
    cwd: Path,
    moment: float,
    numbers: Sequence[int],
    group: bool,
    gap: float,
) -> str:
    """Stop a run `moment` seconds after its first line; return "done" or "stopped"."""
    terminal = Terminal(
        [sys.executable, "-c", STARTER, str(ROOT / script), str(dataset), *OPTIONS[script]],
        cwd,
    )
    try:
        assert terminal.has_started(30)
        terminal.read(moment)
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(terminal.process.pid, number)
            terminal.read(gap)
        end = time.monotonic() + MAX_SECONDS_TO_END
        terminal.read(MAX_SECONDS_TO_END)
        status = terminal.process.poll()
        while (left := terminal.list_alive()) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()
        terminal.close()
    printed = re.sub(r".*\r(?!\n)(\x1b\[[A-Z])?", "", terminal.output.decode())  # progress bars
    context = f"{script} {moment:.3f} {numbers} {group=} {gap=}: {status}\n{printed}"
    assert status is not None and not left, f"{context}still there: {left}"
    assert "Traceback" not in printed and "Exception" not in printed, context
    if status == 0:
        return "done"
    lines = [
        line
        for line in printed.splitlines()
        if "finished work is kept; run the same command again" in line
    ]
    assert len(lines) == 1 and printed.splitlines()[-1] == lines[0], context
    stopped_by = next(number for number in STOP_SIGNALS if status == 128 + number)
    assert stopped_by in numbers, context
    words = (
        "interrupted"
        if stopped_by == signal.SIGINT
        else f"stopped by {signal.Signals(stopped_by).name}"
    )
    assert f"{script}: {words};" in lines[0], context
    return "stopped"


@pytest.mark.parametrize("script", OPTIONS)
@pytest.mark.parametrize(
    ("moment", "numbers", "group"),
    [
        (0.05, [signal.SIGINT], True),
        (0.6, [signal.SIGTERM], True),
        (1.5, [signal.SIGINT, signal.SIGINT], True),
        (2.5, [signal.SIGHUP, signal.SIGTERM, signal.SIGINT], False),
    ],
    ids=["imports", "systemd", "twice", "thrice"],
)
def test_a_stop_is_one_line_and_leaves_nothing_behind(
    script, dataset, tmp_path, moment, numbers, group
):
    check_stop(script, copy_dataset(dataset, tmp_path), tmp_path, moment, numbers, group, 0.03)


def copy_dataset(dataset: Path, folder: Path) -> Path:
    """Copy the dataset, without the files of earlier runs."""
    subprocess.run(["cp", "-al", dataset, folder / "DS"], check=True)
    return folder / "DS"


@pytest.mark.soak
@pytest.mark.parametrize("script", OPTIONS)
def test_stops_at_forty_moments(script, dataset, tmp_path):
    chance = random.Random(script)
    ends = []
    for step in range(40):
        cwd = tmp_path / str(step)
        cwd.mkdir()
        fresh = copy_dataset(dataset, cwd)
        for count in (1, 2, 3):
            numbers, group, gap = (
                chance.choices(STOP_SIGNALS, k=count),
                chance.random() < 0.5,
                chance.choice(GAPS_SECONDS),
            )
            ends.append(check_stop(script, fresh, cwd, step * 3 / 39, numbers, group, gap))
        shutil.rmtree(cwd)
    assert ends.count("stopped") > len(ends) / 2, ends
