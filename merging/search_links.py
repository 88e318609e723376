"""A folder of links to search in: of `--for-search`, in which datasets are searched together.

It holds nothing but links to the sources as they are now. Before a merge into it, the links to what
is gone or changed are removed; the merge links anew what changed. A file in it says what it is, so
that no image of any other target is ever taken for such a link.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator

from common import atomic_files
from common.errors import UserError
from common.target_folder import TargetFolder
from common.topics import Topic, stamp_from_status, stamp_of
from merging import manifest
from merging.manifest import CarriedFile, ManifestLine
from merging.target import sidecar_sources
from merging.target_places import EarlierLines

MARKER = ".links_to_search"
MARKER_TEXT = b"Links to images, made to search datasets together. Safe to delete as a whole.\n"


def check_purpose(folder: TargetFolder, for_search: bool) -> None:
    """Raise UserError if the target was made for another purpose."""
    names = folder.names()
    is_for_search = MARKER in names
    if for_search and not is_for_search and manifest.FILE_NAME in names:
        raise UserError(
            f"{folder.path}: an ordinary merge made it, and --for-search would replace its images "
            "by links; give --output another place"
        )
    if is_for_search and not for_search:
        raise UserError(
            f"{folder.path}: holds links to search in (--for-search); give --output another place"
        )


def write_marker(folder: TargetFolder) -> None:
    """Say in a new target that it holds links. Raises UserError."""
    if folder.status(MARKER) is None:
        with folder.replace_file(folder.path_of(MARKER)) as file:
            file.write(MARKER_TEXT)


def remove_stale_links(
    folder: TargetFolder, earlier: EarlierLines, topics: Iterable[Topic]
) -> EarlierLines:
    """Remove them, and return the lines of the manifest without those of images that are gone.

    An image that is in none of the `topics` counts as gone. Raises UserError.
    """
    if not earlier:
        return {}
    by_path = {topic.path: topic for topic in topics}
    levels = next(iter(by_path.values())).levels
    current: EarlierLines = {}
    with folder.lock():
        for place, lines in earlier.items():
            parsed = [manifest.parse_line(line, levels) for line in lines]
            kept = _refresh_topic(folder, place, parsed, by_path)
            if kept:
                current[place] = [line.to_json() for line in kept]
    return current


def _refresh_topic(
    folder: TargetFolder, place: str, lines: Iterable[ManifestLine], given: Collection[str]
) -> list[ManifestLine]:
    kept = []
    for line in lines:
        is_gone = os.path.dirname(line.source) not in given or not os.path.isfile(line.source)
        is_removed = bool(line.target) and _remove_image(folder, line, is_gone)
        for name in _stale_sidecars(folder, place, line, is_gone):
            _remove(folder, os.path.join(place, name))
        if not is_gone or (line.target and not is_removed):
            kept.append(line)
    return kept


def _remove_image(folder: TargetFolder, line: ManifestLine, is_gone: bool) -> bool:
    """Remove the link of a line if it is stale, and certainly one. Returns whether none is left."""
    place = line.target or ""
    status = folder.status(place)
    if status is None:
        return True
    if stat.S_ISLNK(status.st_mode):
        is_ours = folder.link_target(place) == line.source
        is_stale = is_gone
    else:
        is_ours = stat.S_ISREG(status.st_mode) and stamp_from_status(status) == line.stamp
        is_stale = is_gone or not _is_same_file(line.source, status)
    return is_ours and is_stale and _remove(folder, place)


def _is_same_file(path: str, status: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), status)
    return False


def _stale_sidecars(
    folder: TargetFolder, place: str, line: ManifestLine, is_gone: bool
) -> Iterator[str]:
    """Yield the names of sidecars and captions that are not as in the sources."""
    for name, source in sidecar_sources(line):
        status = folder.status(os.path.join(place, name))
        if status is None:
            continue
        is_same = _is_same_file(source, status) or stamp_from_status(status) == stamp_of(source)
        if is_gone or not is_same:
            yield name
    for caption in (*line.captions, *line.sidecars_of_copies):
        if caption.name and (is_gone or not _is_current(folder, place, caption)):
            yield caption.name


def _is_current(folder: TargetFolder, place: str, caption: CarriedFile) -> bool:
    if os.path.isfile(caption.source):
        return atomic_files.file_digest(caption.source) == caption.digest
    table = caption.source.rpartition("#")[0]  # one of its captions
    status, now = folder.status(os.path.join(place, caption.name)), stamp_of(table)
    return status is None or (now is not None and now[1] == stamp_from_status(status)[1])


def _remove(folder: TargetFolder, place: str) -> bool:
    """Remove a file or link of ours. Returns whether none is there now."""
    status = folder.status(place)
    if status is None:
        return True
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return False
    with contextlib.suppress(OSError):
        return folder.remove_file(place, "", status)
    return False
