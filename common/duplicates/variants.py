"""The search for variants of a topic's images, once its copies are known.

Only images that stand for their copies are compared: what is a variant of one is a variant of its copies. The nearest
by a small network's vectors are proposed (common/vectors/likeness.py), and whatever the hashes propose.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from common.dataset import records, sidecar
from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import looking, proposals
from common.duplicates.looking import Opener, Pair
from common.duplicates.pictures import Picture
from common.duplicates.verdict import COPY, Verdict
from common.output import Talk
from common.vectors import likeness

LAYOUT = {"vectors": ("float16", (likeness.DIM,))}
BATCH = 64
FAMILY = 128  # variants of one picture of which all pairs are looked at


def found(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    pixels: Mapping[str, int],
    near: Sequence[Pair],
    copies: Mapping[Pair, Verdict],
    network: likeness.Likeness,
    opener: Opener,
) -> dict[Pair, Verdict]:
    """What is variant, doubtful, or a copy that was not proposed before.

    `pixels` says how large each readable image is, `near` which pairs were proposed, `copies` which were found. Raises
    looking.Busy.
    """
    standing = stand_ins(pixels, copies)
    names = sorted(set(standing.values()))
    vectors, opened = embedded(topic, stamps, names, network, opener)
    names = [name for name in names if name in vectors.fresh(stamps)]
    proposed = proposals.by_likeness(names, vectors.rows(names)["vectors"].astype(np.float32))
    stays = set(names)
    proposed += [pair for pair in near if stays.issuperset(pair) and pair not in copies]
    proposed += apart(standing, copies)
    said = looking.looked_at(topic, stamps, proposed, True, opener, opened)
    if kin := related(said):
        said = looking.looked_at(topic, stamps, [*proposed, *kin], True, opener, opened)
    return carried(said, standing, copies)


def related(said: Mapping[Pair, Verdict]) -> list[Pair]:
    """All pairs of images that variants lead from one to the other of, but of families larger than FAMILY.

    A picture with many variants is not among the nearest of each of them.
    """
    family: dict[str, set[str]] = {}
    for (one, other), verdict in sorted(said.items()):
        if verdict.kind != records.DOUBTFUL:
            joined = family.get(one, {one}) | family.get(other, {other})
            family.update(dict.fromkeys(joined, joined))
    families = {id(members): members for members in family.values() if len(members) <= FAMILY}
    return [pair for members in families.values() for pair in itertools.combinations(sorted(members), 2)]


def stand_ins(pixels: Mapping[str, int], copies: Mapping[Pair, Verdict]) -> dict[str, str]:
    """Each image with the one of its direct copies that stands for itself, which may be the image.

    First comes who has the most copies, since what is in the midst of them is most like each; then the larger.
    """
    matches: dict[str, list[str]] = {name: [] for name in pixels}
    for one, other in copies:
        matches[one].append(other)
        matches[other].append(one)
    standing: dict[str, str] = {}
    for name in sorted(pixels, key=lambda name: (-len(matches[name]), -pixels[name], name)):
        before = [other for other in matches[name] if standing.get(other) == other]
        standing[name] = before[0] if before else name
    return standing


def apart(standing: Mapping[str, str], copies: Mapping[Pair, Verdict]) -> list[Pair]:
    """The pairs that have one stand-in and are no copies of each other, such as two colourings and a grey copy of both.

    Of more than FAMILY images with one stand-in, none.
    """
    alike = [members for members in _members(standing).values() if len(members) <= FAMILY]
    return [pair for members in alike for pair in itertools.combinations(sorted(members), 2) if pair not in copies]


def _members(standing: Mapping[str, str]) -> dict[str, list[str]]:
    """Each image that stands for others, with all that it stands for."""
    members: dict[str, list[str]] = {}
    for name, stand_in in standing.items():
        members.setdefault(stand_in, []).append(name)
    return members


def carried(
    said: Mapping[Pair, Verdict], standing: Mapping[str, str], copies: Mapping[Pair, Verdict]
) -> dict[Pair, Verdict]:
    """What was said of stand-ins, said of their copies too; doubts stay where they are."""
    members = _members(standing)
    whole: dict[Pair, Verdict] = {}
    for (one, other), verdict in said.items():
        alone = verdict.kind in (COPY, records.DOUBTFUL)
        for a in [one] if alone else members.get(one, [one]):
            for b in [other] if alone else members.get(other, [other]):
                pair = (min(a, b), max(a, b))
                if pair not in copies:
                    whole[pair] = said.get(pair, verdict)
    return whole


def load(topic: Topic, talk: Talk) -> Sidecar:
    """The vectors that the topic has: of images that stand for their copies."""
    return sidecar.load(topic, "likeness", LAYOUT, likeness.ABOUT, talk.warn)


def embedded(
    topic: Topic, stamps: Mapping[str, Stamp], names: Sequence[str], network: likeness.Likeness, opener: Opener
) -> tuple[Sidecar, dict[str, Picture]]:
    """The vectors of the images, and the pictures of those that had none yet."""
    vectors = load(topic, opener.talk)
    have = vectors.fresh(stamps)
    opened = opener.opened(topic, [name for name in names if name not in have], True)
    new = list(opened)
    for start in range(0, len(new), BATCH):
        batch = new[start : start + BATCH]
        rows = network([opened[name].square(likeness.SIDE) for name in batch])
        vectors.add(batch, [stamps[name] for name in batch], vectors=rows)
    vectors.save(stamps)
    return vectors, opened
