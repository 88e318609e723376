"""`duplicates_across.json` in a dataset: matches between its topics, and with images of reference folders.

    {"C/S/T/a.jpg": {"C/S/U/b.jpg": "copy", "/data/test/x.jpg": "mirrored"}, "C/S/U/b.jpg": {"C/S/T/a.jpg": "copy"}}

Paths lie below the dataset; those of reference images are absolute, and no keys. What made it, and the size and time of
each image in it, lie in the dataset's own `.cache/`, as if the dataset were a topic. Needs the standard library alone.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common import cache, decisions, json_files, keepers, terminal
from common.cache import Provenance
from common.json_files import COPY, DOUBTFUL, Kinds
from common.reporter import dump_json
from common.tree import Stamp, Topic, stamp_of

FILE_NAME = "duplicates_across.json"
ACROSS_KINDS = (COPY, *json_files.VARIANT_KINDS)
UNSEEN_STAMP = (0, 0)  # instead of the stamp of an image of which nobody knows what a search saw


@dataclass(frozen=True)
class Across:
    """What the file says, by absolute path, as far as it can be relied on, and as a person decided."""

    kinds: Kinds  # both ways, reference images among them
    references: set[str]

    @functools.cached_property
    def names(self) -> Mapping[str, set[str]]:
        """The images in it by their folder: most have none, and need no look at each."""
        found: dict[str, set[str]] = {}
        for folder, name in map(os.path.split, self.kinds):
            found.setdefault(folder, set()).add(name)
        return found

    def within(self, path: str) -> dict[str, str]:
        """The matches of an image with images of its dataset."""
        return {
            other: kind
            for other, kind in self.kinds.get(path, {}).items()
            if other not in self.references
        }

    def reference(self, path: str, kinds: Iterable[str] = ACROSS_KINDS) -> str | None:
        """A reference image that this one matches in one of these kinds, never in doubt."""
        likely = (
            other
            for other, kind in self.kinds.get(path, {}).items()
            if kind in kinds and kind != DOUBTFUL
        )
        return min((other for other in likely if other in self.references), default=None)


def across_path(dataset: str) -> str:
    return os.path.join(dataset, FILE_NAME)


class DatasetAsTopic(Topic):
    """A dataset as if it were a topic, with paths for names: so that it has a `.cache/` and all that knows topics."""

    def beside(self, kind: str) -> str:
        return self.file(f"{kind}_across.json")

    def images(self) -> list[str]:
        """The images in the file, those of references too."""
        return list(
            _parse(across_path(self.path), json_files.read_bytes(across_path(self.path))) or ()
        )


def dataset_as_topic(dataset: str) -> DatasetAsTopic:
    return DatasetAsTopic(dataset, os.path.basename(dataset), "", "", "", found=0)


def read_across(topics: Iterable[Topic], warn: Callable[[str], None]) -> Across:
    """What the files of the topics' datasets say together; names what is stale in them. Raises Damaged."""
    found = Across({}, set())
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        kinds, now, seen = _read_file(dataset)
        if stale := sorted(
            path for path in kinds if path not in now or seen.get(path) != now[path]
        ):
            named = f"{len(stale):,} changed since or gone ({terminal.list_few(stale)})"
            warn(
                f"{terminal.escape(across_path(dataset))}: no longer fits (run find_duplicates.py --across again): {named}"
            )
        for path in stale:
            for other in kinds.pop(path):
                kinds.get(other, {}).pop(path, None)
        _apply_decisions(dataset, kinds)
        for path, others in kinds.items():
            found.kinds[os.path.join(dataset, path)] = {
                os.path.join(dataset, p): kind for p, kind in others.items()
            }
        found.references.update(filter(os.path.isabs, kinds))
    return found


def write_across(
    dataset: str,
    found: Kinds,
    is_compared: Callable[[str, str, str], bool],
    made_by: Mapping[str, Any],
    stamps: Mapping[str, Stamp],
    warn: Callable[[str], None],
) -> Kinds:
    """Put what was found into the dataset's file in place of all pairs (and kinds) compared; returns all that is in it.

    `stamps` is what the search saw of each image in `found`; other pairs of an image that it saw changed go too. A
    damaged file is set aside. Raises UserError.
    """
    with cache.topic_lock(dataset_as_topic(dataset)):
        try:
            old, _, seen = _read_file(dataset, warn)
        except json_files.Damaged as error:
            json_files.quarantine(error.path, error.reason, warn)
            old, seen = {}, {}
        kept = {path for path in old if stamps.get(path, seen.get(path)) == seen.get(path)}
        kinds = json_files.symmetrize(found, ACROSS_KINDS)
        for one in kept:
            for other in kept & old[one].keys():
                if not is_compared(one, other, old[one][other]):
                    kinds.setdefault(one, {}).setdefault(other, old[one][other])
        _apply_decisions(dataset, kinds)
        kinds = {path: others for path, others in kinds.items() if others}
        decided = {
            path: stamp_of(os.path.join(dataset, path)) for path in kinds.keys() - old.keys()
        }
        saw = {
            path: stamps.get(path) or seen.get(path) or decided.get(path) or UNSEEN_STAMP
            for path in kinds
        }
        content = dump_json(
            {path: kinds[path] for path in kinds if not os.path.isabs(path)}
        ).encode()
        cache.write_with_provenance(
            dataset_as_topic(dataset), {"duplicates": (content, Provenance(dict(made_by), saw))}
        )
        return kinds


def _read_file(
    dataset: str, warn: Callable[[str], None] | None = None
) -> tuple[Kinds, dict[str, Stamp], Mapping[str, Stamp]]:
    """What the file says, the images in it as they are now, and as the search saw them. Raises Damaged."""
    topic, path = dataset_as_topic(dataset), across_path(dataset)
    kinds, cached, _ = cache.read_with_provenance(
        topic, "duplicates", _parse, lambda: cache.load_cache(topic, warn)
    )
    if kinds is None:
        return {}, {}, {}
    now = {name: stamp for name in kinds if (stamp := stamp_of(os.path.join(dataset, name)))}
    return kinds, now, keepers.stamps_at_search(cached.duplicates, path, now)


def _parse(path: str, content: bytes | None) -> Kinds | None:
    return json_files.parse_kinds(path, content, ACROSS_KINDS)


def _apply_decisions(dataset: str, kinds: Kinds) -> None:
    """Put what a person decided into matches between topics and with references, both ways."""
    copies: dict[str, set[str]] = {}
    decisions.read_decisions(dataset).holding(dataset).settle(copies, kinds)
    for one, others in copies.items():
        beyond = {other for other in others if os.path.dirname(other) != os.path.dirname(one)}
        kinds.setdefault(one, {}).update(dict.fromkeys(beyond, COPY))
