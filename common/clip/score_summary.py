"""What a run of the scorer adds up to, as JSON and for people."""

from __future__ import annotations

import statistics
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from common import terminal, topic_scores
from common.clip import score_state
from common.reporter import Reporter


@dataclass
class ScoreTotals:
    """What the run adds up to, topic by topic. Of the images only their scores are kept."""

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
        scores: Mapping[str, float],
        made_by: Mapping[str, str],
        embedded: int = 0,
    ) -> None:
        reported = {name: scores[name] for name in filter(state.topic.reports, scores)}
        already_scored = len(reported.keys() & state.kept_scores.keys())
        self.topics += 1
        self.images += len(state.stamps)
        self.already_scored += already_scored
        self.scored += len(reported) - already_scored
        self.embedded += embedded
        self.values.extend(reported.values())
        self.precisions.update(topic_scores.precisions_of(made_by))


def result_json(
    totals: ScoreTotals, policy: score_state.ScoringPolicy, reporter: Reporter
) -> dict[str, Any]:
    """The object that --json prints."""
    median = round(statistics.median(totals.values), 4) if totals.values else None
    return {
        "images": totals.images,
        "scored": totals.scored,
        "already_scored": totals.already_scored,
        "unreadable": reporter.unreadable,
        "topics": totals.topics,
        **policy.made_by,
        "precision": "+".join(sorted(totals.precisions)) or None,
        "median_score": median,
        "seconds": round(totals.seconds, 2),
        "images_per_second": round(totals.embedded / totals.seconds, 1),
    }


def summary_lines(
    totals: ScoreTotals, policy: score_state.ScoringPolicy, reporter: Reporter
) -> Iterator[str]:
    """The summary for people."""
    used = policy.model
    yield f"🎨 {'Technical quality' if used.is_tiny else 'Aesthetic'} scores"
    yield f"   📁 topics            {totals.topics:>12,}"
    yield f"   🖼  images            {totals.images:>12,}"
    yield f"   ✅ scored            {totals.scored:>12,}"
    yield f"   💤 already scored    {totals.already_scored:>12,}"
    yield f"   ❌ unreadable        {reporter.unreadable:>12,}"
    if totals.values:
        yield f"   ⭐ median score      {statistics.median(totals.values):>12.2f}"
    speed = ""
    if totals.embedded:
        speed = f", {totals.embedded / totals.seconds:,.1f} images/s"
    yield f"   ⏱  time              {terminal.format_duration(totals.seconds):>12}{speed}"
    yield f"   🧠 model             {used.name} ({used.weights}), head {policy.head_choice.name}"
