"""What the search across topics found, written into the dataset's file and counted."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common import terminal
from common.json_files import COPY, Copies, Kinds
from common.reporter import Reporter
from common.topics import Stamp
from duplicates import results
from duplicates.classification import Verdict
from duplicates.copy_measurement import CopyMeasurements
from duplicates.verification import ImagePair
from keeping import across_file

MeasureCopies = Callable[[Copies], tuple[CopyMeasurements, dict[str, Stamp]]]


@dataclass(frozen=True)
class SearchScope:
    """Which pairs a search has compared, by topic and reference folder."""

    topic_folders: set[str]  # below the dataset
    across: bool
    reference_folders: tuple[str, ...]  # absolute, each with a slash at the end
    variants: bool

    def includes(self, one: str, other: str, kind: str) -> bool:
        """Whether the search compared the two images, and looked for matches of this kind."""
        if kind != COPY and not self.variants:
            return False
        has_reference = False
        for path in (one, other):
            if os.path.isabs(path):
                has_reference = True
                if not path.startswith(self.reference_folders):
                    return False
            elif os.path.dirname(path) not in self.topic_folders:
                return False
        return self.across or has_reference


def search_scope(topic_folders: Iterable[str], args: argparse.Namespace) -> SearchScope:
    absolute = [os.path.abspath(folder) for folder in args.against]
    reference_folders = tuple(os.path.join(folder, "") for folder in absolute)
    return SearchScope(set(topic_folders), args.across, reference_folders, args.variants)


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
    results.write_pair_figures(topic, grouped, kinds, {**stamps, **measured_stamps})
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
