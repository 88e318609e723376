"""What there is to tell of copies and variants: numbers, for each topic and across topics. Standard library alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common import text
from common.dataset import cache, records
from common.dataset.records import DOUBTFUL
from common.dataset.tree import Topic
from common.duplicates import keepers
from common.duplicates.across import Across
from common.output import Talk


@dataclass(frozen=True)
class Count:
    """What there is to tell of one topic."""

    images: int
    is_searched: bool = False
    searched: int = 0  # images that the topic's file names
    entries: int = 0  # images with a duplicate
    redundant: int = 0  # images that a merge would leave out
    variants: Counter[str] = field(default_factory=Counter)  # pairs by kind
    outdated: str = ""  # how the file no longer fits the folder
    damaged: str = ""  # why it cannot be read


def counted(topic: Topic, talk: Talk) -> Count:
    """Hold a topic's file against its folder. Damaged files are told of, and count as no search."""
    stamps, cached = topic.stamps(), cache.load(topic)
    try:
        found, variants = keepers.matches(topic, stamps, cached), keepers.variants(topic, stamps, cached)
    except records.Damaged as error:
        talk.warn(f"{text.shown(error)}")
        return Count(len(stamps), damaged=f"{os.path.basename(error.path)}: {error.reason}")
    if not found:
        return Count(len(stamps))
    redundant = keepers.redundant(topic, stamps, cached, keepers.scores(topic, talk.warn), found.usable, talk.bad)
    return Count(
        len(stamps),
        is_searched=True,
        searched=len(stamps) - len(found.unknown),
        entries=sum(1 for others in found.usable.values() if others),
        redundant=len(redundant),
        variants=_pairs(variants.usable if variants else {}),
        outdated="; variants: ".join(each.misfit for each in (found, variants) if each and not each.fits),
    )


def _pairs(variants: Mapping[str, Mapping[str, str]]) -> Counter[str]:
    """How many pairs there are of each kind."""
    return Counter(kind for name, others in variants.items() for other, kind in others.items() if name < other)


def beyond(topics: Iterable[Topic], across: Across, top: int) -> dict[str, Any]:
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
                one, two = sorted("/".join(p.split(os.sep)[-5:-1]) for p in (path, other))  # from the dataset's name on
                between[one, two] += kind != DOUBTFUL
    most = sorted((-count, two) for two, count in between.items() if count)[:top]
    return {
        "pairs": dict(pairs),
        "topics": [{"topics": list(two), "pairs": -count} for count, two in most],
        "references": dict(references),
    }
