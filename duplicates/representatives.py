"""Which images represent their copies in the search for variants, so that fewer are compared.

What is a variant of one image is a variant of its copies. At most two images represent each set of
copies. Map each image to its representatives with pick_representatives, most similar first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from common import json_files
from common.clip.sidecar import Sidecar
from common.topics import Stamp
from duplicates.classification import Verdict
from duplicates.verification import ImagePair

MAX_FAMILY_IMAGES = 128  # related images, all pairs of which are verified; of more, none
LARGE_STAR_IMAGES = 3  # from here on a star has an image in the middle

# Image to its representatives, and the other way round.
Representatives = Mapping[str, Sequence[str]]


def copies_by_image(pairs: Iterable[ImagePair]) -> dict[str, set[str]]:
    """The copies of each image that has any."""
    copies: dict[str, set[str]] = {}
    for one, other in pairs:
        copies.setdefault(one, set()).add(other)
        copies.setdefault(other, set()).add(one)
    return copies


def star_clusters(stamps: Mapping[str, Stamp], copies: Mapping[str, Set[str]]) -> list[list[str]]:
    """Divide the images into stars: in each, the first image is a direct copy of all others.

    Images with most copies come first, then larger files, then by name.
    """

    def order(name: str) -> tuple[int, int, str]:
        file_bytes = stamps[name][0]
        return -len(copies.get(name, ())), -file_bytes, name

    stars: list[list[str]] = []
    taken = set[str]()
    for name in sorted(stamps, key=order):
        if name not in taken:
            star = [name, *sorted(copies.get(name, set()) - taken)]
            taken.update(star)
            stars.append(star)
    return stars


def images_to_embed(stamps: Mapping[str, Stamp], copies: Mapping[str, Set[str]]) -> list[str]:
    """The images whose embeddings pick_representatives needs."""
    names: list[str] = []
    for star in star_clusters(stamps, copies):
        names += star if len(star) >= LARGE_STAR_IMAGES else star[:1]
    return names


def pick_representatives(
    stamps: Mapping[str, Stamp], copies: Mapping[str, Set[str]], embeddings: Sidecar
) -> dict[str, list[str]]:
    """Map each image to its representatives, at most two per star, most similar first.

    They are the medoid of the star by embedding, which is what the others were made from, and its
    first image, which is usually the plainest. A copy of the first that is no copy of the medoid
    represents itself. Images that could not be read have none.
    """
    embedded = embeddings.valid_rows(stamps)
    representatives: dict[str, list[str]] = {}
    for star in star_clusters(stamps, copies):
        candidates = [name for name in star if name in embedded]
        if not candidates:
            continue
        first = candidates[0]
        medoid = first
        if len(star) >= LARGE_STAR_IMAGES:
            medoid = _find_medoid(candidates, embeddings)
        pair = list(dict.fromkeys((medoid, first)))
        for name in star:
            if name in pair:
                representatives[name] = [name, *(other for other in pair if other != name)]
            elif name in copies.get(medoid, ()):
                representatives[name] = [other for other in pair if other in copies[name]]
            elif name in embedded:
                representatives[name] = [name]
    return representatives


def _find_medoid(names: Sequence[str], embeddings: Sidecar) -> str:
    """The image that is most similar to all others together."""
    vectors = embeddings.rows(names)["vectors"].astype(np.float32)
    similarity = vectors @ vectors.sum(0)
    return names[int(similarity.argmax())]


def images_by_representative(representatives: Representatives) -> dict[str, list[str]]:
    """Map each representative to the images it represents, itself among them."""
    represented: dict[str, list[str]] = {}
    for name, several in representatives.items():
        for representative in several:
            represented.setdefault(representative, []).append(name)
    return represented


def pairs_sharing_representative(representatives: Representatives) -> set[ImagePair]:
    """All pairs of images with a common representative, such as two colourings and a grey copy."""
    represented = images_by_representative(representatives)
    return pairs_within_families(set(names) for names in represented.values())


def find_families(verdicts: Mapping[ImagePair, Verdict]) -> dict[str, set[str]]:
    """Map each image with a match to its family: all that matches lead to from it, with itself."""
    families: dict[str, set[str]] = {}
    for (one, other), verdict in sorted(verdicts.items()):
        if verdict.kind != json_files.DOUBTFUL:
            joined = families.get(one, {one}) | families.get(other, {other})
            families.update(dict.fromkeys(joined, joined))
    return families


def pairs_within_families(families: Iterable[set[str]]) -> set[ImagePair]:
    """All pairs within each family; none of families with more than MAX_FAMILY_IMAGES images."""
    distinct = {id(family): family for family in families}
    pairs = set[ImagePair]()
    for family in distinct.values():
        if len(family) <= MAX_FAMILY_IMAGES:
            pairs.update(itertools.combinations(sorted(family), 2))
    return pairs


def propagate_verdicts(
    verdicts: Mapping[ImagePair, Verdict],
    representatives: Representatives,
    copies: Mapping[ImagePair, Verdict],
) -> dict[ImagePair, Verdict]:
    """Give each pair of images the verdict about their most similar representatives.

    Doubtful pairs are not passed on. An image's own verdict comes first.
    """
    represented = images_by_representative(representatives)
    ranked: dict[ImagePair, tuple[int, Verdict]] = {}
    for (one, other), verdict in sorted(verdicts.items()):
        ones, others = [one], [other]
        if verdict.kind != json_files.DOUBTFUL:
            ones = represented.get(one, ones)
            others = represented.get(other, others)
        for a, b in itertools.product(ones, others):
            pair = (min(a, b), max(a, b))
            if a == b or pair in copies:
                continue
            rank = _rank(a, one, representatives) + _rank(b, other, representatives)
            if pair not in ranked or rank <= ranked[pair][0]:
                ranked[pair] = rank, verdict if pair == (a, b) else verdict.swap()
    return {pair: verdicts.get(pair, verdict) for pair, (_, verdict) in ranked.items()}


def _rank(name: str, representative: str, representatives: Representatives) -> int:
    """0 for the image itself and its most similar representative, 1 for the next."""
    if name == representative:
        return 0
    return representatives[name].index(representative)
