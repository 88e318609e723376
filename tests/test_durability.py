"""After a power cut, everything that a script reported as done is still there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, run_script
from test_merge_clusters import files, write

from common import durability
from common.errors import UserError

# Runs a script. Prints its exit status, the files that got a name before their content was synced,
# whether all names were synced before any output, and the number of synced files.
WATCHED = """
import io, json, os, runpy, sys
root, synced, too_early, were_synced = sys.argv[1], set(), [], []
fsync, replace, link, syncfs = os.fsync, os.replace, os.link, os.sync

def sync_and_note(number):
    fsync(number)
    synced.add(os.fstat(number).st_ino)

def checking(act):
    def checked(source, target, **options):
        inode = os.stat(source, dir_fd=options.get("src_dir_fd")).st_ino
        if inode not in synced and not os.fspath(target).endswith(".npz"):
            too_early.append(os.fspath(target))
        act(source, target, **options)
    return checked

os.fsync, os.replace, os.link = sync_and_note, checking(os.replace), checking(os.link)
sys.path.insert(0, root)
from common import durability

class Output(io.StringIO):
    def write(self, text):
        were_synced.append(not durability._renamed_in)

stdout, sys.stdout = sys.stdout, Output()
sys.argv = sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    status = stop.code
names_first = bool(were_synced) and all(were_synced)
print(json.dumps([status, too_early, names_first, len(synced)]), file=stdout)
"""


def run_watched(script: str, *args: object) -> tuple[int, list[str], bool, int]:
    command = [sys.executable, "-c", WATCHED, str(ROOT), str(ROOT / script), *map(str, args)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.stdout, ran.stderr
    return tuple(json.loads(ran.stdout))


def test_contents_are_synced_before_names_appear_and_names_before_output(
    tmp_path: Path, make_topic
) -> None:
    for topic in ("T", "U"):
        make_topic(f"DataSet/C/S/{topic}", "a.jpg", "b.jpg", "c.png")
        write(tmp_path / f"DataSet/C/S/{topic}/a.txt", "caption")
    dataset, full = tmp_path / "DataSet", tmp_path / "full"
    assert run_watched("find_duplicates.py", dataset, "--workers", 0) == (0, [], True, 4)
    scored = run_watched("aesthetic_scorer.py", dataset, "--model", "tiny", "--workers", 0)
    # Of each topic its scores and what made them; new times of its files, if there are any.
    assert scored[:3] == (0, [], True) and scored[3] in (4, 5, 6)
    # images and captions; the manifest; two files each for scores and what made them
    assert run_watched("merge_clusters.py", dataset, "--output", full) == (
        0,
        [],
        True,
        6 + 2 + 1 + 4,
    )
    split = run_watched("split_data.py", full, "--output-dir", tmp_path)
    assert split == (0, [], True, 2)


def test_background_calls_are_awaited_and_an_error_is_raised() -> None:
    done: list[int] = []

    def slow(number: int) -> None:
        time.sleep(0.01)
        if number == 50:
            raise UserError("fifty")
        done.append(number)

    with durability.BackgroundWriter(slow) as writer:
        for number in range(40):
            writer(number)
    assert sorted(done) == list(range(40))
    with pytest.raises(UserError, match="fifty"), durability.BackgroundWriter(slow) as writer:
        for number in range(40, 60):
            writer(number)
    assert set(range(40, 50)) <= set(done)


def test_syncing_a_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    with open(writer, "wb") as file:
        file.write(b"x")
        durability.fsync_file(file)
    assert os.read(reader, 1) == b"x"
    os.close(reader)


# Repairs after a power cut


@pytest.fixture
def merged(tmp_path: Path) -> tuple[list[Path], Path, dict[str, bytes]]:
    """Two datasets, their merge, and its files."""
    for dataset in "AB":
        for number in range(4):
            write(
                tmp_path / dataset / "C/S/T" / f"{number}.jpg", f"picture {number or dataset} " * 50
            )
            write(
                tmp_path / dataset / "C/S/T" / f"{number}.txt",
                f"caption {number}" if number else dataset,
            )
    sources, full = [tmp_path / "A", tmp_path / "B"], tmp_path / "full"
    assert merge(sources, full).returncode == 0
    return sources, full, files(full)


def merge(sources: list[Path], full: Path, *options: object) -> subprocess.CompletedProcess:
    return run_script("merge_clusters.py", *sources, "--output", full, *options)


TORN = {
    "empty": lambda content: b"",
    "a beginning": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "zeros from some point on": lambda content: content[:7].ljust(len(content), b"\0"),
    "zeros, and too short": lambda content: content[: len(content) // 3].ljust(
        len(content) * 2 // 3, b"\0"
    ),
}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN)
def test_torn_copies_are_copied_again(merged, tear: Callable[[bytes], bytes]) -> None:
    sources, full, whole = merged
    for path in sorted(full.rglob("*.jpg")) + sorted(full.rglob("*.txt")):
        path.write_bytes(tear(path.read_bytes()))
    assert merge(sources, full).returncode == 0
    assert files(full) == whole
    assert merge(sources, full, "--json").stdout.count('"copied": 0') == 3


EDITS = {
    "made smaller": lambda content: content[2:],
    "changed within": lambda content: content[:9] + b"!" + content[10:],
    "longer": lambda content: content + b"\0",
    "zeros in the middle": lambda content: content[:9] + bytes(9) + content[18:],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_edited_copies_stay_and_are_reported(merged, edit: Callable[[bytes], bytes]) -> None:
    sources, full, _ = merged
    path = full / "C/S/T/0.jpg"
    path.write_bytes(edit(path.read_bytes()))
    (full / "C/S/T/2.txt").write_text("")  # a caption emptied by hand; its image is whole
    edited = files(full / "C")
    result = json.loads(merge(sources, full, "--json").stdout)
    assert result["edited"] == [str(path)]
    assert files(full / "C") == edited


def test_a_torn_copy_whose_source_has_changed_since_stays(merged) -> None:
    sources, full, _ = merged
    path = full / "C/S/T/1.jpg"
    path.write_bytes(b"")
    for source in sources:
        write(source / "C/S/T/1.jpg", "another picture", when=1_800_000_000_000_000_000)
    assert merge(sources, full).returncode == 0
    assert path.read_bytes() == b"" and (full / "C/S/T/1__A.jpg").read_bytes() == b"another picture"


@pytest.mark.parametrize("mode", ["copy", "hardlink", "symlink"])
def test_a_repair_replaces_the_file_and_never_writes_into_it(merged, mode: str) -> None:
    sources, full, whole = merged
    torn, elsewhere = full / "C/S/T/1.jpg", full.parent / "elsewhere"
    torn.write_bytes(b"")
    os.link(torn, elsewhere)
    assert merge(sources, full, "--mode", mode).returncode == 0
    assert files(full) == whole and elsewhere.read_bytes() == b""


@pytest.mark.parametrize("cut", [0, -1, -40])
def test_a_cut_manifest_is_reported_as_damaged(merged, cut: int) -> None:
    sources, full, _ = merged
    path = full / "merge_manifest.jsonl"
    path.write_bytes(path.read_bytes()[:cut])
    before = files(full)
    ran = merge(sources, full)
    assert ran.returncode == 2 and ran.stderr.count("\n") == 1 and files(full) == before
    assert (
        f"{path}: damaged (" in ran.stderr
        and "restore it from a backup, or give --output another" in ran.stderr
    )
