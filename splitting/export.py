"""Makes a folder equal to the layout of a split: plan, then apply. Replaces and removes only what it put there itself.

`export_manifest.jsonl` in that folder has a line for every file that an export put there: where from, its size and its
time. While an export is at work it has those of before, too. What it does not list, or what has another size or time
since, somebody else made or edited: it stays, and is named.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from common import json_files
from common.errors import UserError
from common.reporter import Reporter, dump_json
from merging import copying, merge
from merging.copying import HARDLINK, SYMLINK, Copy
from splitting.choice import Split
from splitting.layout import Layout, is_utf8, plan_layout

NAME = "export_manifest.jsonl"
WRITTEN = "written"  # the mode, in the manifest, of what has no source

Lines = dict[str, list[Copy]]  # by place: what exports put there


@dataclass(frozen=True)
class Export:
    """All that an export is going to do. Places are paths below the layout's target."""

    layout: Layout
    earlier: Lines  # what the manifest lists
    wanted: dict[str, Copy]  # what it will list, but for the edited
    edited: list[str]  # places of files that are not what an export put there
    removed: list[str]  # places that are to be free
    puts: list[Copy]

    @property
    def target(self) -> str:
        return self.layout.target

    def report(self) -> dict[str, Any]:
        """The result as data."""
        captions = sum(copy.target.endswith(".txt") for copy in self.layout.files.values())
        return {
            "folder": self.target,
            "images": len(self.layout.files) - captions,
            "captions": captions,
            "put": len(self.puts),
            "removed": len(self.removed),
            "edited": self.edited,
            "left_out": self.layout.left_out,
        }


def plan_export(splits: Iterable[Split], paths: Sequence[str], folder: str, mode: str) -> Export:
    """Plan to export the splits into `folder`. Raises UserError, with nothing written, for what cannot be done."""
    target, listed = os.path.abspath(folder), list(splits)
    topics = [split.topic for split in listed]
    merge.check_not_nested([*paths, *merge.folders_between(topics, paths)], target, "--export")
    if not is_utf8(target) or "::" in target or any(map(target.__contains__, "*?[")):
        raise UserError(
            f"{target}: loaders cannot open a folder of such a name; give --export another place"
        )
    earlier, root = _manifest(target), merge.nearest_existing_parent(target)
    json_files.check_writable(root)
    if mode == HARDLINK:
        merge.check_links(topics, root)
    layout = plan_layout(listed, target, mode)
    time = max((copy.stamp[1] for copy in layout.files.values()), default=0)
    texts = {
        place: Copy("", os.path.join(target, place), (len(content), time), WRITTEN)
        for place, content in layout.texts.items()
    }
    wanted = layout.files | texts
    there = {place for place in wanted | earlier if os.path.lexists(os.path.join(target, place))}
    edited = {place for place in there if not any(map(_is_as_put, earlier.get(place, ())))}
    right = {
        place
        for place in there - edited
        if place in texts
        or (place in wanted and wanted[place] in earlier[place] and _is_as_put(wanted[place]))
    }
    kept = edited | right
    puts = [copy for place, copy in layout.files.items() if place not in kept]
    merge.check_room(target, puts, shutil.disk_usage(root).free)
    return Export(layout, earlier, wanted, sorted(edited), sorted(there - kept), puts)


def _manifest(target: str) -> Lines:
    """What earlier exports put there. Raises UserError where the folder holds something and no export made it."""
    lines: Lines = {}
    try:
        with open(os.path.join(target, NAME), "rb") as file:
            for line in map(json.loads, file):
                place = os.path.join(target, line["place"])
                copy = Copy(line["source"], place, (line["size"], line["mtime_ns"]), line["mode"])
                lines.setdefault(line["place"], []).append(copy)
    except FileNotFoundError:
        if os.path.isdir(target) and set(os.listdir(target)) - {copying.STAGING_FOLDER}:
            raise UserError(
                f"{target}: not empty, and no export made it (no {NAME}); give --export another place"
            ) from None
    except OSError as error:
        raise UserError(
            f"{target}: cannot be read ({error.strerror}); give --export another place"
        ) from None
    except (ValueError, TypeError, KeyError):
        raise json_files.Damaged(
            os.path.join(target, NAME), "not the manifest of an export"
        ) from None
    return lines


def _is_as_put(copy: Copy) -> bool:
    """Whether the file is still what an export put there; a hard link to a source that changed loses nothing."""
    try:
        status = os.lstat(copy.target)
        if copy.mode == SYMLINK:
            return os.readlink(copy.target) == copy.source
        same = (status.st_size, status.st_mtime_ns) == copy.stamp and not os.path.islink(
            copy.target
        )
        return same or (copy.mode == HARDLINK and os.path.samefile(copy.target, copy.source))
    except OSError:
        return False


def apply_export(export: Export, talk: Reporter) -> None:
    """Do what the plan says. Raises UserError."""
    final = {place: [copy] for place, copy in export.wanted.items()}
    final |= {place: export.earlier[place] for place in export.edited if place in export.earlier}
    with copying.locked_target(export.target) as aside:
        if _manifest(export.target) != export.earlier:
            raise UserError(
                f"{export.target}: another export has filled it since; run the same command again"
            )
        _write(export.target, [export.earlier, final], aside)
        for place in export.removed:
            os.unlink(os.path.join(export.target, place))
        for folder in sorted({os.path.dirname(copy.target) for copy in export.puts} | {aside}):
            copying.make_target_folder(folder)
        with talk.progress(len(export.puts)) as bar:
            copying.copy_all(export.puts, aside, lambda copy: bar.update())
        for place, content in export.layout.texts.items():
            if place not in export.edited:
                _replace(
                    os.path.join(export.target, place),
                    content,
                    aside,
                    export.wanted[place].stamp[1],
                )
        _clear(export.target, export.earlier.keys() - export.wanted.keys())
        _write(export.target, [final], aside)


def _write(target: str, lines: Sequence[Lines], aside: str) -> None:
    """Write the manifest, each line once."""
    rows = {
        dump_json(
            {
                "place": place,
                "source": copy.source,
                "size": copy.stamp[0],
                "mtime_ns": copy.stamp[1],
                "mode": copy.mode,
            },
            indent=None,
        )
        for listed in lines
        for place, copies in listed.items()
        for copy in copies
    }
    _replace(os.path.join(target, NAME), "".join(sorted(rows)).encode(), aside)


def _replace(path: str, content: bytes, aside: str, time: int | None = None) -> None:
    """Write a file, and give it a time, unless it has both."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        if file.read() == content and time in (None, os.fstat(file.fileno()).st_mtime_ns):
            return
    with json_files.atomic_write(path, aside) as file:
        file.write(content)
        if time is not None:
            file.flush()
            os.utime(file.fileno(), ns=(time, time))


def _clear(target: str, places: Iterable[str]) -> None:
    """Remove the folders that are empty now."""
    for folder in {os.path.dirname(place) for place in places}:
        while folder:
            try:
                os.rmdir(os.path.join(target, folder))
            except FileNotFoundError:
                pass
            except OSError:  # not empty
                break
            folder = os.path.dirname(folder)
