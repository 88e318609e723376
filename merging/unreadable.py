"""Which files of a source a merge cannot take, and why; which images it leaves out as damaged."""

from __future__ import annotations

import os

from common import image_formats
from imaging import damage
from merging.source_records import SourceRecords
from merging.target import TargetTopic
from sidecars import caption_table

LINK_ELSEWHERE = "links to a file of another place"
NO_PERMISSION = "permission denied; make it readable (chmod +r) and merge again"


def find_unreadable(
    source: SourceRecords, target: TargetTopic, takes_damaged: bool
) -> dict[str, str]:
    """Return the images that do not come to the target, each with the reason.

    What an earlier merge brought is there, and stays.
    """
    topic = source.topic
    damaged = {}
    if not takes_damaged:
        damaged = damage.find_damaged(topic.path, source.stamps.statuses, source.cached)
    reasons = {}
    for name, stamp in source.stamps_now.items():
        path = topic.path_of(name)
        reason = damaged.get(name) if is_readable(path) else NO_PERMISSION
        if reason and not target.has_image(path, stamp):
            reasons[name] = reason
    return reasons


def leftover_reason(name: str) -> str:
    """Return why a file that belongs to no image does not come to the target."""
    if name == caption_table.FILE_NAME:
        return "its captions come as text files"
    if kind := image_formats.unread_kind(name):
        return f"{kind} files are not read"
    return "goes with no image"


def is_readable(path: str) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)
