"""The search compared with a double loop: every pair, each once, i < j."""

from __future__ import annotations

import numpy as np
import pytest

from duplicates import neighbours

MIN_FAISS_HASHES = neighbours.MIN_FAISS_HASHES


def collect(blocks) -> set[tuple[int, int]]:
    pairs = [
        pair
        for first, second in blocks
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert len(set(pairs)) == len(pairs), "a pair was found twice"
    return set(pairs)


def brute_force(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    values = hashes.tolist()
    return {
        (i, j)
        for i in range(len(values))
        for j in range(i + 1, len(values))
        if (values[i] ^ values[j]).bit_count() <= distance
    }


def random(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def clustered(count: int, seed: int = 0) -> np.ndarray:
    """Hashes within 12 bits of one of a few centres; many are equal."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2**64, 5, dtype=np.uint64)
    hashes = centres[rng.integers(0, 5, count)]
    for _ in range(12):
        flipped = rng.random(count) < 0.5
        hashes = hashes ^ np.where(
            flipped, np.uint64(1) << rng.integers(0, 64, count, dtype=np.uint64), np.uint64(0)
        )
    return np.where(rng.random(count) < 0.3, centres[0], hashes)


def ladder(count: int) -> np.ndarray:
    """Each hash one bit further from the first, up to all ones: every distance occurs."""
    return np.array([(1 << min(i, 64)) - 1 for i in range(count)], dtype=np.uint64)


HASHES = {
    "none": random(0),
    "one": random(1),
    "two": random(2),
    "two equal": np.zeros(2, np.uint64),
    "random": random(150),
    "clustered": clustered(150),
    "all equal": np.full(100, 2**64 - 1, np.uint64),
    "ladder": ladder(70),
    "opposites": np.array([0, 2**64 - 1] * 20, np.uint64),
    "low bits": np.arange(130, dtype=np.uint64),
}


@pytest.mark.parametrize("search", ["numpy", "faiss"])
@pytest.mark.parametrize("distance", [0, 1, 6, 16, 32, 63, 64])
@pytest.mark.parametrize("name", HASHES)
def test_finds_all_hashes_within_a_distance(
    name: str, distance: int, search: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "MIN_FAISS_HASHES", 0 if search == "faiss" else 10**9)
    monkeypatch.setattr(neighbours, "FAISS_QUERY_HASHES", 64)
    monkeypatch.setattr(neighbours, "BLOCK_COMPARISONS", 1000)  # blocks of a few rows
    assert collect(neighbours.pairs_within_distance(HASHES[name], distance)) == brute_force(
        HASHES[name], distance
    )


@pytest.mark.parametrize("count", [63, 64, 65, 127, 128, 129])
def test_finds_pairs_at_block_edges(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "MIN_FAISS_HASHES", 0)
    monkeypatch.setattr(neighbours, "FAISS_QUERY_HASHES", 64)
    assert collect(neighbours.pairs_within_distance(clustered(count), 8)) == brute_force(
        clustered(count), 8
    )


@pytest.mark.parametrize("cells", [1, 2, 7, 64, 1 << 22])
def test_block_size_does_not_matter(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_COMPARISONS", cells)
    assert collect(neighbours.pairs_within_distance(clustered(90), 6)) == brute_force(
        clustered(90), 6
    )


def test_numpy_and_faiss_agree_where_faiss_takes_over() -> None:
    small = random(MIN_FAISS_HASHES // 2, 7)
    hashes = np.concatenate([small, small ^ np.uint64(5), random(3, 8)])
    expected = {(i, i + len(small)) for i in range(len(small))}
    assert expected <= collect(neighbours.pairs_within_distance(hashes, 2))
    assert collect(neighbours._search_faiss(hashes, 12)) == collect(
        neighbours._search_numpy(hashes, 12)
    )


def normalize(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def brute_force_cosine(vectors: np.ndarray, threshold: float) -> set[tuple[int, int]]:
    def cosine(a: list[float], b: list[float]) -> float:
        # sums of products in double, equal vectors by definition 1
        if a == b:
            return 1.0
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5

    rows = vectors.tolist()
    return {
        (i, j)
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
        if cosine(rows[i], rows[j]) >= threshold
    }


def vectors(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    if kind == "random":
        return normalize(rng.normal(size=(50, 16)))
    if kind == "clustered":
        return normalize(
            rng.normal(size=(4, 16))[rng.integers(0, 4, 50)] + rng.normal(size=(50, 16)) * 0.05
        )
    if kind == "all equal":
        return np.repeat(normalize(rng.normal(size=(1, 16))), 40, axis=0)
    return normalize(rng.normal(size=(int(kind), 16)))


@pytest.mark.parametrize("kind", ["0", "1", "2", "random", "clustered", "all equal"])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 0.5, 0.9, 0.97, 0.999, 1.0])
@pytest.mark.parametrize("cells", [50, 1 << 22])
def test_finds_all_vectors_above_a_cosine(
    kind: str, threshold: float, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK_COMPARISONS", cells)
    assert collect(
        neighbours.pairs_above_similarity(vectors(kind), threshold)
    ) == brute_force_cosine(vectors(kind), threshold)


@pytest.mark.parametrize("threshold", [0.0, 0.9, 1.0])
def test_torch_finds_the_pairs_that_numpy_finds(threshold: float) -> None:
    pytest.importorskip("torch")
    both = np.concatenate([vectors("clustered"), vectors("all equal"), vectors("random")])
    proposing = (
        neighbours._propose_torch(both, threshold, "cpu"),
        neighbours._propose_numpy(both, threshold),
    )
    proposals = [
        {(i, j) for first, second, _ in blocks for i, j in zip(first, second, strict=True)}
        for blocks in proposing
    ]
    assert {
        pair
        for pair in proposals[0] ^ proposals[1]
        if abs(both[pair[0]] @ both[pair[1]] - threshold) > 1e-5
    } == set()


def test_cosines_near_the_threshold_are_computed_exactly() -> None:
    """Vectors so close to the threshold that a float32 product is often on its wrong side."""
    rng = np.random.default_rng(1)
    one, noise = normalize(rng.normal(size=(1, 768))), rng.normal(size=(400, 768))
    near = normalize(one + 0.001 * normalize(noise))
    first, others = one[0].astype(np.float64), near.astype(np.float64)
    cosines = others @ first / np.sqrt((others * others).sum(axis=1) * (first @ first))
    threshold = float(np.median(cosines))
    pairs = collect(neighbours.pairs_above_similarity(np.concatenate([one, near]), threshold))
    assert {j - 1 for i, j in pairs if i == 0} == set(np.flatnonzero(cosines >= threshold).tolist())
    assert set(np.flatnonzero(near @ one[0] >= threshold).tolist()) != set(
        np.flatnonzero(cosines >= threshold).tolist()
    )


def test_memory_does_not_grow_with_the_square() -> None:
    """5,000 equal hashes among random ones: 12 million pairs, in blocks of a few million."""
    hashes = np.concatenate([np.zeros(5_000, np.uint64), random(3_000)])
    largest, total = 0, 0
    for first, _ in neighbours.pairs_within_distance(hashes, 4):
        largest, total = max(largest, len(first)), total + len(first)
    assert total >= 5_000 * 4_999 // 2
    assert largest <= 2 * neighbours.BLOCK_COMPARISONS
