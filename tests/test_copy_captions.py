"""In an export an image without a caption gets that of a copy."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from result_files import write_copies
from test_export import export, make_scored_topic

from common import tree

__all__ = ["export"]  # the fixture


def link_copies(folder: Path, *names: str) -> None:
    """Leave what a search would that found these images to be copies of one another."""
    topic = tree.find_topics([str(folder)], print)[0]
    matches = {name: set() for name in topic.image_names()}
    matches |= {name: set(names) - {name} for name in names}
    write_copies(topic, matches)
    os.utime(folder.parent / "duplicates_T.json")


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        ({"b.txt": "an owl"}, "an owl"),
        ({"a.txt": " \n", "c.txt": "an owl"}, "an owl"),
        ({"a.txt": "mine", "b.txt": "an owl"}, "mine"),
        ({"b.txt": "best copy", "c.txt": "another"}, "best copy"),
        ({"metadata.jsonl": '{"file_name": "b.png", "text": "of a table"}'}, "of a table"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--exclude-duplicates",)])
def test_an_image_gets_the_caption_of_its_copy(
    tmp_path: Path, export, captions: dict[str, str], expected: str, options: tuple[str, ...]
) -> None:
    names = ("a.png", "b.png", "c.png", "alone.png")
    folder = make_scored_topic(tmp_path / "DS/C/S/T", *names, captions=captions)
    link_copies(folder, *names[:3])
    export("DS", *options)
    exported = tmp_path / "ready/train/C/S/T"
    assert (exported / "a.txt").read_text().strip() == expected
    assert not (exported / "alone.txt").exists()
    lines = (tmp_path / "ready/train/metadata.jsonl").read_text().splitlines()
    texts = {line["name"]: line.get("text") for line in map(json.loads, lines)}
    assert texts["a.png"] == expected
    again = export("DS", *options)
    assert again["export"]["put"] == 0


def test_the_caption_of_a_copy_in_another_topic_counts(tmp_path: Path, export) -> None:
    make_scored_topic(tmp_path / "DS/C/S/T", "a.png")
    make_scored_topic(tmp_path / "DS/C/S/U", "b.png", captions={"b.txt": "an owl"})
    matches = {"C/S/T/a.png": {"C/S/U/b.png": "copy"}, "C/S/U/b.png": {"C/S/T/a.png": "copy"}}
    (tmp_path / "DS/duplicates_across.json").write_text(json.dumps(matches))
    export("DS")
    assert (tmp_path / "ready/train/C/S/T/a.txt").read_text() == "an owl"
