"""Settles a topic: looks at the pairs that were proposed, for variants too where they are asked for, and writes."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from common import disk
from common.dataset import records
from common.dataset.claims import Claims
from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import looking, matching, methods, proposals, verdict
from common.duplicates.looking import Busy, Opener, Pair
from common.duplicates.matching import Found, Seen
from common.duplicates.pool import Pool
from common.duplicates.verdict import Verdict
from common.output import Talk

if TYPE_CHECKING:
    from common.vectors.likeness import Likeness


def within(
    topics: Sequence[Topic],
    method: methods.ByHash | methods.ByVectors,
    args: argparse.Namespace,
    pool: Pool,
    talk: Talk,
) -> list[Found]:
    """Search every topic, and write what is found; what there is to tell of each. Raises UserError."""
    claims = Claims(method.sidecar, talk)
    with Settler(args, talk, method.about, pool, claims) as settle:
        for some in claims.rounds(topics):
            for topic, stamps, rows in method.read(some, pool, claims.take):
                names = list(rows.fresh(stamps))
                near, equal = (proposals.named(names, pairs) for pairs in method.proposed(rows.rows(names)))
                settle(topic, stamps, rows, near, equal)
    return [settle.found[topic.path] for topic in topics]


class Settler:
    """Takes one topic after the other; `found` has what there is to tell of each, by path, when the block has ended."""

    def __init__(
        self, args: argparse.Namespace, talk: Talk, method: Mapping[str, Any], pool: Pool, claims: Claims
    ) -> None:
        """Raises UserError where variants are asked for and what proposes them is not installed."""
        self.found: dict[str, Found] = {}
        self._made_by = {**method, "rules": verdict.VERSION}
        self._talk, self._claims = talk, claims
        self._opener = Opener(pool, args.max_pixels, talk, claims.take)
        self._network: Likeness | None = None
        if args.variants:
            from common.vectors import likeness

            self._network = likeness.Likeness(args.device)
        self._writing = disk.Beside(self._write)

    def __enter__(self) -> Settler:
        self._writing.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writing.__exit__(kind, error, trace)

    def __call__(
        self, topic: Topic, stamps: Mapping[str, Stamp], rows: Sidecar, near: Sequence[Pair], equal: Sequence[Pair]
    ) -> None:
        """Look at the pairs in `near`; those in `equal` need no look. `rows` know the images' sizes.

        A topic that another run looks at is left alone: it is in the next round of the claims.
        """
        with contextlib.suppress(Busy):
            said = self._said(topic, stamps, rows, near, equal)
            seen = matching.sorted_out(stamps, said, equal)
            again = os.path.isfile(records.duplicates_path(topic))  # with little to write: a thread would cost more
            (self._write if again else self._writing)(topic, stamps, seen, rows)

    def _said(
        self, topic: Topic, stamps: Mapping[str, Stamp], rows: Sidecar, near: Sequence[Pair], equal: Sequence[Pair]
    ) -> dict[Pair, Verdict]:
        said = looking.looked_at(topic, stamps, near, False, self._opener)
        if self._network:
            from common.duplicates import variants

            readable = {name: stamps[name] for name in rows.fresh(stamps)}
            copies = {**said, **dict.fromkeys(equal, verdict.EQUAL)}
            said |= variants.found(topic, readable, near, copies, self._network, self._opener)
        return said

    def _write(self, topic: Topic, stamps: Mapping[str, Stamp], seen: Seen, rows: Sidecar) -> None:
        variants = self._network is not None
        self.found[topic.path] = matching.finish(topic, stamps, seen, rows, self._made_by, variants, self._talk)
        self._claims.let_go(topic)
