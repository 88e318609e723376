"""The JSON files: written whole or not at all, by every name and number, and checked when read."""

from __future__ import annotations

import json
import math
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
from hypothesis import given
from hypothesis import strategies as st

from common import json_files
from common.errors import UserError
from common.reporter import dump_json
from common.tree import Topic


@pytest.fixture
def topic(tmp_path) -> Topic:
    (tmp_path / "D/C/S/T").mkdir(parents=True)
    return Topic(str(tmp_path / "D/C/S/T"), "D", "C", "S", "T", 0)


def python(code: str, *args: object, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_looks_as_the_contract_says(tmp_path):
    json_files.write_json(
        str(tmp_path / "x.json"), {"b": [1], "a": "夕", os.fsdecode(b"\xe9"): 0.5}
    )
    expected = '{\n  "a": "夕",\n  "b": [\n    1\n  ],\n  "\\udce9": 0.5\n}\n'
    assert (tmp_path / "x.json").read_bytes() == expected.encode()


@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.floats(-1e6, 1e6)))
def test_any_name_survives_and_the_file_is_valid_utf8(named):
    values = {os.fsdecode(name): value for name, value in named.items()}
    written = dump_json(values).encode("utf-8")  # strict: raises on a lone surrogate
    read = json.loads(written)
    assert read == values
    assert {os.fsencode(name) for name in read} == set(named)


def test_what_would_not_change_is_not_touched(tmp_path):
    path = tmp_path / "x.json"
    json_files.write_json(str(path), {"a": 1})
    os.utime(path, ns=(1, 1))
    before = path.stat()
    json_files.write_json(str(path), {"a": 1})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, 1)
    json_files.write_json(str(path), {"a": 2})
    assert path.stat().st_mtime_ns > 1 and json.loads(path.read_text()) == {"a": 2}


def test_scores_have_four_decimals_and_no_nan(topic):
    json_files.write_scores(topic, {"a.jpg": 6.123456, "b.jpg": 5, "c.jpg": -0.00001})
    assert Path(topic.file("aesthetic_data.json")).read_text() == (
        '{\n  "a.jpg": 6.1235,\n  "b.jpg": 5.0,\n  "c.jpg": -0.0\n}\n'
    )
    with pytest.raises(ValueError):
        json_files.write_scores(topic, {"a.jpg": math.nan})
    assert left_in(Path(topic.path)) == ["aesthetic_data.json"]


def test_scores_that_are_none_read_as_nan(topic):
    odd = {"a": "6", "b": None, "c": True, "d": [1], "e": {}, "f": "x"}
    content = (
        json.dumps(odd)[:-1]
        + ', "g": NaN, "h": Infinity, "i": 1e999, "j": 1'
        + "0" * 400
        + ', "ok": 5, "no": -1.5}'
    )
    Path(json_files.scores_path(topic)).write_text(content)
    read = json_files.read_scores(topic)
    assert {name: score for name, score in read.items() if not math.isnan(score)} == {
        "ok": 5.0,
        "no": -1.5,
    }
    assert len(read) == 12


def test_no_file_is_no_scores_and_no_search(topic):
    assert json_files.read_scores(topic) == {}
    assert json_files.read_matches(topic) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a.jpg": 5', "Expecting"),
        (b"\0" * 100, "Expecting value"),
        (b"\xff\xfe\xfd", "decode"),
        (b"[" * 100_000, "recursion"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "digits"),
        (b"[5.0]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
    ],
)
def test_a_damaged_file_is_reported_by_path_reason_and_remedy(topic, content, reason):
    for path, read in (
        (json_files.scores_path(topic), json_files.read_scores),
        (json_files.duplicates_path(topic), json_files.read_matches),
    ):
        Path(path).write_bytes(content)
        if (content, read) == (b"null", json_files.read_matches):
            continue
        with pytest.raises(json_files.Damaged) as error:
            read(topic)
        assert error.value.path == path and reason.lower() in error.value.reason.lower()
        assert str(error.value).startswith(f"{path}: damaged (") and "make it again" in str(
            error.value
        )


def test_a_byte_order_mark_does_no_harm(topic):
    Path(json_files.scores_path(topic)).write_bytes(b'\xef\xbb\xbf{"a.jpg": 5}')
    assert json_files.read_scores(topic) == {"a.jpg": 5.0}


def test_matches_are_made_symmetric(topic):
    assert json_files.duplicates_path(topic) == os.path.join(
        os.path.dirname(topic.path), "duplicates_T.json"
    )
    Path(json_files.duplicates_path(topic)).write_text(
        '{"a": ["b", "a"], "b": [], "c": [], "d": ["gone"]}'
    )
    assert json_files.read_matches(topic) == {
        "a": {"b"},
        "b": {"a"},
        "c": set(),
        "d": {"gone"},
        "gone": {"d"},
    }
    json_files.write_matches(topic, {"b": {"c", "a"}, "a": {"b"}, "c": {"b"}})
    written = json.loads(Path(json_files.duplicates_path(topic)).read_text())
    assert written == {"a": ["b"], "b": ["a", "c"], "c": ["b"]}


@pytest.mark.parametrize(
    "content", ['{"a": "b"}', '{"a": null}', '{"a": [1]}', '{"a": [null]}', '{"a": [["b"]]}']
)
def test_matches_of_another_shape_are_damaged(topic, content):
    Path(json_files.duplicates_path(topic)).write_text(content)
    with pytest.raises(json_files.Damaged):
        json_files.read_matches(topic)


def test_variants_are_made_symmetric_and_the_first_kind_counts(topic):
    path = Path(json_files.variants_path(topic))
    assert json_files.read_variants(topic) is None
    path.write_text(
        '{"a": {"b": "turned", "a": "mirrored"}, "b": {"a": "mirrored"}, "c": {"d": "doubtful"}, "e": {}}'
    )
    assert json_files.read_variants(topic) == {
        "a": {"b": "mirrored"},
        "b": {"a": "mirrored"},
        "c": {"d": "doubtful"},
        "d": {"c": "doubtful"},
    }
    json_files.write_variants(
        topic, {"z": {"b": "cropped", "a": "doubtful"}, "b": {"z": "framed"}, "alone": {}}
    )
    assert path == Path(topic.path).with_name("variants_T.json")
    assert path.read_text() == dump_json(
        {"a": {"z": "doubtful"}, "b": {"z": "framed"}, "z": {"a": "doubtful", "b": "framed"}}
    )
    json_files.write_variants(topic, {})
    assert json_files.read_variants(topic) == {}


@pytest.mark.parametrize(
    "content",
    ['{"a": ["b"]}', '{"a": {"b": "copy"}}', '{"a": {"b": 1}}', "[]", '{"a": {"b": []}}', "{"],
)
def test_variants_of_another_shape_or_kind_are_damaged(topic, content):
    Path(json_files.variants_path(topic)).write_text(content)
    with pytest.raises(json_files.Damaged):
        json_files.read_variants(topic)


def test_which_files_are_ours_and_which_have_lost_their_topic(topic):
    names = (
        "duplicates_T.json",
        "variants_T.json",
        "duplicates_gone.json",
        "variants_gone.json",
        "variants_gone.txt",
    )
    for name in names:
        Path(topic.path).with_name(name).write_text("{}")
    assert [
        name for name in (*names, "aesthetic_data.json", "a.json") if json_files.is_record(name)
    ] == [
        *names[:4],
        "aesthetic_data.json",
    ]
    subcluster = os.path.dirname(topic.path)
    assert json_files.orphaned_files(subcluster) == [
        f"{subcluster}/duplicates_gone.json",
        f"{subcluster}/variants_gone.json",
    ]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(error), json_files.atomic_write(str(path)) as file:
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
    with json_files.atomic_write(str(tmp_path / "x"), aside=str(tmp_path / ".cache")) as file:
        assert left_in(tmp_path) == [".cache"] and len(left_in(tmp_path / ".cache")) == 1
        file.write(b"new")
    assert (tmp_path / "x").read_bytes() == b"new" and left_in(tmp_path / ".cache") == []


WRITER = """
import sys
from common.dataset import records
values = [{str(n): text for n in range(20_000)} for text in ("old", "new")]
records.write_json(sys.argv[1], values[0])
print("go", flush=True)
while True:
    for value in values:
        records.write_json(sys.argv[1], value)
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
from common import cli
from common.dataset import records
def main(argv):
    records.write_json(sys.argv[1], {str(n): "x" * 100 for n in range(1000)})
raise SystemExit(cli.run(main))
"""
    ran = python(
        code, path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    )
    assert ran.returncode == 2
    assert ran.stderr == (
        f"-c: error: {path}: could not be written (File too large); finished work is kept: make room, "
        "then run the same command again\n"
    )
    assert path.read_bytes() == before and left_in(tmp_path) == ["x.json"]


@zoo.needs_permissions
def test_a_folder_without_write_permission_is_told_before_and_after(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    code = """
import sys
from common.dataset import records
from common.errors import UserError
for act in (
    lambda folder: records.check_writable(folder),
    lambda folder: records.check_output(folder + "/x.json", "--html"),
    lambda folder: records.write_json(folder + "/x.json", {}),
    lambda folder: records.set_aside(folder + "/x.json", "torn", print),
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
        f"{folder}: not writable; see to its permissions",
        f"{folder}: not writable; see to its permissions",
        f"{folder}/x.json: cannot be written (Permission denied); see to its permissions and its folder's",
    ]
    assert ran.stdout.splitlines()[3].startswith(
        f"{folder}/x.json: damaged (torn) and cannot be set aside"
    )


@zoo.needs_permissions
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.json").chmod(0)
    code = "import sys; from common.dataset import records; records.read_json(sys.argv[1], {})"
    said = python(code, tmp_path / "x.json", preexec_fn=zoo.drop_privileges).stderr
    assert (
        f"UserError: {tmp_path}/x.json: cannot be read (Permission denied); see to its permissions"
        in said
    )


def test_outputs_are_checked_before_the_work(tmp_path):
    json_files.check_output(str(tmp_path / "new.json"))
    for path, said in (
        (tmp_path / "none/new.json", "no such folder; make it, or give --output another place"),
        (tmp_path, "is a folder; --output wants a file's name"),
    ):
        with pytest.raises(UserError, match=said):
            json_files.check_output(str(path))


def test_setting_aside_overwrites_nothing(tmp_path):
    said: list[str] = []
    for content in ("one", "two", "three"):
        (tmp_path / "x\n.json").write_text(content)
        json_files.quarantine(str(tmp_path / "x\n.json"), "torn", said.append)
    assert left_in(tmp_path) == ["x\n.json.corrupt", "x\n.json.corrupt.2", "x\n.json.corrupt.3"]
    assert (tmp_path / "x\n.json.corrupt").read_text() == "one"
    assert said[1] == f"{tmp_path}/x\\n.json: damaged (torn); set aside as x\\n.json.corrupt.2"
