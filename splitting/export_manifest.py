"""`export_manifest.jsonl` in an export: what exports put there, and whether it is still that.

A line per file: its place below the export, its source with size and time, and the mode. Files that
have no source (`mode` is `written`) have the SHA-256 of their content. During an export the file
also has the lines of the one before. No line is trusted to lead anywhere else.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common import atomic_files, json_files
from common.atomic_files import Damaged
from common.errors import UserError
from common.target_folder import TargetFolder, check_place
from common.topics import Stamp, stamp_from_status, stamp_of
from merging import naming
from merging.transfer import TRANSFER_MODES, TransferMode
from splitting.layout import CAPTION_ENDING
from splitting.trainer_files import ROLES, TEXT_PLACES

FILE_NAME = "export_manifest.jsonl"
WRITTEN = "written"  # in place of a TransferMode: a file that has no source


@dataclass(frozen=True, slots=True)
class Entry:
    """One file that an export put at `place`. `stamp` is that of its source."""

    place: str
    source: str  # empty if it was written
    stamp: Stamp
    mode: str  # a TransferMode, or WRITTEN
    digest: str = ""  # of what was written; empty in manifests of earlier versions

    def to_json(self) -> bytes:
        size, mtime_ns = self.stamp
        fields: dict[str, Any] = {
            "place": self.place,
            "source": self.source,
            "size": size,
            "mtime_ns": mtime_ns,
            "mode": self.mode,
        }
        if self.digest:
            fields["digest"] = self.digest
        return json_files.json_line(fields)


ExportedFiles = dict[str, list[Entry]]  # by place: what exports put there


def read_manifest(folder: TargetFolder) -> ExportedFiles:
    """Return what earlier exports put into the folder.

    Raises UserError if it is no folder, or holds something that no export made.
    """
    target = folder.path
    if os.path.lexists(target) and not os.path.isdir(target):
        raise UserError(f"{target}: not a folder; give --export another place")
    folder.check_replaceable([FILE_NAME])
    files: ExportedFiles = {}
    path = os.path.join(target, FILE_NAME)
    try:
        for _, entry in json_files.read_json_lines(path, lambda line: _parse_line(line, target)):
            files.setdefault(entry.place, []).append(entry)
    except FileNotFoundError:
        if folder.names():
            raise UserError(
                f"{target}: not empty, and no export made it (no {FILE_NAME}); "
                "give --export another place"
            ) from None
    except Damaged as error:
        raise UserError(
            f"{path}: not the manifest of an export ({error.reason}), so the origin of the files "
            "beside it is unknown; restore it from a backup, or give --export another place"
        ) from None
    return files


def _parse_line(line: bytes, target: str) -> Entry:
    fields = json.loads(line)
    entry = Entry(
        place=check_place(fields["place"]),
        source=fields["source"],
        stamp=(int(fields["size"]), int(fields["mtime_ns"])),
        mode=fields["mode"],
        digest=str(fields.get("digest", "")),
    )
    if entry.mode == WRITTEN:
        is_caption = entry.place.endswith(CAPTION_ENDING) and bool(entry.digest)
        is_valid = (entry.place in TEXT_PLACES or is_caption) and entry.source == ""
    else:
        os.fsencode(entry.source)
        is_place = entry.place.split(os.sep)[0] in ROLES and entry.place not in TEXT_PLACES
        is_own_source = entry.source == os.path.join(target, entry.place)
        is_source = os.path.isabs(entry.source) and "\0" not in entry.source
        is_valid = is_place and is_source and not is_own_source and entry.mode in TRANSFER_MODES
    if not is_valid:
        raise ValueError("no export writes such a line")
    return entry


def write_manifest(folder: TargetFolder, parts: Iterable[ExportedFiles]) -> None:
    """Write the manifest, each line once, unless it is up to date."""
    lines: set[bytes] = set()
    for files in parts:
        for entries in files.values():
            lines.update(entry.to_json() for entry in entries)
    path = os.path.join(folder.path, FILE_NAME)
    json_files.update_lines(path, lambda: sorted(lines), folder)


def text_entries(texts: Mapping[str, bytes], time_ns: int) -> dict[str, Entry]:
    """Return the entries of files that have no source, by place."""
    entries = {}
    for place, content in texts.items():
        digest = atomic_files.bytes_digest(content)
        entries[place] = Entry(place, "", (len(content), time_ns), WRITTEN, digest)
    return entries


def is_as_exported(folder: TargetFolder, entry: Entry) -> bool:
    """Tell whether a file is still as an export put it there.

    Its time may differ, because copying an export loses times: then the bytes decide. A hard link
    to a source that changed counts too: deleting it loses nothing.
    """
    status = folder.status(entry.place)
    if status is None:
        return False
    if stat.S_ISLNK(status.st_mode):
        if entry.mode != TransferMode.SYMLINK:
            return False
        with contextlib.suppress(OSError):
            return folder.link_target(entry.place) == entry.source
        return False
    if not stat.S_ISREG(status.st_mode):
        return False
    if entry.mode == WRITTEN and entry.digest:
        return _has_digest(folder, entry, status)
    has_same_stamp = stamp_from_status(status) == entry.stamp
    if has_same_stamp and entry.mode != TransferMode.SYMLINK:
        return True
    return entry.mode != WRITTEN and _has_bytes_of_source(folder, entry, status)


def _has_digest(folder: TargetFolder, entry: Entry, status: os.stat_result) -> bool:
    if status.st_size != entry.stamp[0]:
        return False
    return atomic_files.bytes_digest(folder.read(entry.place)) == entry.digest


def _has_bytes_of_source(folder: TargetFolder, entry: Entry, status: os.stat_result) -> bool:
    """Tell whether the file is a hard link to its source, or holds the bytes it was made from."""
    with contextlib.suppress(OSError):
        if os.path.samestat(status, os.stat(entry.source)):
            return entry.mode == TransferMode.HARDLINK
        if status.st_size != entry.stamp[0] or stamp_of(entry.source) != entry.stamp:
            return False
        with (
            folder.open_file(entry.place) as file,
            atomic_files.open_regular(entry.source) as source,
        ):
            return naming.has_same_bytes(file, source)
    return False
