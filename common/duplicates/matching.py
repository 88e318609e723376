"""The matches within one topic: found in its fingerprints or vectors, written with what made them.

Who stays among them is decided in common/duplicates/keepers.py, and only told here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common import text
from common.dataset import cache, records, sidecar
from common.dataset.cache import Cache, Provenance
from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import fingerprints, keepers, neighbours
from common.duplicates.neighbours import Pairs
from common.output import Talk

Matches = dict[str, set[str]]


@dataclass(frozen=True)
class Found:
    """What is told of one topic."""

    label: str
    images: int
    pairs: int
    left_out: Mapping[str, str]  # image to the one that stands for it

    @property
    def sets(self) -> dict[str, list[str]]:
        """Each image that stays, with those that it stands for, sorted."""
        sets: dict[str, list[str]] = {}
        for name, keeper in sorted(self.left_out.items()):
            sets.setdefault(keeper, []).append(name)
        return sets


def by_look(prints: Sidecar, stamps: Mapping[str, Stamp], distance: int, verify: bool) -> Matches:
    """Matches between images whose hashes differ in at most `distance` bits and, with `verify`, that look the same.

    Flat images match those with the same pixels, and no others.
    """
    names = list(prints.fresh(stamps))
    rows = prints.rows(names)
    flat, lively = np.flatnonzero(rows["flat"]), np.flatnonzero(~rows["flat"])
    matches: Matches = {name: set() for name in stamps}
    _add(matches, names, ((flat[i], flat[j]) for i, j in neighbours.within(rows["hashes"][flat], 0)))
    for i, j in neighbours.within(rows["hashes"][lively], distance):
        first, second = lively[i], lively[j]
        if verify:
            same = fingerprints.confirmed(rows, first, second)
            first, second = first[same], second[same]
        _add(matches, names, [(first, second)])
    return matches


def by_meaning(vectors: Sidecar, stamps: Mapping[str, Stamp], cosine: float, device: str) -> Matches:
    """Matches between images whose vectors have a cosine similarity of at least `cosine`."""
    names = list(vectors.fresh(stamps))
    matches: Matches = {name: set() for name in stamps}
    _add(matches, names, neighbours.similar(vectors.rows(names)["vectors"], cosine, device))
    return matches


def _add(matches: Matches, names: Sequence[str], blocks: Iterable[Pairs]) -> None:
    for first, second in blocks:
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            matches[names[i]].add(names[j])
            matches[names[j]].add(names[i])


def finish(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    matches: Matches,
    rows: Sidecar,
    made_by: Mapping[str, Any],
    talk: Talk,
) -> Found:
    """Write the topic's duplicates file, then what made it; `rows` know the sizes. Returns what there is to tell.

    In this order, a kill between the two leaves matches whose images count as changed: never old matches that count
    as new. Damaged files are set aside. Raises UserError.
    """
    try:
        before = records.read_matches(topic)
    except records.Damaged as error:
        records.set_aside(error.path, error.reason, talk.warn)
        before = None
    old = cache.load(topic, talk.warn)
    made = Provenance(dict(made_by), dict(stamps))
    sizes = sidecar.extents(rows, stamps)
    known = {**old.extents, **sizes}
    if stamps or before is not None:
        records.write_matches(topic, matches)
        if old.duplicates != made or known != old.extents:
            cache.update(topic, extents=sizes, duplicates=made)
    left_out = keepers.redundant(topic, stamps, Cache(known), _scores(topic, talk), matches, talk.bad)
    return Found(topic.label, len(stamps), sum(map(len, matches.values())) // 2, left_out)


def _scores(topic: Topic, talk: Talk) -> dict[str, float]:
    try:
        return records.read_scores(topic)
    except records.Damaged as error:
        talk.warn(f"{text.shown(error)}; until then images are weighed by resolution alone")
        return {}
