"""Count copies and variants, per topic and across topics. Needs the standard library alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import atomic_files, cache, terminal
from common.cache import Cache
from common.json_files import DOUBTFUL
from common.reporter import Reporter
from common.topics import Stamp, Topic
from imaging import image_identity
from keeping import keepers, topic_relations
from keeping.across_file import Across
from keeping.preference import Preference


@dataclass(frozen=True)
class DuplicateTotals:
    """The counts of one topic."""

    images: int
    is_searched: bool = False
    searched: int = 0  # readable images that the duplicates file covers
    unreadable: int = 0  # images that the search could not decode
    entries: int = 0  # images with a duplicate
    redundant: int = 0  # images that a merge would drop
    sets_by_size: int = 0  # with an image whose originality was not measured
    variants: Counter[str] = field(default_factory=Counter)  # pairs by kind
    outdated: str = ""  # how the folder differs from what was searched
    damaged: str = ""  # why the file cannot be read


def count_duplicates(topic: Topic, reporter: Reporter, prefer: Preference) -> DuplicateTotals:
    """Compare a topic's duplicates file with its folder, and count.

    A damaged file is reported, and counts as no search.
    """
    cached = cache.load_cache(topic)
    stamps = image_identity.stamps_as_recorded(topic, cached.files)
    try:
        relations = topic_relations.read_topic_relations(topic, stamps, cached)
    except atomic_files.Damaged as error:
        reporter.warn(f"{terminal.escape(error)}")
        reason = f"{os.path.basename(error.path)}: {error.reason}"
        return DuplicateTotals(len(stamps), damaged=reason)
    if relations.copies is None or relations.copies_staleness is None:
        return DuplicateTotals(len(stamps))
    if relations.has_older_rules:
        reporter.say_once(topic_relations.OLDER_RULES)
    scores = keepers.scores_for_ranking(topic, reporter.warn)
    choice = keepers.topic_redundant(
        topic,
        stamps,
        cached,
        scores,
        relations.copies,
        reporter.report_unreadable,
        relations.equals,
        prefer,
    )
    has_copy = relations.equals.has_match
    unreadable = _count_unreadable(cached, stamps)
    return DuplicateTotals(
        len(stamps),
        is_searched=True,
        searched=len(stamps) - len(relations.copies_staleness.unknown) - unreadable,
        unreadable=unreadable,
        entries=sum(has_copy(name, relations.copies) for name in relations.copies),
        redundant=len(choice.keepers),
        sets_by_size=choice.sets_by_size,
        variants=_count_pairs(relations.variants or {}),
        outdated="; variants: ".join(stale.message for stale in relations.stale_files()),
    )


def _count_unreadable(cached: Cache, stamps: Mapping[str, Stamp]) -> int:
    """Count the images that the search could not decode, and that are still the same."""
    search = cached.duplicates
    if not search:
        return 0
    return sum(1 for name in search.unreadable if stamps.get(name) == search.images.get(name))


def _count_pairs(variants: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """Count the pairs of each kind. Every pair is listed from both sides."""
    counts = Counter[str]()
    for name, others in variants.items():
        for other, kind in others.items():
            if name < other:
                counts[kind] += 1
    return counts


def count_across(topics: Sequence[Topic], across: Across, top: int) -> dict[str, Any]:
    """Count pairs across topics by kind, and matches with references by kind.

    Lists the `top` pairs of topics with most pairs; doubtful ones do not count there.
    """
    given = {topic.path for topic in topics}
    levels = topics[0].levels
    pairs = Counter[str]()
    references = Counter[str]()
    pairs_by_topics = Counter[tuple[str, str]]()
    for path, others in across.kinds.items():
        if os.path.dirname(path) not in given or path in across.references:
            continue
        for other, kind in others.items():
            is_first_sight = path < other or os.path.dirname(other) not in given
            if other in across.references:
                references[kind] += 1
            elif is_first_sight:
                pairs[kind] += 1
                labels = (_topic_label(path, levels), _topic_label(other, levels))
                first, second = sorted(labels)
                if kind != DOUBTFUL:
                    pairs_by_topics[first, second] += 1
    most = sorted((-count, labels) for labels, count in pairs_by_topics.items())[:top]
    return {
        "pairs": dict(pairs),
        "topics": [{"topics": list(labels), "pairs": -count} for count, labels in most],
        "references": dict(references),
    }


def _topic_label(image_path: str, levels: int) -> str:
    """Return the path of the image's topic, from the name of its dataset on."""
    return "/".join(image_path.split(os.sep)[-levels - 2 : -1])
