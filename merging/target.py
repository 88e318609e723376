"""One topic of the target: its files, and the places that earlier merges gave. Only reads.

What an earlier merge put in the target stays in its place. If that merge was interrupted, the
manifest also lists files that were never copied. Copies that a power cut tore are copied again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from common import json_files, name_forms
from common.topics import Stamp, Topic, stamp_of
from merging import naming
from merging.manifest import COPIED, RENAMED, SUPERSEDED, ManifestLine
from sidecars import stem_groups


class TargetTopic:
    """The topic and the names in it, present and planned. A merge's plan adds to them.

    `present` are the names of its files; `torn` those of torn copies with their stamps, which
    count as absent. `edited` are the paths, among those asked for so far, of files that somebody
    changed since a merge put them there.
    """

    def __init__(
        self, topic: Topic, earlier: Sequence[ManifestLine], joins_any_name: bool = True
    ) -> None:
        self.topic = topic
        self.names = naming.NameRegistry(joins_any_name)
        self.edited: set[str] = set()
        self.present: set[str] = set()
        self._stamps: dict[str, Stamp] = {}
        if os.path.isdir(topic.path):
            self.present = set(os.listdir(topic.path))
            self._stamps = topic.image_stamps()
        self.torn = self._find_torn_copies(earlier)
        for name in self.torn:
            self.present.discard(name)
            self._stamps.pop(name, None)
        # names that need no copy: present, or another transfer of this plan brings them
        self._claimed = set(map(name_forms.casefold_nfc, self.present))
        self._earlier = earlier
        self._lines = {line.source: line for line in earlier if line.action != SUPERSEDED}
        self._superseded: dict[str, ManifestLine] = {}
        for line in earlier:
            self._register_line(line)
        self._register_present()

    def _find_torn_copies(self, earlier: Iterable[ManifestLine]) -> dict[str, Stamp]:
        torn: dict[str, Stamp] = {}
        for line in earlier:
            if line.action in (COPIED, RENAMED) and line.target_name in self.present:
                torn.update(self._torn_copies(line))
        return torn

    def _torn_copies(self, line: ManifestLine) -> Iterator[tuple[str, Stamp]]:
        """Yield the image and sidecars of a line that can only be torn copies.

        The source of an image must still be the one that was merged. No line records the stamp of
        a sidecar: it is torn if its image is, or if it has the time of its source, which an edit
        would have changed.
        """
        stamp = self._stamps.get(line.target_name)
        is_image_torn = False
        if stamp and stamp != line.stamp and line.stamp == stamp_of(line.source):
            path = self.topic.path_of(line.target_name)
            is_image_torn = naming.is_torn_copy(path, line.source)
            if is_image_torn:
                yield line.target_name, stamp
        for name, source in sidecar_sources(line):
            path = self.topic.path_of(name)
            stamp, source_stamp = stamp_of(path), stamp_of(source)
            if not stamp or not source_stamp:
                continue
            has_same_time = stamp[1] == source_stamp[1]
            if (is_image_torn or has_same_time) and naming.is_torn_copy(path, source):
                yield name, stamp

    def _register_line(self, line: ManifestLine) -> None:
        """Take the names that an earlier merge gave, even if it was stopped before copying."""
        name = line.target_name
        if line.target:
            self.names.add_image(name, self._readable_path(name, line.source))
            if name in self.present:
                self.names.add_arrival(name, line.source)
        stem = stem_groups.stem_of(name)
        for sidecar, source in sidecar_sources(line):
            suffix = sidecar[len(stem) :]
            self.names.add_sidecar(stem, suffix, self._readable_path(sidecar, source))

    def _readable_path(self, name: str, source: str) -> str:
        return self.topic.path_of(name) if name in self.present else source

    def _register_present(self) -> None:
        others = other_names(self.present, self._stamps)
        groups, unmatched = stem_groups.group_by_stem(self._stamps, others)
        for group in groups:
            for name in group.images:
                if not self.names.owner(name):
                    self.names.add_image(name, self.topic.path_of(name))
                    self.names.add_arrival(name, name)
            for suffix in group.sidecars:
                path = self.topic.path_of(group.sidecar_name(suffix))
                self.names.add_sidecar(group.stem, suffix, path)
        for name in unmatched:
            stem, suffix = os.path.splitext(name)
            self.names.add_sidecar(stem, suffix, self.topic.path_of(name))

    def earlier_line(self, path: str, stamp: Stamp) -> ManifestLine | None:
        """Return the line of a source image that an earlier merge gave a place.

        None if there is none, or the image has changed since.
        """
        line = self._lines.get(path)
        if line is None or line.target is None:
            return None
        target_path = self.topic.path_of(line.target_name)
        is_current = (
            line.target_name not in self.present
            or self._stamps.get(line.target_name) == stamp
            or naming.is_same_file(path, target_path)
        )
        if not is_current and line.stamp == stamp:  # the target changed, not the source
            self.edited.add(target_path)
            is_current = True
        if not is_current:
            reason = "the source has changed since"
            self._superseded[path] = replace(line, action=SUPERSEDED, reason=reason)
            return None
        return replace(line, stamp=stamp, target=self.path_in_target(line.target_name))

    def has_image(self, path: str, stamp: Stamp) -> bool:
        """Tell whether an earlier merge brought the source image as it is now."""
        line = self.earlier_line(path, stamp)
        return line is not None and line.target_name in self.present

    def claim_name(self, name: str) -> bool:
        """Claim the name for a transfer. Returns False if the file is present, or was claimed."""
        key = name_forms.casefold_nfc(name)
        if key in self._claimed:
            return False
        self._claimed.add(key)
        return True

    def path_in_target(self, name: str) -> str:
        """Return the path below the target folder of a file in this topic."""
        return os.path.join(self.topic.place, name)

    def new_manifest_lines(
        self, new_lines: Mapping[str, ManifestLine], sources: Sequence[Topic]
    ) -> Iterator[ManifestLine]:
        """Yield the topic's new manifest lines.

        Earlier lines stay in their order, updated; new ones follow, sorted by source and name.
        `new_lines` has them by the path of the source image.
        """
        position = {source.path: number for number, source in enumerate(sources)}
        remaining = dict(new_lines)
        for line in self._earlier:
            is_active = line.action != SUPERSEDED
            if is_active and line.source in self._superseded:
                yield self._superseded[line.source]
            elif is_active and line.source in remaining:
                yield remaining.pop(line.source)
            elif not self._was_never_copied(line, position):
                yield line

        def sort_key(line: ManifestLine) -> tuple[int, str]:
            return position[os.path.dirname(line.source)], line.source

        yield from sorted(remaining.values(), key=sort_key)

    def _was_never_copied(self, line: ManifestLine, source_folders: Collection[str]) -> bool:
        """Tell whether the source image disappeared before an earlier merge copied it."""
        is_missing = bool(line.target) and line.target_name not in self.present
        return is_missing and os.path.dirname(line.source) in source_folders


def sidecar_sources(line: ManifestLine) -> Iterator[tuple[str, str]]:
    """Yield the names of a line's sidecars, each with the path of its source."""
    stem = stem_groups.stem_of(line.target_name)
    source_stem = stem_groups.stem_of(line.source)
    for name in line.sidecars:
        yield name, source_stem + name[len(stem) :]


def other_names(names: Iterable[str], images: Collection[str]) -> list[str]:
    """Return the names, sorted, that are neither images nor our own result files."""
    others = (name for name in names if name not in images)
    return sorted(name for name in others if not json_files.is_result_file(name))


def file_names(source: Topic) -> list[str]:
    """Return the names of everything in the topic except folders, and links to folders."""
    with os.scandir(source.path) as entries:
        return [
            entry.name
            for entry in entries
            if not (entry.is_dir(follow_symlinks=False) or os.path.isdir(entry.path))
        ]
