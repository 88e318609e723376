"""What the search across topics found, written into the dataset's file and counted."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common import terminal
from common.json_files import COPY, Copies, Kinds
from common.reporter import Reporter
from common.topics import Stamp, Topic
from duplicates import results
from duplicates.classification import Verdict
from duplicates.copy_measurement import CopyMeasurements
from duplicates.verification import ImagePair
from keeping import across_file, pair_records

MeasureCopies = Callable[[Copies], tuple[CopyMeasurements, dict[str, Stamp]]]


@dataclass(frozen=True)
class SearchScope:
    """Which pairs a search has compared, by topic and reference folder."""

    topics: Mapping[str, Topic]  # by their folders below the dataset
    across: bool
    reference_folders: tuple[str, ...]  # absolute, each with a slash at the end
    variants: bool
    is_whole: bool  # the search works on all images of the dataset

    def includes(self, one: str, other: str, kind: str) -> bool:
        """Whether the search compared the two images, and looked for matches of this kind."""
        if kind != COPY and not self.variants:
            return False
        if not self.has_image(one) or not self.has_image(other):
            return False
        return self.across or os.path.isabs(one) or os.path.isabs(other)

    def has_image(self, path: str) -> bool:
        """Tell whether the search works on an image of the dataset, or on a reference image."""
        if os.path.isabs(path):
            return path.startswith(self.reference_folders)
        folder, name = os.path.split(path)
        return folder in self.topics and self.topics[folder].reports(name)


def search_scope(
    dataset: str, topics: Mapping[str, Topic], args: argparse.Namespace
) -> SearchScope:
    """Return the scope of a search. `topics` are by their folders below the dataset."""
    absolute = [os.path.abspath(folder) for folder in args.against]
    reference_folders = tuple(os.path.join(folder, "") for folder in absolute)
    is_whole = is_whole_dataset(dataset, args)
    return SearchScope(topics, args.across, reference_folders, args.variants, is_whole)


def write_results(
    dataset: str,
    scope: SearchScope,
    stamps: Mapping[str, Stamp],
    verdicts: Mapping[ImagePair, Verdict],
    made_by: Mapping[str, Any],
    warn: Callable[[str], None],
    measure: MeasureCopies,
) -> Kinds:
    """Write the verdicts into the dataset's file in place of all compared pairs.

    `stamps`: of the images that the search saw. `measure` is called with the copies, and returns
    what was measured of them. Returns everything that the file holds then. Raises UserError.
    """
    grouped = results.group_verdicts(stamps, verdicts)
    grouped.measured, measured_stamps = measure(grouped.copies)
    kinds: Kinds = {name: dict.fromkeys(copies, COPY) for name, copies in grouped.copies.items()}
    for name, others in grouped.variants.items():
        kinds.setdefault(name, {}).update(others)
    kinds = across_file.write_across(dataset, kinds, scope.includes, made_by, stamps, warn)
    topic = across_file.dataset_as_topic(dataset)
    all_stamps = {**stamps, **measured_stamps}
    not_seen = set() if scope.is_whole else pair_records.images_in(topic) - all_stamps.keys()
    for path in not_seen:
        if stamp := across_file.current_stamp(dataset, path):
            all_stamps[path] = stamp
    if not scope.is_whole:
        for pair, traits in pair_records.read_topic_pairs(topic, all_stamps).items():
            grouped.measured.pairs.setdefault(pair, traits)
    results.write_pair_figures(topic, grouped, kinds, all_stamps)
    return kinds


def count_kinds(kinds: Kinds, pairs: Counter[str], with_references: Counter[str]) -> None:
    """Count each pair once, by kind: of two images, or of an image with a reference."""
    for one, others in kinds.items():
        if os.path.isabs(one):
            continue
        for other, kind in others.items():
            if os.path.isabs(other):
                with_references[kind] += 1
            elif one < other:
                pairs[kind] += 1


def is_whole_dataset(dataset: str, args: argparse.Namespace) -> bool:
    """Tell whether a given path holds the whole dataset, and no pattern limits the search."""
    if args.include or args.exclude:
        return False
    folder = os.path.join(os.path.realpath(dataset), "")
    return any(folder.startswith(os.path.join(os.path.realpath(path), "")) for path in args.paths)


def report_partial_search(dataset: str, topic_count: int, reporter: Reporter) -> None:
    path = terminal.escape(across_file.path_in(dataset))
    compared = terminal.plural(topic_count, "topic")
    reporter.say(f"{path}: compared {compared}; matches of the other topics stay as they were")
