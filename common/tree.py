"""Finds the topics below given folders laid out as `DataSet/Cluster/Subcluster/Topic/image`.

Decides which folders are topics by names and file types alone; how folders are walked is in
common/folder_walk.py.
"""

from __future__ import annotations

import argparse
import difflib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from common import run_scope, terminal
from common.cli import EXCLUDE_DUPLICATES
from common.errors import UserError, os_error_to_user_error
from common.folder_walk import Folder, SkippedFiles, WalkedFolders, Warn, walk_folders
from common.json_files import ACROSS_TOPIC
from common.reporter import Reporter
from common.topics import LEVEL_NAMES, MAX_LEVELS, Topic

EXPECTED_LAYOUT = "expected DataSet/Cluster/Subcluster/Topic/image.jpg, or see --levels"


def find_given_topics(
    args: argparse.Namespace, reporter: Reporter, is_complete: bool = False
) -> list[Topic]:
    """Find the topics that a script was given, as find_topics() does.

    Says in one line which folders are taken for less than a dataset.
    """
    skipped = SkippedFiles(masks_are_images=args.no_masks)
    topics = find_topics(args.paths, reporter.warn, is_complete, args.levels, skipped)
    reporter.unread_files = dict(+skipped.unread)
    reporter.masks = skipped.masks
    if skipped.masks:
        masks = terminal.plural(skipped.masks, "mask")
        reporter.say(f"🎭 {masks} (x_mask.png beside x.jpg) not counted as images; or --no-masks")
    given = topics
    if args.include or args.exclude:
        meant = EXCLUDE_DUPLICATES if "exclude_duplicates" in args else ""
        topics = run_scope.select_topics(given, args.include, args.exclude, meant)
        counts = [sum(topic.image_count for topic in several) for several in (given, topics)]
        reporter.excluded = counts[0] - counts[1]
    if args.levels is None:
        for line in run_scope.describe_partial_datasets(args.paths, topics):
            reporter.say(f"📁 {line}")
    return topics


def find_topics(
    paths: Sequence[str],
    warn: Warn,
    is_complete: bool = False,
    levels: int | None = None,
    skipped: SkippedFiles | None = None,
) -> list[Topic]:
    """Find every topic below `paths`, in the order of the paths and sorted by name within each.

    A folder that is reached twice counts once. With `levels`, each path is a dataset whose topics
    are that many levels below it; otherwise the level at which most images are decides. Raises
    UserError if a path is not a folder, if it holds datasets, or if there is no image at all. With
    `is_complete` also if one of the paths holds no image, or if a folder below them cannot be
    listed.
    """
    for path in paths:
        _check_is_folder(path)
    walk = _TreeWalk(warn, is_complete, levels, skipped or SkippedFiles())
    topics: list[Topic] = []
    given = tuple(map(os.path.realpath, paths))
    for root in _distinct_roots(paths):
        for topic in walk.find_topics(root):
            takes_masks = walk.skipped.masks_are_images
            topics.append(replace(topic, given_folders=given, masks_are_images=takes_masks))
    for line in walk.skipped.not_file_lines():
        warn(line)
    skipped_lines = walk.skipped.lines()
    if not any(topic.image_count for topic in topics):
        where = ", ".join(map(terminal.escape, paths))
        reason = "; ".join(skipped_lines)
        raise UserError(f"{where}: no images found; {reason or EXPECTED_LAYOUT}")
    for line in skipped_lines:
        warn(line)
    return topics


def find_image_folders(root: str, warn: Warn) -> list[str]:
    """Find every folder that directly holds images, `root` or below it at any depth; sorted."""
    skipped = SkippedFiles()
    folders = list(walk_folders(root, {}, warn, skipped))
    for line in skipped.not_file_lines():
        warn(line)
    return sorted(folder.path for folder in folders if folder.image_count)


def group_by_level(topics: Sequence[Topic], level: str) -> dict[str, list[Topic]]:
    """Group the topics by their topic, subcluster, cluster or dataset folder, in their order.

    A key is the folder's path starting at its dataset's own name. It is the whole path if two
    folders share that (datasets of one name in two places).
    """
    number = LEVEL_NAMES.index(level)
    groups: dict[str, list[Topic]] = {}
    for topic in topics:
        groups.setdefault(topic.folder_above(_levels_up(topic, number)), []).append(topic)
    labels = {}
    for folder, members in groups.items():
        labels[folder] = "/".join(filter(None, members[0].parts[: 4 - number]))
    uses = Counter(labels.values())
    by_key = {}
    for folder, members in groups.items():
        label = labels[folder]
        is_unique = bool(label) and uses[label] == 1
        by_key[label if is_unique else folder] = members
    return by_key


def _levels_up(topic: Topic, number: int) -> int:
    """Return how far above the topic its folder of level `number` is.

    In place of a level that the dataset does not have, the next one above counts.
    """
    if number in (0, MAX_LEVELS):
        return topic.levels if number else 0
    return max(1, min(number, topic.levels - 1))


def _check_is_folder(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise UserError(f"{path or '(empty)'}: no such folder{_suggest_path(path)}") from None
    except OSError as error:
        raise os_error_to_user_error(path, "opened", error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path}: not a folder; pass the folder that holds it")


def _suggest_path(path: str) -> str:
    """Say which existing folder beside the missing `path` may have been meant."""
    parent, name = os.path.split(os.path.abspath(path))
    try:
        with os.scandir(parent) as entries:
            siblings = [entry.name for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return f"; {parent} does not exist either"
    except OSError:
        return ""
    similar = difflib.get_close_matches(name, siblings, n=1) if path else []
    return f"; did you mean {similar[0]}?" if similar else ""


def _distinct_roots(paths: Sequence[str]) -> list[str]:
    """Make the paths absolute and drop those given twice or below another one."""
    by_real_path: dict[str, str] = {}
    for path in paths:
        by_real_path.setdefault(os.path.realpath(path), os.path.abspath(path))
    roots = []
    for real_path, path in by_real_path.items():
        if not any(parent in by_real_path for parent in _parents(real_path)):
            roots.append(path)
    return roots


def _parents(folder: str) -> Iterator[str]:
    while folder != (folder := os.path.dirname(folder)):
        yield folder


@dataclass
class _TreeWalk:
    """How to walk the given folders, and what was seen so far."""

    warn: Warn
    is_complete: bool
    levels: int | None
    skipped: SkippedFiles
    walked: WalkedFolders = field(default_factory=dict)

    def find_topics(self, root: str) -> Iterator[Topic]:
        """Yield the topics below one of the given folders."""
        skipped = SkippedFiles(masks_are_images=self.skipped.masks_are_images)
        folders = walk_folders(root, self.walked, self.warn, skipped, self.is_complete)
        by_parts = sorted(folders, key=lambda folder: folder.parts)
        self.skipped.add(skipped)
        depth = self._topic_depth(root, by_parts, "; ".join(skipped.lines()))
        if depth is None:
            return
        name = LEVEL_NAMES[MAX_LEVELS if self.levels else depth]
        for folder in by_parts:
            if len(folder.parts) == depth:
                if self.levels == 1 and folder.parts[-1] == ACROSS_TOPIC:
                    what = f"duplicates_{ACROSS_TOPIC}.json is the name of the dataset's file"
                    raise UserError(f"{folder.path}: {what}; rename this folder")
                yield _make_topic(folder, self.levels or MAX_LEVELS)
            elif folder.image_count:
                images = terminal.plural(folder.image_count, "image")
                self.warn(
                    f"{terminal.escape(folder.path)}: {images} outside any topic, not processed "
                    f"(the topics of this {name} are {terminal.plural(depth, 'level')} below it)"
                )

    def _topic_depth(self, root: str, folders: Sequence[Folder], skipped: str) -> int | None:
        """Return how many levels below `root` its topics are; None, with a warning, if nowhere.

        `skipped` says what there is that is not read.
        """
        images_at_depth = Counter[int]()
        for folder in folders:
            images_at_depth[len(folder.parts)] += folder.image_count
        # If two depths have equally many images, topics are at the deeper one.
        depth = max(images_at_depth, key=lambda depth: (images_at_depth[depth], depth), default=0)
        if not images_at_depth[depth]:
            if self.is_complete:
                remedy = skipped or "mount it, or leave it out"
                raise UserError(f"{root}: not a dataset, there are no images below it; {remedy}")
            self.warn(f"{terminal.escape(root)}: no images below it")
            return None
        if depth > MAX_LEVELS:
            raise UserError(
                f"{root}: most of its images are {depth} folders down, so it holds datasets: "
                f"pass its subfolders ({os.path.join(root, '*', '')})"
            )
        if self.levels and not images_at_depth[self.levels]:
            remedy = f"--levels {depth}" if depth else "the folder above it, with --levels 1"
            if depth > self.levels:
                subfolders = os.path.join(root, *["*"] * (depth - self.levels), "")
                remedy += f", or its subfolders ({subfolders})"
            raise UserError(
                f"{root}: --levels {self.levels}: its images are "
                f"{terminal.plural(depth, 'level')} below it; give {remedy}"
            )
        return self.levels or depth


def _make_topic(folder: Folder, levels: int) -> Topic:
    names = [name for name in folder.path.split(os.sep) if name][-levels - 1 :]
    padded = [""] * (levels + 1 - len(names)) + names
    *upper, name = padded
    dataset, cluster, subcluster = [*upper, "", ""][:MAX_LEVELS]
    return Topic(folder.path, dataset, cluster, subcluster, name, folder.image_count, levels)
