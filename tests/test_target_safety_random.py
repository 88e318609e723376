"""Merges and exports into targets with links, pipes, forged lines and swaps at random places."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_merge_clusters import add_records, write

import merge_clusters
import split_data
from common import cli
from common.target_folder import TargetFolder

QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking takes minutes
TOPICS = ("A/C/S/T", "A/C/S/U", "B/C/S/T", "B/D/S/V")
NAMES = ("a.jpg", "b.jpg", "c.jpg", "d.png")
RECORDS = {
    "merge_manifest.jsonl",
    "export_manifest.jsonl",
    "aesthetic_data.json",
    "images.json",
    "metadata.jsonl",
    "kohya.toml",
}
FORGED = (
    {"place": "../A/C/S/T/a.jpg", "target": "../A/C/S/T/a.jpg"},
    {"place": "{root}/mine/thesis.txt", "target": "{root}/mine/thesis.txt"},
    {"place": "train/../../mine/thesis.txt", "target": "C/S/T/../../../../mine/thesis.txt"},
    {"place": "thesis.txt", "target": "thesis.txt"},
)
PLANTS = (
    "link to source",
    "link to source folder",
    "link to mine",
    "pipe",
    "folder",
    "mine",
    "delete",
    "forged line",
    "swap",
)

plants = st.lists(st.tuples(st.sampled_from(PLANTS), st.integers(0, 99)), min_size=1, max_size=3)
modes = st.sampled_from(["copy", "hardlink", "symlink"])
counts = st.tuples(st.integers(0, 4), st.integers(0, 3)).filter(any)
lost = st.none() | st.sampled_from(TOPICS)

Snapshot = dict[str, tuple[str, object]]


def take_snapshot(root: Path) -> Snapshot:
    """Return type, content and time of everything below a folder, by path below it."""
    found: Snapshot = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                entry: tuple[str, object] = ("link", os.readlink(path))
            elif stat.S_ISREG(status.st_mode):
                content = Path(path).read_bytes()
                entry = ("file", (content, status.st_mtime_ns))
            else:
                entry = (str(stat.S_IFMT(status.st_mode)), None)
            found[os.path.relpath(path, root)] = entry
    return found


def make_world(root: Path) -> None:
    for number, place in enumerate(TOPICS):
        folder = root / place
        for name in NAMES:
            write(folder / name, f"{place} {name}")
        write(folder / "a.txt", f"caption {number}")
        scores = {name: 1 + (number + rank) % 5 for rank, name in enumerate(NAMES)}
        add_records(folder, scores)
    write(root / "mine/thesis.txt", "mine")
    write(root / "mine/0", "mine")
    (root / "out").mkdir()


def run(root: Path, target: str, options: tuple, said: io.StringIO | None = None) -> int:
    """Run a merge or an export, with its stderr to `said`. Returns its exit status."""
    mode, (train, valid), prune = options
    paths = [str(root / "A"), str(root / "B")]
    if target == "full":
        main, args = merge_clusters.main, [*paths, "--output", str(root / "full"), "--mode", mode]
    else:
        args = [*paths, "--export", str(root / "ready"), "--mode", mode, "--train", str(train)]
        args += ["--valid", str(valid), "--output-dir", str(root / "out"), *prune]
        main = split_data.main
    said = said or io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        return cli.run_script(main, args)


def plant(root: Path, target: Path, kind: str, number: int) -> None:
    """Put something at a place of the target, chosen by the number."""
    entries = sorted(path for path in target.rglob("*"))
    files = [path for path in entries if not path.is_dir() or path.is_symlink()]
    folders = [path for path in entries if path.is_dir() and not path.is_symlink()]
    source = root / TOPICS[number % len(TOPICS)]
    if kind == "forged line":
        name = "merge_manifest.jsonl" if target.name == "full" else "export_manifest.jsonl"
        if not (target / name).is_file() or (target / name).is_symlink():
            return
        lines = (target / name).read_text().splitlines()
        forged = {
            key: text.replace("{root}", str(root)) for key, text in FORGED[number % 4].items()
        }
        line = {**json.loads(lines[number % len(lines)]), **forged}
        (target / name).write_text("\n".join([*lines, json.dumps(line)]) + "\n")
        return
    if kind == "link to source folder":
        place = [*folders, target / ".merge_unfinished"][number % (len(folders) + 1)]
        if place.is_symlink():
            return
        if place.exists():
            shutil.rmtree(place)
        place.symlink_to(source)
        return
    place = files[number % len(files)]
    place.unlink()
    if kind == "link to source":
        place.symlink_to(source / "b.jpg")
    elif kind == "link to mine":
        place.symlink_to(root / "mine/thesis.txt")
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        write(place / "mine", "mine")
    elif kind == "mine":
        write(place, "mine, not yours", when=number)


@contextlib.contextmanager
def swap_after(root: Path, target: Path, calls: int | None) -> Iterator[None]:
    """Exchange a folder of the target for a link to a source after so many steps of the run."""
    original = TargetFolder.open_folder
    count = 0

    def open_folder(folder: TargetFolder, place: str, make: bool = False):
        nonlocal count
        count += 1
        folders = sorted(path for path in target.rglob("*") if path.is_dir())
        if count == calls and folders and folders[calls % len(folders)].exists():
            chosen = folders[calls % len(folders)]
            if not chosen.is_symlink():
                chosen.rename(root / "aside")
                chosen.symlink_to(root / TOPICS[calls % len(TOPICS)])
        return original(folder, place, make)

    with pytest.MonkeyPatch.context() as patch:
        if calls is not None:
            patch.setattr(TargetFolder, "open_folder", open_folder)
        yield


def check_target(kind: str, planted: list, first: tuple, second: tuple, gone: str | None) -> None:
    """Run into a target, plant, run again: nothing changes that is not provably the run's."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_world(root)
        target = root / kind
        assert run(root, kind, first) == 0
        made = take_snapshot(target)
        swaps = [number for name, number in planted if name == "swap"]
        for name, number in planted:
            if name != "swap":
                plant(root, target, name, number)
        if gone:
            (root / gone / "aesthetic_data.json").unlink()
        before, before_target = take_snapshot(root), take_snapshot(target)
        with swap_after(root, target, swaps[0] if swaps else None):
            status = run(root, kind, second)
        assert status in (0, 2)
        after = take_snapshot(root)

        for path, entry in before.items():
            is_outside = path.split(os.sep)[0] not in (kind, "out", "aside")
            if is_outside:
                assert after.get(path) == entry, path
        outside = {path for path in after if path.split(os.sep)[0] not in (kind, "out", "aside")}
        assert outside <= before.keys()
        moved = not swaps or not (root / "aside").exists()
        for path, entry in before_target.items():
            is_ours = made.get(path) == entry or os.path.basename(path) in RECORDS
            if not is_ours and moved and entry[0] != str(stat.S_IFDIR):
                assert after.get(os.path.join(kind, path)) == entry, path


random_runs = given(
    kind=st.sampled_from(["full", "ready"]),
    planted=plants,
    first=st.tuples(modes, counts, st.just(())),
    second=st.tuples(modes, counts, st.sampled_from([(), ("--prune",)])),
    gone=lost,
)


@settings(max_examples=30, deadline=None, phases=QUICK)
@random_runs
def test_nothing_foreign_changes_in_random_targets(kind, planted, first, second, gone) -> None:
    check_target(kind, planted, first, second, gone)


@pytest.mark.soak
@settings(max_examples=500, deadline=None, phases=QUICK)
@random_runs
def test_nothing_foreign_changes_in_very_many_random_targets(
    kind, planted, first, second, gone
) -> None:
    check_target(kind, planted, first, second, gone)
