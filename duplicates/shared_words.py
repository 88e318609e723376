"""Words that two images share: their SIFT features as numbers, equal for the same detail.

An image inside another one, as in a collage or a screenshot, is a small part of it, and far from it
by embedding. Its features are there all the same. Locality-sensitive hashing (Charikar 2002) makes
a word of each: the sides of 24 planes on which its descriptor lies.
"""

from __future__ import annotations

import numpy as np

from duplicates.features import MAX_FEATURES, Features, root_sift
from duplicates.neighbours import Array, PairFilter

WORDS_PER_FEATURE = 3  # hashed apart: noise changes some
PLANES_PER_WORD = 24
NO_WORD = (1 << 32) - 1  # in the place of a feature that an image lacks
MAX_IMAGES_PER_WORD = 10  # what more images have is a pattern, or text
MIN_SHARED_WORDS = 6
MATCHES_PER_IMAGE = 5  # with most words in common
PARTS = 8  # in which the words are compared, for less memory


def _draw_planes() -> Array:
    """Return the planes, float32 (128, words * planes). Stored words depend on them."""
    planes = np.random.RandomState(1).normal(size=(128, WORDS_PER_FEATURE * PLANES_PER_WORD))
    # Descriptors have no negative numbers: a plane with a mean would put nearly all on one side.
    centred: Array = (planes - planes.mean(axis=0)).astype(np.float32)
    return centred


PLANES = _draw_planes()


def hash_features(features: Features) -> Array:
    """Return the words of an image, uint32 (MAX_FEATURES, WORDS_PER_FEATURE)."""
    words = np.full((MAX_FEATURES, WORDS_PER_FEATURE), NO_WORD, np.uint32)
    count = len(features.descriptors)
    sides = root_sift(features.descriptors) @ PLANES > 0
    bits = sides.reshape(count, WORDS_PER_FEATURE, PLANES_PER_WORD)
    words[:count] = bits @ (1 << np.arange(PLANES_PER_WORD, dtype=np.int64))
    return words


def pairs_sharing_words(
    words: Array, pair_filter: PairFilter | None = None
) -> set[tuple[int, int]]:
    """Pair each image with those that share most words with it, from MIN_SHARED_WORDS on.

    words: (n, MAX_FEATURES, WORDS_PER_FEATURE), as hash_features makes them; all 0 for an image
    that has none. Returns pairs of row numbers. Counts only pairs that `pair_filter` wants.
    """
    firsts, seconds, counts = _count_shared_words(words)
    if pair_filter:
        is_wanted = pair_filter(firsts, seconds)
        firsts, seconds, counts = firsts[is_wanted], seconds[is_wanted], counts[is_wanted]
    image, other = np.r_[firsts, seconds], np.r_[seconds, firsts]
    order = np.lexsort((other, -np.r_[counts, counts], image))
    image, other = image[order], other[order]
    is_best = np.arange(len(image)) - np.searchsorted(image, image) < MATCHES_PER_IMAGE
    pairs = np.sort(np.stack([image[is_best], other[is_best]], 1), axis=1)
    return set(map(tuple, pairs.tolist()))


def _count_shared_words(words: Array) -> tuple[Array, Array, Array]:
    """Return rows of pairs that share MIN_SHARED_WORDS, the lesser row first, and the counts."""
    count = len(words)
    keys = [np.empty(0, np.int64)]
    for place in range(WORDS_PER_FEATURE):
        for part in range(PARTS):
            is_word = words[:, :, place] % PARTS == part
            is_word &= (words[:, :, place] != NO_WORD) & (words[:, :, place] != 0)
            rows = np.nonzero(is_word)[0]
            own = words[:, :, place][is_word].astype(np.int64)
            entries = np.unique(own * count + rows)
            keys += _pairs_with_one_word(entries // count, entries % count, count)
    shared, counts = np.unique(np.concatenate(keys), return_counts=True)
    is_enough = counts >= MIN_SHARED_WORDS
    shared = shared[is_enough]
    return shared // count, shared % count, counts[is_enough]


def _pairs_with_one_word(words: Array, rows: Array, count: int) -> list[Array]:
    """Return the pairs of rows with the same word, as row * count + other row.

    words, rows: sorted by word, then by row.
    """
    starts = np.flatnonzero(np.r_[True, words[1:] != words[:-1]]) if len(words) else words
    images = np.diff(np.r_[starts, len(words)])
    keys = []
    for size in range(2, MAX_IMAGES_PER_WORD + 1):
        groups = rows[starts[images == size][:, None] + np.arange(size)]
        first, second = np.triu_indices(size, 1)
        keys.append((groups[:, first] * count + groups[:, second]).ravel())
    return keys
