"""`merge_manifest.jsonl` in the target: for each source image its place, or why it was dropped.

It is written before the first file is copied and does not record progress, so it is the same
however often a merge was interrupted. Lines are grouped by topic, in the order of the merges.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from common import json_files
from common.atomic_files import Damaged
from common.errors import UserError
from common.name_forms import nfc
from common.target_folder import TargetFolder, check_place
from common.topics import MAX_LEVELS, Stamp

FILE_NAME = "merge_manifest.jsonl"

# Actions. The image is in the target:
COPIED = "copied"  # under its own name
RENAMED = "renamed"  # under a new name
SUPERSEDED = "superseded"  # but its source has changed since: another line says what became of that
# The image was dropped in favour of the one at `kept`:
DUPLICATE = "duplicate"  # a copy of it
IDENTICAL = "identical"  # the same bytes, from another dataset
VARIANT = "variant"  # a variant of it, of a kind in --drop-variants
# The image was dropped and nothing in the target replaces it:
REFERENCE = "reference"  # a copy of an image in a reference folder, which the reason names
DROPPED = "dropped"  # a person decided it (decisions.json)
UNREADABLE = "unreadable"

WITHOUT_KEEPER = (REFERENCE, DROPPED, UNREADABLE)
IN_TARGET = (COPIED, RENAMED, IDENTICAL)  # the image's bytes are at `target`, or at `kept`


@dataclass(frozen=True, slots=True)
class CarriedFile:
    """A caption or another sidecar of a copy that was dropped for an image."""

    name: str  # in the target; empty if it did not come along
    source: str  # absolute
    digest: str  # SHA-256


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """What became of one source image. `target` and `kept` are paths below the target folder."""

    source: str  # absolute
    stamp: Stamp
    action: str
    target: str | None = None  # None if the image was dropped
    kept: str | None = None  # the image that was kept instead
    reason: str = ""
    sidecars: tuple[str, ...] = ()  # names in the target of the caption and other sidecars
    ignored_links: tuple[str, ...] = ()  # names beside the source that are no captions of it
    captions: tuple[CarriedFile, ...] = ()  # of copies that were dropped for it
    sidecars_of_copies: tuple[CarriedFile, ...] = ()  # masks, JSON and others
    levels: int = MAX_LEVELS  # from its dataset down to its topic

    @property
    def target_name(self) -> str:
        """The name in the target topic of the image, or of the one that was kept instead."""
        path = self.target or self.kept or ""
        return path.rpartition(os.sep)[2]

    def to_json(self) -> bytes:
        size, mtime_ns = self.stamp
        fields: dict[str, Any] = {
            "source": self.source,
            "size": size,
            "mtime_ns": mtime_ns,
            "action": self.action,
            "target": self.target,
            "kept": self.kept,
            "reason": self.reason,
            "sidecars": self.sidecars,
        }
        if self.ignored_links:
            fields["ignored_links"] = self.ignored_links
        if self.captions:
            fields["captions"] = [asdict(caption) for caption in self.captions]
        if self.sidecars_of_copies:
            fields["sidecars_of_copies"] = [asdict(each) for each in self.sidecars_of_copies]
        return json_files.json_line(fields)


def manifest_path(target: str) -> str:
    return os.path.join(target, FILE_NAME)


def topic_folder(line: ManifestLine) -> str:
    """Return the folder of a source image's topic in the target: `Cluster/Subcluster/Topic`.

    It may differ from the source's in Unicode form.
    """
    folder = os.sep.join(os.path.dirname(line.source).split(os.sep)[-line.levels :])
    folder_in_target = os.path.dirname(line.target or "")
    return folder_in_target if nfc(folder_in_target) == nfc(folder) else folder


def parse_line(line: bytes, levels: int = MAX_LEVELS) -> ManifestLine:
    """Parse one line. Raises ValueError or another error if it is not one of a manifest."""
    if not line.endswith(b"\n"):
        raise ValueError("cut short")
    fields = json.loads(line)
    parsed = ManifestLine(
        source=fields["source"],
        stamp=(int(fields["size"]), int(fields["mtime_ns"])),
        action=str(fields["action"]),
        target=fields["target"],
        kept=fields["kept"],
        reason=str(fields["reason"]),
        sidecars=tuple(fields["sidecars"]),
        ignored_links=tuple(map(str, fields.get("ignored_links", ()))),
        captions=_parse_carried(fields, "captions"),
        sidecars_of_copies=_parse_carried(fields, "sidecars_of_copies"),
        levels=levels,
    )
    _check_places(parsed)
    return parsed


def _parse_carried(fields: Mapping[str, Any], key: str) -> tuple[CarriedFile, ...]:
    return tuple(CarriedFile(**each) for each in fields.get(key, ()))


def _check_places(line: ManifestLine) -> None:
    """Raise ValueError or TypeError if a path of the line leads out of its topic's folder."""
    os.fsencode(line.source)
    if "\0" in line.source or not os.path.isabs(line.source):
        raise ValueError("the source is no absolute path")
    folder = check_place(topic_folder(line))
    if line.target is not None and os.path.dirname(check_place(line.target)) != folder:
        raise ValueError("the target is not in the folder of its topic")
    if line.kept is not None:
        check_place(line.kept)
    carried = (*line.captions, *line.sidecars_of_copies)
    for name in (*line.sidecars, *(each.name for each in carried if each.name)):
        if os.sep in check_place(name):
            raise ValueError("a sidecar is not in the folder of its topic")


def read_manifest(target: str, levels: int = MAX_LEVELS) -> dict[str, list[bytes]] | None:
    """Read the lines by topic, as bytes because a million must fit in memory.

    Returns None if there is no manifest. Raises UserError, also if a line is about a dataset with
    another number of levels.
    """
    path = manifest_path(target)
    lines: dict[str, list[bytes]] = {}
    levels_then = MAX_LEVELS

    def parse(line: bytes) -> ManifestLine | None:
        nonlocal levels_then
        if not lines and (header := _parse_header(line)):
            levels_then = header
            return None
        return parse_line(line, levels_then)

    try:
        for line, parsed in json_files.read_json_lines(path, parse):
            if levels_then != levels:
                raise UserError(
                    f"{target}: made with --levels {levels_then}, not {levels}; "
                    f"add --levels {levels_then}, or give --output another place"
                )
            if parsed:
                lines.setdefault(topic_folder(parsed), []).append(line)
    except FileNotFoundError:
        return None
    except Damaged as error:
        raise _damage_error(path, error.reason) from None
    if not lines:
        raise _damage_error(path, "it is empty")
    return lines


def _parse_header(line: bytes) -> int | None:
    """Return the number of levels if that is all that the line says."""
    fields = json.loads(line)
    if fields.keys() != {"levels"}:
        return None
    if fields["levels"] not in range(1, MAX_LEVELS):
        raise ValueError("the number of levels is none that there is")
    return int(fields["levels"])


def _damage_error(path: str, reason: str) -> UserError:
    return UserError(
        f"{path}: damaged ({reason}), so the origin of the files beside it is unknown; "
        "restore it from a backup, or give --output another place"
    )


def replace_topics(
    earlier: Mapping[str, Sequence[bytes]],
    planned: Mapping[str, Iterable[ManifestLine]],
    levels: int,
) -> Iterator[bytes]:
    """Yield the new manifest: the earlier lines, replaced in each topic that is planned.

    If levels are missing, the first line says how many there are. Other versions refuse such a
    manifest, since they would look for its topics in the wrong folders.
    """
    if levels != MAX_LEVELS:
        yield json_files.json_line({"levels": levels})
    for folder in sorted(earlier.keys() | planned.keys()):
        if folder in planned:
            yield from (line.to_json() for line in planned[folder])
        else:
            yield from earlier[folder]


def update_manifest(target_folder: TargetFolder, make_lines: Callable[[], Iterable[bytes]]) -> None:
    """Write the manifest, unless it holds these lines already. Raises UserError.

    `make_lines` is called once or twice; each call starts with the first line.
    """
    json_files.update_lines(manifest_path(target_folder.path), make_lines, target_folder)
