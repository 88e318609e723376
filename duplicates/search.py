"""The search within topics: propose pairs, verify them, find variants, measure copies, write."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Mapping, Sequence

from common import json_files
from common.durability import BackgroundWriter
from common.locks import Claims
from common.reporter import Reporter
from common.topics import Topic
from duplicates import (
    copy_measurement,
    equal_sets,
    partial_topics,
    results,
    variants,
    verification,
)
from duplicates.candidate_pairs import Candidates
from duplicates.classification import Verdict
from duplicates.effnet import EmbeddingNetwork
from duplicates.equal_sets import EqualGroups
from duplicates.pool import Pool
from duplicates.proposers import Proposer, TopicRows
from duplicates.results import TopicSummary, TopicVerdicts
from duplicates.verification import ImageOpener, ImagePair, TopicBusy
from keeping import decisions
from keeping.topic_relations import RULES_VERSION


def search_topics(
    topics: Sequence[Topic],
    proposer: Proposer,
    args: argparse.Namespace,
    pool: Pool,
    reporter: Reporter,
) -> list[TopicSummary]:
    """Search every topic and write its results; return what to report. Raises UserError."""
    claims = Claims(proposer.sidecar, reporter)
    opener = ImageOpener(pool, args.max_pixels, reporter, claims.try_claim)
    network = EmbeddingNetwork(args.device) if args.variants else None
    made_by = {**proposer.about, "rules": RULES_VERSION}
    summaries: dict[str, TopicSummary] = {}

    def write(images: TopicRows, grouped: TopicVerdicts) -> None:
        summary = results.write_results(
            images, grouped, made_by, args.variants, args.prefer, reporter
        )
        summaries[images.topic.path] = summary
        claims.release(images.topic)

    with BackgroundWriter(write) as write_in_background:
        for topics_of_pass in claims.passes(topics):
            for images in proposer.read_rows(topics_of_pass, pool, claims.try_claim):
                equal = equal_sets.find_equal_images(images, opener)
                candidates = propose_pairs(images, equal, proposer)
                # Another run may have the topic: it comes again in the next pass.
                with contextlib.suppress(TopicBusy):
                    verdicts = verify_candidates(images, equal, candidates, opener)
                    if network:
                        proposed = equal.expand_pairs(candidates.unverified)
                        verdicts |= find_variants(
                            images, equal, proposed, verdicts, network, opener
                        )
                    grouped = results.group_verdicts(images.stamps, verdicts, equal.large_digests)
                    measure_copies(images, grouped, opener)
                    if os.path.isfile(json_files.duplicates_path(images.topic)):
                        write(images, grouped)  # changes little: a thread would cost more
                    else:
                        write_in_background(images, grouped)
    return [summaries[topic.path] for topic in topics]


def propose_pairs(images: TopicRows, equal: EqualGroups, proposer: Proposer) -> Candidates:
    """Propose pairs of the topic's readable images, one of each set of equal ones."""
    names = equal.keep_searched(images.rows.valid_rows(images.stamps))
    return proposer.propose_pairs(names, images.rows.rows(names))


def verify_candidates(
    images: TopicRows, equal: EqualGroups, candidates: Candidates, opener: ImageOpener
) -> dict[ImagePair, Verdict]:
    """Decide about each candidate pair, and give the verdicts to all listed images of the sets.

    Unrelated pairs are left out. Raises TopicBusy.
    """
    # Flat images with equal pixels too: they may differ in transparency, or below 8 bits.
    pairs = [*candidates.unverified, *candidates.equal]
    verdicts = verification.verify_pairs(images.topic, images.stamps, pairs, False, opener)
    return equal.expand_verdicts(verdicts)


def find_variants(
    images: TopicRows,
    equal: EqualGroups,
    proposed: Sequence[ImagePair],
    verdicts: Mapping[ImagePair, Verdict],
    network: EmbeddingNetwork,
    opener: ImageOpener,
) -> dict[ImagePair, Verdict]:
    """Find the variants of the topic's listed images, given the verdicts on its candidates."""
    compared = partial_topics.stamps_for_variants(images)
    listed = equal.keep_listed(images.rows.valid_rows(compared))
    stamps = {name: images.stamps[name] for name in listed}
    copies = {}
    for (one, other), verdict in verdicts.items():
        if one in stamps and other in stamps:
            copies[one, other] = verdict
    return variants.find_variants(images.topic, stamps, proposed, copies, network, opener)


def measure_copies(images: TopicRows, grouped: TopicVerdicts, opener: ImageOpener) -> None:
    """Measure what the keeper rule needs to know of copies. Raises TopicBusy."""
    decided = decisions.decisions_for_topic(images.topic)
    copies = {name: set(others) for name, others in grouped.copies.items()}
    decided.apply_to(copies, None)
    grouped.measured = copy_measurement.measure_copies(
        images.topic, images.stamps, copies, grouped.equal, opener
    )
