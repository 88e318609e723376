"""Which images represent their copies in the search for representatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.clip import sidecar
from common.topics import Topic
from duplicates import embeddings, representatives
from duplicates.classification import EQUAL, Verdict


def test_families_are_connected_and_doubtful_pairs_connect_nothing() -> None:
    """Two variants of a third are one family, though neither was compared with the other."""
    said = {
        ("a", "b"): Verdict("mirrored", 1),
        ("b", "c"): Verdict("cropped", 1),
        ("c", "d"): Verdict("doubtful", 1),
    }
    assert representatives.pairs_within_families(representatives.find_families(said).values()) == {
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    }
    many = {
        ("0", str(number)): Verdict("framed", 1)
        for number in range(1, representatives.MAX_FAMILY_IMAGES + 1)
    }
    assert (
        representatives.pairs_within_families(representatives.find_families(many).values()) == set()
    )


def embeddings_sidecar(
    tmp_path: Path, **rows: tuple[float, ...]
) -> tuple[dict[str, tuple[int, int]], sidecar.Sidecar]:
    """Stamps of images of 100 bytes, and a sidecar with the first numbers of their vectors."""
    vectors = sidecar.Sidecar(
        Topic(str(tmp_path), "", "", "", "", image_count=len(rows)),
        "likeness",
        embeddings.EMBEDDING_LAYOUT,
        {},
    )
    stamps = dict.fromkeys(rows, (100, 1))
    values = {
        key: np.zeros((len(rows), *shape), dtype)
        for key, (dtype, shape) in embeddings.EMBEDDING_LAYOUT.items()
    }
    for row, numbers in enumerate(rows.values()):
        values["vectors"][row, : len(numbers)] = numbers
    vectors.add(list(rows), list(stamps.values()), **values)
    return stamps, vectors


def test_representatives_are_the_medoid_and_the_image_with_most_copies(
    tmp_path: Path,
) -> None:
    """A thumbnail is a copy of all; an image that is no copy of the medoid represents itself."""
    stamps, vectors = embeddings_sidecar(
        tmp_path,
        small=(0.6, 0.8),
        original=(1, 0),
        dark=(0.9, 0.43),
        light=(0.9, -0.43),
        cropped=(0.5, -0.86),
        other=(0, 1),
    )
    matches = {
        "small": {"original", "dark", "light", "cropped"},
        "original": {"small", "dark", "light"},
        "dark": {"small", "original"},
        "light": {"small", "original"},
        "cropped": {"small"},
    }
    assert representatives.pick_representatives(stamps, matches, vectors) == {
        "small": ["small", "original"],
        "original": ["original", "small"],
        "dark": ["original", "small"],
        "light": ["original", "small"],
        "cropped": ["cropped"],
        "other": ["other"],
    }


def test_verdicts_on_representatives_hold_for_their_copies_nearest_first() -> None:
    representing = {"a": ["b", "e"], "b": ["b", "e"], "e": ["e", "b"], "c": ["c"], "d": ["d"]}
    said = {
        ("b", "c"): Verdict("mirrored", 0.9),
        ("c", "e"): Verdict("turned", 0.9),
        ("b", "d"): Verdict("doubtful", 0.7),
    }
    whole = representatives.propagate_verdicts(said, representing, {("a", "b"): EQUAL})
    assert {pair: one.kind for pair, one in whole.items()} == {
        ("a", "c"): "mirrored",
        ("b", "c"): "mirrored",
        ("c", "e"): "turned",
        ("b", "d"): "doubtful",
    }


def test_images_with_one_representative_are_compared_with_each_other() -> None:
    """Two colourings that are copies of the same grey one are no copies of each other."""
    representing = {"grey": ["grey"], "blue": ["grey"], "red": ["grey"], "other": ["other"]}
    assert representatives.pairs_sharing_representative(representing) == {
        ("blue", "grey"),
        ("blue", "red"),
        ("grey", "red"),
    }
