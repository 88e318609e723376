"""Rank topics, subclusters and clusters by the median score of their images.

Uses scores that were compared with their folders (common/topic_scores.py). Holds the scores of a
topic only while they are counted: quantiles, distinct scores and the names of what is wrong remain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common import atomic_files, json_files, terminal, tree
from common.reporter import Reporter
from common.topic_scores import AESTHETICS, TopicScores, load_topic_scores
from common.topics import LEVEL_NAMES, Topic
from reports import quantiles

PROBLEMS = (  # key in the JSON, and how a warning counts them
    ("images_without_score", "image", "without a score"),
    ("unusable_scores", "image", "with NaN or text for a score"),
    ("vanished_images", "score", "of images that are gone"),
)
MAX_HALF_POINTS = 200  # listed; scores of another scale may have any range
ENTRY_KEYS = ("images", "median", "q1", "q3", "few")

Counts = Counter[float]  # how often each score occurs


@dataclass
class Problems:
    """What cannot be trusted or does not count, by topic label."""

    topics_without_scores: list[str] = field(default_factory=list)
    images_without_score: dict[str, list[str]] = field(default_factory=dict)
    unusable_scores: dict[str, list[str]] = field(default_factory=dict)
    vanished_images: dict[str, list[str]] = field(default_factory=dict)
    damaged_files: list[dict[str, str]] = field(default_factory=list)


@dataclass
class ScoreTotals:
    """How many images and scores were read, and the origin of the scores."""

    images: int = 0
    made_by: Counter[str] = field(default_factory=Counter)  # scores by what made them
    judges: Counter[str] = field(default_factory=Counter)  # scores by what they mean


class ScoreReader:
    """Reads the scores of topics, and collects totals and problems."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.problems = Problems()
        self.totals = ScoreTotals()

    def read_scores(self, topic: Topic, label: str) -> list[float]:
        """Return the usable scores of a topic."""
        try:
            scores = load_topic_scores(topic)
        except atomic_files.Damaged as error:
            self.reporter.warn(str(error))
            path = f"{label}/{json_files.SCORES_FILE}"
            self.problems.damaged_files.append({"path": path, "reason": error.reason})
            self.totals.images += topic.image_count
            return []
        self._count(scores)
        self._record_problems(scores, label)
        return list(scores.usable.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "found": self.totals.images,
            "made_by": dict(self.totals.made_by),
            "judges": sorted(self.totals.judges) or [AESTHETICS],
            **vars(self.problems),
        }

    def _count(self, scores: TopicScores) -> None:
        self.totals.images += len(scores.usable) + len(scores.unscored) + len(scores.unusable)
        self.totals.made_by.update(scores.makers)
        if scores.usable:
            self.totals.judges[scores.judges] += len(scores.usable)

    def _record_problems(self, scores: TopicScores, label: str) -> None:
        if scores.unscored and not scores.usable and not scores.unusable:
            self.problems.topics_without_scores.append(label)
        elif scores.unscored:
            self.problems.images_without_score[label] = scores.unscored
        if scores.unusable:
            self.problems.unusable_scores[label] = scores.unusable
        if scores.vanished:
            self.problems.vanished_images[label] = scores.vanished


def ranking_json(
    topics: Sequence[Topic], top: int, min_images: int, reporter: Reporter
) -> dict[str, Any]:
    """Return everything about the scores of the topics, for JSON. Reads every score once."""
    groups = tree.group_by_level(topics, "topic")
    labels = {group[0]: label for label, group in groups.items()}
    folders = {level: tree.group_by_level(topics, level) for level in LEVEL_NAMES[1:]}
    reader = ScoreReader(reporter)
    ranked: dict[str, dict[str, Any]] = {}
    counts: dict[str, dict[str, Counts]] = {"subcluster": {}}
    with reporter.progress(len(topics), unit="topic") as progress:
        for subcluster, group in folders["subcluster"].items():
            total = Counts()
            for topic in group:
                scores = reader.read_scores(topic, labels[topic])
                if scores:
                    ranked[labels[topic]] = _summarize(Counts(scores), min_images)
                    total.update(scores)
                progress.update()
            if total:
                counts["subcluster"][subcluster] = total
    for level, lower in (("cluster", "subcluster"), ("dataset", "cluster")):
        counts[level] = _roll_up(folders[level], folders[lower], counts[lower])
    summaries: dict[str, Any] = {}
    for level, level_folders in folders.items():
        summaries[f"{level}s"] = {}
        for folder, folder_counts in counts[level].items():
            members = [labels[topic] for topic in level_folders[folder]]
            summary = _summarize(folder_counts, min_images) | _extremes(ranked, members, top)
            summaries[f"{level}s"][folder] = summary
    overall = sum(counts["dataset"].values(), Counts())
    return {
        "topics": ranked,
        "topics_found": len(topics),
        **summaries,
        "overall": _overall_json(overall, len(ranked), min_images),
        "score_at_least": score_at_least(overall),
        "top": top,
        "min_images": min_images,
        "few_images": [label for label, topic in ranked.items() if topic["few"]],
        **reader.as_json(),
    }


def _summarize(counts: Counts, min_images: int) -> dict[str, Any]:
    images = sum(counts.values())
    return {"images": images, "few": images < min_images, **quantiles.summarize(counts)}


def _roll_up(
    folders: Mapping[str, list[Topic]],
    lower_folders: Mapping[str, list[Topic]],
    lower_counts: Mapping[str, Counts],
) -> dict[str, Counts]:
    """Return the scores of folders as sums of those of the folders one level below."""
    parents = {topic: label for label, group in folders.items() for topic in group}
    counts: dict[str, Counts] = {}
    for label, below in lower_counts.items():
        parent = parents[lower_folders[label][0]]
        counts.setdefault(parent, Counts()).update(below)
    return counts


def _extremes(ranked: dict[str, Any], labels: list[str], top: int) -> dict[str, Any]:
    """Return the best and worst topics of a folder. `in_both` names those in both lists."""
    labels = best_first(ranked, filter(ranked.__contains__, labels))
    best = labels[:top]
    worst = worst_first(ranked, labels)[:top]
    return {
        "topics": len(labels),
        "ranking": labels,
        "top": [_entry(ranked, label) for label in best],
        "bottom": [_entry(ranked, label) for label in worst],
        "in_both": [label for label in best if label in worst],
    }


def _entry(ranked: Mapping[str, Any], label: str) -> dict[str, Any]:
    return {"topic": label, **{key: ranked[label][key] for key in ENTRY_KEYS}}


def _overall_json(counts: Counts, topic_count: int, min_images: int) -> dict[str, Any]:
    bins = []
    for score_bin in quantiles.histogram(counts):
        bins.append({"from": score_bin.low, "to": score_bin.high, "images": score_bin.count})
    return {**_summarize(counts, min_images), "topics": topic_count, "histogram": bins}


def score_at_least(counts: Counts) -> dict[str, int]:
    """Count the images at or above each half point: what split_data.py --min-score would keep."""
    low = math.floor(2 * min(counts, default=0))
    high = math.floor(2 * max(counts, default=-1))
    images: dict[str, int] = {}
    for half_points in range(low, min(high, low + MAX_HALF_POINTS) + 1):
        limit = half_points / 2
        images[f"{limit:.1f}"] = sum(n for score, n in counts.items() if score >= limit)
    return images


def best_first(ranked: Mapping[str, Any], labels: Iterable[str] | None = None) -> list[str]:
    """Sort labels by median, highest first. Ties are broken by name."""
    return sorted(
        ranked if labels is None else labels, key=lambda label: (-ranked[label]["median"], label)
    )


def worst_first(ranked: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """Sort labels by median, lowest first. Ties are broken by name."""
    return sorted(labels, key=lambda label: (ranked[label]["median"], label))


def best_and_worst(subcluster: Mapping[str, Any], top: int) -> dict[str, list[str]]:
    """Return the best and worst topics by title. With few topics, each is listed once."""
    best = [entry["topic"] for entry in subcluster["top"]]
    worst = [entry["topic"] for entry in subcluster["bottom"]]
    if subcluster["topics"] >= 2 * top:
        return {f"top {top}": best, f"bottom {top}, worst first": worst}
    rest = [label for label in reversed(worst) if label not in best]
    return {f"all {subcluster['topics']}, best first": best + rest}


def score_origins(data: Mapping[str, Any]) -> list[str]:
    """Return one line per model that made scores."""
    lines = []
    for maker, count in sorted(data["made_by"].items()):
        lines.append(f"{terminal.plural(count, 'score')} by {terminal.escape(maker)}")
    return lines


def ranking_warnings(data: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]], int]]:
    """List what makes a ranking unreliable: title, places with a reason each, count."""
    origins = []
    if len(data["made_by"]) > 1:
        origins = [(origin, "") for origin in score_origins(data)]
    warnings = [("scores of different origin are compared", origins, len(origins))]
    damaged = [(file["path"].rpartition("/")[0], file["reason"]) for file in data["damaged_files"]]
    count = terminal.plural(len(damaged), "topic")
    title = f"{count} with a damaged {json_files.SCORES_FILE}, not counted"
    warnings.append((title, damaged, len(damaged)))
    unscored = [(label, "no scores") for label in data["topics_without_scores"]]
    count = terminal.plural(len(unscored), "topic")
    warnings.append((f"{count} without scores", unscored, len(unscored)))
    for key, noun, rest in PROBLEMS:
        places = [(label, terminal.list_few(names, 1)) for label, names in data[key].items()]
        total = sum(len(names) for names in data[key].values())
        warnings.append((f"{terminal.plural(total, noun)} {rest}", places, len(places)))
    return warnings
