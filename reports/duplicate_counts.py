"""What there is to tell of copies and variants: numbers, for each topic and across topics. Standard library alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common import atomic_files, cache, keepers, terminal, topic_relations
from common.across_file import Across
from common.json_files import DOUBTFUL
from common.reporter import Reporter
from common.topics import Topic


@dataclass(frozen=True)
class DuplicateTotals:
    """What there is to tell of one topic."""

    images: int
    is_searched: bool = False
    searched: int = 0  # images that the topic's file names
    entries: int = 0  # images with a duplicate
    redundant: int = 0  # images that a merge would leave out
    variants: Counter[str] = field(default_factory=Counter)  # pairs by kind
    outdated: str = ""  # how the file no longer fits the folder
    damaged: str = ""  # why it cannot be read


def count_duplicates(topic: Topic, talk: Reporter) -> DuplicateTotals:
    """Hold a topic's file against its folder. Damaged files are told of, and count as no search."""
    stamps, cached = topic.image_stamps(), cache.load_cache(topic)
    try:
        relations = topic_relations.read_topic_relations(topic, stamps, cached)
    except atomic_files.Damaged as error:
        talk.warn(f"{terminal.escape(error)}")
        return DuplicateTotals(
            len(stamps), damaged=f"{os.path.basename(error.path)}: {error.reason}"
        )
    if relations.copies is None or relations.copies_staleness is None:
        return DuplicateTotals(len(stamps))
    redundant = keepers.topic_redundant(
        topic,
        stamps,
        cached,
        keepers.scores_for_ranking(topic, talk.warn),
        relations.copies,
        talk.report_unreadable,
    )
    return DuplicateTotals(
        len(stamps),
        is_searched=True,
        searched=len(stamps) - len(relations.copies_staleness.unknown),
        entries=sum(1 for others in relations.copies.values() if others),
        redundant=len(redundant),
        variants=_pairs(relations.variants or {}),
        outdated="; variants: ".join(stale.message for stale in relations.stale_files()),
    )


def _pairs(variants: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """How many pairs there are of each kind."""
    return Counter(
        kind for name, others in variants.items() for other, kind in others.items() if name < other
    )


def count_across(topics: Iterable[Topic], across: Across, top: int) -> dict[str, Any]:
    """What duplicates_stats.py tells: pairs across topics by kind, pairs of topics with most, copies of references."""
    given = {topic.path for topic in topics}
    pairs, between, references = Counter[str](), Counter[tuple[str, str]](), Counter[str]()
    for path, others in across.kinds.items():
        if os.path.dirname(path) not in given or path in across.references:
            continue
        for other, kind in others.items():
            if other in across.references:
                references[kind] += 1
            elif path < other or os.path.dirname(other) not in given:
                pairs[kind] += 1
                one, two = sorted(
                    "/".join(p.split(os.sep)[-5:-1]) for p in (path, other)
                )  # from the dataset's name on
                between[one, two] += kind != DOUBTFUL
    most = sorted((-count, two) for two, count in between.items() if count)[:top]
    return {
        "pairs": dict(pairs),
        "topics": [{"topics": list(two), "pairs": -count} for count, two in most],
        "references": dict(references),
    }
