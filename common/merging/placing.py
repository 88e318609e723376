"""Plans one topic of a merge: what becomes of the images of all its sources. Only reads.

Images that share a stem move together with their sidecars: a group takes one stem in the target, its own or
`photo__DataSet`, so that no caption ever lands beside another's image. What an earlier merge put in the target stays
where it is; its manifest also says what was promised but, because it was interrupted, not done.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from common import text
from common.dataset import cache, records
from common.dataset.tree import Stamp, Topic
from common.duplicates import keepers
from common.merging import naming
from common.merging.copying import COPY, Copy
from common.merging.manifest import COPIED, DUPLICATE, IDENTICAL, RENAMED, SUPERSEDED, UNREADABLE, Line
from common.merging.naming import Group
from common.output import Talk

NO_PERMISSION = "permission denied; make it readable (chmod +r) and merge again"


@dataclass
class Plan:
    """What becomes of the images that meet in one topic of the target."""

    topic: Topic  # in the target
    sources: list[Topic]
    lines: list[Line] = field(default_factory=list)  # of the manifest
    copies: list[Copy] = field(default_factory=list)  # images and sidecars that are not there yet
    left: list[tuple[str, str]] = field(default_factory=list)  # other files, which are not copied, and why
    edited: set[str] = field(default_factory=set)  # files in the target that are not what a merge put there
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # by the path of the dataset


def planned(there: Topic, sources: list[Topic], earlier: list[Line], mode: str, keep: bool, talk: Talk) -> Plan:
    """The plan for the topic `there` of the target. `keep` keeps duplicates. Raises UserError."""
    return _Planner(Plan(there, sources), earlier, mode, keep, talk).planned()


@dataclass(frozen=True)
class _Party:
    """The images of one group that come to the target or have a twin there."""

    source: Topic
    stem: str
    homeless: dict[str, Stamp]  # by suffix: images that have no place yet
    sidecars: dict[str, str]  # by suffix: paths
    lines: dict[str, Line]  # by name: images that have a place


class _Planner:
    """Plans one topic of the target: first what is there and what was promised, then source by source."""

    def __init__(self, plan: Plan, earlier: list[Line], mode: str, keep: bool, talk: Talk) -> None:
        self.plan, self.mode, self.keep, self.talk = plan, mode, keep, talk
        self.earlier = earlier
        self.promised = {line.source: line for line in earlier if line.action != SUPERSEDED}
        self.superseded: dict[str, Line] = {}
        self.lines: dict[str, Line] = {}  # new ones, by source
        self.present = set(os.listdir(plan.topic.path)) if os.path.isdir(plan.topic.path) else set()
        self.stamps = plan.topic.stamps() if self.present else {}
        self.done = {naming.fold(name) for name in self.present}  # there, or in a copy of this plan
        self.taken = naming.Taken()
        self._take()

    def _take(self) -> None:
        """Take the names of what lies in the target, and of what earlier merges promised."""
        for line in self.earlier:
            stem, own = naming.stem_of(line.place), naming.stem_of(os.path.basename(line.source))
            if line.target:
                there = line.place in self.present
                self.taken.add_image(line.place, self.plan.topic.file(line.place) if there else line.source)
                if there:
                    self.taken.add_arrival(line.place, os.path.basename(line.source))
            for name in line.sidecars:
                path = os.path.join(os.path.dirname(line.source), own + name[len(stem) :])
                self.taken.add_sidecar(
                    stem, name[len(stem) :], self.plan.topic.file(name) if name in self.present else path
                )
        groups, alone = naming.groups(self.stamps, _others(self.present, self.stamps))
        for group in groups:
            for name in group.images:
                if not self.taken.holder(name):
                    self.taken.add_image(name, self.plan.topic.file(name))
                    self.taken.add_arrival(name, name)
            for suffix in group.sidecars:
                self.taken.add_sidecar(group.stem, suffix, self.plan.topic.file(group.stem + suffix))
        for name in alone:
            stem, suffix = os.path.splitext(name)
            self.taken.add_sidecar(stem, suffix, self.plan.topic.file(name))

    def planned(self) -> Plan:
        for source in self.plan.sources:
            self._add(source)
        self.plan.lines = list(self._in_order())
        return self.plan

    def _add(self, source: Topic) -> None:
        """Plan one source: first the groups that keep their stem, then those that have to take another."""
        stamps = source.stamps()
        unreadable = [
            name
            for name, stamp in stamps.items()
            if not (_is_readable(source.file(name)) or self._is_there(source.file(name), stamp))
        ]
        out = {} if self.keep else _left_out(source, stamps, unreadable, self.talk)
        staying = {name: stamp for name, stamp in stamps.items() if name not in unreadable}
        for name in [name for name in out if not self._is_there(source.file(name), stamps[name])]:
            del staying[name]
        self._count(source)["found"] += len(stamps)
        self._bring(source, stamps, staying)
        for name in unreadable:
            self.talk.bad(source.file(name), NO_PERMISSION)
            self._leave(source, name, stamps[name], UNREADABLE, None, NO_PERMISSION)
        for name in out.keys() - staying.keys():
            kept = self._below(self.lines[source.file(out[name])].place)
            self._leave(source, name, stamps[name], DUPLICATE, kept, f"matches {out[name]}")

    def _bring(self, source: Topic, stamps: Mapping[str, Stamp], staying: Mapping[str, Stamp]) -> None:
        groups, alone = naming.groups(stamps, _others(_files(source), stamps))
        self.plan.left += [(source.file(name), "goes with no image") for name in alone]
        waiting = []
        for group in groups:
            party = self._party(source, group, staying)
            conflict = self.taken.conflict(group.stem, party.homeless, party.sidecars) if party.homeless else ""
            if conflict:
                waiting.append((party, conflict))
            else:
                self._settle(party, group.stem, "")
        for party, conflict in waiting:
            stems = naming.renamed(party.stem, source.dataset, [*party.homeless, *party.sidecars])
            free = (stem for stem in stems if not self.taken.conflict(stem, party.homeless, party.sidecars))
            self._settle(party, next(free), conflict)
        for name in staying:  # now, because twins are sought in other sources only
            if place := self.lines[source.file(name)].target:
                self.taken.add_arrival(os.path.basename(place), name)

    def _party(self, source: Topic, group: Group, staying: Mapping[str, Stamp]) -> _Party:
        """A group's images that stay, with the places that some of them have: from an earlier merge, or as a twin."""
        party = _Party(source, group.stem, {}, {}, {})
        for suffix in group.sidecars:
            path = source.file(group.stem + suffix)
            if not any(name in staying for name in group.images):
                self.plan.left.append((path, "goes with an image that is left out"))
            elif not os.path.isfile(path) or not _is_readable(path):
                self.plan.left.append((path, "cannot be read"))
            else:
                party.sidecars[suffix] = path
        for name in group.images:
            if name not in staying:
                continue
            path, stamp = source.file(name), staying[name]
            if place := self._promised(path, stamp):
                party.lines[name] = replace(self.promised[path], stamp=stamp, target=self._below(place))
            elif twin := self.taken.twin(name, path):
                party.lines[name] = Line(path, stamp, IDENTICAL, None, self._below(twin), "the same bytes")
            else:
                party.homeless[name[len(group.stem) :]] = stamp
        return party

    def _is_there(self, path: str, stamp: Stamp) -> bool:
        return self._promised(path, stamp) in self.present

    def _promised(self, path: str, stamp: Stamp) -> str | None:
        """The name that an earlier merge gave the image; none if the image has changed since it was merged."""
        line = self.promised.get(path)
        if line is None or line.target is None:
            return None
        there = self.plan.topic.file(line.place)
        if line.place not in self.present or self.stamps.get(line.place) == stamp or naming.is_same(path, there):
            return line.place
        if line.stamp == stamp:
            self.plan.edited.add(there)
            return line.place
        self.superseded[path] = replace(line, action=SUPERSEDED, reason="the source has changed since")
        return None

    def _settle(self, party: _Party, stem: str, conflict: str) -> None:
        """Give the homeless images of a party this stem, and plan what has to be copied for all of it."""
        for suffix, stamp in party.homeless.items():
            path, action = party.source.file(party.stem + suffix), RENAMED if conflict else COPIED
            party.lines[party.stem + suffix] = Line(path, stamp, action, self._below(stem + suffix), None, conflict)
            self.taken.add_image(stem + suffix, path)
        count = self._count(party.source)
        for line in party.lines.values():
            if line.action == IDENTICAL:
                count["identical"] += 1
                count["bytes_saved"] += line.stamp[0]
            elif line.place in self.present:
                count["already_there"] += 1
            else:
                self.plan.copies.append(Copy(line.source, self.plan.topic.file(line.place), line.stamp, self.mode))
                count["copied"] += 1
                count["renamed"] += line.action == RENAMED
                count["bytes_copied" if self.mode == COPY else "bytes_saved"] += line.stamp[0]
        sidecars = self._sidecars(party)
        for line in party.lines.values():
            self.lines[line.source] = replace(line, sidecars=sidecars[naming.stem_of(line.place)])

    def _sidecars(self, party: _Party) -> dict[str, tuple[str, ...]]:
        """By each stem that a party takes, the names of the sidecars that come along; copies those not there yet."""
        places = [line.place for line in party.lines.values()]
        came: dict[str, tuple[str, ...]] = {}
        for stem in dict.fromkeys(map(naming.stem_of, places)):
            for suffix, path in party.sidecars.items():
                refused = self._refused(stem, suffix, path, places)
                if refused:
                    self.plan.left.append((path, refused))
                    continue
                came[stem] = (*came.get(stem, ()), stem + suffix)
                self.taken.add_sidecar(stem, suffix, path)
                if naming.fold(stem + suffix) not in self.done:
                    self.done.add(naming.fold(stem + suffix))
                    stamp = _stamp(path)
                    self.plan.copies.append(Copy(path, self.plan.topic.file(stem + suffix), stamp, COPY))
                    self._count(party.source).update(sidecars=1, bytes_copied=stamp[0])
            came.setdefault(stem, ())
        return came

    def _refused(self, stem: str, suffix: str, path: str, places: Iterable[str]) -> str:
        """Why a sidecar cannot come to this stem, where its image does or its image's twin is; empty if it can."""
        held = self.taken.holder(stem + suffix)
        if held:
            return "" if self.taken.holds(stem + suffix, path) else f"differs from {held}, which is kept"
        if not self.taken.holds_only(stem, places):
            return f"would go with other images named {stem} too"
        return "" if len(os.fsencode(stem + suffix)) <= naming.NAME_BYTES else "its new name would be too long"

    def _leave(self, source: Topic, name: str, stamp: Stamp, action: str, kept: str | None, reason: str) -> None:
        self.lines[source.file(name)] = Line(source.file(name), stamp, action, None, kept, reason)
        count = self._count(source)
        count["duplicates" if action == DUPLICATE else "unreadable"] += 1
        count["bytes_saved"] += stamp[0] if action == DUPLICATE else 0

    def _in_order(self) -> Iterator[Line]:
        """The topic's lines of the manifest: earlier ones at their places, new ones by source and name."""
        folders = {source.path for source in self.plan.sources}
        for line in self.earlier:
            if line.source in self.superseded and line.action != SUPERSEDED:
                yield self.superseded[line.source]
            elif line.action != SUPERSEDED and line.source in self.lines:
                yield self.lines.pop(line.source)
            elif not (line.target and line.place not in self.present and os.path.dirname(line.source) in folders):
                yield line  # but not one of a source that went before it was copied
        place = {source.path: number for number, source in enumerate(self.plan.sources)}
        yield from sorted(self.lines.values(), key=lambda line: (place[os.path.dirname(line.source)], line.source))

    def _count(self, source: Topic) -> Counter[str]:
        return self.plan.counts.setdefault(source.dataset_path, Counter())

    def _below(self, name: str) -> str:
        """A name's path below the target folder."""
        return os.path.join(*self.plan.topic.parts[1:], name)


def _left_out(source: Topic, stamps: Mapping[str, Stamp], unreadable: Collection[str], talk: Talk) -> Mapping[str, str]:
    """The duplicates of a topic, each with the kept image that stands for it. An unreadable image stands for none."""
    cached, scores = cache.load(source), records.read_scores(source)
    found = keepers.matches(source, stamps, cached)
    if found is None:
        return {}
    if not found.fits:
        talk.warn(f"{text.shown(records.duplicates_path(source))}: {found.misfit}; such images are kept")
    if not any(found.usable.values()):
        return {}
    readable = {name: stamp for name, stamp in stamps.items() if name not in unreadable}

    def warn(path: str, reason: str) -> None:
        talk.warn(f"{text.shown(path)}: {reason}; it counts as the worst of its matches")

    listed = keepers.candidates(source, readable, cached, scores, warn)
    return keepers.left_out(listed, found.usable)


def _files(source: Topic) -> list[str]:
    """Names of everything in the topic but folders."""
    with os.scandir(source.path) as entries:
        return [
            entry.name for entry in entries if not (entry.is_dir(follow_symlinks=False) or os.path.isdir(entry.path))
        ]


def _others(names: Iterable[str], images: Collection[str]) -> list[str]:
    """The names, sorted, of what is no image and none of our own records."""
    return sorted(name for name in names if name not in images and not records.is_record(name))


def _is_readable(path: str) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


def _stamp(path: str) -> Stamp:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
