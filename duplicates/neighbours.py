"""Finds every pair of close hashes or vectors, exactly, in memory that grows with n and never with n x n.

Knows numbers only. Equal ones are collapsed first, so that a thousand copies cost one comparison with the rest. faiss
does large numbers of hashes, torch does vectors where there is a GPU; both are loaded when it pays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
PairFilter = Callable[
    [Array, Array], Array
]  # of rows i and j of each pair, which pairs are wanted; broadcasts
Pairs = tuple[Array, Array]  # rows i and j of each pair, i < j, in no order; no pair comes twice

CELLS = 1 << 22  # comparisons in one block of numpy, and pairs in one block of the result
MANY = 8192  # hashes from which on faiss, which takes 0.3 s to load, is faster than numpy
QUERIES = 512  # hashes that faiss compares with the rest in one go: bounds what it can find at once
MARGIN = 1e-4  # over what float32 products of unit vectors can be wrong by, whatever the order of their sums


def pairs_within_distance(hashes: Array, distance: int) -> Iterator[Pairs]:
    """Every pair of rows whose 64-bit hashes (uint64) differ in at most `distance` bits, in blocks."""
    unique, groups = _collapsed(hashes)
    yield from groups.inside()
    search = _within_faiss if len(unique) > MANY else _within_numpy
    for first, second in search(unique, distance):
        yield from groups.between(first, second)


def _within_numpy(unique: Array, distance: int) -> Iterator[Pairs]:
    for start, stop in _blocks(len(unique)):
        apart = np.bitwise_count(unique[start:stop, None] ^ unique[None, start:])
        row, column = np.nonzero(apart <= distance)
        yield _upper(row, column, start)


def _within_faiss(unique: Array, distance: int) -> Iterator[Pairs]:
    import faiss

    codes = unique.view(np.uint8).reshape(-1, 8)
    for start in range(0, len(codes), QUERIES):
        index = faiss.IndexBinaryFlat(64)
        index.add(codes[start:])  # what lies before has been compared already
        limits, _, found = index.range_search(
            codes[start : start + QUERIES], distance + 1
        )  # faiss means "less than"
        counts: Array = np.diff(limits.astype(np.int64))
        yield _upper(np.repeat(np.arange(len(counts)), counts), found, start)


def pairs_above_similarity(
    vectors: Array, threshold: float, device: str = "cpu"
) -> Iterator[Pairs]:
    """Every pair of rows (float32, unit length) whose cosine similarity is at least `threshold`, in blocks.

    The products on `device` only propose: near the threshold the cosine is taken again in float64, on the CPU and in
    a fixed order, so that every device gives the same pairs. Equal vectors have a similarity of exactly 1.
    """
    unique, groups = _collapsed(vectors)
    if threshold <= 1:
        yield from groups.inside()
    least = threshold - MARGIN
    proposed = (
        _propose_numpy(unique, least) if device == "cpu" else _propose_torch(unique, least, device)
    )
    for first, second, cosine in proposed:
        near = cosine < threshold + MARGIN
        keep = ~near
        keep[near] = _cosines(unique, first[near], second[near]) >= threshold
        yield from groups.between(first[keep], second[keep])


def _propose_numpy(unique: Array, least: float) -> Iterator[tuple[Array, Array, Array]]:
    for start, stop in _blocks(len(unique)):
        cosine = unique[start:stop] @ unique[start:].T
        row, column = np.nonzero(cosine >= least)
        above = row < column
        row, column = row[above], column[above]
        yield row + start, column + start, cosine[row, column]


def _propose_torch(
    unique: Array, least: float, device: str
) -> Iterator[tuple[Array, Array, Array]]:
    from common.clip import gpu_similarity  # torch, only where a device is wanted

    rows = gpu_similarity.move_to_device(unique, device)
    for start, stop in _blocks(len(unique), 32 * CELLS):
        row, column, cosine = gpu_similarity.cosine_similarities(rows, start, stop, least)
        yield row + start, column + start, cosine


def _cosines(vectors: Array, first: Array, second: Array) -> Array:
    """The cosine of each pair, in float64."""
    found = np.empty(len(first))
    step = max(1, CELLS // max(1, vectors.shape[1]))
    for start in range(0, len(first), step):
        a = vectors[first[start : start + step]].astype(np.float64)
        b = vectors[second[start : start + step]].astype(np.float64)
        lengths = np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b)
        found[start : start + step] = np.einsum("ij,ij->i", a, b) / np.sqrt(lengths)
    return found


def _blocks(count: int, cells: int = CELLS) -> Iterator[tuple[int, int]]:
    """Slices of rows to compare with themselves and all after them, none with more than `cells` comparisons."""
    start = 0
    while start < count:
        stop = min(count, start + max(1, cells // (count - start)))
        yield start, stop
        start = stop


def _upper(row: Array, column: Array, start: int) -> Pairs:
    """Pairs of a block that begins at `start`, without a row's match with itself or with an earlier one."""
    above = row < column
    return row[above] + start, column[above] + start


def _collapsed(values: Array) -> tuple[Array, _Groups]:
    """The distinct values, and which rows have each."""
    keys = values
    if (
        values.ndim > 1
    ):  # rows of floats: sorted by a digest, which is quicker than by their content
        digests = [
            hashlib.blake2b(row, digest_size=16).digest() for row in np.ascontiguousarray(values)
        ]
        keys = np.array(digests, dtype="S16")
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = (
        np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        if len(keys)
        else order
    )
    return values[order[starts]], _Groups(order, starts)


class _Groups:
    """Which rows share a value: those of value u are order[starts[u]:starts[u + 1]]."""

    def __init__(self, order: Array, starts: Array) -> None:
        self._order, self._starts = order, starts
        self._counts = np.diff(np.append(starts, len(order)))

    def inside(self) -> Iterator[Pairs]:
        """The pairs of rows that share a value."""
        ends = np.repeat(self._starts + self._counts, self._counts)
        here = np.arange(len(self._order))
        yield from self._expanded(here, here + 1, ends - here - 1)

    def between(self, first: Array, second: Array) -> Iterator[Pairs]:
        """The pairs of rows that the matching values of first[k] and second[k] stand for."""
        if len(self._starts) == len(self._order):
            yield _ordered(self._order[first], self._order[second])
            return
        counts = self._counts[first]
        members = _ranges(self._starts[first], counts)
        yield from self._expanded(
            members,
            np.repeat(self._starts[second], counts),
            np.repeat(self._counts[second], counts),
        )

    def _expanded(self, one: Array, starts: Array, counts: Array) -> Iterator[Pairs]:
        """Pairs of place one[k] with each of the counts[k] places from starts[k] on, in blocks."""
        some = counts > 0
        one, starts, counts = one[some], starts[some], counts[some]
        cuts = np.flatnonzero(np.diff(np.cumsum(counts) // CELLS)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(one)], strict=True):
            block = counts[begin:end]
            if len(block):
                others = _ranges(starts[begin:end], block)
                yield _ordered(self._order[np.repeat(one[begin:end], block)], self._order[others])


def _ranges(starts: Array, counts: Array) -> Array:
    """The numbers from starts[k] on, counts[k] of them, one after the other."""
    begins = np.cumsum(counts) - counts
    return np.repeat(starts - begins, counts) + np.arange(counts.sum())


def _ordered(first: Array, second: Array) -> Pairs:
    return np.minimum(first, second), np.maximum(first, second)
