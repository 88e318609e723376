"""What a merge is going to do, as data: the plan of one topic, and that of the whole merge."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from common.cache import FileRecords
from common.topics import Stamp, Topic
from merging import manifest
from merging.manifest import ManifestLine
from merging.origins import TopicOrigins
from merging.transfer import Transfer

IN_TARGET_ALREADY = "there"  # action of an image that an earlier merge brought
LEFT_BEHIND = "left"  # action of a file that is not an image and is not copied


class PlannedAction(NamedTuple):
    """What happens to one file of a source."""

    action: str  # that of a manifest line, a TransferMode, or one of the two above
    source: str
    target: str  # below the target folder; of a dropped image the place of the one kept instead
    reason: str


class LeftBehind(NamedTuple):
    """A file of a source that is not copied."""

    path: str
    reason: str


COUNTER_OF_ACTION = {
    manifest.DUPLICATE: "duplicates",
    manifest.VARIANT: "variants",
    manifest.REFERENCE: "references",
    manifest.DROPPED: "dropped",
    manifest.UNREADABLE: "unreadable",
}


@dataclass
class TopicPlan:
    """What becomes of all source images that go to one topic of the target."""

    topic: Topic  # in the target
    sources: list[Topic]
    lines: list[ManifestLine] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)  # images and sidecars to copy
    left_behind: list[LeftBehind] = field(default_factory=list)
    edited: set[str] = field(default_factory=set)  # in the target, changed since they were merged
    # paths in the sources of images that a person dropped after an earlier merge brought them
    dropped_in_target: set[str] = field(default_factory=set)
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # by the path of the dataset
    # source path of a dropped image to that of its keeper, if the keeper is in another topic
    keepers_elsewhere: dict[str, str] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)  # of dropped copies, by source path
    equal_copies: set[str] = field(default_factory=set)  # source paths of those with equal pixels
    has_new_records: bool = False  # the sources know something that the target does not
    # by source: images whose times have changed since they were recorded, and their bytes have not
    confirmed: dict[str, FileRecords] = field(default_factory=dict)
    origins: TopicOrigins = field(default_factory=TopicOrigins)
    for_search: bool = False  # the target holds links, and what is known of their sources

    def actions(self) -> Iterator[PlannedAction]:
        """Yield what happens to every file: first what is copied, then the rest."""
        target = self.topic.dataset_path
        reasons = {line.target: line.reason for line in self.lines}
        copied = set()
        for transfer in self.transfers:
            place = os.path.relpath(transfer.target, target)
            copied.add(place)
            reason = reasons.get(place, "")
            yield PlannedAction(transfer.mode, transfer.source, place, reason)
        source_folders = {source.path for source in self.sources}
        for line in self.lines:
            if line.target in copied or os.path.dirname(line.source) not in source_folders:
                continue
            action = IN_TARGET_ALREADY if line.target else line.action
            place = line.target or line.kept or ""
            yield PlannedAction(action, line.source, place, line.reason)
        for path, reason in self.left_behind:
            yield PlannedAction(LEFT_BEHIND, path, "", reason)


@dataclass(frozen=True)
class MergePlan:
    """Everything that a merge is going to do."""

    target: str
    topics: Sequence[TopicPlan]
    earlier: Mapping[str, Sequence[bytes]]  # manifest lines of earlier merges, by topic
    manifest_stamp: Stamp | None  # when it was read; None if there was none
    free_bytes: int  # on the target's file system
    sets_by_size: int = 0  # of copies, with an image whose originality was not measured
    better_left_out: int = 0  # copies that are better than the one in the target
    not_searched: int = 0  # source topics with no record of a search for copies
    outside: Sequence[LeftBehind] = ()  # folders of the sources with files in no topic

    @property
    def has_sources_that_meet(self) -> bool:
        """Whether images of one source come to a topic that has some of another."""
        for plan in self.topics:
            placed = [line for line in plan.lines if line.target]
            sources = {os.path.dirname(line.source) for line in placed}
            if len(sources) > 1 and any(count["copied"] for count in plan.counts.values()):
                return True
        return False

    def manifest_lines(self) -> Iterator[bytes]:
        planned = {}
        for plan in self.topics:
            planned[plan.topic.place] = plan.origins.lines_to_write(plan.lines)
        levels = self.topics[0].topic.levels
        return manifest.replace_topics(self.earlier, planned, levels)

    def transfers(self) -> list[Transfer]:
        return [transfer for plan in self.topics for transfer in plan.transfers]

    def actions(self) -> Iterator[PlannedAction]:
        for plan in self.topics:
            yield from plan.actions()
        for path, reason in self.outside:
            yield PlannedAction(LEFT_BEHIND, path, "", reason)

    def counts_by_dataset(self) -> dict[str, Counter[str]]:
        """Count what becomes of the images, by the path of their dataset."""
        counts: dict[str, Counter[str]] = {}
        for plan in self.topics:
            for dataset, count in plan.counts.items():
                counts.setdefault(dataset, Counter()).update(count)
        return counts


@dataclass(frozen=True)
class PlacedGroup:
    """The incoming images of one stem group, with the places that some of them have."""

    stem: str  # in the source
    unplaced: dict[str, Stamp]  # by suffix
    sidecars: dict[str, str]  # paths by suffix
    lines: dict[str, ManifestLine]  # of images that have a place, by name
