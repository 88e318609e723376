"""Images that share details are proposed as variants, however small one lies in the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_hash_rows import scene

import find_duplicates
from duplicates import embeddings, features, shared_words
from duplicates.effnet import EmbeddingNetwork
from duplicates.features import Features


def words_of(*images: Image.Image) -> np.ndarray:
    """The words of images at the size at which they are compared."""
    rows = []
    for image in images:
        small = image.copy()
        small.thumbnail((320, 320))
        rows.append(shared_words.hash_features(features.find_features(np.asarray(small))))
    return np.stack(rows)


def with_inset(image: Image.Image, inset: Image.Image) -> Image.Image:
    """The first image with the second in a corner, at two fifths of its sides."""
    whole = image.copy()
    whole.paste(inset.resize((whole.width * 2 // 5, whole.height * 2 // 5)), (6, 6))
    return whole


def test_an_image_and_one_that_holds_it_are_proposed() -> None:
    scenes = [scene(number) for number in range(8)]
    words = words_of(*scenes, with_inset(scenes[6], scenes[7]))
    assert {(6, 8), (7, 8)} <= shared_words.pairs_sharing_words(words)


def test_words_tell_the_same_pairs_as_comparing_each_image_with_each() -> None:
    rng = np.random.default_rng(3)
    shape = (60, features.MAX_FEATURES, shared_words.WORDS_PER_FEATURE)
    words = rng.integers(0, 30_000, shape).astype(np.uint32)
    words[rng.random(shape) < 0.2] = shared_words.NO_WORD
    words[7] = 0  # of an earlier version
    images_with_word: list[dict[int, set[int]]] = [{} for _ in range(shape[2])]
    for place, images in enumerate(images_with_word):
        for row in range(60):
            for word in set(words[row, :, place].tolist()) - {0, shared_words.NO_WORD}:
                images.setdefault(word, set()).add(row)
    shared = np.zeros((60, 60), int)
    for images in images_with_word:
        for rows in images.values():
            if len(rows) <= shared_words.MAX_IMAGES_PER_WORD:
                for one in rows:
                    for other in rows - {one}:
                        shared[one, other] += 1
    expected = set()
    for row in range(60):
        best = sorted(range(60), key=lambda other: (-shared[row, other], other))
        for other in best[: shared_words.MATCHES_PER_IMAGE]:
            if shared[row, other] >= shared_words.MIN_SHARED_WORDS:
                expected.add((min(row, other), max(row, other)))
    assert len(expected) > 60 and not any(7 in pair for pair in expected)
    assert shared_words.pairs_sharing_words(words) == expected
    odd_only = shared_words.pairs_sharing_words(words, lambda one, other: (one + other) % 2 == 1)
    assert odd_only and all((one + other) % 2 for one, other in odd_only)


def test_an_image_without_features_has_no_words_and_is_not_looked_for() -> None:
    none = Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))
    words = np.stack([shared_words.hash_features(none)] * 3)
    assert (words == shared_words.NO_WORD).all()
    assert shared_words.pairs_sharing_words(words) == set()
    assert shared_words.pairs_sharing_words(words[:0]) == set()


def test_stored_words_stay_what_they_were() -> None:
    """The planes of another version of numpy would make other words of the same features."""
    descriptors = (np.arange(256).reshape(2, 128) % 199).astype(np.uint8)
    two = Features(np.zeros((2, 2), np.float32), descriptors)
    assert shared_words.hash_features(two)[:2].tolist() == WORDS


WORDS = [[1091074, 3686266, 7527428], [8346095, 4440718, 1011327]]


@pytest.fixture
def inset(tmp_path: Path) -> Path:
    """A topic with six images, and one with another one of them in its corner."""
    topic = tmp_path / "DataSet/Sea/Warm/beach"
    topic.mkdir(parents=True)
    scenes = [scene(number) for number in range(6)]
    for number, image in enumerate(scenes):
        image.save(topic / f"{number}.png")
    with_inset(scenes[0], scenes[5]).save(topic / "both.png")
    return topic


def test_a_search_finds_the_image_in_the_corner_of_another(inset: Path, run) -> None:
    assert run(find_duplicates, inset.parents[2], "--variants", "--workers", 0)[0] == 0
    kinds = json.loads((inset.parent / "variants_beach.json").read_text())
    assert kinds["both.png"] == {"0.png": "overlaid", "5.png": "contained"}


def test_rows_of_an_earlier_version_get_words_and_keep_their_vectors(
    inset: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(find_duplicates, inset.parents[2], "--variants", "--workers", 0)
    path = inset / ".cache/likeness.npz"
    with np.load(path) as arrays:
        old = {name: arrays[name] for name in arrays.files if name != embeddings.WORDS}
        words = arrays[embeddings.WORDS]
    np.savez(path, **old)
    monkeypatch.setattr(
        "duplicates.effnet.EmbeddingNetwork.embed", lambda *_: pytest.fail("used the network")
    )
    status, _, said = run(find_duplicates, inset.parents[2], "--variants", "--workers", 0)
    assert status == 0 and "set aside" not in said
    with np.load(path) as arrays:
        assert (arrays[embeddings.WORDS] == words).all() and words.any(axis=(1, 2)).all()
        assert (arrays["vectors"] == old["vectors"]).all()


def test_flat_images_are_variants_of_none_and_cost_no_network(
    tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = tmp_path / "DataSet/Sea/Warm/beach"
    topic.mkdir(parents=True)
    scene(1).save(topic / "photo.png")
    for shade in range(4):
        grain = np.random.default_rng(shade).integers(0, 3, (120, 160, 3))
        Image.fromarray((grain + 100 + 3 * shade).astype(np.uint8)).save(topic / f"{shade}.png")
    embed = EmbeddingNetwork.embed
    embedded = []

    def count_and_embed(network: EmbeddingNetwork, images: list[np.ndarray]) -> np.ndarray:
        embedded.append(len(images))
        return embed(network, images)

    monkeypatch.setattr(EmbeddingNetwork, "embed", count_and_embed)

    assert run(find_duplicates, topic.parents[2], "--variants", "--workers", 0)[0] == 0

    assert embedded == [1]
    assert json.loads((topic.parent / "variants_beach.json").read_text()) == {}
