"""What a power cut may cost: nothing of what a script said it had done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT
from test_merge_clusters import write

from common import disk
from common.errors import UserError

# Runs a script and prints what gets a name in the tree before its bytes were forced to the disk, and whether the names
# were before the script said anything on stdout.
WATCHED = """
import io, json, os, runpy, sys
root, forced, early, asked = sys.argv[1], set(), [], []
fsync, replace, link, syncfs = os.fsync, os.replace, os.link, os.sync

def forcing(number):
    fsync(number)
    forced.add(os.fstat(number).st_ino)

def naming(act):
    def named(source, target, **options):
        if os.stat(source).st_ino not in forced and not os.fspath(target).endswith(".npz"):
            early.append(os.fspath(target))
        act(source, target, **options)
    return named

os.fsync, os.replace, os.link = forcing, naming(os.replace), naming(os.link)
sys.path.insert(0, root)
from common import disk

class Said(io.StringIO):
    def write(self, words):
        asked.append(not disk._renamed)

said, sys.stdout = sys.stdout, Said()
sys.argv = sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    status = stop.code
print(json.dumps([status, early, all(asked) and bool(asked), len(forced)]), file=said)
"""


def watched(script: str, *args: object) -> tuple[int, list[str], bool, int]:
    command = [sys.executable, "-c", WATCHED, str(ROOT), str(ROOT / script), *map(str, args)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.stdout, ran.stderr
    return tuple(json.loads(ran.stdout))


def test_contents_are_forced_before_names_appear_and_names_before_anything_is_said(tmp_path: Path, make_topic) -> None:
    for topic in ("T", "U"):
        make_topic(f"DataSet/C/S/{topic}", "a.jpg", "b.jpg", "c.png")
        write(tmp_path / f"DataSet/C/S/{topic}/a.txt", "caption")
    dataset, full = tmp_path / "DataSet", tmp_path / "full"
    assert watched("find_duplicates.py", dataset, "--workers", 0) == (0, [], True, 4)
    assert watched("aesthetic_scorer.py", dataset, "--model", "tiny", "--workers", 0) == (0, [], True, 4)
    # images and captions; the manifest; two files each for scores and what made them
    assert watched("merge_clusters.py", dataset, "--output", full) == (0, [], True, 6 + 2 + 1 + 4)
    split = watched("split_data.py", full, "--output-dir", tmp_path)
    assert split == (0, [], True, 2)


def test_calls_beside_are_all_waited_for_and_an_error_comes_out() -> None:
    done: list[int] = []

    def slow(number: int) -> None:
        time.sleep(0.01)
        if number == 50:
            raise UserError("fifty")
        done.append(number)

    with disk.Beside(slow) as beside:
        for number in range(40):
            beside(number)
    assert sorted(done) == list(range(40))
    with pytest.raises(UserError, match="fifty"), disk.Beside(slow) as beside:
        for number in range(40, 60):
            beside(number)
    assert set(range(40, 50)) <= set(done)


def test_a_file_that_no_disk_holds_is_no_error() -> None:
    reader, writer = os.pipe()
    with open(writer, "wb") as file:
        file.write(b"x")
        disk.force(file)
    assert os.read(reader, 1) == b"x"
    os.close(reader)
