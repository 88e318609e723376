"""The page of a split: the images of both sets in each topic, leaks, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from common import terminal
from common.reporter import Reporter
from reports import outcome_page
from reports.outcome_page import Outcome, Pairing, Picture, PictureGroup, TopicOutcome
from splitting.candidates import Split

COUNT_LABELS = {
    "train": "for training",
    "valid": "for validation",
    "not_chosen": "not among the best",
    "below_the_cut": "below a threshold",
    "duplicates": "copies of better ones",
    "variants_left_out": "variants of clean ones",
    "match_a_reference": "match a reference",
    "dropped": "dropped by you",
    "without_score": "without a score",
    "unreadable": "unreadable",
    "related_to_chosen": "related to chosen ones",
}


def write_page(
    path: str, splits: Mapping[str, Split], result: Mapping[str, Any], reporter: Reporter
) -> None:
    """Write the page to `path`. `splits` has them by the label of their topic."""
    cards = []
    for name, label in COUNT_LABELS.items():
        if result["counts"].get(name):
            cards.append((terminal.thousands(result["counts"][name]), label))
    if result["leaks"]:
        cards.append((terminal.thousands(len(result["leaks"])), "leaks"))
    datasets = dict.fromkeys(split.topic.dataset or split.topic.name for split in splits.values())
    outcome = Outcome(
        title=f"Split of {terminal.list_few(datasets)}",
        lead="The best images of each topic, for training and for validation.",
        cards=cards,
        pairings_title="Leaks: a validation image beside the training image that it matches",
        topics=[_describe_topic(label, split) for label, split in splits.items()],
    )
    outcome_page.write_page(path, outcome, reporter)


def _describe_topic(label: str, split: Split) -> TopicOutcome:
    pairings = []
    for leak in split.leaks:
        train = Picture(leak.train_path, os.path.basename(leak.train_path), "training")
        valid = Picture(split.topic.path_of(leak.valid_name), leak.valid_name, leak.kind)
        pairings.append(Pairing(train, (valid,)))
    groups = []
    for title, names in (("Training", split.train), ("Validation", split.valid)):
        pictures = [Picture(split.topic.path_of(name), name) for name in names]
        groups.append(PictureGroup(title, pictures, len(pictures)))
    for reason, examples in split.left_out.items():
        pictures = []
        for name, why in examples.items():
            pictures.append(Picture(split.topic.path_of(name), name, why))
        count = split.counts[reason]
        groups.append(PictureGroup(COUNT_LABELS[reason].capitalize(), pictures, count))
    skipped = [Picture(split.topic.path_of(name), name) for name in sorted(split.skipped)]
    title = COUNT_LABELS["related_to_chosen"].capitalize()
    groups.append(PictureGroup(title, skipped, len(skipped)))
    left_out = sum(split.excluded.values()) + len(split.skipped)
    summary = (
        f"{len(split.train):,} training · {len(split.valid):,} validation · {left_out:,} left out"
    )
    return TopicOutcome(label, summary, pairings, groups)
