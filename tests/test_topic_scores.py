"""Scores in a topic's file: their decimals, and what counts as no score."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from result_files import write_scores

from common import json_files, topic_scores
from common.topics import Topic


@pytest.fixture
def topic(tmp_path) -> Topic:
    (tmp_path / "D/C/S/T").mkdir(parents=True)
    return Topic(str(tmp_path / "D/C/S/T"), "D", "C", "S", "T", 0)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_scores_have_four_decimals_and_no_nan(topic):
    write_scores(topic, {"a.jpg": 6.123456, "b.jpg": 5, "c.jpg": -0.00001})
    assert Path(topic.path_of("aesthetic_data.json")).read_text() == (
        '{\n  "a.jpg": 6.1235,\n  "b.jpg": 5.0,\n  "c.jpg": -0.0\n}\n'
    )
    with pytest.raises(ValueError):
        write_scores(topic, {"a.jpg": math.nan})
    assert left_in(Path(topic.path)) == ["aesthetic_data.json"]


def test_values_that_are_not_numbers_read_as_nan(topic):
    odd = {"a": "6", "b": None, "c": True, "d": [1], "e": {}, "f": "x", "k": 1e308, "l": -1.1e6}
    content = (
        json.dumps(odd)[:-1]
        + ', "g": NaN, "h": Infinity, "i": 1e999, "j": 1'
        + "0" * 400
        + ', "ok": 5, "no": -1.5}'
    )
    Path(json_files.scores_path(topic)).write_text(content)
    read = topic_scores.read_scores(topic)
    assert {name: score for name, score in read.items() if not math.isnan(score)} == {
        "ok": 5.0,
        "no": -1.5,
    }
    assert len(read) == 14


def test_a_byte_order_mark_does_no_harm(topic):
    Path(json_files.scores_path(topic)).write_bytes(b'\xef\xbb\xbf{"a.jpg": 5}')
    assert topic_scores.read_scores(topic) == {"a.jpg": 5.0}
