"""Merges datasets into a target folder: first plan, then apply. Planning only reads.

Knows the target as a whole; merging/placing.py decides about the images of one topic.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace

from common import atomic_files, json_files, tree
from common.errors import UserError
from common.name_forms import casefold_nfc
from common.reporter import Reporter
from common.target_folder import TargetFolder
from common.topics import CACHE_FOLDER, Topic, stamp_of
from keeping import across_file, decision_files, decisions, pair_sections
from merging import (
    captions_carry,
    copying,
    decisions_carry,
    manifest,
    placing,
    scores_carry,
    search_links,
    sidecars_carry,
    target_places,
)
from merging.exclusion import Excluder
from merging.origins import Origins
from merging.plan import MergePlan, TopicPlan
from merging.policy import MergePolicy
from merging.source_records import read_source_records
from merging.target import TargetTopic
from merging.transfer import TransferMode


def find_sources(args: argparse.Namespace, target: str, reporter: Reporter) -> list[Topic]:
    """Find the topics to merge.

    Raises UserError if a path holds no images, or if the target overlaps a source.
    """
    paths = args.paths
    copying.check_not_nested(paths, target)
    topics = tree.find_given_topics(args, reporter, is_complete=True)
    copying.check_not_nested(copying.folders_between(topics, paths), target)
    topic_paths = []
    for topic in topics:
        for path in (topic.path, os.path.realpath(topic.path)):
            topic_paths.append(os.path.join(path, ""))
    for path in paths:
        folders = (os.path.abspath(path), os.path.realpath(path))
        prefixes = tuple(os.path.join(folder, "") for folder in folders)
        if not any(topic_path.startswith(prefixes) for topic_path in topic_paths):
            raise UserError(f"{path}: not a dataset, there are no images below it; leave it out")
    return topics


def plan_merge(
    topics: Sequence[Topic],
    folder: TargetFolder,
    mode: str,
    policy: MergePolicy,
    mixed_scores: bool,
    reporter: Reporter,
) -> MergePlan:
    """Plan to merge the topics into the target folder.

    Raises UserError, before anything is written, if something about it cannot be done.
    """
    target = folder.path
    folder.check_replaceable([manifest.FILE_NAME, decisions.FILE_NAME])
    search_links.check_purpose(folder, policy.for_search)
    manifest_stamp = stamp_of(manifest.manifest_path(target))
    earlier = _read_earlier(folder, topics[0].levels)
    decision_files.add_decisions(topics, reporter)
    decisions.read_decisions(target)  # a damaged file stops the merge here
    root = copying.nearest_existing_folder(target)
    atomic_files.check_writable(root)
    if mode == TransferMode.HARDLINK:
        copying.check_same_file_system(topics, root)
    if policy.for_search:
        earlier = search_links.remove_stale_links(folder, earlier, topics)
    joined = target_places.join_forms(topics, target, earlier)
    topics_by_folder = target_places.group_by_place(topics, joined)
    earlier = target_places.rename_places(earlier, joined)
    _check_case(topics_by_folder, root)
    target_topics = {}
    for place, sources in sorted(topics_by_folder.items()):
        target_topics[place] = target_places.make_topic(target, place, sources)
    _check_target_folders(folder, target_topics.values())

    known_origins = Origins(topics, reporter.warn)
    origins = {
        place: known_origins.of_topics(sources) for place, sources in topics_by_folder.items()
    }

    def target_topic(place: str) -> TargetTopic:
        topic = target_topics[place]
        parsed = (manifest.parse_line(line, topic.levels) for line in earlier.get(place, ()))
        lines = list(map(origins[place].read_line, parsed))
        return TargetTopic(topic, lines, joins_any_name=policy.drop_copies)

    places = {topic: place for place, group in topics_by_folder.items() for topic in group}
    excluder = Excluder(topics, policy, reporter, lambda topic: target_topic(places[topic]))
    plans: list[TopicPlan] = []
    makers: scores_carry.ScoreMakers = {}
    with reporter.progress(sum(topic.image_count for topic in topics)) as bar:
        for place, topic in target_topics.items():
            records = [read_source_records(source) for source in topics_by_folder[place]]
            plan = placing.plan_topic(target_topic(place), records, mode, excluder, reporter)
            plan.origins = origins[place]
            plan.transfers = plan.origins.link_to_origins(plan.transfers, plan.lines)
            plans.append(plan)
            plan.for_search = policy.for_search
            carried = scores_carry.read_carried_scores(topic, records, plan.lines, plan.for_search)
            plan.has_new_records = carried.has_news
            plan.confirmed = {each.topic.path: each.stamps.confirmed for each in records}
            if carried.has_new_scores:
                makers |= carried.makers
            bar.update(sum(source.image_count for source in plan.sources))
    if not mixed_scores:
        scores_carry.refuse_mixed_scores(makers)
    _fill_in_keepers_elsewhere(plans)
    captions_carry.carry_captions(plans, policy.captions)
    sidecars_carry.carry_sidecars(plans)
    merge = MergePlan(
        target,
        plans,
        earlier,
        manifest_stamp,
        shutil.disk_usage(root).free,
        excluder.sets_by_size,
        excluder.better_left_out,
        excluder.not_searched,
    )
    _check_not_all_references(merge)
    copying.check_free_space(target, merge.transfers(), merge.free_bytes)
    return merge


def _read_earlier(folder: TargetFolder, levels: int) -> dict[str, list[bytes]]:
    """Return the manifest lines of earlier merges, by topic.

    Raises UserError if the target is not a folder, or holds something that no merge made.
    """
    target = folder.path
    if not os.path.lexists(target):
        return {}
    if not os.path.isdir(target):
        raise UserError(f"{target}: not a folder; give --output another place")
    earlier = manifest.read_manifest(target, levels)
    if earlier is None and folder.names() - {search_links.MARKER}:
        raise UserError(
            f"{target}: not empty, and no merge made it (no {manifest.FILE_NAME}); "
            "give --output another place"
        )
    return earlier or {}


def _check_case(folders: Iterable[str], root: str) -> None:
    """Raise UserError if two topics would share a folder because the file system ignores case."""
    first_folders: dict[str, str] = {}
    for folder in folders:
        first = first_folders.setdefault(casefold_nfc(folder), folder)
        if first != folder and _ignores_case(root):
            raise UserError(
                f"{folder} and {first} differ only by case, which the target's file system "
                "ignores; rename one of them"
            )


def _ignores_case(folder: str) -> bool:
    """Tell whether the file system ignores case, judged by the nearest folder name with letters."""
    parent, name = os.path.split(folder)
    if name.swapcase() == name:
        return bool(name) and _ignores_case(parent)
    try:
        return os.path.samefile(folder, os.path.join(parent, name.swapcase()))
    except OSError:
        return False


def _fill_in_keepers_elsewhere(plans: Sequence[TopicPlan]) -> None:
    """Complete the lines of dropped images whose keeper is in another topic: where it is now."""
    wanted = {keeper for plan in plans for keeper in plan.keepers_elsewhere.values()}
    places: dict[str, str | None] = {}
    for plan in plans:
        for line in plan.lines:
            if line.source in wanted and line.action in manifest.IN_TARGET:
                places[line.source] = line.target or line.kept
    for plan in plans:
        for number, line in enumerate(plan.lines):
            keeper = plan.keepers_elsewhere.get(line.source)
            if keeper is not None and line.action in (manifest.DUPLICATE, manifest.VARIANT):
                plan.lines[number] = replace(line, kept=places[keeper])


def _check_not_all_references(merge: MergePlan) -> None:
    for dataset, count in merge.counts_by_dataset().items():
        if count["references"] == count["found"] > 0:
            raise UserError(
                f"{dataset}: every image in it is a copy of a reference image "
                f"({across_file.FILE_NAME}), so none would be merged; "
                "leave it out, or pass --keep-duplicates"
            )


def apply_merge(merge: MergePlan, folder: TargetFolder, reporter: Reporter) -> None:
    """Write the manifest, then the files, then scores, sizes and decisions. Raises UserError."""
    transfers = merge.transfers()
    with folder.lock():
        manifest_path = manifest.manifest_path(merge.target)
        if stamp_of(manifest_path) != merge.manifest_stamp:
            raise UserError(
                f"{merge.target}: another merge wrote to it meanwhile; run the same command again"
            )
        _check_target_folders(folder, [plan.topic for plan in merge.topics])
        if any(plan.for_search for plan in merge.topics):
            search_links.write_marker(folder)
        manifest.update_manifest(folder, merge.manifest_lines)
        for plan in merge.topics:
            if plan.transfers:
                folder.make_folder(folder.place_of(plan.topic.path))
        total_bytes = sum(transfer.stamp[0] for transfer in transfers)
        with reporter.progress(total_bytes, unit="B", unit_scale=True) as bar:
            copying.transfer_files(transfers, folder, lambda done: bar.update(done.stamp[0]))
        scores_carry.write_new_records(merge.topics, folder)
        sources = [source for plan in merge.topics for source in plan.sources]
        lines = (line for plan in merge.topics for line in plan.lines)
        decisions_carry.carry_decisions(folder, sources, lines)


def _check_target_folders(folder: TargetFolder, topics: Iterable[Topic]) -> None:
    """Raise UserError if a link, a pipe or the like is where this merge would write."""
    written = [manifest.FILE_NAME, decisions.FILE_NAME]
    folders = []
    for topic in topics:
        place = folder.place_of(topic.path)
        folders.append(os.path.join(place, CACHE_FOLDER))
        written.append(folder.place_of(json_files.scores_path(topic)))
        for name in ("images.json", pair_sections.PAIRS_FILE):
            written.append(os.path.join(place, CACHE_FOLDER, name))
    folder.check_folders(folders)
    folder.check_replaceable(written)
