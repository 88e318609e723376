"""What needs attention in a dataset before training, from its census."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import terminal
from reports import caption_checks

MISNAMED_TITLE = "not of the format in the name"


def list_warnings(
    data: Mapping[str, Any], max_examples: int
) -> Iterator[tuple[str, Sequence[tuple[str, str]], int]]:
    """Yield title, places with a reason each, and count, from the JSON of a census.

    `max_examples` limits the places of each thing that trainers trip over.
    """
    unreadable = [(file["path"], file["reason"]) for file in data["unreadable_files"]]
    yield terminal.plural(data["unreadable"], "unreadable image"), unreadable, data["unreadable"]

    misnamed = [(file["path"], f"is {file['format']}") for file in data["misnamed_files"]]
    title = f"{terminal.plural(data['misnamed'], 'image')} {MISNAMED_TITLE}"
    yield title, misnamed, data["misnamed"]

    unread = data.get("unread_files", {})
    kinds = [(ending or "no ending", f"{count:,}") for ending, count in unread.items()]
    total = sum(unread.values())
    yield f"{terminal.plural(total, 'file')} of formats that are not read", kinds, len(kinds)

    empty = [(topic, "no images") for topic in data["empty_topics"]]
    yield terminal.plural(len(empty), "empty topic"), empty, len(empty)

    by_size = sorted(data["small_topics"].items(), key=lambda entry: (entry[1], entry[0]))
    small = [(topic, terminal.plural(images, "image")) for topic, images in by_size]
    title = f"{terminal.plural(len(small), 'topic')} too small for a 10 + 5 split"
    yield title, small, len(small)

    yield from caption_checks.trainer_warnings(data["for_trainers"], max_examples)
