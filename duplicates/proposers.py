"""--method phash and clip: the rows of numbers each keeps per image, and the pairs it proposes.

The same for one topic, for all topics of a dataset together, and for reference folders. A new way
to propose pairs is one more class here, with the attributes and methods of the other two.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common import terminal
from common.clip import embed, gpu_similarity, model  # load torch only if it is needed
from common.clip.ray import client
from common.clip.sidecar import Sidecar
from common.errors import UserError
from common.locks import TryClaim, always_claim
from common.reporter import Reporter
from common.topics import Stamp, Topic
from duplicates import candidate_pairs, hash_rows, hashing, neighbours
from duplicates.candidate_pairs import Candidates
from duplicates.neighbours import Array, PairFilter, RowPairs
from duplicates.pool import Pool

SLOW_COMPARISON_VECTORS = 200_000  # from here on, say how long it will take to compare them
SAMPLE_VECTORS = 4096  # that are compared to estimate that


@dataclass(frozen=True)
class TopicRows:
    """A topic, its images, and a row for each image that can be read."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    rows: Sidecar


class PhashProposer:
    """Compares perceptual hashes, then thumbnails. Flat images match only if their pixels do."""

    sidecar = hashing.HASH_SIDECAR
    arrays = ("hashes", "flat", "thumbnails", "colours")  # that propose_pairs needs

    def __init__(self, distance: float, args: argparse.Namespace, reporter: Reporter) -> None:
        self.about: dict[str, Any] = {"method": "phash", "threshold": distance}
        self._distance = int(distance)
        self._max_pixels = args.max_pixels
        self._reporter = reporter

    def read_rows(
        self, topics: Sequence[Topic], pool: Pool, try_claim: TryClaim = always_claim
    ) -> Iterator[TopicRows]:
        """Yield each topic with its rows. Skips a topic to read if `try_claim` refuses it."""
        for job in hashing.hash_topics(topics, pool, self._max_pixels, self._reporter, try_claim):
            yield TopicRows(job.topic, job.stamps, job.rows)

    def load_rows(self, topic: Topic) -> Sidecar:
        """The rows that are in the topic's sidecar. Opens no image."""
        return hashing.load_hash_rows(topic, self._reporter)

    def propose_pairs(
        self, names: Sequence[str], rows: dict[str, Array], pair_filter: PairFilter | None = None
    ) -> Candidates:
        """Pairs with close hashes and similar thumbnails; row i belongs to names[i]."""
        flat = np.flatnonzero(rows["flat"])
        equal = []
        for i, j in neighbours.pairs_within_distance(rows["hashes"][flat], 0):
            equal.append(_filter_pairs(flat[i], flat[j], pair_filter))
        textured = np.flatnonzero(~rows["flat"])
        unverified = []
        for i, j in neighbours.pairs_within_distance(rows["hashes"][textured], self._distance):
            first, second = _filter_pairs(textured[i], textured[j], pair_filter)
            may_be_copies = hash_rows.prefilter_pairs(rows, first, second)
            unverified.append((first[may_be_copies], second[may_be_copies]))
        return Candidates(
            unverified=candidate_pairs.as_name_pairs(names, unverified),
            equal=candidate_pairs.as_name_pairs(names, equal),
        )


class ClipProposer:
    """Compares CLIP vectors: those that scoring left behind, or new ones."""

    arrays = ("vectors",)  # that propose_pairs needs

    def __init__(self, cosine: float, args: argparse.Namespace, reporter: Reporter) -> None:
        """Raises UserError for a tiny model."""
        self._model = model.resolve_model(args)
        if self._model.is_tiny:
            raise UserError(
                "--model tiny measures sharpness and noise, not what an image shows; "
                "use --method phash"
            )
        self.about: dict[str, Any] = {"method": "clip", "threshold": cosine, **self._model.about}
        self.sidecar = self._model.sidecar
        self._cosine = cosine
        self._device = args.device
        self._reporter = reporter
        self._make_engine = functools.cache(
            lambda fleet: client.make_engine(fleet, self._model, args, reporter)
        )

    def read_rows(
        self, topics: Sequence[Topic], pool: Pool, try_claim: TryClaim = always_claim
    ) -> Iterator[TopicRows]:
        """Yield each topic with its rows. Skips a topic to read if `try_claim` refuses it."""
        make_engine = functools.partial(self._make_engine, pool.fleet)
        for job in embed.embed_missing(topics, self._model, make_engine, self._reporter, try_claim):
            yield TopicRows(job.topic, job.stamps, job.vectors)

    def load_rows(self, topic: Topic) -> Sidecar:
        """The rows that are in the topic's sidecar. Opens no image."""
        return embed.load_vectors(topic, self._model, self._reporter)

    def propose_pairs(
        self, names: Sequence[str], rows: dict[str, Array], pair_filter: PairFilter | None = None
    ) -> Candidates:
        """Pairs with a cosine similarity of the threshold or more; row i belongs to names[i]."""
        vectors = rows["vectors"]
        device = gpu_similarity.choose_device(len(vectors), self._device)

        def compare(sample: Array) -> None:
            for _ in neighbours.pairs_above_similarity(sample, self._cosine, device):
                pass

        estimate_time(vectors, compare, self._reporter)
        unverified = []
        for first, second in neighbours.pairs_above_similarity(vectors, self._cosine, device):
            unverified.append(_filter_pairs(first, second, pair_filter))
        return Candidates(candidate_pairs.as_name_pairs(names, unverified), equal=[])


Proposer = PhashProposer | ClipProposer


def make_proposer(threshold: float, args: argparse.Namespace, reporter: Reporter) -> Proposer:
    if args.method == "clip":
        return ClipProposer(threshold, args, reporter)
    return PhashProposer(threshold, args, reporter)


def estimate_time(vectors: Array, compare: Callable[[Array], object], reporter: Reporter) -> None:
    """Say how long it takes to compare very many vectors, judged by comparing a sample."""
    if len(vectors) <= SLOW_COMPARISON_VECTORS:
        return
    start = time.perf_counter()
    compare(vectors[:SAMPLE_VECTORS])
    seconds = (time.perf_counter() - start) * (len(vectors) / SAMPLE_VECTORS) ** 2
    duration = terminal.format_duration(seconds)
    reporter.say(f"{len(vectors):,} images to compare, which takes about {duration}")


def _filter_pairs(first: Array, second: Array, pair_filter: PairFilter | None) -> RowPairs:
    if pair_filter is None:
        return first, second
    is_wanted = pair_filter(first, second)
    return first[is_wanted], second[is_wanted]
