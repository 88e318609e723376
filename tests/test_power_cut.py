"""Real power cuts: a file system in a file, which is copied some seconds after a run has ended.

Needs root, a loop device and mkfs; runs by `make soak` alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, draw_image

CUT_AFTER_SECONDS = (0, 2, 7, 15)  # after the end of the run
DISK_BYTES = 400_000_000


@contextmanager
def mount_image(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-o", "loop", image, at], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop device can be mounted here: {made.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


def read_contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a run but vectors and hashes, which are computed again if lost."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".npz" and "lost+found" not in path.parts
    }


def run(script: str, *args: object) -> None:
    subprocess.run(
        [sys.executable, ROOT / script, *map(str, args), "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_finished_work_is_complete_after_a_power_cut(kind: str, tmp_path: Path) -> None:
    if os.geteuid() or not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"needs root and mkfs.{kind}")
    source = tmp_path / "DataSet/C/S/T"
    source.mkdir(parents=True)
    for number in range(60):
        draw_image(number, (320, 240)).save(source / f"{number:03}.png")
        (source / f"{number:03}.txt").write_text(f"caption {number}")
    image = tmp_path / "disk"
    image.touch()
    os.truncate(image, DISK_BYTES)
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    with mount_image(image, tmp_path / "disk_at") as disk:
        run("merge_clusters.py", tmp_path / "DataSet", "--output", disk / "full")
        run("aesthetic_scorer.py", disk / "full", "--model", "tiny", "--workers", 0)
        run("find_duplicates.py", disk / "full", "--workers", 0)
        ended, expected = time.monotonic(), read_contents(disk)
        for seconds in CUT_AFTER_SECONDS:
            time.sleep(max(0.0, ended + seconds - time.monotonic()))
            shutil.copy(image, tmp_path / f"cut{seconds}")
    assert len(expected) == 120 + 5
    for seconds in CUT_AFTER_SECONDS:
        with mount_image(tmp_path / f"cut{seconds}", tmp_path / f"cut{seconds}_at") as disk:
            assert read_contents(disk) == expected, seconds
