"""The search for variants of a topic's images, once its copies are known.

Only representatives of the copies are compared. Pairs are proposed by embeddings of a small network
(duplicates/effnet.py), by thumbnails, by shared words and by the search for copies. What is found
leads to more.

It adds no copy, so that a search lists the same ones with and without variants: a pair that only
this search proposes and that both looks take for a copy is a variant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set

from common.topics import Stamp, Topic
from duplicates import candidate_pairs, verification
from duplicates.classification import EQUAL, Verdict
from duplicates.effnet import EmbeddingNetwork
from duplicates.embeddings import WORDS, embed_images
from duplicates.neighbours import Array, PairFilter
from duplicates.representatives import (
    copies_by_image,
    find_families,
    images_to_embed,
    pairs_sharing_representative,
    pairs_within_families,
    pick_representatives,
    propagate_verdicts,
)
from duplicates.verification import ImageOpener, ImagePair

EXPANSION_ROUNDS = 2  # in which found variants lead to more pairs


def find_variants(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    proposed: Sequence[ImagePair],
    copies: Mapping[ImagePair, Verdict],
    network: EmbeddingNetwork,
    opener: ImageOpener,
) -> dict[ImagePair, Verdict]:
    """Find variants and doubtful pairs, but no copies.

    stamps: of the readable images. proposed: by the search for copies. Raises TopicBusy.
    """
    copies_of = copies_by_image(copies)
    wanted = images_to_embed(stamps, copies_of)
    embeddings, opened = embed_images(topic, stamps, wanted, network, opener)
    opener = dataclasses.replace(opener, opened=opened)
    representatives = pick_representatives(stamps, copies_of, embeddings)
    representing = set[str]().union(*representatives.values())
    names = sorted(representing)
    rows = embeddings.rows(names)

    def verify(pairs: Set[ImagePair], is_last: bool = False) -> dict[ImagePair, Verdict]:
        new = pairs - copies.keys()
        return verification.verify_pairs(topic, stamps, new, True, opener, keep_others=not is_last)

    pairs = propose_pairs(names, rows) | pairs_sharing_representative(representatives)
    pairs |= {pair for pair in proposed if representing.issuperset(pair)}
    verdicts = verify(pairs)
    representing_copies = [pair for pair in copies if representing.issuperset(pair)]
    for _ in range(EXPANSION_ROUNDS):
        matches = dict.fromkeys(representing_copies, EQUAL) | verdicts
        more_pairs = pairs | _pairs_from_families(names, rows["vectors"], matches)
        if more_pairs == pairs:
            break
        pairs = more_pairs
        verdicts = verify(pairs)
    verdicts = verify(pairs, is_last=True)
    return propagate_verdicts(verdicts, representatives, copies)


def propose_pairs(
    names: Sequence[str], rows: Mapping[str, Array], pair_filter: PairFilter | None = None
) -> set[ImagePair]:
    """Propose pairs by embeddings, thumbnails and shared words; rows as in EMBEDDING_LAYOUT."""
    by_embedding = candidate_pairs.nearest_by_embedding(names, rows["vectors"], pair_filter)
    by_thumbnail = candidate_pairs.nearest_by_thumbnail(
        names, rows["thumbnails"], rows["halves"], pair_filter
    )
    by_words = candidate_pairs.nearest_by_words(names, rows[WORDS], pair_filter)
    return by_embedding | by_thumbnail | by_words


def _pairs_from_families(
    names: Sequence[str], vectors: Array, matches: Mapping[ImagePair, Verdict]
) -> set[ImagePair]:
    """Propose the pairs within each family of matches, and of each image with other families."""
    families = find_families(matches)
    family_names = [min(families.get(name, {name})) for name in names]
    within = pairs_within_families(families.values())
    return within | candidate_pairs.nearest_per_family(names, vectors, family_names)
