"""Pairs of images worth verifying because of what they show. Proposes generously, decides nothing.

Each image is compared with all others, in memory that grows with n, not n x n.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from duplicates import shared_words
from duplicates.alignment import ROTATIONS, THUMBNAIL_SIDE
from duplicates.neighbours import Array, PairFilter, RowPairs
from duplicates.verification import ImagePair

# At 224 pixels a side the original was among so many for 99.7 of 100 variants of 51 kinds.
NEIGHBOURS_PER_IMAGE = 10
MIN_EMBEDDING_COSINE = 0.55  # half of all images have no unrelated image this similar
# A turned image, or a half, must correlate with the other image this much,
MIN_TURNED_CORRELATION = 0.9
# and more than the image as it is, by this much.
MIN_TURNED_GAIN = 0.05
MATCHES_PER_TURN = 3  # most similar images proposed for each turn and half
PAIRS_PER_FAMILY = 2  # most similar images proposed for each family
MAX_NEIGHBOURS = 256  # nearest images among which families are looked for
BLOCK_COMPARISONS = 1 << 22  # computed at a time

IGNORED = -2.0  # in place of the similarity of a pair that must not be proposed; a cosine is >= -1


@dataclass(frozen=True)
class Candidates:
    """Pairs of images that may be copies. Each pair is in one of the two lists, once."""

    unverified: list[ImagePair]
    equal: list[ImagePair]  # flat images with the same pixels in 8 bits on white


def as_name_pairs(names: Sequence[str], blocks: Iterable[RowPairs]) -> list[ImagePair]:
    """Turn pairs of rows into sorted pairs of names; row i belongs to names[i]."""
    pairs: list[ImagePair] = []
    for first, second in blocks:
        pairs += _name_pairs(names, zip(first.tolist(), second.tolist(), strict=True))
    return sorted(pairs)


def nearest_by_embedding(
    names: Sequence[str], vectors: Array, pair_filter: PairFilter | None = None
) -> set[ImagePair]:
    """Pair each image with its NEIGHBOURS_PER_IMAGE nearest others, from a minimum similarity on.

    vectors: shape (n, numbers), unit length. Counts only pairs of rows that `pair_filter` wants.
    """
    pairs: set[tuple[int, int]] = set()
    for rows, cosine in _similarity_blocks(vectors, pair_filter):
        pairs |= _select_nearest(rows, cosine, NEIGHBOURS_PER_IMAGE, MIN_EMBEDDING_COSINE)
    return _name_pairs(names, pairs)


def nearest_by_words(
    names: Sequence[str], words: Array, pair_filter: PairFilter | None = None
) -> set[ImagePair]:
    """Pair each image with those that share most words with it: see duplicates/shared_words.py."""
    return _name_pairs(names, shared_words.pairs_sharing_words(words, pair_filter))


def nearest_by_thumbnail(
    names: Sequence[str],
    thumbnails: Array,
    halves: Array,
    pair_filter: PairFilter | None = None,
) -> set[ImagePair]:
    """Pair each image with those that it resembles mirrored, turned by quarters, or by one half.

    Also with those that resemble its negative, as it is or in one of these ways. Only with images
    that it resembles less as it is. Rows as alignment.make_thumbnail and
    alignment.half_thumbnails make them.
    """
    pairs: set[tuple[int, int]] = set()
    thumbnails = thumbnails.astype(np.float32)
    for rows, as_it_is in _similarity_blocks(thumbnails, pair_filter):
        is_ignored = as_it_is == IGNORED
        negatives = np.where(is_ignored, -1, -as_it_is)
        pairs |= _select_nearest(rows, negatives, MATCHES_PER_TURN, MIN_TURNED_CORRELATION)
        for views in _other_views(thumbnails[rows], halves[rows]):
            similarity = np.abs(views @ thumbnails.T)
            similarity[(similarity < as_it_is + MIN_TURNED_GAIN) | is_ignored] = -1
            pairs |= _select_nearest(rows, similarity, MATCHES_PER_TURN, MIN_TURNED_CORRELATION)
    return _name_pairs(names, pairs)


def _other_views(thumbnails: Array, halves: Array) -> Iterator[Array]:
    """Other views of the images: one for each turn but the first, then one for each half."""
    upright = thumbnails.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    for quarters, is_mirrored in ROTATIONS[1:]:
        flipped = upright[:, :, ::-1] if is_mirrored else upright
        turned = np.rot90(flipped, quarters, axes=(1, 2))
        yield turned.reshape(len(thumbnails), -1)
    yield from halves.astype(np.float32).swapaxes(0, 1)


def nearest_per_family(
    names: Sequence[str], vectors: Array, families: Sequence[str]
) -> set[ImagePair]:
    """Pair each image with the PAIRS_PER_FAMILY nearest images of each of the nearest families.

    Its own family is left out; NEIGHBOURS_PER_IMAGE families count. A large family fills all places
    of the nearest images, so that other families are missed without this.
    families: of each row, its family.
    """
    pairs: set[tuple[int, int]] = set()
    for rows, cosine in _similarity_blocks(vectors):
        neighbours = _rank_neighbours(cosine).tolist()
        for position, row in enumerate(rows.tolist()):
            for other in _pick_per_family(cosine[position], neighbours[position], row, families):
                pairs.add((row, other))
    return _name_pairs(names, pairs)


def _rank_neighbours(cosine: Array) -> Array:
    """The MAX_NEIGHBOURS most similar columns of each row, most similar first."""
    count = min(MAX_NEIGHBOURS, cosine.shape[1])
    columns = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(cosine, columns, 1), axis=1)
    return np.take_along_axis(columns, order, 1)


def _pick_per_family(
    cosine: Array, neighbours: Sequence[int], row: int, families: Sequence[str]
) -> Iterator[int]:
    """Yield the row's nearest neighbours, few of each family."""
    counts = Counter[str]()
    for other in neighbours:
        family = families[other]
        is_one_family_too_many = family not in counts and len(counts) == NEIGHBOURS_PER_IMAGE
        if cosine[other] < MIN_EMBEDDING_COSINE or is_one_family_too_many:
            return
        if family != families[row] and counts[family] < PAIRS_PER_FAMILY:
            counts[family] += 1
            yield other


def _similarity_blocks(
    vectors: Array, pair_filter: PairFilter | None = None
) -> Iterator[tuple[Array, Array]]:
    """Yield blocks of row numbers, with the dot products of these rows with all rows.

    IGNORED in place of a row with itself, and of pairs that `pair_filter` does not want.
    """
    vectors = vectors.astype(np.float32, copy=False)
    row_numbers = np.arange(len(vectors))
    step = max(1, BLOCK_COMPARISONS // max(1, len(vectors)))
    for start in range(0, len(vectors), step):
        rows = row_numbers[start : start + step]
        products = vectors[rows] @ vectors.T
        if pair_filter:
            products[~pair_filter(rows[:, None], row_numbers[None])] = IGNORED
        products[np.arange(len(rows)), rows] = IGNORED
        yield rows, products


def _select_nearest(
    rows: Array, similarity: Array, count: int, min_similarity: float
) -> set[tuple[int, int]]:
    """Pair each row with its `count` most similar columns that reach the minimum."""
    count = min(count, similarity.shape[1])
    columns = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    is_similar = np.take_along_axis(similarity, columns, 1) >= min_similarity
    position, place = np.nonzero(is_similar)
    selected = columns[position, place]
    return set(zip(rows[position].tolist(), selected.tolist(), strict=True))


def _name_pairs(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> set[ImagePair]:
    """Pairs of rows as pairs of names, the lesser name first."""
    return {(min(names[i], names[j]), max(names[i], names[j])) for i, j in pairs}
