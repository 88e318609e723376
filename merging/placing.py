"""Plans one topic of a merge: where in the target the images of its sources go. Only reads.

Images that share a stem move together with their sidecars: the group takes one stem in the target,
its own or `photo__DataSet`, so that no caption ends up beside another's image.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from common.reporter import Reporter
from common.topics import Stamp, Topic, stamp_of
from merging import manifest, naming
from merging.exclusion import Excluder
from merging.manifest import ManifestLine
from merging.plan import COUNTER_OF_ACTION, LeftBehind, PlacedGroup, TopicPlan
from merging.selection import Selection, select_images
from merging.source_records import SourceRecords
from merging.target import TargetTopic, file_names, other_names
from merging.transfer import Transfer, TransferMode, sidecar_mode
from merging.unreadable import LINK_ELSEWHERE, NO_PERMISSION, is_readable, leftover_reason
from sidecars import captions, stem_groups
from sidecars.stem_groups import StemGroup


def plan_topic(
    target: TargetTopic,
    sources: Sequence[SourceRecords],
    mode: str,
    excluder: Excluder,
    reporter: Reporter,
) -> TopicPlan:
    """Plan what becomes of the images of `sources` in a topic of the target. Raises UserError."""
    plan = TopicPlan(target.topic, [source.topic for source in sources])
    lines: dict[str, ManifestLine] = {}
    for source in sources:
        selection = select_images(source, target, excluder)
        lines |= Placer(plan, target, source.topic, mode).place_images(selection)
        plan.dropped_in_target.update(map(source.topic.path_of, selection.dropped_in_target))
        for name, reason in selection.unreadable.items():
            reporter.report_unreadable(source.topic.path_of(name), reason)
    plan.lines = list(target.new_manifest_lines(lines, plan.sources))
    plan.edited = target.edited
    return plan


class Placer:
    """Finds places for the images of one source, and plans the transfers that bring them there."""

    def __init__(self, plan: TopicPlan, target: TargetTopic, source: Topic, mode: str) -> None:
        self._plan = plan
        self._target = target
        self._names = target.names
        self._source = source
        self._mode = mode
        self._counts = plan.counts.setdefault(source.dataset_path, Counter())
        self._lines: dict[str, ManifestLine] = {}
        self._ignored_links: dict[str, tuple[str, ...]] = {}  # by an image of their stem

    def place_images(self, selection: Selection) -> dict[str, ManifestLine]:
        """Return a manifest line for each image of the source, by its path."""
        self._counts["found"] += len(selection.stamps)
        incoming = selection.images_to_merge
        self._place_groups(selection.stamps, incoming)
        # Only now: identical images are looked for among other sources only.
        for name in incoming:
            line = self._lines[self._source.path_of(name)]
            if line.target:
                self._names.add_arrival(os.path.basename(line.target), line.source)
        for name, reason in selection.unreadable.items():
            stamp = selection.stamps[name]
            self._drop_image(name, stamp, manifest.UNREADABLE, None, reason)
            self._counts["damaged"] += reason != NO_PERMISSION
        for name, exclusion in selection.exclusions.items():
            path = self._source.path_of(name)
            keeper = self._lines.get(exclusion.keeper)
            kept = self._target.path_in_target(keeper.target_name) if keeper else None
            if not keeper and exclusion.action not in manifest.WITHOUT_KEEPER:
                self._plan.keepers_elsewhere[path] = exclusion.keeper
            self._plan.ranks[path] = exclusion.rank
            if exclusion.has_equal_pixels:
                self._plan.equal_copies.add(path)
            self._drop_image(name, selection.stamps[name], exclusion.action, kept, exclusion.reason)
        self._note_ignored_links()
        return self._lines

    def _place_groups(self, stamps: Mapping[str, Stamp], incoming: Mapping[str, Stamp]) -> None:
        """Place the groups: first those that keep their stem, then those that need another."""
        images = [*stamps, *self._source.names_left_out()]
        others = other_names(file_names(self._source), images)
        all_groups, unmatched = stem_groups.group_by_stem(images, others)
        groups = list(stem_groups.only_images(all_groups, stamps))
        for name in unmatched:
            self._leave_behind(self._source.path_of(name), leftover_reason(name))
        for each in groups:
            if names := captions.drop_foreign_links(self._source, [each]):
                self._ignored_links[each.images[0]] = tuple(names)
                for name in names:
                    self._leave_behind(self._source.path_of(name), LINK_ELSEWHERE)
        conflicting: list[tuple[PlacedGroup, str]] = []
        for stem_group in groups:
            group = self._find_places(stem_group, incoming)
            conflict = ""
            if group.unplaced:
                conflict = self._names.find_conflict(group.stem, group.unplaced, group.sidecars)
            if conflict:
                conflicting.append((group, conflict))
            else:
                self._assign_stem(group, group.stem, "")
        for group, conflict in conflicting:
            self._assign_stem(group, self._free_stem(group), conflict)

    def _note_ignored_links(self) -> None:
        """Name each link that is no caption in the line of the first image of its stem."""
        for name, links in self._ignored_links.items():
            path = self._source.path_of(name)
            if path in self._lines:
                self._lines[path] = replace(self._lines[path], ignored_links=links)

    def _free_stem(self, group: PlacedGroup) -> str:
        return self._names.find_free_stem(
            group.stem, self._source.dataset, list(group.unplaced), group.sidecars
        )

    def _find_places(self, group: StemGroup, incoming: Mapping[str, Stamp]) -> PlacedGroup:
        """Find the images that have a place: from an earlier merge, or as identical images."""
        is_any_incoming = any(name in incoming for name in group.images)
        placed = PlacedGroup(group.stem, {}, self._usable_sidecars(group, is_any_incoming), {})
        for name in group.images:
            if name not in incoming:
                continue
            path, stamp = self._source.path_of(name), incoming[name]
            if earlier_line := self._target.earlier_line(path, stamp):
                placed.lines[name] = earlier_line
            elif identical := self._names.identical_arrival(path):
                kept = self._target.path_in_target(identical)
                placed.lines[name] = ManifestLine(
                    path,
                    stamp,
                    manifest.IDENTICAL,
                    None,
                    kept,
                    "the same bytes",
                    levels=self._source.levels,
                )
            else:
                placed.unplaced[name[len(group.stem) :]] = stamp
        return placed

    def _usable_sidecars(self, group: StemGroup, is_any_incoming: bool) -> dict[str, str]:
        """Return the paths by suffix of the sidecars that come along."""
        sidecars = {}
        for suffix in group.sidecars:
            path = self._source.path_of(group.sidecar_name(suffix))
            if not is_any_incoming:
                self._leave_behind(path, "goes with an image that is left out")
            elif not os.path.isfile(path) or not is_readable(path):
                self._leave_behind(path, "cannot be read")
            else:
                sidecars[suffix] = path
        return sidecars

    def _assign_stem(self, group: PlacedGroup, stem: str, conflict: str) -> None:
        """Give the unplaced images of a group this stem, and plan the transfers of the group."""
        action = manifest.RENAMED if conflict else manifest.COPIED
        for suffix, stamp in group.unplaced.items():
            path = self._source.path_of(group.stem + suffix)
            place = self._target.path_in_target(stem + suffix)
            line = ManifestLine(
                path, stamp, action, place, reason=conflict, levels=self._source.levels
            )
            group.lines[group.stem + suffix] = line
            self._names.add_image(stem + suffix, path)
        for line in group.lines.values():
            self._plan_image(line)
        sidecars = self._plan_sidecars(group)
        for line in group.lines.values():
            names = sidecars[stem_groups.stem_of(line.target_name)]
            self._lines[line.source] = replace(line, sidecars=names)

    def _plan_image(self, line: ManifestLine) -> None:
        """Plan to copy an image that has a place, unless it or an identical one is there."""
        size = line.stamp[0]
        if line.action == manifest.IDENTICAL:
            self._counts.update(identical=1, bytes_saved=size)
        elif line.target_name in self._target.present:
            self._counts["already_there"] += 1
        else:
            self._plan_transfer(line.source, line.target_name, line.stamp, self._mode)
            self._counts["copied"] += 1
            self._counts["renamed"] += line.action == manifest.RENAMED

    def _plan_transfer(self, source: str, name: str, stamp: Stamp, mode: str) -> None:
        path = self._target.topic.path_of(name)
        torn = self._target.torn.get(name)
        self._plan.transfers.append(Transfer(source, path, stamp, mode, torn))
        is_copy = mode == TransferMode.COPY
        self._counts["bytes_copied" if is_copy else "bytes_saved"] += stamp[0]

    def _plan_sidecars(self, group: PlacedGroup) -> dict[str, tuple[str, ...]]:
        """Plan to copy the sidecars that are not there yet.

        Returns the names of those that come along, by each stem that images of the group have.
        """
        image_names = [line.target_name for line in group.lines.values()]
        names: dict[str, tuple[str, ...]] = {}
        for stem in dict.fromkeys(map(stem_groups.stem_of, image_names)):
            names[stem] = ()
            for suffix, path in group.sidecars.items():
                if refusal := self._find_refusal(stem, suffix, path, image_names):
                    self._leave_behind(path, refusal)
                    continue
                name = stem + suffix
                names[stem] = (*names[stem], name)
                self._names.add_sidecar(stem, suffix, path)
                if self._target.claim_name(name):
                    stamp = stamp_of(path) or (0, 0)
                    self._plan_transfer(path, name, stamp, sidecar_mode(self._mode))
                    self._counts["sidecars"] += 1
        return names

    def _find_refusal(self, stem: str, suffix: str, path: str, images: Iterable[str]) -> str:
        """Return why a sidecar cannot come to a stem that its images have; empty if it can."""
        name = stem + suffix
        owner = self._names.owner(name)
        if owner:
            is_same = self._names.has_identical(name, path)
            return "" if is_same else f"differs from {owner}, which is kept"
        if not self._names.has_only_images(stem, images):
            return f"would go with other images named {stem} too"
        if len(os.fsencode(name)) > naming.MAX_NAME_BYTES:
            return "its new name would be too long"
        return ""

    def _leave_behind(self, path: str, reason: str) -> None:
        self._plan.left_behind.append(LeftBehind(path, reason))

    def _drop_image(
        self, name: str, stamp: Stamp, action: str, kept: str | None, reason: str
    ) -> None:
        path = self._source.path_of(name)
        self._lines[path] = ManifestLine(
            path, stamp, action, None, kept, reason, levels=self._source.levels
        )
        self._counts[COUNTER_OF_ACTION[action]] += 1
        if action != manifest.UNREADABLE:
            self._counts["bytes_saved"] += stamp[0]
