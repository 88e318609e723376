"""`decisions.json` in a dataset: what a person decided about its images. It stands above every rule and threshold.

    {"different": [["C/S/T/a.jpg", "C/S/T/b.jpg"]],   never a match: both stay
     "same": [["C/S/T/a.jpg", "C/S/U/d.jpg"]],        copies, whatever a search says
     "keep": ["C/S/T/c.jpg"],                         stays, and comes first wherever the rule of keepers walks
     "files": {"C/S/T/a.jpg": [size, "mtime_ns"]}}    optional: what was seen when it was decided

Paths lie below the dataset; that of an image in a reference folder is absolute. Needs the standard library alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from common import json_files, terminal
from common.errors import UserError
from common.json_files import Damaged, Kinds
from common.reporter import Reporter
from common.tree import Stamp, Topic, is_image_name, stamp_of

FILE_NAME = "decisions.json"

PathPair = tuple[str, str]  # paths as in the file, the lesser first


@dataclass(frozen=True)
class Decisions:
    different: Set[PathPair] = frozenset()
    same: Set[PathPair] = frozenset()
    keep: Set[str] = frozenset()
    files: Mapping[str, Stamp] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """Every image that something was decided about."""
        return sorted({path for pair in self.different | self.same for path in pair} | self.keep)

    @functools.cached_property
    def by_folder(self) -> dict[str, Decisions]:
        """The decisions within each folder, about names in it."""
        found: dict[str, dict[str, Any]] = {}
        for key, paths in (
            ("different", self.different),
            ("same", self.same),
            ("keep", ((p,) for p in self.keep)),
        ):
            for several in paths:
                folders, names = zip(*map(os.path.split, several), strict=True)
                if len(set(folders)) == 1:
                    named = names if len(names) > 1 else names[0]
                    found.setdefault(folders[0], {}).setdefault(key, set()).add(named)
        for path, stamp in self.files.items():
            found.setdefault(os.path.dirname(path), {}).setdefault("files", {})[
                os.path.basename(path)
            ] = stamp
        return {folder: Decisions(**parts) for folder, parts in found.items()}

    def holding(self, folder: str) -> Decisions:
        """Without what was said to be the same of images, below `folder`, that are gone or have changed since."""

        def holds(path: str) -> bool:
            stamp = stamp_of(os.path.join(folder, path))
            return stamp is not None and self.files.get(path, stamp) == stamp

        return replace(self, same={pair for pair in self.same if all(map(holds, pair))})

    def settle(self, copies: dict[str, set[str]], variants: Kinds) -> None:
        """Put what was decided into the copies and the variants of images, both ways."""
        for pair in self.different | self.same:
            for one, other in (pair, pair[::-1]):
                copies.get(one, set()).discard(other)
                variants.get(one, {}).pop(other, None)
                if pair in self.same:
                    copies.setdefault(one, set()).add(other)

    def data(self) -> dict[str, object]:
        """As it goes into the file."""
        files = {path: [size, str(mtime)] for path, (size, mtime) in self.files.items()}
        made: dict[str, object] = {
            key: sorted(getattr(self, key)) for key in ("different", "same", "keep")
        }
        return made | ({"files": files} if files else {})


NO_DECISIONS = Decisions()


def decisions_path(dataset: str) -> str:
    return os.path.join(dataset, FILE_NAME)


def read_decisions(dataset: str) -> Decisions:
    """What was decided in a dataset, nothing where there is no file. Raises Damaged."""
    path = decisions_path(dataset)
    return _read_file(path, stamp_of(path))


@functools.lru_cache(maxsize=8)  # topics of a dataset ask one after the other
def _read_file(path: str, _: Stamp | None) -> Decisions:
    return _parse(path, json_files.read_json(path, {}))


def _parse(path: str, found: Any) -> Decisions:
    try:
        if unknown := found.keys() - {"different", "same", "keep", "files"}:
            raise Damaged(
                path, f"{terminal.escape(min(unknown))}: not different, same, keep or files"
            )
        different, same = (
            {_parse_pair(two) for two in found.get(key, ())} for key in ("different", "same")
        )
        files = {
            path: (int(size), int(mtime)) for path, (size, mtime) in found.get("files", {}).items()
        }
        return Decisions(
            different, same - different, set(_parse_paths(found.get("keep", []))), files
        )
    except (AttributeError, TypeError, ValueError):
        raise Damaged(
            path, "not lists of pairs of paths (different, same) and of paths (keep)"
        ) from None


def _parse_pair(value: object) -> PathPair:
    one, other = sorted(set(_parse_paths(value)))
    return one, other


def _parse_paths(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(path, str) for path in value):
        raise TypeError
    return value


def add_decisions(topics: Sequence[Topic], talk: Reporter, added: str | None = None) -> None:
    """Say which decisions are about images that are gone or have changed since; before that, join the file `added`.

    Raises UserError.
    """
    if added:
        add_files(topics, added)
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        made = read_decisions(dataset)
        now = {path: stamp_of(os.path.join(dataset, path)) for path in made.paths}
        gone = [path for path, stamp in now.items() if stamp is None]
        changed = [
            path for path, stamp in now.items() if stamp and made.files.get(path, stamp) != stamp
        ]
        parts = (
            (gone, "gone"),
            (changed, "changed since, and so the same as no other until you decide again"),
        )
        named = "; ".join(
            f"{len(paths):,} {what} ({terminal.list_few(paths)})" for paths, what in parts if paths
        )
        if named:
            talk.warn(
                f"{terminal.escape(decisions_path(dataset))}: some of its images are no longer so: {named}"
            )


def decisions_for_topic(topic: Topic) -> Decisions:
    """What was decided within a topic and holds, about names. Raises Damaged."""
    made = read_decisions(topic.dataset_path).by_folder.get(
        os.path.relpath(topic.path, topic.dataset_path), NO_DECISIONS
    )
    return made.holding(topic.path) if made.same else made


def add_files(topics: Sequence[Topic], path: str) -> None:
    """Add the decisions in the file or pipe `path` to those of the dataset; where both speak of a pair, these count.

    Raises UserError, before anything is written, where it names an image that does not exist.
    """
    datasets = list(dict.fromkeys(topic.dataset_path for topic in topics))
    if len(datasets) > 1:
        raise UserError(
            f"--decisions {path}: is about one dataset, and {len(datasets)} are given; run it for each"
        )
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file; give --decisions what the review page saved")
    (dataset,), new = datasets, _parse(path, json_files.read_json(path, {}, is_given=True))
    for name in new.paths:
        if not (
            is_image_name(os.path.basename(name)) and os.path.isfile(os.path.join(dataset, name))
        ):
            raise UserError(
                f"{path}: {name}: no such image in {dataset}; correct the path, or delete the line"
            )
    write_decisions(dataset, join_decisions(read_decisions(dataset), new))


def join_decisions(old: Decisions, new: Decisions) -> Decisions:
    """Both; of a pair that one calls different and the other the same, what `new` says."""
    return Decisions(
        (old.different - new.same) | new.different,
        (old.same - new.different) | new.same,
        old.keep | new.keep,
        {**old.files, **new.files},
    )


def write_decisions(dataset: str, made: Decisions, aside: str | None = None) -> None:
    json_files.write_json(decisions_path(dataset), made.data(), aside)
