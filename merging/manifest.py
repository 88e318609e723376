"""`merge_manifest.jsonl` in the target of a merge: for every source image where it went, or why it was left out.

It is written before the first file is copied and never says how far the copying got, so it is the same however often
a merge was interrupted. Lines stand by topic, in the order in which merges brought them.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common import json_files
from common.errors import UserError
from common.reporter import dump_json
from common.tree import Stamp

FILE_NAME = "merge_manifest.jsonl"

COPIED, RENAMED = "copied", "renamed"  # in the target, under the image's own name or another
DUPLICATE, IDENTICAL = "duplicate", "identical"  # left out; `kept` stands for it
VARIANT = (
    "variant"  # left out because that was asked for; `kept` is the image that it is a variant of
)
REFERENCE = (
    "reference"  # left out as a copy of an image in a reference folder, which the reason names
)
UNREADABLE = "unreadable"  # could not be read, so it is not in the target
SUPERSEDED = "superseded"  # in the target, but its source has changed since; another line has what became of that

IN_TARGET = (COPIED, RENAMED, IDENTICAL)  # its bytes are in the target: at `target`, or at `kept`


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """What became of one source image. `target` and `kept` are paths below the target folder."""

    source: str  # absolute
    stamp: Stamp
    action: str
    target: str | None = None  # where it lies; None where it was left out
    kept: str | None = None  # the image that stands for one that was left out
    reason: str = ""
    sidecars: tuple[
        str, ...
    ] = ()  # names of the caption and other files that came with it, as they are in the target

    @property
    def place(self) -> str:
        """The name, in the target topic, of the image or of the one that stands for it."""
        return (self.target or self.kept or "").rpartition(os.sep)[2]

    @property
    def folder(self) -> str:
        return folder_of(self.source)

    def dumps(self) -> bytes:
        size, mtime_ns = self.stamp
        fields: dict[str, Any] = {
            "source": self.source,
            "size": size,
            "mtime_ns": mtime_ns,
            "action": self.action,
        }
        fields |= {
            "target": self.target,
            "kept": self.kept,
            "reason": self.reason,
            "sidecars": self.sidecars,
        }
        return dump_json(fields, indent=None).encode()


def folder_of(source: str) -> str:
    """The topic that a source image belongs to: `Cluster/Subcluster/Topic`."""
    return os.sep.join(os.path.dirname(source).split(os.sep)[-3:])


def parse_manifest(line: bytes) -> ManifestLine:
    """Raises ValueError, TypeError or KeyError where it is no line of a manifest."""
    read = json.loads(line)
    stamp = (int(read["size"]), int(read["mtime_ns"]))
    names = tuple(map(str, read["sidecars"]))
    return ManifestLine(
        str(read["source"]),
        stamp,
        read["action"],
        read["target"],
        read["kept"],
        read["reason"],
        names,
    )


def read_manifest(target: str) -> dict[str, list[bytes]] | None:
    """The lines by topic, as bytes because a million must fit in memory. None where there is none. Raises UserError."""
    path, number = os.path.join(target, FILE_NAME), 0
    lines: dict[str, list[bytes]] = {}
    try:
        with json_files.open_regular(path) as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - the error names it
                if not line.endswith(b"\n"):
                    raise ValueError
                lines.setdefault(parse_manifest(line).folder, []).append(line)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise json_files.Damaged(path, error.strerror or str(error)) from None
    except (ValueError, TypeError, KeyError):
        raise _damaged(path, f"line {number} is not a whole one of a merge") from None
    if not lines:
        raise _damaged(path, "it is empty")
    return lines


def _damaged(path: str, reason: str) -> UserError:
    return UserError(
        f"{path}: damaged ({reason}), so nothing says where the files beside it came from; restore it from a backup, "
        "or give --output another place"
    )


def merge_lines(
    earlier: Mapping[str, Sequence[bytes]], planned: Mapping[str, Iterable[ManifestLine]]
) -> Iterator[bytes]:
    """The lines of the new manifest: those planned in place of the earlier ones, topic by topic."""
    for folder in sorted(earlier.keys() | planned.keys()):
        if folder in planned:
            yield from (line.dumps() for line in planned[folder])
        else:
            yield from earlier[folder]


def is_up_to_date(target: str, lines: Iterable[bytes]) -> bool:
    """Whether the manifest holds exactly these lines."""
    try:
        with json_files.open_regular(os.path.join(target, FILE_NAME)) as file:
            return all(there == line for there, line in itertools.zip_longest(file, lines))
    except FileNotFoundError:
        return False


def write_manifest(target: str, lines: Iterable[bytes], aside: str) -> None:
    with json_files.atomic_write(os.path.join(target, FILE_NAME), aside) as file:
        file.writelines(lines)
