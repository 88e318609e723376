"""Files of earlier exports that stay, because this run cannot know that they are not wanted.

A dataset that is not mounted or not given, a topic without scores, an image that is gone: none of
them says that what was exported from there is to be deleted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence

from common.image_formats import is_image_name
from common.target_folder import TargetFolder
from splitting.candidates import Split
from splitting.export_manifest import ExportedFiles
from splitting.layout import KeptImage
from splitting.trainer_files import METADATA_FILE, ROLES, TEXT_PLACES

NOT_SEEN = "its source was not seen"
NO_SCORES = "its topic has no scores"


class SourceIndex:
    """The images that this run saw, by the real path of their folder."""

    def __init__(self, splits: Iterable[Split]) -> None:
        self._splits = {os.path.realpath(split.topic.path): split for split in splits}
        self._names: dict[str, Collection[str]] = {}
        self._real_paths: dict[str, str] = {}

    def reason_to_keep(self, source: str) -> str:
        """Return why a file made from `source` stays; empty if the split decides about it."""
        folder, name = os.path.split(source)
        if folder not in self._real_paths:
            self._real_paths[folder] = os.path.realpath(folder)
        real_folder = self._real_paths[folder]
        split = self._splits.get(real_folder)
        if split is None:
            return NOT_SEEN
        if real_folder not in self._names:
            self._names[real_folder] = set(split.topic.image_names())
        if name not in self._names[real_folder]:
            return NOT_SEEN
        is_decided = split.has_scores or name in split.dropped
        return "" if is_decided else NO_SCORES


def find_kept_files(
    earlier: ExportedFiles, ours: Collection[str], splits: Sequence[Split]
) -> dict[str, str]:
    """Return the places in `ours` of files that stay, each with the reason.

    A caption stays with its image.
    """
    index = SourceIndex(splits)
    reasons: dict[str, str] = {}
    for place, entries in earlier.items():
        if is_image_name(place):
            sources = [entry.source for entry in entries]
            reasons[os.path.splitext(place)[0]] = max(map(index.reason_to_keep, sources))
    kept = {}
    for place in sorted(ours):
        if place not in TEXT_PLACES:
            reason = reasons.get(os.path.splitext(place)[0], NOT_SEEN)
            if reason:
                kept[place] = reason
    return kept


def find_kept_images(
    folder: TargetFolder, earlier: ExportedFiles, kept: Mapping[str, str]
) -> list[KeptImage]:
    """Return the images among the kept files, with their rows in metadata.jsonl."""
    rows: dict[str, bytes] = {}
    if kept:
        for role in ROLES:
            rows |= read_rows(folder, role)
    images = []
    for place in kept:
        if is_image_name(place):
            images.append(KeptImage(place, earlier[place][0].stamp, rows.get(place, b"")))
    return images


def read_rows(folder: TargetFolder, role: str) -> dict[str, bytes]:
    """Return the lines of a metadata.jsonl by the place of their image. Skips damaged ones."""
    content = folder.read(os.path.join(role, METADATA_FILE)) or b""
    rows = {}
    for line in content.splitlines(keepends=True):
        try:
            name = json.loads(line)["file_name"]
            rows[os.path.join(role, name)] = line if line.endswith(b"\n") else line + b"\n"
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return rows
