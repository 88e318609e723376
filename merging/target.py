"""One topic of the target as a merge finds it: what lies there, and what earlier merges promised. Only reads.

What an earlier merge put in the target stays where it is; the manifest also says what was promised but, because that
merge was interrupted, not done. So does a copy count that a power cut tore: it is brought again.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from common import captions, json_files
from common.tree import Stamp, Topic, stamp_of
from merging import naming
from merging.manifest import COPIED, RENAMED, SUPERSEDED, ManifestLine


class TargetTopic:
    """The topic with its names, taken and promised; a plan adds those that it gives.

    `edited` are the files, among those asked for so far, that are not what a merge put there; `torn` are those that a
    power cut left, with what they are now: they count as absent.
    """

    def __init__(self, topic: Topic, earlier: Sequence[ManifestLine]) -> None:
        self.topic = topic
        self.present = set(os.listdir(topic.path)) if os.path.isdir(topic.path) else set()
        self.taken = naming.NameRegistry()
        self.edited: set[str] = set()
        self._stamps = topic.stamps() if self.present else {}
        self.torn = {name: stamp for line in earlier for name, stamp in self._torn(line)}
        self.present -= self.torn.keys()
        for name in self.torn:
            self._stamps.pop(name, None)
        self._claimed = {
            captions.casefold_nfc(name) for name in self.present
        }  # there, or in a copy of this plan
        self._earlier = earlier
        self._promised = {line.source: line for line in earlier if line.action != SUPERSEDED}
        self._superseded: dict[str, ManifestLine] = {}
        for line in earlier:
            self._take_promised(line)
        self._take_present()

    def _torn(self, line: ManifestLine) -> Iterator[tuple[str, Stamp]]:
        """Of the image and the sidecars that this line brought those that can be nothing but torn copies.

        Of an image the source must still be the one that was merged. Of a sidecar no line says what that was: it is
        torn where its image is, or where it has the time of its source, which no editing leaves.
        """
        if line.action not in (COPIED, RENAMED) or line.place not in self.present:
            return
        stamp = self._stamps.get(line.place)
        torn = stamp != line.stamp == stamp_of(line.source) and naming.is_torn_copy(
            self.topic.file(line.place), line.source
        )
        if torn and stamp:
            yield line.place, stamp
        for name, source in self._sidecars(line):
            stamp, own = stamp_of(self.topic.file(name)), stamp_of(source)
            if (
                stamp
                and own
                and (torn or stamp[1] == own[1])
                and naming.is_torn_copy(self.topic.file(name), source)
            ):
                yield name, stamp

    def _sidecars(self, line: ManifestLine) -> Iterator[tuple[str, str]]:
        """The names of a line's sidecars, each with the path of its source."""
        stem, own = captions.stem_of(line.place), captions.stem_of(line.source)
        yield from ((name, own + name[len(stem) :]) for name in line.sidecars)

    def _take_promised(self, line: ManifestLine) -> None:
        stem = captions.stem_of(line.place)
        if line.target:
            there = line.place in self.present
            self.taken.add_image(line.place, self.topic.file(line.place) if there else line.source)
            if there:
                self.taken.add_arrival(line.place, os.path.basename(line.source))
        for name, path in self._sidecars(line):
            there = name in self.present
            self.taken.add_sidecar(
                stem, name[len(stem) :], self.topic.file(name) if there else path
            )

    def _take_present(self) -> None:
        groups, alone = captions.group_by_stem(
            self._stamps, other_lines(self.present, self._stamps)
        )
        for group in groups:
            for name in group.images:
                if not self.taken.holder(name):
                    self.taken.add_image(name, self.topic.file(name))
                    self.taken.add_arrival(name, name)
            for suffix in group.sidecars:
                self.taken.add_sidecar(group.stem, suffix, self.topic.file(group.stem + suffix))
        for name in alone:
            stem, suffix = os.path.splitext(name)
            self.taken.add_sidecar(stem, suffix, self.topic.file(name))

    def promised(self, path: str, stamp: Stamp) -> ManifestLine | None:
        """The line of an image that an earlier merge gave a place; None if the image has changed since."""
        line = self._promised.get(path)
        if line is None or line.target is None:
            return None
        there = self.topic.file(line.place)
        kept = (
            line.place not in self.present
            or self._stamps.get(line.place) == stamp
            or naming.is_same_file(path, there)
        )
        if not kept and line.stamp == stamp:
            self.edited.add(there)
            kept = True
        if not kept:
            self._superseded[path] = replace(
                line, action=SUPERSEDED, reason="the source has changed since"
            )
            return None
        return replace(line, stamp=stamp, target=self.below(line.place))

    def has(self, path: str, stamp: Stamp) -> bool:
        """Whether an earlier merge brought the image, as it is now."""
        line = self.promised(path, stamp)
        return line is not None and line.place in self.present

    def claim(self, name: str) -> bool:
        """Take the name of a file that has to be copied; False where it is there, or another copy brings it."""
        folded = captions.casefold_nfc(name)
        is_free = folded not in self._claimed
        self._claimed.add(folded)
        return is_free

    def below(self, name: str) -> str:
        """A name's path below the target folder."""
        return os.path.join(*self.topic.parts[1:], name)

    def in_order(
        self, lines: Mapping[str, ManifestLine], sources: Sequence[Topic]
    ) -> Iterator[ManifestLine]:
        """The topic's lines of the manifest: earlier ones at their places, then new `lines` by source and name."""
        place = {source.path: number for number, source in enumerate(sources)}
        new = dict(lines)
        for line in self._earlier:
            if line.source in self._superseded and line.action != SUPERSEDED:
                yield self._superseded[line.source]
            elif line.action != SUPERSEDED and line.source in new:
                yield new.pop(line.source)
            elif not (
                line.target
                and line.place not in self.present
                and os.path.dirname(line.source) in place
            ):
                yield line  # but not one of a source that went before it was copied
        yield from sorted(
            new.values(), key=lambda line: (place[os.path.dirname(line.source)], line.source)
        )


def other_lines(names: Iterable[str], images: Collection[str]) -> list[str]:
    """The names, sorted, of what is no image and none of our own records."""
    return sorted(name for name in names if name not in images and not json_files.is_record(name))
