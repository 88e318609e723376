"""Files of the sources that are in no topic: a LICENSE, labels/. A merge only names them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from common import json_files, terminal
from common.image_formats import is_image_name
from common.topics import Topic
from keeping import across_file, decisions
from merging import manifest
from merging.plan import LeftBehind

OWN_FILES = (across_file.FILE_NAME, decisions.FILE_NAME, manifest.FILE_NAME)
MAX_NAMED_FILES = 3  # of a folder


def find_outside_files(paths: Sequence[str], topics: Sequence[Topic]) -> list[LeftBehind]:
    """Return an entry for each folder of the given paths that holds files outside of topics.

    A folder with images below it is none of those: what becomes of images is said elsewhere.
    """
    topic_folders = {topic.path for topic in topics}
    above: set[str] = set()
    for topic in topics:
        above.update(topic.folder_above(level) for level in range(1, topic.levels + 1))
    found: list[LeftBehind] = []
    for path in dict.fromkeys(map(os.path.abspath, paths)):
        if path in above:
            found += _walk_above(path, above, topic_folders)
    return found


def _walk_above(folder: str, above: set[str], topic_folders: set[str]) -> Iterator[LeftBehind]:
    names, folders = _list_folder(folder)
    own = [name for name in names if not (json_files.is_result_file(name) or name in OWN_FILES)]
    if own and not any(map(is_image_name, own)):
        yield _describe(folder, own, len(own))
    for path in folders:
        if path in above:
            yield from _walk_above(path, above, topic_folders)
        elif path not in topic_folders:
            yield from _describe_tree(path)


def _describe_tree(folder: str) -> Iterator[LeftBehind]:
    """Yield one entry for all files below a folder without topics."""
    first: list[str] = []
    count = 0
    for path, _, names in os.walk(folder):
        visible = sorted(name for name in names if not name.startswith("."))
        if any(map(is_image_name, visible)):
            return
        count += len(visible)
        if len(first) < MAX_NAMED_FILES:
            below = os.path.relpath(path, folder)
            first += [os.path.normpath(os.path.join(below, name)) for name in visible]
    if count:
        yield _describe(folder, first, count)


def _describe(folder: str, names: Sequence[str], count: int) -> LeftBehind:
    listed = ", ".join(map(terminal.escape, names[:MAX_NAMED_FILES]))
    more = ", ..." if count > MAX_NAMED_FILES else ""
    return LeftBehind(folder, f"{terminal.plural(count, 'file')} in no topic: {listed}{more}")


def _list_folder(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the visible files in a folder, and the paths of its folders, sorted."""
    names, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_dir():
                    names.append(entry.name)
    except OSError:
        return [], []
    return sorted(names), sorted(folders)
