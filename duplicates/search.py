"""Settles a topic: looks at the pairs that were proposed, for variants too where they are asked for, and writes."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from common import durability, json_files
from common.claims import Claims
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.tree import Stamp, Topic
from duplicates import candidate_pairs, classification, proposers, results, verification
from duplicates.classification import Verdict
from duplicates.pool import Pool
from duplicates.results import TopicSummary, TopicVerdicts
from duplicates.verification import TopicBusy, PictureOpener, ImagePair

if TYPE_CHECKING:
    from duplicates.effnet import EmbeddingNetwork


def search_topics(
    topics: Sequence[Topic],
    method: proposers.PhashProposer | proposers.ClipProposer,
    args: argparse.Namespace,
    pool: Pool,
    talk: Reporter,
) -> list[TopicSummary]:
    """Search every topic, and write what is found; what there is to tell of each. Raises UserError."""
    claims = Claims(method.sidecar, talk)
    with TopicSearcher(args, talk, method.about, pool, claims) as settle:
        for some in claims.rounds(topics):
            for topic, stamps, rows in method.read(some, pool, claims.take):
                names = list(rows.fresh(stamps))
                near, equal = (
                    candidate_pairs.as_name_pairs(names, pairs)
                    for pairs in method.proposed(rows.rows(names))
                )
                settle(topic, stamps, rows, near, equal)
    return [settle.found[topic.path] for topic in topics]


class TopicSearcher:
    """Takes one topic after the other; `found` has what there is to tell of each, by path, when the block has ended."""

    def __init__(
        self,
        args: argparse.Namespace,
        talk: Reporter,
        method: Mapping[str, Any],
        pool: Pool,
        claims: Claims,
    ) -> None:
        """Raises UserError where variants are asked for and what proposes them is not installed."""
        self.found: dict[str, TopicSummary] = {}
        self._made_by = {**method, "rules": classification.RULES_VERSION}
        self._talk, self._claims = talk, claims
        self._opener = PictureOpener(pool, args.max_pixels, talk, claims.take)
        self._network: EmbeddingNetwork | None = None
        if args.variants:
            from duplicates import effnet

            self._network = effnet.EmbeddingNetwork(args.device)
        self._writing = durability.BackgroundWriter(self._write)

    def __enter__(self) -> TopicSearcher:
        self._writing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writing.__exit__(kind, error, trace)

    def __call__(
        self,
        topic: Topic,
        stamps: Mapping[str, Stamp],
        rows: Sidecar,
        near: Sequence[ImagePair],
        equal: Sequence[ImagePair],
    ) -> None:
        """Look at the pairs in `near`; those in `equal` need no look. `rows` know the images' sizes.

        A topic that another run looks at is left alone: it is in the next round of the claims.
        """
        with contextlib.suppress(TopicBusy):
            said = self._said(topic, stamps, rows, near, equal)
            seen = results.group_verdicts(stamps, said, equal)
            again = os.path.isfile(
                json_files.duplicates_path(topic)
            )  # with little to write: a thread would cost more
            (self._write if again else self._writing)(topic, stamps, seen, rows)

    def _said(
        self,
        topic: Topic,
        stamps: Mapping[str, Stamp],
        rows: Sidecar,
        near: Sequence[ImagePair],
        equal: Sequence[ImagePair],
    ) -> dict[ImagePair, Verdict]:
        said = verification.verify_pairs(topic, stamps, near, False, self._opener)
        if self._network:
            from duplicates import variants

            readable = {name: stamps[name] for name in rows.fresh(stamps)}
            copies = {**said, **dict.fromkeys(equal, classification.EQUAL)}
            said |= variants.find_variants(
                topic, readable, near, copies, self._network, self._opener
            )
        return said

    def _write(
        self, topic: Topic, stamps: Mapping[str, Stamp], seen: TopicVerdicts, rows: Sidecar
    ) -> None:
        variants = self._network is not None
        self.found[topic.path] = results.write_results(
            topic, stamps, seen, rows, self._made_by, variants, self._talk
        )
        self._claims.let_go(topic)
