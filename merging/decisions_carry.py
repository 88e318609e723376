"""Carries a person's decisions into the target of a merge, under the names images have there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from common.target_folder import TargetFolder
from common.topics import Stamp, Topic
from keeping import decision_files, decisions
from keeping.decisions import Decisions, PathPair
from merging import manifest
from merging.manifest import ManifestLine


def carry_decisions(
    target_folder: TargetFolder, topics: Sequence[Topic], lines: Iterable[ManifestLine]
) -> None:
    """Add the sources' decisions about images in the target to those of the target.

    Raises UserError.
    """
    target = target_folder.path
    decided_by_dataset: dict[str, Decisions] = {}
    decided_paths: set[str] = set()
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        decided = decisions.read_decisions(dataset)
        decided_by_dataset[dataset] = decided
        decided_paths.update(os.path.join(dataset, path) for path in decided.paths)
    source_lines: dict[str, ManifestLine] = {}
    target_stamps: dict[str, Stamp] = {}
    if decided_paths:
        for line in lines:
            if line.target:
                target_stamps[line.target] = line.stamp
            if line.source in decided_paths and line.action in manifest.IN_TARGET:
                source_lines[line.source] = line
    before = joined = decisions.read_decisions(target)
    for dataset, decided in decided_by_dataset.items():
        renamed = _rename_images(decided, dataset, source_lines, target_stamps)
        joined = decision_files.join_decisions(renamed, joined)
    if joined != before:
        decisions.write_decisions(target, joined, target_folder)


def _rename_images(
    decided: Decisions,
    dataset: str,
    source_lines: Mapping[str, ManifestLine],
    target_stamps: Mapping[str, Stamp],
) -> Decisions:
    """Return the decisions about images that are in the target, under their paths there."""
    lines: dict[str, ManifestLine] = {}
    places: dict[str, str] = {}
    for path in decided.paths:
        line = source_lines.get(os.path.join(dataset, path))
        if line and (place := line.target or line.kept):
            lines[path], places[path] = line, place
    stamps: dict[str, Stamp] = {}
    for path, stamp in decided.files.items():
        if path in places:
            is_unchanged = stamp == lines[path].stamp
            stamps[places[path]] = target_stamps[places[path]] if is_unchanged else stamp
    keep = {places[path] for path in decided.keep if path in places}
    drop = {places[path] for path in decided.drop if path in places}
    different = _rename_pairs(decided.different, places)
    return Decisions(different, _rename_pairs(decided.same, places), keep, drop, stamps)


def _rename_pairs(pairs: Iterable[PathPair], places: Mapping[str, str]) -> set[PathPair]:
    """Rename both images of each pair; drop pairs with an image that is not in the target.

    The path of a reference image is absolute and stays as it is.
    """
    renamed = set()
    for pair in pairs:
        first, second = sorted(
            path if os.path.isabs(path) else places.get(path, "") for path in pair
        )
        if first and first != second:
            renamed.add((first, second))
    return renamed
