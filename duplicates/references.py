"""Reference folders: images that must not be in a dataset, such as a benchmark. Never written into.

They need no layout: every image below them counts, at any depth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from common import atomic_files, run_scope, tree
from common.errors import UserError
from common.topics import FileStatus, Topic
from keeping import across_file

if TYPE_CHECKING:
    from duplicates.verification import ImagePair  # numpy


@dataclass(frozen=True)
class ReferenceTopic(Topic):
    """The images of all reference folders as one topic. Names are absolute paths.

    `path` is another folder, which takes the caches.
    """

    statuses_by_path: Mapping[str, FileStatus] = field(default_factory=dict)

    def image_statuses(self) -> dict[str, FileStatus]:
        return dict(self.statuses_by_path)


def check_references(folders: Sequence[str], paths: Sequence[str], topics: Sequence[Topic]) -> None:
    """Check that the reference folders exist and are apart from the `paths` to search.

    Also checks that results can be written into the datasets of `topics`. Raises UserError.
    """
    for folder in folders:
        if not os.path.isdir(folder):
            raise UserError(
                f"--against {folder}: no such folder; give the folder that holds the "
                "reference images"
            )
        for path in paths:
            if _overlap(folder, path):
                raise UserError(
                    f"--against {folder}: it overlaps {path}; give a folder outside of it"
                )
    option = "--against" if folders else "--across"
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        run_scope.check_may_write(dataset, across_file.FILE_NAME, topics, option)
        atomic_files.check_writable(dataset)


def _overlap(folder: str, path: str) -> bool:
    """Whether the two are one folder, or one holds the other."""
    one = os.path.join(os.path.realpath(folder), "")
    other = os.path.join(os.path.realpath(path), "")
    return one.startswith(other) or other.startswith(one)


def list_references(
    folders: Sequence[str], cache_parent: str, warn: Callable[[str], None]
) -> ReferenceTopic:
    """List all images below the folders. Raises UserError if there are none.

    Their caches go into the folder `cache_parent`.
    """
    statuses: dict[str, FileStatus] = {}
    for folder in folders:
        for path in tree.find_image_folders(os.path.abspath(folder), warn):
            topic = Topic(path, "", "", "", "", image_count=0)
            for name, status in topic.image_statuses().items():
                statuses[topic.path_of(name)] = status
    if folders and not statuses:
        raise UserError(
            f"--against {' '.join(folders)}: no images below it; give the folder that holds them"
        )
    by_path = dict(sorted(statuses.items()))
    return ReferenceTopic(cache_parent, "", "", "", "", len(by_path), statuses_by_path=by_path)


def drop_same_files(dataset: str, pairs: Iterable[ImagePair]) -> list[ImagePair]:
    """Drop pairs of a reference image and an image that are one file under two names."""
    return [pair for pair in pairs if not _is_same_file(dataset, pair)]


def _is_same_file(dataset: str, pair: ImagePair) -> bool:
    if not any(map(os.path.isabs, pair)):
        return False
    one, other = (os.path.join(dataset, path) for path in pair)
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
