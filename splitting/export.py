"""Makes a folder equal to the layout of a split: first plan, then apply.

A file that the manifest (splitting/export_manifest.py) does not list, or that is not as an export
put it there, was made or edited by somebody else: it stays, and is reported. A file of ours is
removed only if this run saw its source image in a topic with scores, and did not choose it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from common import atomic_files
from common.errors import UserError, os_error_to_user_error
from common.reporter import Reporter
from common.target_folder import TargetFolder
from merging import copying
from merging.transfer import Transfer, TransferMode
from splitting import export_check, export_manifest
from splitting.candidates import Split
from splitting.export_manifest import Entry, ExportedFiles, is_as_exported
from splitting.kept_files import find_kept_files, find_kept_images
from splitting.layout import CAPTION_ENDING, Layout, plan_layout
from splitting.trainer_files import is_utf8

MISREAD_BY_LOADERS = ("::", "*", "?", "[")  # in the path of a folder


@dataclass
class ExportPlan:
    """Everything that an export is going to do. Places are paths below the target."""

    layout: Layout
    earlier: ExportedFiles  # what the manifest lists
    wanted: dict[str, Entry]  # what it is going to list, except for edited and kept files
    edited: list[str]  # places of files that are not as an export put them there
    kept: dict[str, str]  # place of a file that stays to why: its source was not seen
    removed: list[str]  # places of files to delete; some of them are replaced
    transfers: list[Transfer]
    problems: list[str] = field(default_factory=list)  # with the export, once it is made

    @property
    def target(self) -> str:
        return self.layout.target

    def final(self) -> ExportedFiles:
        """Return what the manifest lists in the end."""
        final = {place: [entry] for place, entry in self.wanted.items()}
        for place in (*self.edited, *self.kept):
            if place in self.earlier:
                final[place] = self.earlier[place]
        return final

    def as_json(self) -> dict[str, Any]:
        """Return the plan as data. The last four keys are there only if there are any."""
        copied = sum(place.endswith(CAPTION_ENDING) for place in self.layout.files)
        rewritten = sum(place.endswith(CAPTION_ENDING) for place in self.layout.texts)
        data = {
            "folder": self.target,
            "images": len(self.layout.files) - copied,
            "captions": copied + rewritten,
            "put": len(self.transfers),
            "removed": len(self.removed),
            "edited": self.edited,
            "left_out": self.layout.left_out,
        }
        optional = {
            "kept": self.kept,
            "problems": self.problems,
            "large_captions": self.layout.large_captions,
            "odd_captions": self.layout.odd_captions,
        }
        return data | {key: value for key, value in optional.items() if value}


def plan_export(
    splits: Sequence[Split],
    paths: Sequence[str],
    folder: TargetFolder,
    mode: str,
    prune: bool = False,
) -> ExportPlan:
    """Plan to export the splits into the folder.

    `prune` removes files of ours whose source was not seen, too. Raises UserError, before anything
    is written, if something about the export cannot be done.
    """
    target = folder.path
    topics = [split.topic for split in splits]
    sources = [*paths, *copying.folders_between(topics, paths)]
    copying.check_not_nested(sources, target, "--export")
    _check_loadable(target)
    folder.hold()
    earlier = export_manifest.read_manifest(folder)
    folder.check_folders({os.path.dirname(place) for place in earlier})
    root = copying.nearest_existing_folder(target)
    atomic_files.check_writable(root)
    if mode == TransferMode.HARDLINK:
        copying.check_same_file_system(topics, root)
    present = {place for place in earlier if folder.status(place)}
    ours = set()
    for place in present:
        if any(is_as_exported(folder, entry) for entry in earlier[place]):
            ours.add(place)
    kept = {} if prune else find_kept_files(earlier, ours, splits)
    layout = plan_layout(splits, target, mode, find_kept_images(folder, earlier, kept))
    wanted = _entries_to_write(layout)
    folder.check_folders({os.path.dirname(place) for place in wanted})
    kept = {place: reason for place, reason in kept.items() if place not in wanted}

    edited = present - ours
    edited |= {place for place in wanted if place not in present and folder.status(place)}
    unchanged = edited | kept.keys()
    for place in ours:
        is_text = place in layout.texts  # apply_export writes it if its content differs
        is_up_to_date = wanted.get(place) in earlier[place]
        if is_text or (is_up_to_date and is_as_exported(folder, wanted[place])):
            unchanged.add(place)
    transfers = [transfer for place, transfer in layout.files.items() if place not in unchanged]
    copying.check_free_space(target, transfers, shutil.disk_usage(root).free)
    removed = sorted(ours - unchanged)
    return ExportPlan(layout, earlier, wanted, sorted(edited), kept, removed, transfers)


def _check_loadable(target: str) -> None:
    """Raise UserError if loaders cannot open a folder of this name."""
    is_misread = any(part in target for part in MISREAD_BY_LOADERS)
    if is_misread or not is_utf8(target):
        raise UserError(
            f"{target}: loaders cannot open a folder of this name; give --export another place"
        )


def _entries_to_write(layout: Layout) -> dict[str, Entry]:
    """Return the manifest's entries for the layout, by place.

    The time of a file without a source is that of the newest source.
    """
    time_ns = max((transfer.stamp[1] for transfer in layout.files.values()), default=0)
    entries = export_manifest.text_entries(layout.texts, time_ns)
    for place, transfer in layout.files.items():
        entries[place] = Entry(place, transfer.source, transfer.stamp, transfer.mode)
    return entries


def apply_export(plan: ExportPlan, folder: TargetFolder, reporter: Reporter) -> None:
    """Write the manifest, then what the plan says. Raises UserError."""
    final = plan.final()
    with folder.lock():
        if export_manifest.read_manifest(folder) != plan.earlier:
            raise UserError(
                f"{plan.target}: another export wrote to it meanwhile; run the same command again"
            )
        export_manifest.write_manifest(folder, [plan.earlier, final])
        for place in plan.removed:
            _remove_file(folder, place, plan.earlier[place])
        for parent in sorted({os.path.dirname(transfer.target) for transfer in plan.transfers}):
            folder.make_folder(folder.place_of(parent))
        with reporter.progress(len(plan.transfers)) as bar:
            copying.transfer_files(plan.transfers, folder, lambda _: bar.update())
        for place, content in plan.layout.texts.items():
            if place not in plan.edited:
                _write_text(folder, plan.wanted[place], content)
        _remove_empty_folders(folder, plan.earlier.keys() - final.keys())
        export_manifest.write_manifest(folder, [final])
        plan.problems = export_check.find_problems(folder, final, plan.kept)


def _remove_file(folder: TargetFolder, place: str, entries: Sequence[Entry]) -> None:
    """Delete a file that is still as an export put it there. Raises UserError if it is not."""
    status = folder.status(place)
    if status is None:
        return
    entry = next((entry for entry in entries if is_as_exported(folder, entry)), None)
    try:
        if entry and folder.remove_file(place, entry.source, status):
            return
    except OSError as error:
        raise os_error_to_user_error(folder.path_of(place), "deleted", error) from None
    raise UserError(f"{folder.path_of(place)}: changed during this run; run it again")


def _write_text(folder: TargetFolder, entry: Entry, content: bytes) -> None:
    """Write a file with the time of its entry, unless it has the content already."""
    if folder.read(entry.place) == content:
        return
    with folder.replace_file(folder.path_of(entry.place), entry.stamp[1]) as file:
        file.write(content)


def _remove_empty_folders(folder: TargetFolder, places: set[str]) -> None:
    """Remove the folders of these places, and their parents, if they are empty now."""
    for place in {os.path.dirname(place) for place in places}:
        parent = place
        while parent and folder.remove_empty_folder(parent):
            parent = os.path.dirname(parent)
