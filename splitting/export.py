"""Makes a folder equal to the layout of a split: first plan, then apply.

`export_manifest.jsonl` in that folder has a line for every file that an export put there, with its
source, size and time; during an export it has the lines of the one before, too. A file that is not
listed, or has another size or time, was made or edited by somebody else: it stays, and is reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from common import atomic_files, json_files
from common.atomic_files import Damaged
from common.errors import UserError
from common.reporter import Reporter
from common.topics import stamp_from_status
from merging import copying
from merging.copying import Transfer, TransferMode
from splitting.candidates import Split
from splitting.layout import Layout, is_utf8, plan_layout

FILE_NAME = "export_manifest.jsonl"
WRITTEN = "written"  # in place of a TransferMode: a file that has no source
MISREAD_BY_LOADERS = ("::", "*", "?", "[")  # in the path of a folder

ExportedFiles = dict[str, list[Transfer]]  # by place: what exports put there


@dataclass(frozen=True)
class ExportPlan:
    """Everything that an export is going to do. Places are paths below the target."""

    layout: Layout
    earlier: ExportedFiles  # what the manifest lists
    wanted: dict[str, Transfer]  # what it is going to list, except for edited files
    edited: list[str]  # places of files that are not as an export put them there
    removed: list[str]  # places of files to delete
    transfers: list[Transfer]

    @property
    def target(self) -> str:
        return self.layout.target

    def as_json(self) -> dict[str, Any]:
        captions = sum(place.endswith(".txt") for place in self.layout.files)
        return {
            "folder": self.target,
            "images": len(self.layout.files) - captions,
            "captions": captions,
            "put": len(self.transfers),
            "removed": len(self.removed),
            "edited": self.edited,
            "left_out": self.layout.left_out,
        }


def plan_export(
    splits: Sequence[Split], paths: Sequence[str], folder: str, mode: str
) -> ExportPlan:
    """Plan to export the splits into `folder`.

    Raises UserError, before anything is written, if something about it cannot be done.
    """
    target = os.path.abspath(folder)
    topics = [split.topic for split in splits]
    sources = [*paths, *copying.folders_between(topics, paths)]
    copying.check_not_nested(sources, target, "--export")
    _check_loadable(target)
    earlier = _read_manifest(target)
    root = copying.nearest_existing_folder(target)
    atomic_files.check_writable(root)
    if mode == TransferMode.HARDLINK:
        copying.check_same_file_system(topics, root)
    layout = plan_layout(splits, target, mode)
    wanted = layout.files | _text_entries(layout)
    present = {place for place in wanted | earlier if os.path.lexists(os.path.join(target, place))}
    edited = {place for place in present if not any(map(_is_as_exported, earlier.get(place, ())))}
    unchanged = set(edited)
    for place in present - edited:
        is_text = place in layout.texts  # apply_export writes it if its content differs
        if is_text or _is_up_to_date(wanted.get(place), earlier[place]):
            unchanged.add(place)
    transfers = [transfer for place, transfer in layout.files.items() if place not in unchanged]
    copying.check_free_space(target, transfers, shutil.disk_usage(root).free)
    removed = sorted(present - unchanged)
    return ExportPlan(layout, earlier, wanted, sorted(edited), removed, transfers)


def _check_loadable(target: str) -> None:
    """Raise UserError if loaders cannot open a folder of this name."""
    is_misread = any(part in target for part in MISREAD_BY_LOADERS)
    if is_misread or not is_utf8(target):
        raise UserError(
            f"{target}: loaders cannot open a folder of this name; give --export another place"
        )


def _text_entries(layout: Layout) -> dict[str, Transfer]:
    """Return manifest entries for the files for trainers; their time is the newest source's."""
    time_ns = max((transfer.stamp[1] for transfer in layout.files.values()), default=0)
    entries = {}
    for place, content in layout.texts.items():
        path = os.path.join(layout.target, place)
        entries[place] = Transfer("", path, (len(content), time_ns), WRITTEN)
    return entries


def _is_up_to_date(wanted: Transfer | None, earlier: Sequence[Transfer]) -> bool:
    return wanted is not None and wanted in earlier and _is_as_exported(wanted)


def _is_as_exported(entry: Transfer) -> bool:
    """Tell whether a file is still as an export put it there.

    A hard link to a source that changed counts: deleting it loses nothing.
    """
    path = entry.target
    try:
        status = os.lstat(path)
        if entry.mode == TransferMode.SYMLINK:
            return os.readlink(path) == entry.source
        has_same_stamp = stamp_from_status(status) == entry.stamp
        if has_same_stamp and not os.path.islink(path):
            return True
        return entry.mode == TransferMode.HARDLINK and os.path.samefile(path, entry.source)
    except OSError:
        return False


def apply_export(plan: ExportPlan, reporter: Reporter) -> None:
    """Write the manifest, then what the plan says. Raises UserError."""
    target = plan.target
    final = {place: [entry] for place, entry in plan.wanted.items()}
    for place in plan.edited:
        if place in plan.earlier:
            final[place] = plan.earlier[place]
    with copying.lock_target(target) as staging:
        if _read_manifest(target) != plan.earlier:
            raise UserError(
                f"{target}: another export wrote to it meanwhile; run the same command again"
            )
        _write_manifest(target, [plan.earlier, final], staging)
        for place in plan.removed:
            os.unlink(os.path.join(target, place))
        folders = {os.path.dirname(transfer.target) for transfer in plan.transfers}
        for folder in sorted(folders | {staging}):
            copying.make_target_folder(folder)
        with reporter.progress(len(plan.transfers)) as bar:
            copying.transfer_files(plan.transfers, staging, lambda _: bar.update())
        for place, content in plan.layout.texts.items():
            if place not in plan.edited:
                time_ns = plan.wanted[place].stamp[1]
                _write_text(os.path.join(target, place), content, time_ns, staging)
        _remove_empty_folders(target, plan.earlier.keys() - plan.wanted.keys())
        _write_manifest(target, [final], staging)


def _read_manifest(target: str) -> ExportedFiles:
    """Return what earlier exports put into the folder.

    Raises UserError if it is no folder, or holds something that no export made.
    """
    if os.path.lexists(target) and not os.path.isdir(target):
        raise UserError(f"{target}: not a folder; give --export another place")
    files: ExportedFiles = {}
    path = os.path.join(target, FILE_NAME)
    try:
        for _, (place, entry) in json_files.read_json_lines(
            path, lambda line: _parse_line(line, target)
        ):
            files.setdefault(place, []).append(entry)
    except FileNotFoundError:
        if os.path.isdir(target) and set(os.listdir(target)) - {copying.STAGING_FOLDER}:
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


def _parse_line(line: bytes, target: str) -> tuple[str, Transfer]:
    fields = json.loads(line)
    place = fields["place"]
    stamp = (fields["size"], fields["mtime_ns"])
    path = os.path.join(target, place)
    return place, Transfer(fields["source"], path, stamp, fields["mode"])


def _write_manifest(target: str, parts: Iterable[ExportedFiles], staging: str) -> None:
    """Write the manifest, each line once, unless it is up to date."""
    lines: set[bytes] = set()
    for files in parts:
        for place, entries in files.items():
            lines.update(_manifest_line(place, entry) for entry in entries)
    path = os.path.join(target, FILE_NAME)
    json_files.update_lines(path, lambda: sorted(lines), staging)


def _manifest_line(place: str, entry: Transfer) -> bytes:
    size, mtime_ns = entry.stamp
    return json_files.json_line(
        {
            "place": place,
            "source": entry.source,
            "size": size,
            "mtime_ns": mtime_ns,
            "mode": entry.mode,
        }
    )


def _write_text(path: str, content: bytes, time_ns: int, staging: str) -> None:
    """Write a file with this time, unless it has both the content and the time already."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == content and os.fstat(file.fileno()).st_mtime_ns == time_ns:
            return
    with atomic_files.atomic_write(path, staging) as file:
        file.write(content)
        file.flush()
        os.utime(file.fileno(), ns=(time_ns, time_ns))


def _remove_empty_folders(target: str, places: Iterable[str]) -> None:
    """Remove the folders of these places, and their parents, if they are empty now."""
    for folder in {os.path.dirname(place) for place in places}:
        while folder:
            try:
                os.rmdir(os.path.join(target, folder))
            except FileNotFoundError:
                pass
            except OSError:  # not empty
                break
            folder = os.path.dirname(folder)
