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

from common import text
from common.dataset.claims import Take, whoever
from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import fingerprints, hashing, neighbours
from common.duplicates.neighbours import Apart, Array, Pairs
from common.duplicates.pool import Pool
from common.errors import UserError
from common.output import Talk
from common.vectors import embed, fleet, model, products  # torch only where an image must be opened, or where it pays

MANY = 200_000  # vectors from which on it is told how long their comparison takes
SAMPLE = 4096  # of them are compared to tell

Work = tuple[Topic, Mapping[str, Stamp], Sidecar]  # a topic, its images, and their rows
Proposed = tuple[list[Pairs], list[Pairs]]  # pairs to be looked at closely, and pairs that need no look


class ByHash:
    """Perceptual hashes, and thumbnails that rule most strangers out; flat images match when their pixels do."""

    keys = ("hashes", "flat", "thumbnails", "colours")
    sidecar = hashing.NAME

    def __init__(self, distance: float, args: argparse.Namespace, talk: Talk) -> None:
        self.about: dict[str, Any] = {"method": "phash", "threshold": distance}
        self._distance, self._max_pixels, self._talk = int(distance), args.max_pixels, talk

    def read(self, topics: Sequence[Topic], pool: Pool, take: Take = whoever) -> Iterator[Work]:
        """Every topic with rows of all readable images; where files must be opened for that, if `take` says so."""
        for work in hashing.hashed(topics, pool, self._max_pixels, self._talk, take):
            yield work.topic, work.stamps, work.prints

    def load(self, topic: Topic) -> Sidecar:
        return hashing.load_prints(topic, self._talk)

    def proposed(self, rows: dict[str, Array], apart: Apart | None = None) -> Proposed:
        flat, lively = np.flatnonzero(rows["flat"]), np.flatnonzero(~rows["flat"])
        equal = [_wanted(flat[i], flat[j], apart) for i, j in neighbours.within(rows["hashes"][flat], 0)]
        near = []
        for i, j in neighbours.within(rows["hashes"][lively], self._distance):
            first, second = _wanted(lively[i], lively[j], apart)
            likely = fingerprints.likely(rows, first, second)
            near.append((first[likely], second[likely]))
        return near, equal


class ByVectors:
    """The vectors of a CLIP model, those that were made for scores or new ones. Raises UserError for a tiny model."""

    keys = ("vectors",)

    def __init__(self, cosine: float, args: argparse.Namespace, talk: Talk) -> None:
        self._model = model.chosen(args)
        if self._model.is_tiny:
            raise UserError("--model tiny judges sharpness and noise, not what a picture shows; use --method phash")
        self.about: dict[str, Any] = {"method": "clip", "threshold": cosine, **self._model.about}
        self.sidecar = self._model.sidecar
        self._cosine, self._device, self._talk = cosine, args.device, talk
        self._engine = functools.cache(lambda machines: fleet.engine(machines, self._model, args, talk))

    def read(self, topics: Sequence[Topic], pool: Pool, take: Take = whoever) -> Iterator[Work]:
        """Every topic with rows of all readable images; where files must be opened for that, if `take` says so."""
        for work in embed.embedded(topics, self._model, lambda: self._engine(pool.fleet), self._talk, take):
            yield work.topic, work.stamps, work.vectors

    def load(self, topic: Topic) -> Sidecar:
        return embed.load_vectors(topic, self._model, self._talk)

    def proposed(self, rows: dict[str, Array], apart: Apart | None = None) -> Proposed:
        vectors = rows["vectors"]
        device = products.device_for(len(vectors), self._device)
        foretell(vectors, lambda few: list(neighbours.similar(few, self._cosine, device)), self._talk)
        return [_wanted(i, j, apart) for i, j in neighbours.similar(vectors, self._cosine, device)], []


def chosen(threshold: float, args: argparse.Namespace, talk: Talk) -> ByHash | ByVectors:
    return (ByVectors if args.method == "clip" else ByHash)(threshold, args, talk)


def foretell(vectors: Array, compare: Callable[[Array], object], talk: Talk) -> None:
    """Say how long it takes to compare very many vectors with one another, from what a few of them take."""
    if len(vectors) > MANY:
        started = time.perf_counter()
        compare(vectors[:SAMPLE])
        seconds = (time.perf_counter() - started) * (len(vectors) / SAMPLE) ** 2
        talk.say(f"{len(vectors):,} images to compare, which takes about {text.duration(seconds)}")


def _wanted(first: Array, second: Array, apart: Apart | None) -> Pairs:
    if apart is None:
        return first, second
    kept = apart(first, second)
    return first[kept], second[kept]
