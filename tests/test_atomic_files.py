"""Single files: replaced as a whole or not at all, never waited for, set aside if damaged."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zoo
from conftest import ROOT

from common import atomic_files, json_files
from common.errors import UserError
from common.target_folder import STAGING_FOLDER, TargetFolder


def python(code: str, *args: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_would_not_change_is_not_touched(tmp_path):
    path = tmp_path / "x.json"
    json_files.write_json(str(path), {"a": 1})
    os.utime(path, ns=(1, 1))
    before = path.stat()
    json_files.write_json(str(path), {"a": 1})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, 1)
    json_files.write_json(str(path), {"a": 2})
    assert path.stat().st_mtime_ns > 1 and json.loads(path.read_text()) == {"a": 2}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_files.atomic_write(str(path)) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old" and left_in(tmp_path) == ["x"]


def test_permissions_stay_and_new_files_follow_the_umask(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("{}")
    old.chmod(0o640)
    mask = os.umask(0o027)
    try:
        for path in (old, new):
            json_files.write_json(str(path), {"a": 1})
    finally:
        os.umask(mask)
    assert old.stat().st_mode & 0o777 == 0o640
    assert new.stat().st_mode & 0o777 == 0o640
    json_files.write_json(str(tmp_path / "plain.json"), 1)
    assert (tmp_path / "plain.json").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_file_may_grow_in_a_folder_aside(tmp_path):
    with (
        TargetFolder(str(tmp_path), "--output") as folder,
        atomic_files.atomic_write(str(tmp_path / "x"), folder) as file,
    ):
        assert left_in(tmp_path) == [STAGING_FOLDER]
        assert len(left_in(tmp_path / STAGING_FOLDER)) == 1
        file.write(b"new")
    assert (tmp_path / "x").read_bytes() == b"new" and left_in(tmp_path / STAGING_FOLDER) == []


WRITER = """
import sys
from common import atomic_files, json_files
values = [{str(n): text for n in range(20_000)} for text in ("old", "new")]
json_files.write_json(sys.argv[1], values[0])
print("go", flush=True)
while True:
    for value in values:
        json_files.write_json(sys.argv[1], value)
"""


def kill_a_writer(path: Path, moment: float) -> None:
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"go\n"
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
    found = json.loads(path.read_bytes())
    assert len(found) == 20_000 and len(set(found.values())) == 1
    assert [name for name in left_in(path.parent) if not name.startswith(".")] == [path.name]


def test_a_kill_at_any_moment_leaves_the_old_file_or_the_new(tmp_path):
    for seed in range(4):
        kill_a_writer(tmp_path / "x.json", random.Random(seed).random() / 5)


@pytest.mark.soak
def test_two_hundred_kills(tmp_path):
    for seed in range(200):
        kill_a_writer(tmp_path / "x.json", random.Random(seed).random() / 5)


def test_a_full_disk_is_one_line_and_the_old_file_is_intact(tmp_path):
    path = tmp_path / "x.json"
    json_files.write_json(str(path), {"old": 1})
    before = path.read_bytes()
    code = """
import sys
from common import cli, json_files
def main(argv):
    json_files.write_json(sys.argv[1], {str(n): "x" * 100 for n in range(1000)})
raise SystemExit(cli.run_script(main))
"""
    ran = python(
        code, path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    )
    assert ran.returncode == 2
    assert ran.stderr == (
        f"-c: error: {path}: could not be written (File too large); finished work is kept: "
        "free some space, then run the same command again\n"
    )
    assert path.read_bytes() == before and left_in(tmp_path) == ["x.json"]


@zoo.needs_permissions
def test_a_folder_without_write_permission_is_reported(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    code = """
import sys
from common import atomic_files, json_files
from common.errors import UserError
from common.target_folder import STAGING_FOLDER, TargetFolder
for act in (
    lambda folder: atomic_files.check_writable(folder),
    lambda folder: atomic_files.check_output(folder + "/x.json", "--html"),
    lambda folder: json_files.write_json(folder + "/x.json", {}),
    lambda folder: atomic_files.quarantine(folder + "/x.json", "torn", print),
):
    try:
        act(sys.argv[1])
        print("no error")
    except UserError as error:
        print(error)
"""
    folder = tmp_path / "locked"
    ran = python(code, folder, preexec_fn=zoo.drop_privileges)
    assert ran.stdout.splitlines()[:3] == [
        f"{folder}: not writable; check its permissions",
        f"{folder}: not writable; check its permissions",
        f"{folder}/x.json: cannot be written (Permission denied); "
        "check its permissions and its folder's",
    ]
    assert ran.stdout.splitlines()[3].startswith(
        f"{folder}/x.json: damaged (torn) and cannot be set aside"
    )


@zoo.needs_permissions
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.json").chmod(0)
    code = "import sys; from common import json_files; json_files.read_json(sys.argv[1], {})"
    said = python(code, tmp_path / "x.json", preexec_fn=zoo.drop_privileges).stderr
    assert (
        f"UserError: {tmp_path}/x.json: cannot be read (Permission denied); check its permissions"
        in said
    )


def test_outputs_are_checked_before_the_work(tmp_path):
    atomic_files.check_output(str(tmp_path / "new.json"))
    for path, said in (
        (tmp_path / "none/new.json", "no such folder; make it, or give --output another place"),
        (tmp_path, "is a folder; --output needs the name of a file"),
    ):
        with pytest.raises(UserError, match=said):
            atomic_files.check_output(str(path))


def test_setting_aside_overwrites_nothing(tmp_path):
    said: list[str] = []
    for content in ("one", "two", "three"):
        (tmp_path / "x\n.json").write_text(content)
        atomic_files.quarantine(str(tmp_path / "x\n.json"), "torn", said.append)
    assert left_in(tmp_path) == ["x\n.json.corrupt", "x\n.json.corrupt.2", "x\n.json.corrupt.3"]
    assert (tmp_path / "x\n.json.corrupt").read_text() == "one"
    assert said[1] == f"{tmp_path}/x\\n.json: damaged (torn); set aside as x\\n.json.corrupt.2"
