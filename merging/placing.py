"""Plans one topic of a merge: what becomes of the images of all its sources. Only reads.

Images that share a stem move together with their sidecars: a group takes one stem in the target, its own or
`photo__DataSet`, so that no caption ever lands beside another's image. What lies in the target, and what earlier
merges promised, is merging/target.py's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from common import captions
from common.captions import StemGroup
from common.reporter import Reporter
from common.tree import Stamp, Topic, stamp_of
from merging import naming
from merging.copying import COPY, Copy
from merging.exclusion import Excluder, Exclusion, is_readable
from merging.manifest import (
    COPIED,
    DUPLICATE,
    IDENTICAL,
    REFERENCE,
    RENAMED,
    UNREADABLE,
    VARIANT,
    ManifestLine,
)
from merging.target import TargetTopic, other_lines

COUNTED = {
    DUPLICATE: "duplicates",
    VARIANT: "variants",
    REFERENCE: "references",
    UNREADABLE: "unreadable",
}
NO_PERMISSION = "permission denied; make it readable (chmod +r) and merge again"


@dataclass
class TopicPlan:
    """What becomes of the images that meet in one topic of the target."""

    topic: Topic  # in the target
    sources: list[Topic]
    lines: list[ManifestLine] = field(default_factory=list)  # of the manifest
    copies: list[Copy] = field(default_factory=list)  # images and sidecars that are not there yet
    left: list[tuple[str, str]] = field(
        default_factory=list
    )  # other files, which are not copied, and why
    edited: set[str] = field(
        default_factory=set
    )  # files in the target that are not what a merge put there
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # by the path of the dataset
    elsewhere: dict[str, str] = field(
        default_factory=dict
    )  # an image left out to one in another topic that stands for it


def plan_topic(
    there: Topic,
    sources: list[Topic],
    earlier: list[ManifestLine],
    mode: str,
    leaving: Excluder,
    talk: Reporter,
) -> TopicPlan:
    """The plan for the topic `there` of the target. Raises UserError."""
    plan, target = TopicPlan(there, sources), TargetTopic(there, earlier)
    lines: dict[str, ManifestLine] = {}
    for source in sources:
        chosen = _chosen(source, target, leaving)
        lines |= _Placer(plan, target, source, mode).placed(chosen)
        for name in chosen.unreadable:
            talk.report_unreadable(source.file(name), NO_PERMISSION)
    plan.lines = list(target.in_order(lines, sources))
    plan.edited = target.edited
    return plan


@dataclass(frozen=True)
class _Chosen:
    """The images of one source, sorted out: `staying` ones come to the target or have a twin there."""

    stamps: Mapping[str, Stamp]
    unreadable: Collection[str]
    left: Mapping[str, Exclusion]  # out, because another image stands for it

    @property
    def staying(self) -> dict[str, Stamp]:
        out = {*self.unreadable, *self.left}
        return {name: stamp for name, stamp in self.stamps.items() if name not in out}


def _chosen(source: Topic, target: TargetTopic, leaving: Excluder) -> _Chosen:
    """What an earlier merge brought is neither unreadable nor left out: it is there, and stays."""
    stamps = source.stamps()

    def is_there(name: str) -> bool:
        return target.has(source.file(name), stamps[name])

    unreadable = [name for name in stamps if not (is_readable(source.file(name)) or is_there(name))]
    out = leaving.left_out(source, stamps, unreadable)
    return _Chosen(
        stamps, unreadable, {name: left for name, left in out.items() if not is_there(name)}
    )


@dataclass(frozen=True)
class _StemGroup:
    """The staying images of one group."""

    stem: str
    homeless: dict[str, Stamp]  # by suffix: images that have no place yet
    sidecars: dict[str, str]  # by suffix: paths
    lines: dict[str, ManifestLine]  # by name: images that have a place


class _Placer:
    """Finds places for the images of one source, and plans the copies that bring them there."""

    def __init__(self, plan: TopicPlan, target: TargetTopic, source: Topic, mode: str) -> None:
        self._plan, self._target, self._taken, self._source = plan, target, target.taken, source
        self._mode = mode
        self._count = plan.counts.setdefault(source.dataset_path, Counter())
        self._lines: dict[str, ManifestLine] = {}

    def placed(self, chosen: _Chosen) -> dict[str, ManifestLine]:
        """A line of the manifest for each image, by its path."""
        self._count["found"] += len(chosen.stamps)
        staying = chosen.staying
        self._bring(chosen.stamps, staying)
        for name in staying:  # now, because twins are sought in other sources only
            if place := self._lines[self._source.file(name)].target:
                self._taken.add_arrival(os.path.basename(place), name)
        for name in chosen.unreadable:
            self._leave(name, chosen.stamps[name], UNREADABLE, None, NO_PERMISSION)
        for name, left in chosen.left.items():
            keeper = self._lines.get(left.keeper)
            kept = self._target.below(keeper.place) if keeper else None
            if not keeper and left.action != REFERENCE:
                self._plan.elsewhere[self._source.file(name)] = left.keeper
            self._leave(name, chosen.stamps[name], left.action, kept, left.reason)
        return self._lines

    def _bring(self, stamps: Mapping[str, Stamp], staying: Mapping[str, Stamp]) -> None:
        """Place the groups: first those that keep their stem, then those that have to take another."""
        groups, alone = captions.group_by_stem(stamps, other_lines(_files(self._source), stamps))
        self._plan.left += [(self._source.file(name), "goes with no image") for name in alone]
        waiting = []
        for group in groups:
            party = self._party(group, staying)
            conflict = (
                self._taken.conflict(group.stem, party.homeless, party.sidecars)
                if party.homeless
                else ""
            )
            if conflict:
                waiting.append((party, conflict))
            else:
                self._settle(party, group.stem, "")
        for party, conflict in waiting:
            stems = naming.candidate_stems(
                party.stem, self._source.dataset, [*party.homeless, *party.sidecars]
            )
            free = (
                stem
                for stem in stems
                if not self._taken.conflict(stem, party.homeless, party.sidecars)
            )
            self._settle(party, next(free), conflict)

    def _party(self, group: StemGroup, staying: Mapping[str, Stamp]) -> _StemGroup:
        """A group's images that stay, with the places that some of them have: from an earlier merge, or as a twin."""
        party = _StemGroup(group.stem, {}, {}, {})
        for suffix in group.sidecars:
            path = self._source.file(group.stem + suffix)
            if not any(name in staying for name in group.images):
                self._plan.left.append((path, "goes with an image that is left out"))
            elif not os.path.isfile(path) or not is_readable(path):
                self._plan.left.append((path, "cannot be read"))
            else:
                party.sidecars[suffix] = path
        for name in group.images:
            if name not in staying:
                continue
            path, stamp = self._source.file(name), staying[name]
            if line := self._target.promised(path, stamp):
                party.lines[name] = line
            elif twin := self._taken.twin(name, path):
                party.lines[name] = ManifestLine(
                    path, stamp, IDENTICAL, None, self._target.below(twin), "the same bytes"
                )
            else:
                party.homeless[name[len(group.stem) :]] = stamp
        return party

    def _settle(self, party: _StemGroup, stem: str, conflict: str) -> None:
        """Give the homeless images of a party this stem, and plan what has to be copied for all of it."""
        for suffix, stamp in party.homeless.items():
            path, action = self._source.file(party.stem + suffix), RENAMED if conflict else COPIED
            place = self._target.below(stem + suffix)
            party.lines[party.stem + suffix] = ManifestLine(
                path, stamp, action, place, None, conflict
            )
            self._taken.add_image(stem + suffix, path)
        for line in party.lines.values():
            self._copy(line)
        sidecars = self._sidecars(party)
        for line in party.lines.values():
            self._lines[line.source] = replace(
                line, sidecars=sidecars[captions.stem_of(line.place)]
            )

    def _copy(self, line: ManifestLine) -> None:
        """Plan to copy an image that has a place, unless it or its twin is there."""
        if line.action == IDENTICAL:
            self._count.update(identical=1, bytes_saved=line.stamp[0])
        elif line.place in self._target.present:
            self._count["already_there"] += 1
        else:
            self._plan.copies.append(self._copied(line.source, line.place, line.stamp, self._mode))
            self._count.update(copied=1, renamed=int(line.action == RENAMED))
            self._count["bytes_copied" if self._mode == COPY else "bytes_saved"] += line.stamp[0]

    def _copied(self, source: str, name: str, stamp: Stamp, mode: str) -> Copy:
        return Copy(source, self._target.topic.file(name), stamp, mode, self._target.torn.get(name))

    def _sidecars(self, party: _StemGroup) -> dict[str, tuple[str, ...]]:
        """By each stem that a party takes, the names of the sidecars that come along; copies those not there yet."""
        places = [line.place for line in party.lines.values()]
        came: dict[str, tuple[str, ...]] = {}
        for stem in dict.fromkeys(map(captions.stem_of, places)):
            for suffix, path in party.sidecars.items():
                refused = self._refused(stem, suffix, path, places)
                if refused:
                    self._plan.left.append((path, refused))
                    continue
                came[stem] = (*came.get(stem, ()), stem + suffix)
                self._taken.add_sidecar(stem, suffix, path)
                if self._target.claim(stem + suffix):
                    stamp = stamp_of(path) or (0, 0)
                    self._plan.copies.append(self._copied(path, stem + suffix, stamp, COPY))
                    self._count.update(sidecars=1, bytes_copied=stamp[0])
            came.setdefault(stem, ())
        return came

    def _refused(self, stem: str, suffix: str, path: str, places: Iterable[str]) -> str:
        """Why a sidecar cannot come to this stem, where its image does or its image's twin is; empty if it can."""
        held = self._taken.holder(stem + suffix)
        if held:
            return (
                ""
                if self._taken.holds(stem + suffix, path)
                else f"differs from {held}, which is kept"
            )
        if not self._taken.holds_only(stem, places):
            return f"would go with other images named {stem} too"
        return (
            ""
            if len(os.fsencode(stem + suffix)) <= naming.NAME_BYTES
            else "its new name would be too long"
        )

    def _leave(self, name: str, stamp: Stamp, action: str, kept: str | None, reason: str) -> None:
        path = self._source.file(name)
        self._lines[path] = ManifestLine(path, stamp, action, None, kept, reason)
        self._count[COUNTED[action]] += 1
        self._count["bytes_saved"] += 0 if action == UNREADABLE else stamp[0]


def _files(source: Topic) -> list[str]:
    """Names of everything in the topic but folders."""
    with os.scandir(source.path) as entries:
        return [
            entry.name
            for entry in entries
            if not (entry.is_dir(follow_symlinks=False) or os.path.isdir(entry.path))
        ]
