#!/usr/bin/env python3
"""Give every image an aesthetic score: its CLIP embedding through a linear head.

Writes aesthetic_data.json into each topic folder of DataSet/Cluster/Subcluster/Topic:

    {
      "sunset.jpg": 6.7012,
      "sunset_blurred.jpg": 4.1177
    }

Finished work is skipped: run it again after adding images, after a crash or Ctrl-C, and it scores
only what is new or changed. Embeddings and image sizes stay in each topic's .cache/ folder (safe to
delete), so another head needs to open no image. It never changes an image, and replaces scores from
another model or head only if told to.

examples:
  aesthetic_scorer.py DataSet                                score what has no score yet
  aesthetic_scorer.py DataSet --model tiny                   no download: technical quality only
  aesthetic_scorer.py DataSet --head laion-v2 --rescore      another head, on stored embeddings
  aesthetic_scorer.py DataSet --head siglip-v2.5             brings its own model
  aesthetic_scorer.py DataSet_* --json --quiet > score.json  from cron
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth", "numpy", "PIL", "torch", "open_clip", "safetensors")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import functools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from common import cache, cli, durability, locks, tree
from common.clip import heads, model, options, score_state, scorers
from common.clip.score_summary import ScoreTotals, result_json, summary_lines
from common.reporter import Reporter, print_result
from common.topics import Topic

if TYPE_CHECKING:
    from common.clip.embed import EmbeddingJob


def main(argv: Sequence[str] | None = None) -> int:
    started = time.monotonic()
    args = make_parser().parse_args(argv)
    reporter = Reporter(args)
    policy = make_policy(args, reporter)
    totals = ScoreTotals()
    topics = tree.find_given_topics(args, reporter)
    pending = find_pending(topics, policy, totals, reporter)
    if args.check:
        return check_weights(pending, policy, args, reporter)
    if pending:
        score_topics(pending, policy, args, totals, reporter)
    totals.seconds = time.monotonic() - started
    reporter.print_totals(
        totals.images,
        scored=totals.scored,
        already_scored=totals.already_scored,
        unreadable=reporter.unreadable,
    )
    lines = list(summary_lines(totals, policy, reporter))
    if totals.values:
        lines += cli.next_step(args, "aesthetic_stats.py", *args.paths)
    print_result(args, lines, result_json(totals, policy, reporter) | reporter.as_json())
    return reporter.status


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser(__doc__)
    options.add_model_options(parser)
    scoring = parser.add_argument_group("scores")
    scoring.add_argument(
        "--head",
        metavar="HEAD",
        help=f"{', '.join(scorers.scorer_names())}, or a file with one linear layer; a named head "
        f"brings its own model (default: the --model's, or {heads.DEFAULT_HEAD})",
    )
    existing = scoring.add_mutually_exclusive_group()
    existing.add_argument(
        "--only-missing",
        action="store_true",
        help="keep existing scores whatever made them, score only images that have none",
    )
    existing.add_argument(
        "--rescore",
        action="store_true",
        help="replace scores from another or unknown source; reuses stored embeddings",
    )
    scoring.add_argument(
        "--no-cache",
        action="store_true",
        help="store no embeddings (saves 3 kB per image): after a kill within a topic, or with "
        "another head, that topic starts over",
    )
    scoring.add_argument(
        "--check",
        action="store_true",
        help="check folders, options and weights (downloads them if need be), and score nothing",
    )
    return parser


def make_policy(args: argparse.Namespace, reporter: Reporter) -> score_state.ScoringPolicy:
    """Resolve the model and head that the options name, without loading them."""
    chosen = model.resolve_model(args, heads.head_model(args.head))
    if chosen.is_tiny:
        reporter.warn(model.TINY_NOTE)
    head = heads.resolve_head(args.head, chosen)
    return score_state.ScoringPolicy(chosen, head, args.only_missing, args.rescore)


def find_pending(
    topics: Sequence[Topic],
    policy: score_state.ScoringPolicy,
    totals: ScoreTotals,
    reporter: Reporter,
) -> dict[Topic, int]:
    """Map each topic with pending images to their number; add the others to the totals.

    Loads no torch and opens no image. Raises UserError if a topic holds foreign scores.
    """
    pending, foreign = {}, []
    for topic in topics:
        state = score_state.inspect_topic(topic, policy, reporter)
        if state.foreign:
            foreign.append(state)
        elif state.is_done:
            totals.add(state, state.kept_scores, state.made_by)
        else:
            cache.check_writable(topic)
            pending[topic] = len(state.pending)
    score_state.refuse_foreign(foreign)
    return pending


def check_weights(
    pending: Mapping[Topic, int],
    policy: score_state.ScoringPolicy,
    args: argparse.Namespace,
    reporter: Reporter,
) -> int:
    """Find the weights if an image is to be scored. Returns the exit status; raises UserError."""
    if pending:
        from common.clip.engine import Engine  # torch

        policy.head.check(Engine(policy.model, args, reporter).shape.dim)
    lines = ["👍 Ready to score" if pending else "👍 Nothing to score"]
    print_result(args, lines, {"topics": len(pending), "images": sum(pending.values())})
    return reporter.status


def score_topics(
    pending: Mapping[Topic, int],
    policy: score_state.ScoringPolicy,
    args: argparse.Namespace,
    totals: ScoreTotals,
    reporter: Reporter,
) -> None:
    """Embed what has no vector yet, and write each topic's scores when its last image is done.

    Topics that another run has claimed come last, when that run is done with them.
    """
    from common.clip import embed  # numpy, and torch if an image must be opened
    from common.clip.engine import Engine
    from common.clip.ray import client

    run = ScoringRun(policy, reporter, totals)
    with client.open_fleet(args, reporter) as fleet:

        @functools.cache
        def make_engine() -> Engine:
            engine = client.make_engine(fleet, policy.model, args, reporter)
            policy.head.check(engine.shape.dim)
            return engine

        for topics in run.claims.passes(list(pending)):
            total = sum(pending[topic] for topic in topics)
            with durability.BackgroundWriter(run.write_scores) as write_later:
                jobs = run.plan_jobs(topics, write_later)
                keep = not args.no_cache
                for job in embed.embed_jobs(jobs, make_engine, reporter, total, keep):
                    write_later(job)


class ScoringRun:
    """The topics under way: claimed, inspected, and not yet written."""

    def __init__(
        self, policy: score_state.ScoringPolicy, reporter: Reporter, totals: ScoreTotals
    ) -> None:
        self.claims = locks.Claims(policy.model.sidecar, reporter)
        self._policy = policy
        self._reporter = reporter
        self._totals = totals
        self._totals_lock = threading.Lock()
        self._states: dict[str, score_state.ScoreState] = {}  # by topic path

    def plan_jobs(
        self, topics: Sequence[Topic], write_later: Callable[["EmbeddingJob"], None]
    ) -> Iterator["EmbeddingJob"]:
        """Yield a job for each claimed topic with images to embed; `write_later` the others."""
        from common.clip import embed

        for topic in filter(self.claims.try_claim, topics):
            state = score_state.inspect_topic(topic, self._policy, self._reporter)
            score_state.refuse_foreign([state])
            self._states[topic.path] = state
            job = embed.plan_embedding(
                topic, state.stamps, state.pending, self._policy.model, self._reporter
            )
            if job.names:
                yield job
            else:
                write_later(job)

    def write_scores(self, job: "EmbeddingJob") -> None:
        """Write the scores of a topic whose vectors are complete, and release its claim."""
        state, scores, made_by = score_state.write_topic_scores(
            self._states.pop(job.topic.path),
            job.vectors,
            job.failed,
            self._policy,
            self._reporter,
        )
        with self._totals_lock:
            self._totals.add(state, scores, made_by, len(job.names) - len(job.failed))
        self.claims.release(job.topic)


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
