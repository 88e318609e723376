"""Captions in a topic's `metadata.jsonl`, as Hugging Face datasets have them; of images without a
sidecar file.

    {"file_name": "a.jpg", "text": "an owl"}    or "caption" in place of "text"
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from common import atomic_files, name_forms
from common.atomic_files import Damaged
from common.topics import Stamp, Topic, stamp_of
from sidecars import captions

FILE_NAME = "metadata.jsonl"
TEXT_KEYS = ("text", "caption")  # the first one that is there counts
MAX_TABLE_BYTES = 1 << 28


@dataclass(frozen=True)
class CaptionTable:
    texts: Mapping[str, str]  # by image name; none is empty
    problem: str = ""  # why not all of it was read


NO_TABLE = CaptionTable({})


def read_texts(topic: Topic, with_sidecar: Collection[str]) -> dict[str, str]:
    """Return the captions of images in the topic's table, except of those that have a sidecar."""
    texts = read_table(topic).texts
    names = {}
    if not all(map(str.isascii, texts)):
        names = name_forms.match_forms(texts, topic.entry_names())
    result = {}
    for name, text in texts.items():
        image = names.get(name, name)
        if image not in with_sidecar:
            result[image] = text
    return result


def read_table(topic: Topic) -> CaptionTable:
    """Read the topic's table; an empty one if it has none, or it is a link to somewhere else."""
    path = topic.path_of(FILE_NAME)
    stamp = stamp_of(path)
    if stamp is None or captions.is_foreign_link(topic, FILE_NAME, ()):
        return NO_TABLE
    return _read_file(path, stamp)


@functools.lru_cache(maxsize=8)  # several parts of a run ask for the table of a topic
def _read_file(path: str, stamp: Stamp) -> CaptionTable:
    if stamp[0] > MAX_TABLE_BYTES:
        return CaptionTable({}, "too large for captions")
    texts: dict[str, str] = {}
    bad_lines = 0
    try:
        with atomic_files.open_regular(path) as file:
            for line in file:
                entry = _parse_line(line)
                bad_lines += entry is None
                if entry and entry[1]:
                    texts.setdefault(*entry)
    except (OSError, Damaged) as error:
        return CaptionTable({}, f"cannot be read ({error})")
    problem = f"lines that are not read: {bad_lines:,}" if bad_lines else ""
    return CaptionTable(texts, problem)


def _parse_line(line: bytes) -> tuple[str, str] | None:
    """Return image name and text, which may be empty; None if it is no such line."""
    with contextlib.suppress(ValueError, RecursionError):
        fields = json.loads(line)
        if isinstance(fields, dict) and isinstance(name := fields.get("file_name"), str):
            text = next((fields[key] for key in TEXT_KEYS if key in fields), "")
            if isinstance(text, str):
                printable = text.encode("utf-8", "replace").decode()
                return name, printable.strip()
    return None if line.strip() else ("", "")
