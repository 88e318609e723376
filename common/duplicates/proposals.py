"""Which pairs of a topic's images are worth a close look. Proposes generously; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp
from common.duplicates import fingerprints, neighbours
from common.duplicates.looking import Pair
from common.duplicates.neighbours import Array, Pairs

NEAREST = 10  # the original is among so many for 99.7 of 100 variants of 51 kinds
LIKE = 0.55  # cosine; half of all best strangers are below
ROWS = 1024  # compared with all others in one go


def by_hash(prints: Sidecar, stamps: Mapping[str, Stamp], distance: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs with hashes within `distance` bits whose thumbnails rule no copy out; and flat ones that are equal."""
    names = list(prints.fresh(stamps))
    rows = prints.rows(names)
    flat, lively = np.flatnonzero(rows["flat"]), np.flatnonzero(~rows["flat"])
    equal = [(flat[i], flat[j]) for i, j in neighbours.within(rows["hashes"][flat], 0)]
    near = []
    for i, j in neighbours.within(rows["hashes"][lively], distance):
        first, second = lively[i], lively[j]
        likely = fingerprints.likely(rows, first, second)
        near.append((first[likely], second[likely]))
    return _named(names, near), _named(names, equal)


def by_vectors(vectors: Sidecar, stamps: Mapping[str, Stamp], cosine: float, device: str) -> list[Pair]:
    """Pairs whose vectors have a cosine similarity of at least `cosine`."""
    names = list(vectors.fresh(stamps))
    return _named(names, neighbours.similar(vectors.rows(names)["vectors"], cosine, device))


def by_likeness(names: Sequence[str], vectors: Array) -> list[Pair]:
    """Each image with its NEAREST others, of those with a cosine similarity of LIKE or more; vectors of unit length."""
    pairs = set()
    for start in range(0, len(names), ROWS):
        cosine = vectors[start : start + ROWS] @ vectors.T
        count = min(NEAREST + 1, len(names))
        for row, nearest in enumerate(np.argpartition(-cosine, count - 1, axis=1)[:, :count]):
            one = start + row
            alike = nearest[cosine[row, nearest] >= LIKE]
            pairs |= {(min(one, other), max(one, other)) for other in alike.tolist() if other != one}
    return [(min(names[i], names[j]), max(names[i], names[j])) for i, j in sorted(pairs)]


def _named(names: Sequence[str], blocks: Iterable[Pairs]) -> list[Pair]:
    return [
        (min(names[i], names[j]), max(names[i], names[j]))
        for first, second in blocks
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
