"""Which pairs are proposed for verification."""

from __future__ import annotations

import numpy as np

from duplicates import alignment, candidate_pairs


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_turned_and_halved_images_are_proposed_but_not_if_similar_upright() -> None:
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(30)]
    symmetric = np.concatenate([pixels[29], pixels[29][:, ::-1]], axis=1)
    images = [
        *pixels,
        pixels[4][:, ::-1],
        np.rot90(pixels[7]),
        np.concatenate([pixels[9], pixels[11]], axis=1),
        symmetric,
    ]
    images.append(symmetric[:, ::-1])
    thumbnails = np.stack([alignment.make_thumbnail(each).ravel() for each in images])
    halves = np.stack([alignment.half_thumbnails(each) for each in images])
    names = [f"{number:02}" for number in range(len(images))]
    found = candidate_pairs.nearest_by_thumbnail(names, thumbnails, halves)
    assert {("04", "30"), ("07", "31"), ("09", "32"), ("11", "32"), ("29", "33")} <= found
    assert ("33", "34") not in found and len(found) <= 7


def test_negatives_are_proposed_upright_turned_and_mirrored() -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(30)]
    images += [255 - images[2], 255 - images[5][:, ::-1], 255 - np.rot90(images[8])]
    thumbnails = np.stack([alignment.make_thumbnail(each).ravel() for each in images])
    halves = np.stack([alignment.half_thumbnails(each) for each in images])
    names = [f"{number:02}" for number in range(len(images))]
    proposed = candidate_pairs.nearest_by_thumbnail(names, thumbnails, halves)
    assert proposed == {("02", "30"), ("05", "31"), ("08", "32")}


def test_pairs_that_are_not_wanted_are_not_proposed_as_negatives() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    images = [image, 255 - image]
    thumbnails = np.stack([alignment.make_thumbnail(each).ravel() for each in images])
    halves = np.stack([alignment.half_thumbnails(each) for each in images])

    def wants_none(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.zeros(np.broadcast(first, second).shape, bool)

    rows = (["a", "b"], thumbnails, halves)
    assert candidate_pairs.nearest_by_thumbnail(*rows) == {("a", "b")}
    assert candidate_pairs.nearest_by_thumbnail(*rows, wants_none) == set()


def test_a_large_family_does_not_hide_another() -> None:
    """20 versions of another image are nearer to one than 12 of the image it was cropped from."""
    families = [*["other"] * 20, *["own"] * 12, "alone"]
    places = (
        [0.9 + 0.001 * number for number in range(20)]
        + [0.2 - 0.001 * number for number in range(12)]
        + [0.53]
    )
    vectors = unit(np.array([[1, place] for place in places], np.float32))
    names = [f"{number:02}" for number in range(33)]
    assert {
        family
        for family, name in zip(families, names, strict=True)
        if (name, "32") in candidate_pairs.nearest_by_embedding(names, vectors)
    } == {"other"}
    found = candidate_pairs.nearest_per_family(names, vectors, families)
    assert sum("32" in pair for pair in found) >= 2 * candidate_pairs.PAIRS_PER_FAMILY
    assert {("20", "32"), ("21", "32")} <= found
