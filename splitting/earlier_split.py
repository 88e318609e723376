"""The split that another one replaces: how they differ, and what --keep-split keeps of it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field

from common import json_files
from common.atomic_files import Damaged
from common.errors import UserError
from common.topics import Topic

TRAIN, VALID = "train", "valid"
LIST_FILES = {TRAIN: "train_set.json", VALID: "valid_set.json"}


@dataclass(frozen=True)
class EarlierSplit:
    """The images of both lists, and the set that each is in: TRAIN or VALID."""

    # name to set, by folder: absolute, or below the dataset as --relative writes it
    by_folder: dict[str, dict[str, str]] = field(default_factory=dict)

    def sets_in(self, topic: Topic) -> dict[str, str]:
        """Return the set of each image of a topic that is in one of the lists, by name."""
        relative = topic.folder_in_dataset
        return self.by_folder.get(relative, {}) | self.by_folder.get(topic.path, {})

    def __len__(self) -> int:
        return sum(map(len, self.by_folder.values()))


NO_SPLIT = EarlierSplit()


def read_earlier_split(folder: str) -> EarlierSplit:
    """Read both lists in a folder; none where there is no file. Raises Damaged."""
    by_folder: dict[str, dict[str, str]] = {}
    for role in (VALID, TRAIN):  # an image in both is for training
        path = os.path.join(folder, LIST_FILES[role])
        entries = json_files.read_json(path, [])
        if not _is_list_of_paths(entries):
            raise Damaged(path, "not a list of paths")
        for entry in entries:
            parent, name = os.path.split(entry)
            by_folder.setdefault(parent, {})[name] = role
    return EarlierSplit(by_folder)


def _is_list_of_paths(content: object) -> bool:
    return isinstance(content, list) and all(isinstance(each, str) for each in content)


@dataclass(frozen=True)
class SplitChanges:
    """Numbers of images, against the lists that were there before."""

    train_changed: int  # chosen for training now and not before
    moved_to_valid: int  # for training before, for validation now


def compare_with_earlier(
    path: str, train: Collection[str], valid: Collection[str]
) -> SplitChanges | None:
    """Compare with the training list at `path`; None if there is no usable one."""
    if not os.path.isfile(path):
        return None
    try:
        earlier = json_files.read_json(path, [])
    except UserError:
        return None
    if not _is_list_of_paths(earlier):
        return None
    before = set(earlier)
    return SplitChanges(len(set(train) - before), len(before.intersection(valid)))
