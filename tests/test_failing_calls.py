"""Every system call of a script fails once: no source changes, one line, a rerun completes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

# In the order of tests/failing_calls.c.
KINDS = (
    "open",
    "read",
    "write",
    "fsync",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "opendir",
    "readdir",
    "stat",
    "utime",
)
SCORE_KINDS = ("read", "write", "fsync", "rename")  # of the scorer, which takes longest


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the failing calls."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or not compiler:
        pytest.skip("needs Linux and a C compiler")
    path = tmp_path_factory.mktemp("library") / "failing_calls.so"
    source = ROOT / "tests/failing_calls.c"
    command = [compiler, "-shared", "-fPIC", "-w", "-o", path, source, "-ldl"]
    subprocess.run(command, check=True)
    return path


def fail_calls(library: Path, folder: Path, script: str, kinds: tuple[str, ...], step: int) -> None:
    folder.mkdir()
    numbers = ",".join(str(1 + KINDS.index(kind)) for kind in kinds)
    command = [sys.executable, ROOT / "tests/fail_calls.py", folder, script, numbers, step]
    environment = {"LD_PRELOAD": str(library), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    data = json.loads(ran.stdout.splitlines()[-1])
    assert not data["faults"], data["faults"][:5]
    assert data["runs"] > 0 or kinds == ("link",) or kinds == ("utime",)


@pytest.mark.parametrize("script", ["merge", "export", "search", "score"])
def test_every_twentieth_call_that_fails(library: Path, tmp_path: Path, script: str) -> None:
    kinds = SCORE_KINDS if script == "score" else KINDS
    fail_calls(library, tmp_path / "x", script, kinds, step=20)


@pytest.mark.soak
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("script", ["merge", "export", "search", "score"])
def test_every_call_that_fails(library: Path, tmp_path: Path, script: str, kind: str) -> None:
    if script == "score" and kind not in SCORE_KINDS:
        pytest.skip("the scorer takes long, so only what it stores is tried")
    fail_calls(library, tmp_path / "x", script, (kind,), step=1)
