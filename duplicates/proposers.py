"""--method phash and clip: what is known of an image by its row of numbers, and which pairs that proposes.

The same for a topic, for the topics of a dataset side by side, and for reference folders.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from common import terminal
from common.claims import TryClaim, always_claim
from common.clip import (
    embed,
    gpu_similarity,
    model,
)  # torch only where an image must be opened, or where it pays
from common.clip.ray import client
from common.errors import UserError
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.tree import Stamp, Topic
from duplicates import hash_rows, hashing, neighbours
from duplicates.neighbours import PairFilter, Array, Pairs
from duplicates.pool import Pool

MANY = 200_000  # vectors from which on it is told how long their comparison takes
SAMPLE = 4096  # of them are compared to tell

TopicRows = tuple[Topic, Mapping[str, Stamp], Sidecar]  # a topic, its images, and their rows
Proposed = tuple[
    list[Pairs], list[Pairs]
]  # pairs to be looked at closely, and pairs that need no look


class PhashProposer:
    """Perceptual hashes, and thumbnails that rule most strangers out; flat images match when their pixels do."""

    keys = ("hashes", "flat", "thumbnails", "colours")
    sidecar = hashing.NAME

    def __init__(self, distance: float, args: argparse.Namespace, talk: Reporter) -> None:
        self.about: dict[str, Any] = {"method": "phash", "threshold": distance}
        self._distance, self._max_pixels, self._talk = int(distance), args.max_pixels, talk

    def read(
        self, topics: Sequence[Topic], pool: Pool, take: TryClaim = always_claim
    ) -> Iterator[TopicRows]:
        """Every topic with rows of all readable images; where files must be opened for that, if `take` says so."""
        for work in hashing.hash_topics(topics, pool, self._max_pixels, self._talk, take):
            yield work.topic, work.stamps, work.prints

    def load(self, topic: Topic) -> Sidecar:
        return hashing.load_hash_rows(topic, self._talk)

    def proposed(self, rows: dict[str, Array], apart: PairFilter | None = None) -> Proposed:
        flat, lively = np.flatnonzero(rows["flat"]), np.flatnonzero(~rows["flat"])
        equal = [
            _wanted(flat[i], flat[j], apart)
            for i, j in neighbours.pairs_within_distance(rows["hashes"][flat], 0)
        ]
        near = []
        for i, j in neighbours.pairs_within_distance(rows["hashes"][lively], self._distance):
            first, second = _wanted(lively[i], lively[j], apart)
            likely = hash_rows.prefilter_pairs(rows, first, second)
            near.append((first[likely], second[likely]))
        return near, equal


class ClipProposer:
    """The vectors of a CLIP model, those that were made for scores or new ones. Raises UserError for a tiny model."""

    keys = ("vectors",)

    def __init__(self, cosine: float, args: argparse.Namespace, talk: Reporter) -> None:
        self._model = model.resolve_model(args)
        if self._model.is_tiny:
            raise UserError(
                "--model tiny judges sharpness and noise, not what a picture shows; use --method phash"
            )
        self.about: dict[str, Any] = {"method": "clip", "threshold": cosine, **self._model.about}
        self.sidecar = self._model.sidecar
        self._cosine, self._device, self._talk = cosine, args.device, talk
        self._engine = functools.cache(
            lambda machines: client.make_engine(machines, self._model, args, talk)
        )

    def read(
        self, topics: Sequence[Topic], pool: Pool, take: TryClaim = always_claim
    ) -> Iterator[TopicRows]:
        """Every topic with rows of all readable images; where files must be opened for that, if `take` says so."""
        for work in embed.embed_missing(
            topics, self._model, lambda: self._engine(pool.fleet), self._talk, take
        ):
            yield work.topic, work.stamps, work.vectors

    def load(self, topic: Topic) -> Sidecar:
        return embed.load_vectors(topic, self._model, self._talk)

    def proposed(self, rows: dict[str, Array], apart: PairFilter | None = None) -> Proposed:
        vectors = rows["vectors"]
        device = gpu_similarity.choose_device(len(vectors), self._device)
        estimate_time(
            vectors,
            lambda few: list(neighbours.pairs_above_similarity(few, self._cosine, device)),
            self._talk,
        )
        return [
            _wanted(i, j, apart)
            for i, j in neighbours.pairs_above_similarity(vectors, self._cosine, device)
        ], []


def make_proposer(
    threshold: float, args: argparse.Namespace, talk: Reporter
) -> PhashProposer | ClipProposer:
    return (ClipProposer if args.method == "clip" else PhashProposer)(threshold, args, talk)


def estimate_time(vectors: Array, compare: Callable[[Array], object], talk: Reporter) -> None:
    """Say how long it takes to compare very many vectors with one another, from what a few of them take."""
    if len(vectors) > MANY:
        started = time.perf_counter()
        compare(vectors[:SAMPLE])
        seconds = (time.perf_counter() - started) * (len(vectors) / SAMPLE) ** 2
        talk.say(
            f"{len(vectors):,} images to compare, which takes about {terminal.format_duration(seconds)}"
        )


def _wanted(first: Array, second: Array, apart: PairFilter | None) -> Pairs:
    if apart is None:
        return first, second
    kept = apart(first, second)
    return first[kept], second[kept]
