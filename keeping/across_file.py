"""`duplicates_across.json` in a dataset: matches between its topics, and with reference images.

    {"C/S/T/a.jpg": {"C/S/U/b.jpg": "copy", "/data/test/x.jpg": "mirrored"},
     "C/S/U/b.jpg": {"C/S/T/a.jpg": "copy"}}

Paths are below the dataset; those of reference images are absolute, and are not keys. What made the
file, and the stamp of each image in it, are in the dataset's own `.cache/`, as if the dataset were
a topic. Needs only the standard library.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common import atomic_files, cache, json_files, locks, terminal
from common.atomic_files import Damaged
from common.cache import Provenance
from common.json_files import COPY, DOUBTFUL, Copies, Kinds
from common.reporter import dump_json
from common.topics import Stamp, Topic, stamp_of
from imaging import image_identity
from keeping import decisions, kind_names, topic_relations
from keeping.pair_sections import pairs_path

FILE_NAME = "duplicates_across.json"
ACROSS_KINDS = (COPY, *json_files.SHOWN_KINDS)
FILE_KINDS = (COPY, *json_files.VARIANT_KINDS)  # those that the file holds
UNSEEN_STAMP = (0, 0)  # of an image of which nobody knows what a search saw
COMMAND = "find_duplicates.py --across"


@dataclass(frozen=True)
class Across:
    """The matches between unchanged images, with a person's decisions applied."""

    kinds: Kinds  # by absolute path, both ways; reference images are keys too
    references: set[str]  # absolute paths

    @functools.cached_property
    def names_by_folder(self) -> Mapping[str, set[str]]:
        """The images with a match, by folder. Most images have none and need no look each."""
        by_folder: dict[str, set[str]] = {}
        for folder, name in map(os.path.split, self.kinds):
            by_folder.setdefault(folder, set()).add(name)
        return by_folder

    def matches_in_dataset(self, path: str) -> dict[str, str]:
        """Return the matches of an image with images of its dataset, and their kinds."""
        matches = self.kinds.get(path, {}).items()
        return {other: kind for other, kind in matches if other not in self.references}

    def reference_match(self, path: str, kinds: Iterable[str] = ACROSS_KINDS) -> str | None:
        """Return a reference image that matches this image in one of the kinds, never DOUBTFUL."""
        matched = []
        for other, kind in self.kinds.get(path, {}).items():
            if other in self.references and kind in kinds and kind != DOUBTFUL:
                matched.append(other)
        return min(matched, default=None)


def path_in(dataset: str) -> str:
    return os.path.join(dataset, FILE_NAME)


class DatasetAsTopic(Topic):
    """A dataset as if it were a topic, with paths in place of names.

    So it has a `.cache/`, and whatever works on a topic's files works on the dataset's.
    """

    def sibling_json(self, kind: str) -> str:
        return self.path_of(f"{kind}_across.json")

    def all_image_names(self) -> list[str]:
        """List the images in the file, reference images too."""
        path = path_in(self.path)
        return list(_parse(path, atomic_files.read_bytes(path)) or ())


def dataset_as_topic(dataset: str) -> DatasetAsTopic:
    return DatasetAsTopic(dataset, os.path.basename(dataset), "", "", "", image_count=0)


def read_across(topics: Iterable[Topic], warn: Callable[[str], None]) -> Across:
    """Read and join the files of the topics' datasets. Warns of stale images. Raises Damaged.

    Leaves out the images of the topics that the run does not work on.
    """
    across = Across({}, set())
    topics = list(topics)
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        content = _read_file(dataset)
        kinds = content.kinds
        unselected = _paths_left_out(dataset, topics, kinds)
        stale = [path for path in content.stale_images() if path not in unselected]
        if stale:
            path = terminal.escape(path_in(dataset))
            listed = terminal.list_counted([(stale, "changed since or gone")])
            warn(f"{path}: no longer fits (run {COMMAND} again): {listed}")
        _drop_images(kinds, stale)
        _apply_decisions(dataset, kinds)
        _drop_images(kinds, _paths_left_out(dataset, topics, kinds))
        for path, others in kinds.items():
            absolute = {os.path.join(dataset, other): kind for other, kind in others.items()}
            across.kinds[os.path.join(dataset, path)] = absolute
        across.references.update(filter(os.path.isabs, kinds))
    return across


def _drop_images(kinds: Kinds, paths: Iterable[str]) -> None:
    for path in paths:
        for other in kinds.pop(path):
            kinds.get(other, {}).pop(path, None)


def _paths_left_out(dataset: str, topics: Iterable[Topic], paths: Iterable[str]) -> set[str]:
    """Return the paths below the dataset of images in these topics that the run leaves out."""
    partial = {}
    for topic in topics:
        if topic.selection:
            partial[os.path.relpath(topic.path, dataset)] = topic
    unselected = set()
    for path in paths:
        folder, name = os.path.split(path)
        if folder in partial and not partial[folder].selects(name):
            unselected.add(path)
    return unselected


def write_across(
    dataset: str,
    found: Kinds,
    is_compared: Callable[[str, str, str], bool],
    made_by: Mapping[str, Any],
    stamps: Mapping[str, Stamp],
    warn: Callable[[str], None],
) -> Kinds:
    """Replace in the dataset's file all pairs that a search compared by those that it found.

    `is_compared` says of two images and the kind of their match whether the search compared them.
    `stamps` are those that the search saw; old pairs of an image with another stamp are dropped.
    A damaged file is set aside. Returns everything that the file holds then. Raises UserError.
    """
    topic = dataset_as_topic(dataset)
    with locks.topic_lock(topic):
        old = _read_or_quarantine(dataset, warn)
        kinds = json_files.symmetrize(found, ACROSS_KINDS)
        _keep_old_pairs(kinds, old, is_compared, stamps)
        _apply_decisions(dataset, kinds)
        kinds = {path: others for path, others in kinds.items() if others}
        stamps_seen = {}
        for path in kinds:
            stamp = stamps.get(path) or old.stamps_seen.get(path)
            if not stamp and path not in old.kinds:  # a person's decision brought it in
                stamp = current_stamp(dataset, path)
            stamps_seen[path] = stamp or UNSEEN_STAMP
        data = {path: others for path, others in kinds.items() if not os.path.isabs(path)}
        data = kind_names.file_kinds(data)
        provenance = Provenance(dict(made_by), stamps_seen)
        cache.write_with_provenance(topic, {"duplicates": (dump_json(data).encode(), provenance)})
        return kinds


@dataclass(frozen=True)
class _FileContent:
    """What a dataset's file says, by path as in the file."""

    kinds: Kinds
    stamps: Mapping[str, Stamp]  # of the images in it now
    stamps_seen: Mapping[str, Stamp]  # by the search

    def stale_images(self) -> list[str]:
        stale = []
        for path in sorted(self.kinds):
            if path not in self.stamps or self.stamps_seen.get(path) != self.stamps[path]:
                stale.append(path)
        return stale


def _read_file(dataset: str, warn: Callable[[str], None] | None = None) -> _FileContent:
    """Read the dataset's file; empty if there is none. Raises Damaged."""
    topic, path = dataset_as_topic(dataset), path_in(dataset)
    kinds, cached, _ = cache.read_with_provenance(
        topic, "duplicates", _parse, lambda: cache.load_cache(topic, warn)
    )
    if kinds is None:
        return _FileContent({}, {}, {})
    kinds = kind_names.name_kinds(kinds, pairs_path(topic))
    stamps = {}
    for name in kinds:
        if stamp := current_stamp(dataset, name):
            stamps[name] = stamp
    stamps_seen = topic_relations.stamps_at_search(cached.duplicates, path, stamps)
    return _FileContent(kinds, stamps, stamps_seen)


def current_stamp(dataset: str, path: str) -> Stamp | None:
    """Return the stamp of an image as a search sees it; None if it is gone."""
    if os.path.isabs(path):  # a reference image: nothing is recorded in its folder
        return stamp_of(path)
    return image_identity.current_stamp(os.path.join(dataset, path))


def _read_or_quarantine(dataset: str, warn: Callable[[str], None]) -> _FileContent:
    try:
        return _read_file(dataset, warn)
    except Damaged as error:
        atomic_files.quarantine(error.path, error.reason, warn)
        return _FileContent({}, {}, {})


def _keep_old_pairs(
    kinds: Kinds,
    old: _FileContent,
    is_compared: Callable[[str, str, str], bool],
    stamps: Mapping[str, Stamp],
) -> None:
    """Add the old pairs that were not compared, of images with the stamp that they had then."""
    unchanged = set()
    for path in old.kinds:
        seen = old.stamps_seen.get(path)
        if stamps.get(path, seen) == seen:
            unchanged.add(path)
    for path in unchanged:
        for other in unchanged & old.kinds[path].keys():
            kind = old.kinds[path][other]
            if not is_compared(path, other, kind):
                kinds.setdefault(path, {}).setdefault(other, kind)


def _parse(path: str, content: bytes | None) -> Kinds | None:
    return json_files.parse_kinds(path, content, FILE_KINDS)


def _apply_decisions(dataset: str, kinds: Kinds) -> None:
    """Change the matches between topics, and with references, as a person decided."""
    copies: Copies = {}
    decisions.read_decisions(dataset).still_valid(dataset).apply_to(copies, kinds)
    for path, others in copies.items():
        folder = os.path.dirname(path)
        elsewhere = {other for other in others if os.path.dirname(other) != folder}
        kinds.setdefault(path, {}).update(dict.fromkeys(elsewhere, COPY))
