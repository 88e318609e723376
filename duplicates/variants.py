"""The search for variants of a topic's images, once its copies are known.

Only images that stand for their copies are compared: what is a variant of one is a variant of its copies. Vectors of a
small network (duplicates/effnet.py) propose pairs, and thumbnails, and whatever the hashes propose; what is found
then leads to more.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from common import json_files, sidecar
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.tree import Stamp, Topic
from duplicates import alignment, candidate_pairs, effnet, verification
from duplicates.classification import COPY, EQUAL, Verdict
from duplicates.neighbours import PairFilter, Array
from duplicates.thumbnails import Picture
from duplicates.verification import PictureOpener, ImagePair

EMBEDDING_LAYOUT = {
    "vectors": ("float16", (effnet.DIM,)),
    "thumbnails": ("float16", (alignment.TURNED_SIDE**2,)),  # see alignment.thumbnail
    "halves": ("float16", (4, alignment.TURNED_SIDE**2)),  # see alignment.halves
}
BATCH = 64
FAMILY = 128  # variants of one picture of which all pairs are looked at
ROUNDS = 2  # in which what was found leads to more


def find_variants(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    near: Sequence[ImagePair],
    copies: Mapping[ImagePair, Verdict],
    network: effnet.EmbeddingNetwork,
    opener: PictureOpener,
) -> dict[ImagePair, Verdict]:
    """What is variant, doubtful, or a copy that was not proposed before.

    `stamps` are those of readable images, `near` says which pairs were proposed, `copies` which were found. Raises
    looking.Busy.
    """
    matches = match_families(copies)
    wanted = [
        name
        for star in star_clusters(stamps, matches)
        for name in (star if len(star) > 2 else star[:1])
    ]
    vectors, opened = embed_pictures(topic, stamps, wanted, network, opener)
    standing = pick_representatives(stamps, matches, vectors)
    stays = set[str]().union(*standing.values())
    names = sorted(stays)
    rows = vectors.rows(names)
    pairs = (
        propose_pairs(names, rows)
        | pairs_sharing_representative(standing)
        | {pair for pair in near if stays.issuperset(pair)}
    )
    said = verification.verify_pairs(
        topic, stamps, pairs - copies.keys(), True, opener, opened, more=True
    )
    for _ in range(ROUNDS):
        family = find_families(dict.fromkeys(filter(stays.issuperset, copies), EQUAL) | said)
        numbers = [min(family.get(name, {name})) for name in names]
        wider = (
            pairs
            | are_related(family.values())
            | candidate_pairs.nearest_per_family(names, rows["vectors"], numbers)
        )
        if wider == pairs:
            break
        pairs = wider
        said = verification.verify_pairs(
            topic, stamps, pairs - copies.keys(), True, opener, opened, more=True
        )
    pairs |= pairs_behind_copies(
        (pair for pair, verdict in said.items() if verdict.kind == COPY), standing
    )
    said = verification.verify_pairs(topic, stamps, pairs - copies.keys(), True, opener, opened)
    return propagate_verdicts(said, standing, copies)


def propose_pairs(
    names: Sequence[str], rows: Mapping[str, Array], apart: PairFilter | None = None
) -> set[ImagePair]:
    """Pairs that are worth a look because of their images' vectors and thumbnails, rows as LAYOUT says."""
    likely = candidate_pairs.nearest_by_embedding(names, rows["vectors"], apart)
    return likely | candidate_pairs.nearest_by_thumbnail(
        names, rows["thumbnails"], rows["halves"], apart
    )


def find_families(said: Mapping[ImagePair, Verdict]) -> dict[str, set[str]]:
    """Each image that is a variant of another with all that variants lead to from it, itself among them."""
    family: dict[str, set[str]] = {}
    for (one, other), verdict in sorted(said.items()):
        if verdict.kind != json_files.DOUBTFUL:
            joined = family.get(one, {one}) | family.get(other, {other})
            family.update(dict.fromkeys(joined, joined))
    return family


def are_related(families: Iterable[set[str]]) -> set[ImagePair]:
    """All pairs within each family, but for those of more than FAMILY images."""
    small = {id(members): members for members in families if len(members) <= FAMILY}
    return {
        pair for members in small.values() for pair in itertools.combinations(sorted(members), 2)
    }


def match_families(copies: Iterable[ImagePair]) -> dict[str, set[str]]:
    """The copies of each image that has any."""
    matches: dict[str, set[str]] = {}
    for one, other in copies:
        matches.setdefault(one, set()).add(other)
        matches.setdefault(other, set()).add(one)
    return matches


def star_clusters(stamps: Mapping[str, Stamp], matches: Mapping[str, Set[str]]) -> list[list[str]]:
    """Sets of images in each of which the first is a direct copy of all others: those with most copies first."""
    order = sorted(stamps, key=lambda name: (-len(matches.get(name, ())), -stamps[name][0], name))
    stars, taken = [], set[str]()
    for name in order:
        if name not in taken:
            star = [name, *sorted(matches.get(name, set()) - taken)]
            taken.update(star)
            stars.append(star)
    return stars


def pick_representatives(
    stamps: Mapping[str, Stamp], matches: Mapping[str, Set[str]], vectors: Sidecar
) -> dict[str, list[str]]:
    """Each image with those of its copies, or itself, that are compared with others for it; the likest first.

    Of a star that is the image in the midst of it by the vectors, which is what the others were made from, and the
    first, which as a rule is the plainest. Copies of the one that are none of the other stand for themselves.
    """
    known = vectors.fresh(stamps)
    standing: dict[str, list[str]] = {}
    for star in star_clusters(stamps, matches):
        several = [name for name in star if name in known]
        if not several:
            continue
        middle = several[0]
        if len(star) > 2:
            rows = vectors.rows(several)["vectors"].astype(np.float32)
            middle = several[int((rows @ rows.sum(0)).argmax())]
        pair = list(dict.fromkeys((middle, several[0])))
        for name in star:
            if name in pair:
                standing[name] = sorted(pair, key=lambda other: other != name)
            elif name in matches.get(middle, ()):
                standing[name] = [other for other in pair if other in matches[name]]
            elif name in known:
                standing[name] = [name]
    return standing


def pairs_sharing_representative(standing: Mapping[str, Sequence[str]]) -> set[ImagePair]:
    """The pairs that have one stand-in, such as two colourings and a grey copy of both.

    Of more than FAMILY images with one stand-in, none.
    """
    return are_related(map(set, _members(standing).values()))


def pairs_behind_copies(
    copies: Iterable[ImagePair], standing: Mapping[str, Sequence[str]]
) -> set[ImagePair]:
    """The pairs of what copies stand for: it may be a copy too. None where there are more than FAMILY."""
    members = _members(standing)
    found = set[ImagePair]()
    for one, other in copies:
        several = set(itertools.product(members.get(one, [one]), members.get(other, [other])))
        if len(several) <= FAMILY:
            found |= {(min(pair), max(pair)) for pair in several if pair[0] != pair[1]}
    return found


def _members(standing: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Each image that stands for others, with all that it stands for."""
    members: dict[str, list[str]] = {}
    for name, several in standing.items():
        for stand_in in several:
            members.setdefault(stand_in, []).append(name)
    return members


def propagate_verdicts(
    said: Mapping[ImagePair, Verdict],
    standing: Mapping[str, Sequence[str]],
    copies: Mapping[ImagePair, Verdict],
) -> dict[ImagePair, Verdict]:
    """What was said of stand-ins, said of their copies too, the likest stand-in first; doubts stay where they are."""
    members = _members(standing)
    whole: dict[ImagePair, tuple[int, Verdict]] = {}
    for (one, other), verdict in sorted(said.items()):
        alone = verdict.kind in (COPY, json_files.DOUBTFUL)
        for a in [one] if alone else members.get(one, [one]):
            for b in [other] if alone else members.get(other, [other]):
                pair = (min(a, b), max(a, b))
                rank = sum(
                    0 if name == by else standing[name].index(by)
                    for name, by in ((a, one), (b, other))
                )
                if a != b and pair not in copies and rank <= whole.get(pair, (rank, verdict))[0]:
                    whole[pair] = rank, verdict
    return {pair: said.get(pair, verdict) for pair, (_, verdict) in whole.items()}


def load_embeddings(topic: Topic, talk: Reporter) -> Sidecar:
    """The vectors that the topic has: of images that stand for their copies."""
    return sidecar.load_sidecar(topic, "likeness", EMBEDDING_LAYOUT, effnet.ABOUT, talk.warn)


def embed_pictures(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    names: Sequence[str],
    network: effnet.EmbeddingNetwork,
    opener: PictureOpener,
) -> tuple[Sidecar, dict[str, Picture]]:
    """The vectors of the images, and the pictures of those that had none yet."""
    vectors = load_embeddings(topic, opener.talk)
    have = vectors.fresh(stamps)
    opened = opener.opened(topic, [name for name in names if name not in have], True)
    new = list(opened)
    for start in range(0, len(new), BATCH):
        batch = new[start : start + BATCH]
        rows = network([opened[name].square(effnet.SIDE) for name in batch])
        hints = [hint for name in batch if (hint := opened[name].hints)]
        thumbnails = np.stack([hint.thumbnail for hint in hints]).reshape(len(batch), -1)
        halves = np.stack([hint.halves for hint in hints])
        vectors.add(
            batch,
            [stamps[name] for name in batch],
            vectors=rows,
            thumbnails=thumbnails,
            halves=halves,
        )
    vectors.save(stamps)
    return vectors, opened
