"""`decisions.json` in a dataset: what a person decided about its images. It overrules all rules.

    {"different": [["C/S/T/a.jpg", "C/S/T/b.jpg"]],   never a match: both are kept
     "same": [["C/S/T/a.jpg", "C/S/U/d.jpg"]],        copies, whatever a search says
     "keep": ["C/S/T/c.jpg"],                         kept, and first in the walk of the keeper rule
     "drop": ["C/S/T/e.jpg"],                         in no merge and no split; only if there is any
     "files": {"C/S/T/a.jpg": [size, "mtime_ns"]}}    optional: the stamps when it was decided

Paths are below the dataset; that of an image in a reference folder is absolute. Needs only the
standard library.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from common import json_files, name_forms, terminal
from common.atomic_files import Damaged
from common.json_files import Copies, Kinds
from common.target_folder import TargetFolder
from common.topics import Stamp, Topic, stamp_of
from imaging import image_identity

FILE_NAME = "decisions.json"
CHANGED = "changed since, and so neither dropped nor the same as another until you decide again"

PathPair = tuple[str, str]  # paths as in the file, sorted


@dataclass(frozen=True)
class Decisions:
    different: Set[PathPair] = frozenset()
    same: Set[PathPair] = frozenset()
    keep: Set[str] = frozenset()
    drop: Set[str] = frozenset()
    files: Mapping[str, Stamp] = field(default_factory=dict)  # stamps when it was decided

    @property
    def paths(self) -> list[str]:
        """Every image that something was decided about, sorted."""
        pairs = self.different | self.same
        return sorted({path for pair in pairs for path in pair} | self.keep | self.drop)

    @functools.cached_property
    def by_folder(self) -> dict[str, Decisions]:
        """The decisions within each folder, with names in place of paths."""
        different = _pairs_by_folder(self.different)
        same = _pairs_by_folder(self.same)
        keep = _names_by_folder(self.keep)
        drop = _names_by_folder(self.drop)
        files: dict[str, dict[str, Stamp]] = {}
        for path, stamp in self.files.items():
            files.setdefault(os.path.dirname(path), {})[os.path.basename(path)] = stamp
        by_folder = {}
        for folder in set[str]().union(different, same, keep, drop, files):
            by_folder[folder] = Decisions(
                different.get(folder, set()),
                same.get(folder, set()),
                keep.get(folder, set()),
                drop.get(folder, set()),
                files.get(folder, {}),
            )
        return by_folder

    def only_about(self, paths: Set[str]) -> Decisions:
        """Leave out the decisions about other images, and about pairs with another image."""
        different = {pair for pair in self.different if paths >= set(pair)}
        same = {pair for pair in self.same if paths >= set(pair)}
        return Decisions(different, same, self.keep & paths, self.drop & paths, self.files)

    def still_valid(self, folder: str) -> Decisions:
        """Leave out `same` and `drop` of images, below `folder`, that are gone or have changed."""

        def is_unchanged(path: str) -> bool:
            return is_as_decided(os.path.join(folder, path), self.files.get(path))

        same = {pair for pair in self.same if all(map(is_unchanged, pair))}
        return replace(self, same=same, drop=set(filter(is_unchanged, self.drop)))

    def apply_to(self, copies: Copies | None, variants: Kinds | None) -> None:
        """Change copies and variants as decided, in both directions; None stays None."""
        for pair in self.different | self.same:
            for name, other in (pair, pair[::-1]):
                if variants is not None:
                    variants.get(name, {}).pop(other, None)
                if copies is not None:
                    copies.get(name, set()).discard(other)
                    if pair in self.same:
                        copies.setdefault(name, set()).add(other)

    def as_json(self) -> dict[str, object]:
        """Return the content of the file."""
        data: dict[str, object] = {
            "different": sorted(self.different),
            "same": sorted(self.same),
            "keep": sorted(self.keep),
        }
        if self.drop:  # versions before it refuse a file that has the key
            data["drop"] = sorted(self.drop)
        if self.files:
            stamps = self.files.items()
            data["files"] = {path: [size, str(mtime_ns)] for path, (size, mtime_ns) in stamps}
        return data


def _pairs_by_folder(pairs: Iterable[PathPair]) -> dict[str, set[PathPair]]:
    """Return the pairs within each folder, with names in place of paths."""
    by_folder: dict[str, set[PathPair]] = {}
    for first, second in pairs:
        folder = os.path.dirname(first)
        if folder == os.path.dirname(second):
            names = (os.path.basename(first), os.path.basename(second))
            by_folder.setdefault(folder, set()).add(names)
    return by_folder


def _names_by_folder(paths: Iterable[str]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for path in paths:
        names.setdefault(os.path.dirname(path), set()).add(os.path.basename(path))
    return names


def is_as_decided(path: str, stamp_then: Stamp | None) -> bool:
    """Tell whether an image is there and unchanged since a decision about it."""
    stamp = stamp_of(path)
    if stamp is None or stamp_then in (None, stamp):
        return stamp is not None
    return image_identity.current_stamp(path) == stamp_then


NO_DECISIONS = Decisions()


def decisions_path(dataset: str) -> str:
    return os.path.join(dataset, FILE_NAME)


def read_decisions(dataset: str) -> Decisions:
    """Read the decisions about a dataset; empty if there is no file. Raises Damaged."""
    path = decisions_path(dataset)
    return _read_file(path, stamp_of(path))


@functools.lru_cache(maxsize=8)  # the topics of a dataset ask one after the other
def _read_file(path: str, _: Stamp | None) -> Decisions:
    return parse_decisions(path, json_files.read_json(path, {}), os.path.dirname(path))


def parse_decisions(path: str, data: Any, dataset: str) -> Decisions:
    """Return the decisions, with paths in the Unicode form of the dataset. Raises Damaged."""
    decided = _parse(path, data)
    names = name_forms.match_paths(decided.paths, dataset)
    return _parse(path, name_forms.rename_all(decided.as_json(), names)) if names else decided


def _parse(path: str, data: Any) -> Decisions:
    try:
        if unknown := data.keys() - {"different", "same", "keep", "drop", "files"}:
            key = terminal.escape(min(unknown))
            raise Damaged(path, f"{key}: not different, same, keep, drop or files")
        different = _parse_pairs(data.get("different", ()))
        same = _parse_pairs(data.get("same", ()))
        keep = set(_parse_paths(data.get("keep", [])))
        drop = set(_parse_paths(data.get("drop", [])))
        if both := keep & drop:
            raise Damaged(path, f"{terminal.escape(min(both))}: both in keep and in drop")
        files = {}
        for name, (size, mtime_ns) in data.get("files", {}).items():
            files[name] = (int(size), int(mtime_ns))
        return Decisions(different, same - different, keep, drop, files)
    except (AttributeError, TypeError, ValueError, OverflowError):
        shape = (
            "not lists of pairs of paths (different, same) and of paths (keep, drop), "
            "or sizes and times (files) that are no whole numbers"
        )
        raise Damaged(path, shape) from None


def _parse_pairs(values: Iterable[object]) -> set[PathPair]:
    pairs = set()
    for value in values:
        first, second = sorted(set(_parse_paths(value)))
        pairs.add((first, second))
    return pairs


def _parse_paths(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise TypeError
    return value


def decisions_for_topic(topic: Topic) -> Decisions:
    """Return the valid decisions within a topic, with names in place of paths. Raises Damaged.

    Leaves out those about images that the run does not work on.
    """
    by_folder = read_decisions(topic.dataset_path).by_folder
    if not by_folder:
        return NO_DECISIONS
    decided = by_folder.get(topic.folder_in_dataset, NO_DECISIONS)
    if topic.selection:
        decided = decided.only_about(set(filter(topic.selects, decided.paths)))
    return decided.still_valid(topic.path) if decided.same or decided.drop else decided


def dropped_paths(datasets: Iterable[str]) -> set[str]:
    """Return the paths of the images that a person dropped and that are unchanged since."""
    dropped: set[str] = set()
    for dataset in datasets:
        decided = read_decisions(dataset).still_valid(dataset)
        dropped.update(os.path.join(dataset, path) for path in decided.drop)
    return dropped


def write_decisions(
    dataset: str, decided: Decisions, target_folder: TargetFolder | None = None
) -> None:
    json_files.write_json(decisions_path(dataset), decided.as_json(), target_folder)
