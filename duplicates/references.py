"""Reference folders: what must not be in a dataset, such as the pictures of a benchmark. Read, and never written into.

They need no layout: every image below them counts, whatever its depth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common import json_files, tree
from common.errors import UserError
from common.tree import Stamp, Topic


@dataclass(frozen=True)
class References(Topic):
    """The images of reference folders as if they were a topic, whose caches go to `path` and whose names are paths."""

    listed: Mapping[str, Stamp] = field(default_factory=dict)

    def stamps(self) -> dict[str, Stamp]:
        return dict(self.listed)


def check_references(folders: Sequence[str], paths: Sequence[str], topics: Sequence[Topic]) -> None:
    """Raise UserError where a reference folder is none, or is, holds or lies in one of the `paths` to be searched.

    And where what is found in the datasets of these topics could not be written.
    """
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        json_files.check_writable(dataset)
    for folder in folders:
        if not os.path.isdir(folder):
            raise UserError(
                f"--against {folder}: no such folder; give the folder that holds the reference images"
            )
        for path in paths:
            one, other = (os.path.join(os.path.realpath(each), "") for each in (folder, path))
            if one.startswith(other) or other.startswith(one):
                raise UserError(
                    f"--against {folder}: it and {path} lie in one another; nothing can be its own reference"
                )


def list_references(folders: Sequence[str], beside: str, warn: Callable[[str], None]) -> References:
    """All images below the folders, with caches in the folder `beside`. Raises UserError where there is none."""
    listed: dict[str, Stamp] = {}
    for folder in map(os.path.abspath, folders):
        for path in tree.find_folders(folder, warn):
            topic = Topic(path, "", "", "", "", found=0)
            listed |= {topic.file(name): stamp for name, stamp in topic.stamps().items()}
    if folders and not listed:
        raise UserError(
            f"--against {' '.join(folders)}: no images below it; give the folder that holds them"
        )
    return References(beside, "", "", "", "", len(listed), dict(sorted(listed.items())))
