#!/usr/bin/env python3
"""Give every image an aesthetic score: CLIP image embedding, then a linear head.

Writes aesthetic_data.json into each topic folder of DataSet/Cluster/Subcluster/Topic:

    {
      "sunset.jpg": 6.7012,
      "sunset_blurred.jpg": 4.1177
    }

What is done is never done twice: run it again after new images, a crash or Ctrl-C, and it scores only what is new or
changed. Vectors and image sizes stay in each topic's .cache/ folder (safe to delete), so that another head needs no
image at all. It never changes an image, and never replaces scores that something else made unless told to.

examples:
  aesthetic_scorer.py DataSet                                score everything that has no score yet
  aesthetic_scorer.py DataSet --model tiny                   no download: technical quality, not aesthetics
  aesthetic_scorer.py DataSet --head laion-v2 --rescore      another head, from the stored vectors
  aesthetic_scorer.py DataSet --head siglip-v2.5             the predictor of 2024; brings its own model
  aesthetic_scorer.py DataSet_* --json --quiet > score.json  from cron
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import functools
import statistics
import threading
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import cache, claims, cli, durability, terminal, tree
from common.clip import heads, model, score_state, scorers
from common.reporter import Reporter, print_result


def main(argv: Sequence[str] | None = None) -> int:
    args, started = parse_args(argv), time.monotonic()
    talk = Reporter(args)
    rules = chosen_rules(args, talk)
    count = Count()
    owing = survey(tree.find_topics(args.paths, talk.warn), rules, count, talk)
    if owing:
        score(owing, rules, args, count, talk)
    count.seconds = time.monotonic() - started
    talk.print_totals(
        count.images,
        scored=count.scored,
        already_scored=count.already_scored,
        unreadable=talk.unreadable,
    )
    print_result(args, summary(count, rules, talk), result(count, rules, talk))
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    model.add_model_options(parser)
    scoring = parser.add_argument_group("scores")
    scoring.add_argument(
        "--head",
        metavar="HEAD",
        help=f"{', '.join(scorers.scorer_names())}, or a file with one linear layer; a named head brings its own model "
        f"(default: the --model's, or {heads.DEFAULT_HEAD})",
    )
    replacing = scoring.add_mutually_exclusive_group()
    replacing.add_argument(
        "--only-missing",
        action="store_true",
        help="trust scores of any origin, score only images that have none",
    )
    replacing.add_argument(
        "--rescore",
        action="store_true",
        help="replace scores of other or unknown origin; uses stored vectors",
    )
    scoring.add_argument(
        "--no-cache",
        action="store_true",
        help="store no vectors (3 kB an image): another head, or a kill within a topic, starts over",
    )
    return parser.parse_args(argv)


@dataclass
class Count:
    """What the run adds up to. Images are counted topic by topic, so that nothing grows with them but the scores."""

    topics: int = 0
    images: int = 0
    scored: int = 0
    already_scored: int = 0
    embedded: int = 0
    seconds: float = 0.0
    values: array[float] = field(default_factory=lambda: array("d"))
    precisions: set[str] = field(default_factory=set)

    def add(
        self,
        state: score_state.ScoreState,
        found: Mapping[str, float],
        made_by: Mapping[str, str],
        embedded: int = 0,
    ) -> None:
        self.topics += 1
        self.images += len(state.stamps)
        self.already_scored += len(state.standing)
        self.scored += len(found) - len(state.standing)
        self.embedded += embedded
        self.values.extend(found.values())
        self.precisions.update(cache.precisions_of(made_by))


def chosen_rules(args: argparse.Namespace, talk: Reporter) -> score_state.ScoringPolicy:
    """The model and head that the options name, checked as far as that goes without loading them."""
    chosen = model.resolve_model(args, heads.head_model(args.head))
    if chosen.is_tiny:
        talk.warn(model.TINY_NOTE)
    return score_state.ScoringPolicy(
        chosen, heads.resolve_head(args.head, chosen), args.only_missing, args.rescore
    )


def survey(
    topics: Sequence[tree.Topic], rules: score_state.ScoringPolicy, count: Count, talk: Reporter
) -> dict[tree.Topic, int]:
    """The topics that have images without a score, and how many; counts those that are done. No torch, no pixels."""
    owing, foreign = {}, []
    for topic in topics:
        state = score_state.inspect_topics(topic, rules, talk)
        if state.foreign:
            foreign.append(state)
        elif state.is_done:
            count.add(state, state.standing, state.made_by)
        else:
            cache.check_writable(topic)
            owing[topic] = len(state.owed)
    score_state.refuse_foreign(foreign)
    return owing


def score(
    owing: Mapping[tree.Topic, int],
    rules: score_state.ScoringPolicy,
    args: argparse.Namespace,
    count: Count,
    talk: Reporter,
) -> None:
    """Embed what has no vector yet, then write each topic's scores as its last image is done.

    What another run works on comes last, when that run is done with it.
    """
    from common.clip import embed  # numpy, and torch where an image must be opened
    from common.clip.engine import Engine
    from common.clip.ray import client

    states: dict[str, score_state.ScoreState] = {}
    counting = threading.Lock()
    claimed = claims.Claims(rules.model.sidecar, talk)

    @functools.cache
    def engine() -> Engine:
        made = client.make_engine(machines, rules.model, args, talk)
        rules.head.check(made.tower.dim)
        return made

    def finish(work: embed.EmbeddingJob) -> None:
        state = states.pop(work.topic.path)
        state, found, made_by = score_state.write_topic_scores(
            state, work.vectors, work.failed, rules, talk
        )
        with counting:
            count.add(state, found, made_by, embedded=len(work.names) - len(work.failed))
        claimed.let_go(work.topic)

    def works(topics: Sequence[tree.Topic]) -> Iterator[embed.EmbeddingJob]:
        for topic in filter(claimed.take, topics):
            state = states[topic.path] = score_state.inspect_topics(topic, rules, talk)
            score_state.refuse_foreign([state])
            work = embed.plan_embedding(topic, state.stamps, state.owed, rules.model, talk)
            if work.names:
                yield work
            else:
                finishing(work)

    with client.open_fleet(args, talk) as machines:
        for topics in claimed.rounds(list(owing)):
            total = sum(owing[topic] for topic in topics)
            with durability.BackgroundWriter(finish) as finishing:
                for work in embed.embed_jobs(
                    works(topics), engine, talk, total, keep=not args.no_cache
                ):
                    finishing(work)


def result(count: Count, rules: score_state.ScoringPolicy, talk: Reporter) -> dict[str, Any]:
    """The object that --json prints."""
    return {
        "images": count.images,
        "scored": count.scored,
        "already_scored": count.already_scored,
        "unreadable": talk.unreadable,
        "topics": count.topics,
        **rules.made_by,
        "precision": "+".join(sorted(count.precisions)) or None,
        "median_score": round(statistics.median(count.values), 4) if count.values else None,
        "seconds": round(count.seconds, 2),
        "images_per_second": round(count.embedded / count.seconds, 1),
    }


def summary(count: Count, rules: score_state.ScoringPolicy, talk: Reporter) -> Iterator[str]:
    """The lines for people."""
    yield f"🎨 {'Technical quality' if rules.model.is_tiny else 'Aesthetic'} scores"
    yield f"   📁 topics            {count.topics:>12,}"
    yield f"   🖼  images            {count.images:>12,}"
    yield f"   ✅ scored            {count.scored:>12,}"
    yield f"   💤 already scored    {count.already_scored:>12,}"
    yield f"   ❌ unreadable        {talk.unreadable:>12,}"
    if count.values:
        yield f"   ⭐ median score      {statistics.median(count.values):>12.2f}"
    speed = f", {count.embedded / count.seconds:,.1f} images/s" if count.embedded else ""
    yield f"   ⏱  time              {terminal.format_duration(count.seconds):>12}{speed}"
    yield f"   🧠 model             {rules.model.name} ({rules.model.weights}), head {rules.choice.name}"
    if rules.model.is_tiny:
        yield f"   ⚠️  {model.TINY_NOTE}"


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
