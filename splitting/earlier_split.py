"""How a split differs from the one that it replaces."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

from common import json_files
from common.errors import UserError


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
    if not isinstance(earlier, list) or not all(isinstance(each, str) for each in earlier):
        return None
    before = set(earlier)
    return SplitChanges(len(set(train) - before), len(before.intersection(valid)))
