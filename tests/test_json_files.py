"""The JSON files: by every name and number, and checked when they are read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from result_files import write_copies, write_variants

from common import atomic_files, json_files, topic_scores
from common.reporter import dump_json
from common.target_folder import TargetFolder
from common.topics import Topic


@pytest.fixture
def topic(tmp_path) -> Topic:
    (tmp_path / "D/C/S/T").mkdir(parents=True)
    return Topic(str(tmp_path / "D/C/S/T"), "D", "C", "S", "T", 0)


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


def test_no_file_is_no_scores_and_no_search(topic):
    assert topic_scores.read_scores(topic) == {}
    assert json_files.read_copies(topic) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"a.jpg": 5', "Expecting"),
        (b"\0" * 100, "Expecting value"),
        (b"\xff\xfe\xfd", "decode"),
        (b"[" * 100_000, "recursion"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "digits"),
        (b'{"a\\u0000.jpg": []}', "a name that no file can have"),
        (b'{"\\ud800.jpg": []}', "a name that no file can have"),
        (b'{"a": ["\\udd00.jpg"]}', "a name that no file can have"),
        (b'{"\xed\xa0\x80.jpg": []}', "a name that no file can have"),
        (b"[5.0]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"text"', "not a JSON object"),
    ],
)
def test_a_damaged_file_is_reported_by_path_reason_and_remedy(topic, content, reason):
    for path, read in (
        (json_files.scores_path(topic), topic_scores.read_scores),
        (json_files.duplicates_path(topic), json_files.read_copies),
    ):
        Path(path).write_bytes(content)
        if (content, read) == (b"null", json_files.read_copies):
            continue
        with pytest.raises(atomic_files.Damaged) as error:
            read(topic)
        assert error.value.path == path and reason.lower() in error.value.reason.lower()
        assert str(error.value).startswith(f"{path}: damaged (") and "make it again" in str(
            error.value
        )


def test_copies_are_made_symmetric(topic):
    assert json_files.duplicates_path(topic) == os.path.join(
        os.path.dirname(topic.path), "duplicates_T.json"
    )
    Path(json_files.duplicates_path(topic)).write_text(
        '{"a": ["b", "a"], "b": [], "c": [], "d": ["gone"]}'
    )
    assert json_files.read_copies(topic) == {
        "a": {"b"},
        "b": {"a"},
        "c": set(),
        "d": {"gone"},
        "gone": {"d"},
    }
    write_copies(topic, {"b": {"c", "a"}, "a": {"b"}, "c": {"b"}})
    written = json.loads(Path(json_files.duplicates_path(topic)).read_text())
    assert written == {"a": ["b"], "b": ["a", "c"], "c": ["b"]}


@pytest.mark.parametrize(
    "content", ['{"a": "b"}', '{"a": null}', '{"a": [1]}', '{"a": [null]}', '{"a": [["b"]]}']
)
def test_copies_of_another_shape_are_damaged(topic, content):
    Path(json_files.duplicates_path(topic)).write_text(content)
    with pytest.raises(atomic_files.Damaged):
        json_files.read_copies(topic)


def test_variants_are_made_symmetric_and_the_first_kind_counts(topic):
    path = Path(json_files.variants_path(topic))
    assert json_files.read_variants(topic) is None
    path.write_text(
        '{"a": {"b": "turned", "a": "mirrored"}, "b": {"a": "mirrored"}, '
        '"c": {"d": "doubtful"}, "e": {}}'
    )
    assert json_files.read_variants(topic) == {
        "a": {"b": "mirrored"},
        "b": {"a": "mirrored"},
        "c": {"d": "doubtful"},
        "d": {"c": "doubtful"},
    }
    write_variants(
        topic, {"z": {"b": "cropped", "a": "doubtful"}, "b": {"z": "framed"}, "alone": {}}
    )
    assert path == Path(topic.path).with_name("variants_T.json")
    assert path.read_text() == dump_json(
        {"a": {"z": "doubtful"}, "b": {"z": "framed"}, "z": {"a": "doubtful", "b": "framed"}}
    )
    write_variants(topic, {})
    assert json_files.read_variants(topic) == {}


@pytest.mark.parametrize(
    "content",
    ['{"a": ["b"]}', '{"a": {"b": "copy"}}', '{"a": {"b": 1}}', "[]", '{"a": {"b": []}}', "{"],
)
def test_variants_of_another_shape_or_kind_are_damaged(topic, content):
    Path(json_files.variants_path(topic)).write_text(content)
    with pytest.raises(atomic_files.Damaged):
        json_files.read_variants(topic)


def test_result_files_are_recognized_and_orphans_listed(topic):
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
        name
        for name in (*names, "aesthetic_data.json", "a.json")
        if json_files.is_result_file(name)
    ] == [
        *names[:4],
        "aesthetic_data.json",
    ]
    subcluster = os.path.dirname(topic.path)
    assert json_files.list_orphans(subcluster) == [
        f"{subcluster}/duplicates_gone.json",
        f"{subcluster}/variants_gone.json",
    ]


def test_json_lines_are_read_as_bytes_and_parsed_and_damage_is_named(tmp_path):
    path = tmp_path / "x.jsonl"
    with pytest.raises(FileNotFoundError):
        list(json_files.read_json_lines(str(path), json.loads))
    lines = [json_files.json_line({"b": 1, "a": "夕"}), json_files.json_line({"a": 2})]
    assert lines[0] == '{"a": "夕", "b": 1}\n'.encode()
    with TargetFolder(str(tmp_path), "--output") as folder:
        for content in (lines[:1], [*lines, lines[0]], lines):
            json_files.update_lines(str(path), lambda: iter(content), folder)  # noqa: B023
            assert path.read_bytes() == b"".join(content)
        os.utime(path, ns=(1, 1))
        json_files.update_lines(str(path), lambda: lines, folder)
    assert path.stat().st_mtime_ns == 1  # what would not change is not touched
    parsed = list(json_files.read_json_lines(str(path), json.loads))
    assert parsed == [(lines[0], {"a": "夕", "b": 1}), (lines[1], {"a": 2})]
    path.write_bytes(lines[0] + b'{"a": 2')
    with pytest.raises(atomic_files.Damaged, match="line 2 is not a whole one"):
        list(json_files.read_json_lines(str(path), json.loads))
    with pytest.raises(atomic_files.Damaged, match="a folder, not a file"):
        list(json_files.read_json_lines(str(tmp_path), json.loads))
