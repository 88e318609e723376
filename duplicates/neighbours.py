"""Exact search for all pairs of close hashes or vectors, in memory that grows with n, not n x n.

Works on plain numbers. Equal rows are merged first, so that a thousand copies are compared with the
rest only once. faiss compares large numbers of hashes, torch compares vectors if there is a GPU;
either is loaded only when it pays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
# Takes rows i and j of each pair, returns whether each pair is wanted. Must broadcast.
PairFilter = Callable[[Array, Array], Array]
# Rows i and j of each pair, i < j, in no particular order. No pair comes twice.
RowPairs = tuple[Array, Array]

BLOCK_COMPARISONS = 1 << 22  # comparisons in one numpy block, and pairs in one block of the result
GPU_BLOCK_FACTOR = 32  # a GPU takes blocks that are so many times larger
MIN_FAISS_HASHES = 8192  # faiss takes 0.3 s to load; below this numpy is faster
FAISS_QUERY_HASHES = 512  # hashes compared with the rest per call: limits the size of one result
COSINE_ERROR = 1e-4  # above the float32 rounding error of a cosine, whatever the order of summation
DIGEST_BYTES = 16  # of the digest by which rows of floats are sorted


def pairs_within_distance(hashes: Array, distance: int) -> Iterator[RowPairs]:
    """Yield, in blocks, every pair of rows whose hashes differ in at most `distance` bits.

    hashes: uint64, shape (n,).
    """
    if len(hashes) < 2:
        return
    unique, groups = _deduplicate(hashes)
    yield from groups.pairs_of_equal_rows()
    search = _search_faiss if len(unique) > MIN_FAISS_HASHES else _search_numpy
    for first, second in search(unique, distance):
        yield from groups.pairs_between(first, second)


def _search_numpy(unique: Array, distance: int) -> Iterator[RowPairs]:
    for start, stop in _row_blocks(len(unique), BLOCK_COMPARISONS):
        differing_bits = np.bitwise_count(unique[start:stop, None] ^ unique[None, start:])
        row, column = np.nonzero(differing_bits <= distance)
        yield _keep_upper_triangle(row, column, start)


def _search_faiss(unique: Array, distance: int) -> Iterator[RowPairs]:
    import faiss

    codes = unique.view(np.uint8).reshape(-1, 8)
    less_than = distance + 1  # faiss finds what is nearer than its radius, not as near
    for start in range(0, len(codes), FAISS_QUERY_HASHES):
        index = faiss.IndexBinaryFlat(64)
        index.add(codes[start:])  # earlier hashes have been compared with all others already
        queries = codes[start : start + FAISS_QUERY_HASHES]
        limits, _, column = index.range_search(queries, less_than)
        counts: Array = np.diff(limits.astype(np.int64))
        row = np.repeat(np.arange(len(counts)), counts)
        yield _keep_upper_triangle(row, column, start)


def pairs_above_similarity(
    vectors: Array, threshold: float, device: str = "cpu"
) -> Iterator[RowPairs]:
    """Yield, in blocks, every pair of rows with a cosine similarity of `threshold` or more.

    vectors: float32, shape (n, numbers), unit length. The products computed on `device` only
    propose pairs: near the threshold the cosine is computed again in float64, on the CPU and in a
    fixed order, so every device gives the same pairs. Equal vectors have a similarity of exactly 1.
    """
    unique, groups = _deduplicate(vectors)
    if threshold <= 1:
        yield from groups.pairs_of_equal_rows()
    min_cosine = threshold - COSINE_ERROR
    if device == "cpu":
        proposed = _propose_numpy(unique, min_cosine)
    else:
        proposed = _propose_torch(unique, min_cosine, device)
    for first, second, cosine in proposed:
        uncertain = cosine < threshold + COSINE_ERROR
        keep = ~uncertain
        keep[uncertain] = _exact_cosines(unique, first[uncertain], second[uncertain]) >= threshold
        yield from groups.pairs_between(first[keep], second[keep])


def _propose_numpy(unique: Array, min_cosine: float) -> Iterator[tuple[Array, Array, Array]]:
    for start, stop in _row_blocks(len(unique), BLOCK_COMPARISONS):
        cosine = unique[start:stop] @ unique[start:].T
        row, column = np.nonzero(cosine >= min_cosine)
        above_diagonal = row < column
        row = row[above_diagonal]
        column = column[above_diagonal]
        yield row + start, column + start, cosine[row, column]


def _propose_torch(
    unique: Array, min_cosine: float, device: str
) -> Iterator[tuple[Array, Array, Array]]:
    from common.clip import gpu_similarity  # torch, only if there is a GPU

    rows = gpu_similarity.move_to_device(unique, device)
    for start, stop in _row_blocks(len(unique), GPU_BLOCK_FACTOR * BLOCK_COMPARISONS):
        row, column, cosine = gpu_similarity.cosine_similarities(rows, start, stop, min_cosine)
        yield row + start, column + start, cosine


def _exact_cosines(vectors: Array, first: Array, second: Array) -> Array:
    """The cosine of each pair of rows, in float64."""
    cosines = np.empty(len(first))
    step = max(1, BLOCK_COMPARISONS // max(1, vectors.shape[1]))
    for start in range(0, len(first), step):
        a = vectors[first[start : start + step]].astype(np.float64)
        b = vectors[second[start : start + step]].astype(np.float64)
        squared_lengths = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b)
        cosines[start : start + step] = np.einsum("ij,ij->i", a, b) / np.sqrt(squared_lengths)
    return cosines


def _row_blocks(count: int, comparisons: int) -> Iterator[tuple[int, int]]:
    """Slices of rows to compare with themselves and all later rows, each within `comparisons`."""
    start = 0
    while start < count:
        stop = min(count, start + max(1, comparisons // (count - start)))
        yield start, stop
        start = stop


def _keep_upper_triangle(row: Array, column: Array, start: int) -> RowPairs:
    """The pairs of a block of rows from `start` on, except with the same or an earlier row."""
    above_diagonal = row < column
    return row[above_diagonal] + start, column[above_diagonal] + start


def _deduplicate(values: Array) -> tuple[Array, _EqualRows]:
    """The distinct values, and which rows hold each of them."""
    keys = values
    if values.ndim > 1:
        keys = _row_digests(values)  # quicker to sort by than the floats
    order = np.argsort(keys, kind="stable")
    if len(keys) == 0:
        return values, _EqualRows(order, order)
    ordered = keys[order]
    is_new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    starts = np.flatnonzero(is_new)
    return values[order[starts]], _EqualRows(order, starts)


def _row_digests(rows: Array) -> Array:
    digests = [
        hashlib.blake2b(row, digest_size=DIGEST_BYTES).digest()
        for row in np.ascontiguousarray(rows)
    ]
    return np.array(digests, dtype=f"S{DIGEST_BYTES}")


class _EqualRows:
    """Which rows share a value: those of value u are order[starts[u]:starts[u + 1]]."""

    def __init__(self, order: Array, starts: Array) -> None:
        self._order = order
        self._starts = starts
        self._counts = np.diff(np.append(starts, len(order)))

    def pairs_of_equal_rows(self) -> Iterator[RowPairs]:
        """Yield the pairs of rows that share a value."""
        if len(self._starts) == len(self._order):
            return
        ends = np.repeat(self._starts + self._counts, self._counts)
        positions = np.arange(len(self._order))
        yield from self._expand(positions, positions + 1, ends - positions - 1)

    def pairs_between(self, first: Array, second: Array) -> Iterator[RowPairs]:
        """Yield every pair of a row with value first[k] and a row with value second[k]."""
        if len(self._starts) == len(self._order):
            yield _sort_ends(self._order[first], self._order[second])
            return
        counts = self._counts[first]
        positions = _join_ranges(self._starts[first], counts)
        other_starts = np.repeat(self._starts[second], counts)
        other_counts = np.repeat(self._counts[second], counts)
        yield from self._expand(positions, other_starts, other_counts)

    def _expand(self, positions: Array, starts: Array, counts: Array) -> Iterator[RowPairs]:
        """Pair positions[k] with each of the counts[k] positions from starts[k] on, in blocks."""
        has_any = counts > 0
        positions = positions[has_any]
        starts = starts[has_any]
        counts = counts[has_any]
        block_numbers = np.cumsum(counts) // BLOCK_COMPARISONS
        cuts = np.flatnonzero(np.diff(block_numbers)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(positions)], strict=True):
            block = counts[begin:end]
            if len(block) == 0:
                continue
            own = np.repeat(positions[begin:end], block)
            others = _join_ranges(starts[begin:end], block)
            yield _sort_ends(self._order[own], self._order[others])


def _join_ranges(starts: Array, counts: Array) -> Array:
    """Join the ranges of counts[k] numbers from starts[k] on into one array."""
    begins = np.cumsum(counts) - counts
    return np.repeat(starts - begins, counts) + np.arange(counts.sum())


def _sort_ends(first: Array, second: Array) -> RowPairs:
    return np.minimum(first, second), np.maximum(first, second)
