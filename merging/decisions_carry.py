"""Decisions travel along in a merge, under the names that their images have in the target."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from common import decisions
from common.decisions import Decisions, PathPair
from common.tree import Stamp, Topic
from merging import manifest
from merging.manifest import ManifestLine


def carry_decisions(
    target: str, topics: Sequence[Topic], lines: Iterable[ManifestLine], aside: str
) -> None:
    """Add to the target's decisions those of the sources about images that are in it. Raises UserError."""
    made = {
        dataset: decisions.read_decisions(dataset)
        for dataset in dict.fromkeys(topic.dataset_path for topic in topics)
    }
    wanted = {
        os.path.join(dataset, path) for dataset, found in made.items() for path in found.paths
    }
    places: dict[str, str] = {}  # of a source image: its path below the target
    merged: dict[str, Stamp] = {}  # of a source image: what it was then
    there: dict[str, Stamp] = {}  # by path below the target
    for line in lines if wanted else ():
        if line.target:
            there[line.target] = line.stamp
        if line.source in wanted and line.action in manifest.IN_TARGET:
            places[line.source], merged[line.source] = line.target or line.kept or "", line.stamp
    before = carried = decisions.read_decisions(target)
    for dataset, found in made.items():
        named = {path: places.get(os.path.join(dataset, path), "") for path in found.paths}
        seen = {
            named[path]: there[named[path]]
            if merged[os.path.join(dataset, path)] == stamp
            else stamp
            for path, stamp in found.files.items()
            if named.get(path)
        }
        carried = decisions.join_decisions(_renamed(found, named, seen), carried)
    if carried != before:
        decisions.write_decisions(target, carried, aside)


def _renamed(found: Decisions, named: Mapping[str, str], seen: Mapping[str, Stamp]) -> Decisions:
    """The decisions whose images have a name in the target; that of a reference is its path, as it was."""

    def pairs(old: Iterable[PathPair]) -> set[PathPair]:
        new = {
            tuple(sorted(path if os.path.isabs(path) else named[path] for path in pair))
            for pair in old
        }
        return {(one, other) for one, other in new if one and one != other}

    return Decisions(
        pairs(found.different),
        pairs(found.same),
        {named[path] for path in found.keep if named[path]},
        seen,
    )
