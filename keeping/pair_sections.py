"""Sections of `.cache/pairs.json`: what else is known of pairs, a text each.

{"a.jpg": [{"b.jpg": "size mtime_ns size mtime_ns ..."}, NO_LIKENESS]} under the section's key. The
shape is that of a likeness, so that versions without the section read the file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from common import json_files
from common.errors import UserError
from common.topics import Stamp, Topic

NameTuple = tuple[str, str]  # of a pair, sorted
OfPair = TypeVar("OfPair")

PAIRS_FILE = "pairs.json"  # {"a.jpg": {"b.jpg": ["mirrored", 0.98]}}, each pair once
NO_LIKENESS = -1  # beside what is no likeness: readers of likenesses pass it over
STAMP_NUMBERS = 4  # before the text of a pair: size and time of both images


def pairs_path(topic: Topic) -> str:
    return os.path.join(topic.cache_folder, PAIRS_FILE)


def read_entries(path: str) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield two names, the kind and the likeness of each pair in the pairs.json at `path`.

    Entries of sections look alike, with NO_LIKENESS. Ends at the first damaged entry.
    """
    with contextlib.suppress(UserError, AttributeError, LookupError, TypeError, ValueError):
        for name, others in json_files.read_json(path, {}).items():
            for other, (kind, likeness) in others.items():
                yield name, other, kind, likeness


def section_json(
    texts: Mapping[NameTuple, str], stamps: Mapping[str, Stamp]
) -> dict[str, list[dict[str, str] | int]]:
    """Return what pairs.json holds under the section's key. `stamps` are those of the images."""
    section: dict[str, dict[str, str]] = {}
    for (first, second), text in sorted(texts.items()):
        numbers = map(str, (*stamps[first], *stamps[second]))
        section.setdefault(first, {})[second] = " ".join([*numbers, text])
    return {name: [others, NO_LIKENESS] for name, others in section.items()}


def read_section(
    path: str, key: str, stamps: Mapping[str, Stamp], parse: Callable[[str], OfPair | None]
) -> dict[NameTuple, OfPair]:
    """Read what is known of pairs of images that have these stamps, from the pairs.json at `path`.

    `parse` takes the text of a pair. For a damaged one it returns None or raises ValueError.
    What is missing, damaged or of other bytes is left out.
    """
    known: dict[NameTuple, OfPair] = {}
    with contextlib.suppress(UserError, AttributeError, LookupError, TypeError, ValueError):
        stored = json_files.read_json(path, {})[key]
        for first, (others, _) in stored.items():
            for second, text in others.items():
                *numbers, of_pair = text.split(" ", STAMP_NUMBERS)  # the rest is the pair's
                size, time, other_size, other_time = map(int, numbers)
                both = ((size, time), (other_size, other_time))
                if both != (stamps.get(first), stamps.get(second)):
                    continue
                if (value := parse(of_pair)) is not None:
                    known[first, second] = value
    return known
