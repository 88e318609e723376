"""Embeddings and thumbnails for the search for variants, in `.cache/likeness.npz`.

Only images that represent their copies have a row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from common.clip import sidecar
from common.clip.sidecar import Sidecar
from common.reporter import Reporter
from common.topics import Stamp, Topic
from duplicates import alignment, effnet, features, shared_words
from duplicates.effnet import EmbeddingNetwork
from duplicates.pool import batches
from duplicates.thumbnails import SmallImage
from duplicates.verification import ImageOpener

EMBEDDING_SIDECAR = "likeness"
WORDS = "words"  # see shared_words.hash_features; files of earlier versions have none
EMBEDDING_LAYOUT = {
    "vectors": ("float16", (effnet.EMBEDDING_NUMBERS,)),
    "thumbnails": ("float16", (alignment.THUMBNAIL_SIDE**2,)),  # see alignment.make_thumbnail
    "halves": ("float16", (4, alignment.THUMBNAIL_SIDE**2)),  # see alignment.half_thumbnails
    WORDS: ("uint32", (features.MAX_FEATURES, shared_words.WORDS_PER_FEATURE)),
}
BATCH_IMAGES = 64


def load_embeddings(topic: Topic, reporter: Reporter) -> Sidecar:
    """The rows that the topic has; none if there is no usable sidecar."""
    return sidecar.load_sidecar(
        topic,
        EMBEDDING_SIDECAR,
        EMBEDDING_LAYOUT,
        effnet.EMBEDDING_ABOUT,
        reporter.warn,
        may_lack={WORDS},
    )


def embed_images(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    names: Sequence[str],
    network: EmbeddingNetwork,
    opener: ImageOpener,
) -> tuple[Sidecar, dict[str, SmallImage]]:
    """Compute and save the missing rows of the images.

    Returns the sidecar, and the small images that were opened for it. Raises TopicBusy.
    """
    rows = load_embeddings(topic, opener.reporter)
    embedded = rows.valid_rows(stamps)
    missing = [name for name in names if name not in embedded]
    wordless = _names_without_words(rows, [name for name in names if name in embedded])
    small_images = opener.open_images(topic, [*missing, *wordless], hints=True)
    for batch in batches([name for name in missing if name in small_images], BATCH_IMAGES):
        arrays = _embedding_arrays([small_images[name] for name in batch], network)
        rows.add(batch, [stamps[name] for name in batch], **arrays)
    if known := [name for name in wordless if name in small_images]:
        arrays = {**rows.rows(known), WORDS: _words([small_images[name] for name in known])}
        rows.add(known, [stamps[name] for name in known], **arrays)
    rows.save(stamps)
    return rows, small_images


def _embedding_arrays(
    images: Sequence[SmallImage], network: EmbeddingNetwork
) -> dict[str, np.ndarray]:
    """One row per image in each array of EMBEDDING_LAYOUT."""
    hints = [image.hints for image in images if image.hints]
    vectors = np.zeros((len(images), effnet.EMBEDDING_NUMBERS), np.float16)
    thumbnails = np.stack([hint.thumbnail for hint in hints]).reshape(len(images), -1)
    halves = np.stack([hint.halves for hint in hints])
    # Zeros are like nothing: a flat image is a variant of no other.
    is_flat = np.array([hint.is_flat for hint in hints])
    thumbnails[is_flat] = 0
    halves[is_flat] = 0
    textured = [image for image in images if image.hints and not image.hints.is_flat]
    if textured:
        vectors[~is_flat] = network.embed([image.raster.pixels for image in textured])
    return {
        "vectors": vectors,
        "thumbnails": thumbnails,
        "halves": halves,
        WORDS: _words(images),
    }


def _words(images: Sequence[SmallImage]) -> np.ndarray:
    hints = [image.hints for image in images if image.hints]
    return np.stack([shared_words.hash_features(hint.features) for hint in hints])


def _names_without_words(rows: Sidecar, names: Sequence[str]) -> list[str]:
    """Return those of the names whose row is of a version that made no words."""
    words = rows.rows(names)[WORDS]
    return [name for name, own in zip(names, words, strict=True) if not own.any()]
