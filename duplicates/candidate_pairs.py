"""Which pairs of images are worth a close look because of what they show. Proposes generously; decides nothing.

Each image is compared with all others, in memory that grows with n and never with n x n.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from duplicates.alignment import TURNED_SIDE, TURNS
from duplicates.neighbours import PairFilter, Array, Pairs
from duplicates.verification import ImagePair

NEAREST = 10  # the original is among so many for 99.7 of 100 variants of 51 kinds
LIKE = 0.55  # cosine; half of all best strangers are below
ALIKE, BETTER = (
    0.9,
    0.05,
)  # correlation of thumbnails of which one was turned or halved, and by which it is more
SEEN_IN = 3  # so many of each turn or half
WITNESSES = 2  # of a family
WIDEST = 256  # nearest among which families are looked for
CELLS = 1 << 22  # comparisons in one go


def nearest_by_embedding(
    names: Sequence[str], vectors: Array, apart: PairFilter | None = None
) -> set[ImagePair]:
    """Each image with its NEAREST others, of those with a cosine similarity of LIKE or more; vectors of unit length.

    Where `apart` says which pairs of rows are wanted, the others do not count.
    """
    pairs = set()
    for rows, cosine in _compared(vectors, apart):
        pairs |= _nearest(rows, cosine, NEAREST, LIKE)
    return _named(names, pairs)


def nearest_by_thumbnail(
    names: Sequence[str], thumbnails: Array, halves: Array, apart: PairFilter | None = None
) -> set[ImagePair]:
    """Each image with those that it looks like mirrored or turned by quarters, or that one half of it looks like.

    Only where it looks less like them as it is. Rows as alignment.thumbnail and alignment.halves make them.
    """
    pairs = set()
    thumbnails = thumbnails.astype(np.float32)
    for rows, still in _compared(thumbnails, apart):
        upright = thumbnails[rows].reshape(-1, TURNED_SIDE, TURNED_SIDE)
        turned = (
            np.rot90(upright[:, :, ::-1] if mirrored else upright, quarter, axes=(1, 2)).reshape(
                len(rows), -1
            )
            for quarter, mirrored in TURNS[1:]
        )
        for looks in itertools.chain(turned, halves[rows].astype(np.float32).swapaxes(0, 1)):
            alike = looks @ thumbnails.T
            alike[(alike < still + BETTER) | (still < -1)] = -1
            pairs |= _nearest(rows, alike, SEEN_IN, ALIKE)
    return _named(names, pairs)


def nearest_per_family(
    names: Sequence[str], vectors: Array, families: Sequence[str]
) -> set[ImagePair]:
    """Each image with the WITNESSES likest of each of the NEAREST families but its own, where families crowd it.

    A family of images that were made from one picture fills the places of the nearest of another one.
    """
    pairs = set()
    for rows, cosine in _compared(vectors):
        count = min(WIDEST, len(names))
        widest = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(
            widest, np.argsort(-np.take_along_axis(cosine, widest, 1), axis=1), 1
        )
        for row, one, nearest in zip(range(len(rows)), rows.tolist(), order.tolist(), strict=True):
            seen = Counter[str]()
            for other in nearest:
                family = families[other]
                if cosine[row, other] < LIKE or (family not in seen and len(seen) == NEAREST):
                    break
                if family != families[one] and seen[family] < WITNESSES:
                    pairs.add((one, other))
                    seen[family] += 1
    return _named(names, pairs)


def _compared(vectors: Array, apart: PairFilter | None = None) -> Iterator[tuple[Array, Array]]:
    """The numbers of some rows, and their products with all rows; below -1 where `apart` does not want them."""
    vectors = vectors.astype(np.float32, copy=False)
    numbers = np.arange(len(vectors))
    step = max(1, CELLS // max(1, len(vectors)))
    for start in range(0, len(vectors), step):
        rows = numbers[start : start + step]
        products = vectors[rows] @ vectors.T
        if apart:
            products[~apart(rows[:, None], numbers[None])] = -2
        products[np.arange(len(rows)), rows] = -2
        yield rows, products


def _nearest(rows: Array, alike: Array, count: int, least: float) -> set[tuple[int, int]]:
    """Each row with the `count` columns that are most alike, of those that are as alike as `least`."""
    count = min(count, alike.shape[1])
    best = np.argpartition(-alike, count - 1, axis=1)[:, :count]
    which, place = np.nonzero(np.take_along_axis(alike, best, 1) >= least)
    ones, others = rows[which].tolist(), best[which, place].tolist()
    return set(zip(ones, others, strict=True))


def _named(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> set[ImagePair]:
    return {(min(names[i], names[j]), max(names[i], names[j])) for i, j in pairs}


def as_name_pairs(names: Sequence[str], blocks: Iterable[Pairs]) -> list[ImagePair]:
    """Pairs of rows as pairs of names; each pair comes once."""
    return sorted(
        pair
        for first, second in blocks
        for pair in _named(names, zip(first.tolist(), second.tolist(), strict=True))
    )
