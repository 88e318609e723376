"""Runs a script again and again while one system call after the other fails. A program.

    fail_calls.py FOLDER SCRIPT KINDS STEP

It runs in a process that has the failing calls preloaded (tests/failing_calls.c). Each run is a
child of its own, forked once the scripts are loaded. Every STEP-th call of each kind fails once.
Prints an object: the number of runs, and what went wrong in them.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from conftest import draw_image
from test_target_safety_random import Snapshot, make_world, run, take_snapshot

import aesthetic_scorer
import find_duplicates
from common import cli

calls = ctypes.CDLL(None)
Answer = tuple[object, str, int]  # status, stderr, and how many calls of the kind there were


def make_images(root: Path) -> None:
    folder = root / "A/C/S/T"
    folder.mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        draw_image(number).save(folder / name)
    draw_image(0, (96, 72)).save(folder / "copy.png")


def run_script(main: Callable[[list[str]], int], root: Path, *options: str) -> int:
    with contextlib.redirect_stdout(io.StringIO()):
        return cli.run_script(main, [str(root / "A"), "--workers", "0", "--quiet", *options])


def merge_or_export(target: str) -> Callable[[Path], int]:
    return lambda root: run(root, target, ("copy", (2, 1), ()), sys.stderr)


# How to make a tree, how to run the script in it, and where its results are.
SCRIPTS = {
    "merge": (make_world, merge_or_export("full"), "full/"),
    "export": (make_world, merge_or_export("ready"), "ready/"),
    "search": (
        make_images,
        lambda root: run_script(find_duplicates.main, root),
        "A/C/S/duplicates_T.json",
    ),
    "score": (
        make_images,
        lambda root: run_script(aesthetic_scorer.main, root, "--model", "tiny"),
        "A/C/S/T/aesthetic_data.json",
    ),
}


def run_child(root: Path, script: str, kind: int, number: int, error: int) -> Answer:
    """Run the script in a child, in which the call of this number and kind fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        said = io.StringIO()
        calls.fail_call(kind, number, error, os.fsencode(root))
        try:
            with contextlib.redirect_stderr(said):
                status: object = SCRIPTS[script][1](root)
        except BaseException as crash:
            status = repr(crash)
        count = calls.count_calls()
        calls.fail_call(0, 0, 0, b"")
        os.write(writer, json.dumps([status, said.getvalue()[-2000:], count]).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        status, said, count = json.loads(file.read() or '["died", "", 0]')
    os.waitpid(child, 0)
    return status, said, count


def sources_in(snapshot: Snapshot) -> Snapshot:
    """Return what no run may change: images, captions and strange files outside of the target."""
    sources = {}
    for path, entry in snapshot.items():
        is_record = "/.cache" in path or path.endswith((".json", ".corrupt"))
        if path.split(os.sep)[0] in ("A", "B", "mine") and entry[0] == "file" and not is_record:
            sources[path] = entry
    return sources


def results_in(snapshot: Snapshot, place: str) -> dict[str, object]:
    """Return the content of the results; times may differ, and a lock may stay."""
    results = {}
    for path, (_, content) in snapshot.items():
        if path.startswith(place) and not path.endswith(".cache/lock"):
            results[path] = content[0] if isinstance(content, tuple) else content
    return results


def fail_every_call(root: Path, script: str, kind: int, step: int) -> tuple[int, list[object]]:
    """Return how many runs there were, and what was wrong in them."""
    make, _, place = SCRIPTS[script]
    world, work = root / "world", root / "work"
    if not world.exists():
        make(world)

    def make_fresh() -> None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(world, work)

    make_fresh()
    with contextlib.redirect_stderr(io.StringIO()):
        SCRIPTS[script][1](work)  # loads what a script loads late; children inherit it
    make_fresh()
    status, said, _ = run_child(work, script, 0, 0, 0)
    assert status == 0, said
    expected = results_in(take_snapshot(work), place)
    assert expected
    faults: list[object] = []
    runs = 0
    number = 1 + kind % step
    while True:
        make_fresh()
        before = sources_in(take_snapshot(work))
        error = (errno.EIO, errno.ENOSPC)[number % 2]
        status, said, count = run_child(work, script, kind, number, error)
        if count < number:
            return runs, faults
        runs += 1
        errors = [line for line in said.splitlines() if "error:" in line]
        if status not in (0, 2) or len(errors) != (status == 2):
            faults.append([kind, number, f"status {status}: {said[-600:]}"])
        if sources_in(take_snapshot(work)) != before:
            faults.append([kind, number, "a source changed"])
        status, said, _ = run_child(work, script, 0, 0, 0)
        if status != 0 or results_in(take_snapshot(work), place) != expected:
            faults.append([kind, number, f"the rerun does not complete: {status} {said[-300:]}"])
        number += step


def main() -> None:
    root, script, kinds, step = sys.argv[1:]
    total = 0
    faults: list[object] = []
    for kind in kinds.split(","):
        runs, more = fail_every_call(Path(root), script, int(kind), int(step))
        total += runs
        faults += more
    print(json.dumps({"runs": total, "faults": faults}))


if __name__ == "__main__":
    main()
