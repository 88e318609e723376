"""Ctrl-C, SIGTERM and SIGHUP on a real terminal, at any moment: one line, the right status, nothing left alive."""

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
from conftest import ROOT, picture

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WITHIN = 3.0  # seconds from the last signal to the end
GAPS = (0, 0.005, 0.04, 0.5)  # seconds between signals
OPTIONS = {
    "aesthetic_scorer.py": ["--model", "tiny"],
    "find_duplicates.py": [],
    "merge_clusters.py": ["--output", "merged"],
}
# Runs a script and writes a byte to descriptor 3 when its first line has run; before that there is nothing of ours.
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
    """Enough small images for every script to be at work for some seconds."""
    root = tmp_path_factory.mktemp("signals")
    for number in range(4):
        picture(number, (640, 480)).save(root / f"{number}.jpg", quality=90)
    for topic in range(60):
        folder = root / "DS" / "C" / "S" / f"T{topic:02}"
        folder.mkdir(parents=True)
        for number in range(100):
            os.link(root / f"{number % 4}.jpg", folder / f"{number}.jpg")
    return root / "DS"


class Terminal:
    """A process that leads a session on a terminal of its own."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self.said = b""
        self._main, other = pty.openpty()
        self._begins, begun = os.pipe()

        def take_terminal() -> None:
            for number in STOPS:  # which whoever runs these tests may ignore, as nohup does
                signal.signal(number, signal.SIG_DFL)
            fcntl.ioctl(other, termios.TIOCSCTTY, 0)
            os.dup2(begun, 3)

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
        os.close(begun)

    def read(self, seconds: float) -> None:
        """Take what it prints, for so long or until it ends."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and (left := end - time.monotonic()) > 0:
            if select.select([self._main], [], [], min(left, 0.02))[0]:
                with contextlib.suppress(OSError):
                    self.said += os.read(self._main, 1 << 16)

    def has_begun(self, seconds: float = 0) -> bool:
        return bool(select.select([self._begins], [], [], seconds)[0])

    def close(self) -> None:
        with contextlib.suppress(OSError):
            while select.select([self._main], [], [], 0.05)[0]:
                self.said += os.read(self._main, 1 << 16)
        os.close(self._main)
        os.close(self._begins)

    def alive(self) -> list[str]:
        """The processes of its session that still run."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                with contextlib.suppress(OSError):
                    about = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                    if int(about[3]) == self.process.pid and about[0] not in "ZX":
                        found.append(Path("/proc", entry, "cmdline").read_text())
        return found


def check(
    script: str,
    dataset: Path,
    cwd: Path,
    moment: float,
    numbers: Sequence[int],
    group: bool,
    gap: float,
) -> str:
    """Stop a run `moment` seconds after its first line; returns how it ended, for a count."""
    terminal = Terminal(
        [sys.executable, "-c", STARTER, str(ROOT / script), str(dataset), *OPTIONS[script]],
        cwd,
    )
    try:
        assert terminal.has_begun(30)
        terminal.read(moment)
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(terminal.process.pid, number)
            terminal.read(gap)
        end = time.monotonic() + WITHIN
        terminal.read(WITHIN)
        status = terminal.process.poll()
        while (left := terminal.alive()) and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.process.wait()
        terminal.close()
    said = re.sub(r".*\r(?!\n)(\x1b\[[A-Z])?", "", terminal.said.decode())  # progress bars
    told = f"{script} {moment:.3f} {numbers} {group=} {gap=}: {status}\n{said}"
    assert status is not None and not left, f"{told}still there: {left}"
    assert "Traceback" not in said and "Exception" not in said, told
    if status == 0:
        return "done"
    lines = [
        line
        for line in said.splitlines()
        if "finished work is kept; run the same command again" in line
    ]
    assert len(lines) == 1 and said.splitlines()[-1] == lines[0], told
    stopped_by = next(number for number in STOPS if status == 128 + number)
    assert stopped_by in numbers, told
    words = (
        "interrupted"
        if stopped_by == signal.SIGINT
        else f"stopped by {signal.Signals(stopped_by).name}"
    )
    assert f"{script}: {words};" in lines[0], told
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
    check(script, copy_of(dataset, tmp_path), tmp_path, moment, numbers, group, 0.03)


def copy_of(dataset: Path, folder: Path) -> Path:
    """The dataset without what earlier runs left in it."""
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
        fresh = copy_of(dataset, cwd)
        for count in (1, 2, 3):
            numbers, group, gap = (
                chance.choices(STOPS, k=count),
                chance.random() < 0.5,
                chance.choice(GAPS),
            )
            ends.append(check(script, fresh, cwd, step * 3 / 39, numbers, group, gap))
        shutil.rmtree(cwd)
    assert ends.count("stopped") > len(ends) / 2, ends
