"""Which pairs of images are worth a close look because of what they show. Proposes generously; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from common.duplicates.looking import Pair
from common.duplicates.neighbours import Apart, Array, Pairs

NEAREST = 10  # the original is among so many for 99.7 of 100 variants of 51 kinds
LIKE = 0.55  # cosine; half of all best strangers are below
ROWS = 1024  # compared with all others in one go


def by_likeness(names: Sequence[str], vectors: Array, apart: Apart | None = None) -> list[Pair]:
    """Each image with its NEAREST others, of those with a cosine similarity of LIKE or more; vectors of unit length.

    Where `apart` says which pairs of rows are wanted, the others do not count.
    """
    pairs = set()
    for start in range(0, len(names), ROWS):
        cosine = vectors[start : start + ROWS] @ vectors.T
        if apart:
            rows = np.arange(len(names))
            cosine[~apart(rows[start : start + ROWS, None], rows[None])] = -1
        count = min(NEAREST + 1, len(names))
        for row, nearest in enumerate(np.argpartition(-cosine, count - 1, axis=1)[:, :count]):
            one = start + row
            alike = nearest[cosine[row, nearest] >= LIKE]
            pairs |= {(min(one, other), max(one, other)) for other in alike.tolist() if other != one}
    return [(min(names[i], names[j]), max(names[i], names[j])) for i, j in sorted(pairs)]


def named(names: Sequence[str], blocks: Iterable[Pairs]) -> list[Pair]:
    """Pairs of rows as pairs of names."""
    return [
        (min(names[i], names[j]), max(names[i], names[j]))
        for first, second in blocks
        for i, j in zip(first.tolist(), second.tolist(), strict=True)
    ]
