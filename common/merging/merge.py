"""Merges datasets into a target folder: plan, then apply. The plan only reads, and holds all that is going to be done.

Knows the target as a whole; what becomes of the images of one topic is common/merging/placing.py's.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from common.dataset import cache, records, tree
from common.dataset.captions import fold
from common.dataset.tree import Stamp, Topic
from common.duplicates import across, decisions
from common.errors import UserError
from common.merging import carried, copying, deciding, manifest, placing
from common.merging.copying import COPY, HARDLINK, Copy
from common.merging.leaving import Leaving, Rules
from common.merging.placing import Plan
from common.output import Talk
from common.text import size

BLOCK = 4096  # bytes that even a small file takes
THERE, LEFT = "there", "left"  # actions: in the target already; not an image and not copied


@dataclass(frozen=True)
class Merge:
    """Everything that a merge is going to do."""

    target: str
    plans: Sequence[Plan]
    earlier: Mapping[str, Sequence[bytes]]  # the manifest's lines by topic, as earlier merges left it
    seen: Stamp | None  # of the manifest when it was read
    free: int  # bytes on the target's file system

    def manifest(self) -> Iterator[bytes]:
        return manifest.merged(self.earlier, {os.path.join(*plan.topic.parts[1:]): plan.lines for plan in self.plans})

    def counts(self) -> dict[str, Counter[str]]:
        """What becomes of the images, by the path of their dataset."""
        counts: dict[str, Counter[str]] = {}
        for plan in self.plans:
            for dataset, count in plan.counts.items():
                counts.setdefault(dataset, Counter()).update(count)
        return counts

    def actions(self) -> Iterator[tuple[str, str, str, str]]:
        """For every file its action, its source, its place below the target (or its stand-in's there) and a reason."""
        for plan in self.plans:
            reasons = {line.target: line.reason for line in plan.lines}
            copied = set()
            for copy in plan.copies:
                place = os.path.relpath(copy.target, self.target)
                copied.add(place)
                yield copy.mode, copy.source, place, reasons.get(place, "")
            folders = {source.path for source in plan.sources}
            for line in plan.lines:
                if line.target not in copied and os.path.dirname(line.source) in folders:
                    yield (
                        THERE if line.target else line.action,
                        line.source,
                        line.target or line.kept or "",
                        line.reason,
                    )
            yield from ((LEFT, path, "", reason) for path, reason in plan.left)


def sources(paths: Sequence[str], target: str, talk: Talk) -> list[Topic]:
    """The topics to merge; every path must hold some, and none may lie in the target or hold it. Raises UserError."""
    check_apart(paths, target)
    topics = tree.topics(paths, talk.warn)
    check_apart(on_the_way(topics, paths), target)
    places = [os.path.join(place, "") for topic in topics for place in (topic.path, os.path.realpath(topic.path))]
    for path in paths:
        below = os.path.join(os.path.abspath(path), ""), os.path.join(os.path.realpath(path), "")
        if not any(place.startswith(below) for place in places):
            raise UserError(f"{path}: no images below it, so it is no dataset; leave it out")
    return topics


def on_the_way(topics: Iterable[Topic], paths: Iterable[str]) -> list[str]:
    """The topics' folders and those above them, up to the given paths: each may be a link to somewhere else."""
    given = set(map(os.path.abspath, paths))
    folders: dict[str, None] = {}
    for topic in topics:
        folder = topic.path
        while folder not in folders:
            folders[folder] = None
            folder = folder if folder in given else os.path.dirname(folder)
    return list(folders)


def check_apart(folders: Sequence[str], target: str, option: str = "--output") -> None:
    """Raise UserError where the target of `option` lies in one of the folders, or holds it."""
    inner = os.path.join(os.path.realpath(target), "")
    for folder in folders:
        outer = os.path.join(os.path.realpath(folder), "")
        if inner.startswith(outer) or outer.startswith(inner):
            raise UserError(
                f"{target}: the target and the source {folder} lie in one another; give {option} another place"
            )


def plan(topics: Sequence[Topic], target: str, mode: str, rules: Rules, mixed_scores: bool, talk: Talk) -> Merge:
    """Plan to merge the topics into `target`. Raises UserError, before anything is written, for what cannot be done."""
    seen, earlier = tree.stamp_of(os.path.join(target, manifest.NAME)), _earlier(target)
    decisions.tell(topics, talk)
    decisions.read(target)  # a damaged file stops this here
    root = existing(target)
    records.check_writable(root)
    if mode == HARDLINK:
        check_links(topics, root)
    meeting: dict[str, list[Topic]] = {}
    for topic in topics:
        if not all(topic.parts[1:]):
            raise UserError(f"{topic.path}: its path has no Cluster/Subcluster/Topic to go to")
        meeting.setdefault(os.path.join(*topic.parts[1:]), []).append(topic)
    _check_case(meeting, root)
    plans: list[Plan] = []
    leaving = Leaving(topics, rules, talk)
    makers: carried.Makers = {}
    with talk.progress(sum(topic.found for topic in topics)) as bar:
        for folder, sources in sorted(meeting.items()):
            there = Topic(os.path.join(target, folder), os.path.basename(target), *sources[0].parts[1:], found=0)
            lines = [manifest.loads(line) for line in earlier.get(folder, ())]
            plans.append(placing.planned(there, sources, lines, mode, leaving, talk))
            brought = carried.read(there, sources, plans[-1].lines)
            makers |= brought.makers if brought.is_more else {}
            bar.update(sum(topic.found for topic in sources))
    if not mixed_scores:
        carried.refuse_mixed(makers)
    _find_elsewhere(plans)
    merge = Merge(target, plans, earlier, seen, shutil.disk_usage(root).free)
    for dataset, count in merge.counts().items():
        if count["references"] == count["found"] > 0:
            raise UserError(
                f"{dataset}: every image in it is a copy of a reference image ({across.NAME}), so nothing of it would "
                "be merged; leave it out, or pass --keep-duplicates"
            )
    check_room(target, [copy for plan in plans for copy in plan.copies], merge.free)
    return merge


def _find_elsewhere(plans: Sequence[Plan]) -> None:
    """Tell of each image left out for one in another topic where in the target that one is."""
    wanted = {keeper for plan in plans for keeper in plan.elsewhere.values()}
    lines = (line for plan in plans for line in plan.lines if line.source in wanted and line.action in manifest.STANDS)
    places = {line.source: line.target or line.kept for line in lines}
    for plan in plans:
        for number, line in enumerate(plan.lines):
            if line.source in plan.elsewhere and line.action == manifest.DUPLICATE:
                plan.lines[number] = replace(line, kept=places[plan.elsewhere[line.source]])


def apply(merge: Merge, talk: Talk) -> None:
    """Do what the plan says: the manifest first, then the files, then scores and sizes. Raises UserError."""
    copies = [copy for plan in merge.plans for copy in plan.copies]
    with copying.filling(merge.target) as aside:
        if tree.stamp_of(os.path.join(merge.target, manifest.NAME)) != merge.seen:
            raise UserError(f"{merge.target}: another merge has filled it since; run the same command again")
        if not manifest.is_written(merge.target, merge.manifest()):
            manifest.write(merge.target, merge.manifest(), aside)
        for plan in merge.plans:
            if plan.copies:
                copying.make_folder(plan.topic.path)
        if copies:
            copying.make_folder(aside)
        total = sum(copy.stamp[0] for copy in copies)
        with talk.progress(total, unit="B", unit_scale=True) as bar:
            copying.put(copies, aside, lambda copy: bar.update(copy.stamp[0]))
        for plan in merge.plans:
            if carried.read(plan.topic, plan.sources, plan.lines).is_news:
                with cache.locked(plan.topic):
                    carried.write(plan.topic, carried.read(plan.topic, plan.sources, plan.lines), aside)
        sources = [source for plan in merge.plans for source in plan.sources]
        deciding.carry(merge.target, sources, (line for plan in merge.plans for line in plan.lines), aside)


def _earlier(target: str) -> dict[str, list[bytes]]:
    """The manifest of earlier merges, by topic. Raises UserError where the target holds something else, or is none."""
    if not os.path.lexists(target):
        return {}
    if not os.path.isdir(target):
        raise UserError(f"{target}: not a folder; give --output another place")
    earlier = manifest.read(target)
    if earlier is None and set(os.listdir(target)) - {copying.ASIDE}:
        raise UserError(f"{target}: not empty, and no merge made it (no {manifest.NAME}); give --output another place")
    return earlier or {}


def existing(folder: str) -> str:
    """The folder, or the nearest above it that exists."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def check_links(topics: Sequence[Topic], root: str) -> None:
    """Raise UserError where hard links cannot lead from the topics to the folder."""
    device = os.stat(root).st_dev
    for topic in topics:
        if os.stat(topic.path).st_dev != device:
            raise UserError(f"{topic.path}: on another file system than the target; use --mode copy or symlink")


def _check_case(folders: Iterable[str], root: str) -> None:
    """Raise UserError where two topics would be one folder, because the target's file system ignores case."""
    seen: dict[str, str] = {}
    for folder in folders:
        other = seen.setdefault(fold(folder), folder)
        if other != folder and _ignores_case(root):
            raise UserError(f"{folder} and {other} differ only by case, which the target's file system ignores")


def _ignores_case(folder: str) -> bool:
    """Whether a name in other letters leads to the same folder; asked of the nearest that has letters."""
    above, name = os.path.split(folder)
    if name.swapcase() == name:
        return bool(name) and _ignores_case(above)
    try:
        return os.path.samefile(folder, os.path.join(above, name.swapcase()))
    except OSError:
        return False


def check_room(target: str, copies: Iterable[Copy], free: int) -> None:
    """Raise UserError where the copies would not fit."""
    needed = sum(-(-copy.stamp[0] // BLOCK) * BLOCK for copy in copies if copy.mode == COPY)
    if needed > free:
        raise UserError(f"{target}: {size(needed)} needed, {size(free)} free; make room, or use --mode hardlink")
