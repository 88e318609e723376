"""Finds the topics below given folders laid out as `DataSet/Cluster/Subcluster/Topic/image`.

Decides which folders are topics by names and file types alone; how folders are walked is in
common/folder_walk.py.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from common import terminal
from common.errors import UserError, os_error_to_user_error
from common.folder_walk import Folder, SkippedFiles, WalkedFolders, Warn, walk_folders
from common.topics import Topic

# What a folder is called whose images are 0, 1, 2 or 3 levels below it.
LEVEL_NAMES = ("topic", "subcluster", "cluster", "dataset")


def find_topics(paths: Sequence[str], warn: Warn, is_complete: bool = False) -> list[Topic]:
    """Find every topic below `paths`, in the order of the paths and sorted by name within each.

    A folder that is reached twice counts once. Raises UserError if a path is not a folder, if it
    holds datasets, or if there is no image at all. With `is_complete` also if one of the paths
    holds no image, or if a folder below them cannot be listed.
    """
    for path in paths:
        _check_is_folder(path)
    walked: WalkedFolders = {}
    topics: list[Topic] = []
    skipped = SkippedFiles()
    given = tuple(map(os.path.realpath, paths))
    for root in _distinct_roots(paths):
        for topic in _topics_below(root, walked, warn, is_complete, skipped):
            topics.append(replace(topic, given_folders=given))
    if not any(topic.image_count for topic in topics):
        where = ", ".join(map(terminal.escape, paths))
        reason = "; ".join(skipped.lines())
        expected = "expected DataSet/Cluster/Subcluster/Topic/image.jpg"
        raise UserError(f"{where}: no images found; {reason or expected}")
    for line in skipped.lines():
        warn(line)
    return topics


def find_image_folders(root: str, warn: Warn) -> list[str]:
    """Find every folder that directly holds images, `root` or below it at any depth; sorted."""
    folders = walk_folders(root, {}, warn, SkippedFiles())
    return sorted(folder.path for folder in folders if folder.image_count)


def group_by_level(topics: Sequence[Topic], level: str) -> dict[str, list[Topic]]:
    """Group the topics by their topic, subcluster, cluster or dataset folder, in their order.

    A key is the folder's path starting at its dataset's own name. It is the whole path if two
    folders share that (datasets of one name in two places).
    """
    levels_up = LEVEL_NAMES.index(level)
    groups: dict[str, list[Topic]] = {}
    for topic in topics:
        folder = topic.path
        for _ in range(levels_up):
            folder = os.path.dirname(folder)
        groups.setdefault(folder, []).append(topic)
    labels = {}
    for folder, members in groups.items():
        labels[folder] = "/".join(filter(None, members[0].parts[: 4 - levels_up]))
    uses = Counter(labels.values())
    by_key = {}
    for folder, members in groups.items():
        label = labels[folder]
        is_unique = bool(label) and uses[label] == 1
        by_key[label if is_unique else folder] = members
    return by_key


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


def _topics_below(
    root: str, walked: WalkedFolders, warn: Warn, is_complete: bool, skipped: SkippedFiles
) -> Iterator[Topic]:
    folders = sorted(
        walk_folders(root, walked, warn, skipped, is_complete), key=lambda folder: folder.parts
    )
    images_at_depth = Counter[int]()
    for folder in folders:
        images_at_depth[len(folder.parts)] += folder.image_count
    # If two depths have equally many images, topics are at the deeper one.
    topic_depth = max(images_at_depth, key=lambda depth: (images_at_depth[depth], depth), default=0)
    if not images_at_depth[topic_depth]:
        if is_complete:
            raise UserError(
                f"{root}: not a dataset, there are no images below it; mount it, or leave it out"
            )
        warn(f"{terminal.escape(root)}: no images below it")
        return
    if topic_depth >= len(LEVEL_NAMES):
        raise UserError(
            f"{root}: most of its images are {topic_depth} folders down, so it holds datasets: "
            f"pass its subfolders ({os.path.join(root, '*')})"
        )
    for folder in folders:
        if len(folder.parts) == topic_depth:
            yield _make_topic(folder)
        elif folder.image_count:
            warn(
                f"{terminal.escape(folder.path)}: {terminal.plural(folder.image_count, 'image')} "
                f"outside any topic, not processed (the topics of this {LEVEL_NAMES[topic_depth]} "
                f"are {terminal.plural(topic_depth, 'level')} below it)"
            )


def _make_topic(folder: Folder) -> Topic:
    names = [name for name in folder.path.split(os.sep) if name][-4:]
    dataset, cluster, subcluster, name = [""] * (4 - len(names)) + names
    return Topic(folder.path, dataset, cluster, subcluster, name, folder.image_count)
