"""Selects topics by patterns: `--include` and `--exclude`.

A pattern is a glob on the path below the dataset, of a topic or of a folder above it: `Animals`
and `Animals/*` select every topic of that cluster, `*/Night` every topic called Night.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence

from common import terminal
from common.errors import UserError
from common.topics import Topic


def select_topics(
    topics: Sequence[Topic], include: Sequence[str], exclude: Sequence[str]
) -> list[Topic]:
    """Return the topics that a pattern of `include` matches, if any, and none of `exclude`.

    Raises UserError if a pattern matches no topic, or if no image is left.
    """
    for option, patterns in (("--include", include), ("--exclude", exclude)):
        for pattern in patterns:
            _check_pattern(option, pattern, topics)
    selected = []
    for topic in topics:
        is_included = not include or _matches(topic, include)
        if is_included and not _matches(topic, exclude):
            selected.append(topic)
    if not any(topic.image_count for topic in selected):
        raise UserError("--include and --exclude leave no image; widen or drop a pattern")
    return selected


def _matches(topic: Topic, patterns: Sequence[str]) -> bool:
    """Tell whether a pattern matches the topic's place, or that of a folder above it."""
    place = topic.place
    while place:
        for pattern in patterns:
            if fnmatch.fnmatchcase(place, pattern.rstrip("/")):
                return True
        place = os.path.dirname(place)
    return False


def _check_pattern(option: str, pattern: str, topics: Sequence[Topic]) -> None:
    name = f"{option} {terminal.escape(pattern)}"
    meant = "; did you mean --exclude-duplicates (split_data.py)?" if option == "--exclude" else ""
    if os.path.isdir(pattern):
        example = f"{os.path.basename(os.path.abspath(pattern))}/*"
        raise UserError(
            f"{name}: a folder, and no pattern for paths below the dataset, such as '{example}'"
            f"{meant}"
        )
    if not any(_matches(topic, [pattern]) for topic in topics):
        places = terminal.list_few(topic.place for topic in topics)
        raise UserError(f"{name}: matches no topic and no folder above one ({places}){meant}")
