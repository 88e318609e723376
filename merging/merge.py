"""Merges datasets into a target folder: plan, then apply. The plan only reads, and holds all that is going to be done.

Knows the target as a whole; what becomes of the images of one topic is merging/placing.py's.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from common import across_file, cache, decisions, json_files, tree
from common.captions import casefold_nfc
from common.errors import UserError
from common.reporter import Reporter
from common.terminal import format_bytes
from common.tree import Stamp, Topic
from merging import copying, decisions_carry, manifest, placing, scores_carry
from merging.copying import COPY, HARDLINK, Copy
from merging.exclusion import Excluder, MergePolicy
from merging.placing import TopicPlan

BLOCK = 4096  # bytes that even a small file takes
THERE, LEFT = "there", "left"  # actions: in the target already; not an image and not copied


@dataclass(frozen=True)
class MergePlan:
    """Everything that a merge is going to do."""

    target: str
    plans: Sequence[TopicPlan]
    earlier: Mapping[
        str, Sequence[bytes]
    ]  # the manifest's lines by topic, as earlier merges left it
    seen: Stamp | None  # of the manifest when it was read
    free: int  # bytes on the target's file system

    def manifest(self) -> Iterator[bytes]:
        return manifest.merge_lines(
            self.earlier, {os.path.join(*plan.topic.parts[1:]): plan.lines for plan in self.plans}
        )

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


def find_sources(paths: Sequence[str], target: str, talk: Reporter) -> list[Topic]:
    """The topics to merge; every path must hold some, and none may lie in the target or hold it. Raises UserError."""
    check_not_nested(paths, target)
    topics = tree.find_topics(paths, talk.warn)
    check_not_nested(folders_between(topics, paths), target)
    places = [
        os.path.join(place, "")
        for topic in topics
        for place in (topic.path, os.path.realpath(topic.path))
    ]
    for path in paths:
        below = os.path.join(os.path.abspath(path), ""), os.path.join(os.path.realpath(path), "")
        if not any(place.startswith(below) for place in places):
            raise UserError(f"{path}: no images below it, so it is no dataset; leave it out")
    return topics


def folders_between(topics: Iterable[Topic], paths: Iterable[str]) -> list[str]:
    """The topics' folders and those above them, up to the given paths: each may be a link to somewhere else."""
    given = set(map(os.path.abspath, paths))
    folders: dict[str, None] = {}
    for topic in topics:
        folder = topic.path
        while folder not in folders:
            folders[folder] = None
            folder = folder if folder in given else os.path.dirname(folder)
    return list(folders)


def check_not_nested(folders: Sequence[str], target: str, option: str = "--output") -> None:
    """Raise UserError where the target of `option` lies in one of the folders, or holds it."""
    inner = os.path.join(os.path.realpath(target), "")
    for folder in folders:
        outer = os.path.join(os.path.realpath(folder), "")
        if inner.startswith(outer) or outer.startswith(inner):
            raise UserError(
                f"{target}: the target and the source {folder} lie in one another; give {option} another place"
            )


def plan_merge(
    topics: Sequence[Topic],
    target: str,
    mode: str,
    rules: MergePolicy,
    mixed_scores: bool,
    talk: Reporter,
) -> MergePlan:
    """Plan to merge the topics into `target`. Raises UserError, before anything is written, for what cannot be done."""
    seen, earlier = tree.stamp_of(os.path.join(target, manifest.FILE_NAME)), _earlier(target)
    decisions.add_decisions(topics, talk)
    decisions.read_decisions(target)  # a damaged file stops this here
    root = nearest_existing_parent(target)
    json_files.check_writable(root)
    if mode == HARDLINK:
        check_links(topics, root)
    meeting: dict[str, list[Topic]] = {}
    for topic in topics:
        if not all(topic.parts[1:]):
            raise UserError(f"{topic.path}: its path has no Cluster/Subcluster/Topic to go to")
        meeting.setdefault(os.path.join(*topic.parts[1:]), []).append(topic)
    _check_case(meeting, root)
    plans: list[TopicPlan] = []
    leaving = Excluder(topics, rules, talk)
    makers: scores_carry.Makers = {}
    with talk.progress(sum(topic.found for topic in topics)) as bar:
        for folder, sources in sorted(meeting.items()):
            there = Topic(
                os.path.join(target, folder),
                os.path.basename(target),
                *sources[0].parts[1:],
                found=0,
            )
            lines = [manifest.parse_manifest(line) for line in earlier.get(folder, ())]
            plans.append(placing.plan_topic(there, sources, lines, mode, leaving, talk))
            brought = scores_carry.read_carried_scores(there, sources, plans[-1].lines)
            makers |= brought.makers if brought.is_more else {}
            bar.update(sum(topic.found for topic in sources))
    if not mixed_scores:
        scores_carry.refuse_mixed(makers)
    _find_elsewhere(plans)
    merge = MergePlan(target, plans, earlier, seen, shutil.disk_usage(root).free)
    for dataset, count in merge.counts().items():
        if count["references"] == count["found"] > 0:
            raise UserError(
                f"{dataset}: every image in it is a copy of a reference image ({across_file.FILE_NAME}), so nothing of it would "
                "be merged; leave it out, or pass --keep-duplicates"
            )
    check_room(target, [copy for plan in plans for copy in plan.copies], merge.free)
    return merge


def _find_elsewhere(plans: Sequence[TopicPlan]) -> None:
    """Tell of each image left out for one in another topic where in the target that one is."""
    wanted = {keeper for plan in plans for keeper in plan.elsewhere.values()}
    lines = (
        line
        for plan in plans
        for line in plan.lines
        if line.source in wanted and line.action in manifest.IN_TARGET
    )
    places = {line.source: line.target or line.kept for line in lines}
    for plan in plans:
        for number, line in enumerate(plan.lines):
            if line.source in plan.elsewhere and line.action == manifest.DUPLICATE:
                plan.lines[number] = replace(line, kept=places[plan.elsewhere[line.source]])


def apply_merge(merge: MergePlan, talk: Reporter) -> None:
    """Do what the plan says: the manifest first, then the files, then scores and sizes. Raises UserError."""
    copies = [copy for plan in merge.plans for copy in plan.copies]
    with copying.locked_target(merge.target) as aside:
        if tree.stamp_of(os.path.join(merge.target, manifest.FILE_NAME)) != merge.seen:
            raise UserError(
                f"{merge.target}: another merge has filled it since; run the same command again"
            )
        if not manifest.is_up_to_date(merge.target, merge.manifest()):
            manifest.write_manifest(merge.target, merge.manifest(), aside)
        for plan in merge.plans:
            if plan.copies:
                copying.make_target_folder(plan.topic.path)
        if copies:
            copying.make_target_folder(aside)
        total = sum(copy.stamp[0] for copy in copies)
        with talk.progress(total, unit="B", unit_scale=True) as bar:
            copying.copy_all(copies, aside, lambda copy: bar.update(copy.stamp[0]))
        for plan in merge.plans:
            if scores_carry.read_carried_scores(plan.topic, plan.sources, plan.lines).is_news:
                with cache.topic_lock(plan.topic):
                    scores_carry.write_carried_scores(
                        plan.topic,
                        scores_carry.read_carried_scores(plan.topic, plan.sources, plan.lines),
                        aside,
                    )
        sources = [source for plan in merge.plans for source in plan.sources]
        decisions_carry.carry_decisions(
            merge.target, sources, (line for plan in merge.plans for line in plan.lines), aside
        )


def _earlier(target: str) -> dict[str, list[bytes]]:
    """The manifest of earlier merges, by topic. Raises UserError where the target holds something else, or is none."""
    if not os.path.lexists(target):
        return {}
    if not os.path.isdir(target):
        raise UserError(f"{target}: not a folder; give --output another place")
    earlier = manifest.read_manifest(target)
    if earlier is None and set(os.listdir(target)) - {copying.STAGING_FOLDER}:
        raise UserError(
            f"{target}: not empty, and no merge made it (no {manifest.FILE_NAME}); give --output another place"
        )
    return earlier or {}


def nearest_existing_parent(folder: str) -> str:
    """The folder, or the nearest above it that exists."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def check_links(topics: Sequence[Topic], root: str) -> None:
    """Raise UserError where hard links cannot lead from the topics to the folder."""
    device = os.stat(root).st_dev
    for topic in topics:
        if os.stat(topic.path).st_dev != device:
            raise UserError(
                f"{topic.path}: on another file system than the target; use --mode copy or symlink"
            )


def _check_case(folders: Iterable[str], root: str) -> None:
    """Raise UserError where two topics would be one folder, because the target's file system ignores case."""
    seen: dict[str, str] = {}
    for folder in folders:
        other = seen.setdefault(casefold_nfc(folder), folder)
        if other != folder and _ignores_case(root):
            raise UserError(
                f"{folder} and {other} differ only by case, which the target's file system ignores"
            )


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
        raise UserError(
            f"{target}: {format_bytes(needed)} needed, {format_bytes(free)} free; make room, or use --mode hardlink"
        )
