"""Ranks topics, subclusters and clusters by the median score of their images.

Works on scores that were held against their folders (common/topic_scores.py). Keeps a topic's scores only as long
as it takes to count them: what stays are quantiles, distinct scores, and the names of what is wrong.
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
from common.topics import Topic
from reports import quantiles

WRONG = (
    ("images_without_score", "image", "without a score"),
    ("unusable_scores", "image", "with NaN or text for a score"),
    ("vanished_images", "score", "of images that are gone"),
)

HALVES = 200  # half points listed at most: scores of another scale may have any range

Counts = Counter[float]


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
    """What was read: images, and the scores' origin."""

    images: int = 0
    made_by: Counter[str] = field(default_factory=Counter)  # scores by what made them
    judges: Counter[str] = field(default_factory=Counter)  # scores by what they mean


def ranking_json(
    topics: Sequence[Topic], top: int, min_images: int, talk: Reporter
) -> dict[str, Any]:
    """Everything there is to say of the topics' scores, as it goes into the JSON. Reads every score once."""
    names = {group[0]: label for label, group in tree.group_by_level(topics, "topic").items()}
    folders = {level: tree.group_by_level(topics, level) for level in tree.LEVEL_NAMES[1:]}
    ranked: dict[str, dict[str, Any]] = {}
    counts: dict[str, dict[str, Counts]] = {"subcluster": {}}
    wrong, tally = Problems(), ScoreTotals()
    with talk.progress(len(topics), unit="topic") as progress:
        for label, group in folders["subcluster"].items():
            inside = Counts()
            for topic in group:
                scores = _scores(topic, names[topic], wrong, tally, talk)
                if scores:
                    ranked[names[topic]] = _described(Counts(scores), min_images)
                    inside.update(scores)
                progress.update()
            if inside:
                counts["subcluster"][label] = inside
    for level, lower in (("cluster", "subcluster"), ("dataset", "cluster")):
        counts[level] = _roll_up(folders[level], folders[lower], counts[lower])
    overall = sum(counts["dataset"].values(), Counts())
    return {
        "topics": ranked,
        **{
            f"{level}s": {
                label: {
                    **_described(found, min_images),
                    **_extremes(ranked, [names[topic] for topic in folders[level][label]], top),
                }
                for label, found in counts[level].items()
            }
            for level in folders
        },
        "overall": {
            **_described(overall, min_images),
            "topics": len(ranked),
            "histogram": [
                {"from": b.low, "to": b.high, "images": b.count}
                for b in quantiles.histogram(overall)
            ],
        },
        "score_at_least": score_at_least(overall),
        "top": top,
        "min_images": min_images,
        "few_images": [label for label, topic in ranked.items() if topic["few"]],
        "found": tally.images,
        "made_by": dict(tally.made_by),
        "judges": sorted(tally.judges) or [AESTHETICS],
        **vars(wrong),
    }


def score_at_least(counts: Counts) -> dict[str, int]:
    """How many images score each half point or more: what split_data.py --min-score would leave."""
    low, high = (
        math.floor(2 * score) for score in (min(counts, default=0), max(counts, default=-1))
    )
    halves = range(low, min(high, low + HALVES) + 1)
    return {
        f"{half / 2:.1f}": sum(n for score, n in counts.items() if score >= half / 2)
        for half in halves
    }


def _scores(
    topic: Topic, label: str, wrong: Problems, tally: ScoreTotals, talk: Reporter
) -> list[float]:
    """The topic's usable scores; what is wrong with the others is noted."""
    try:
        found = load_topic_scores(topic)
    except atomic_files.Damaged as error:
        talk.warn(str(error))
        wrong.damaged_files.append(
            {"path": f"{label}/{json_files.SCORES_FILE}", "reason": error.reason}
        )
        tally.images += topic.image_count
        return []
    _note(found, label, wrong, tally)
    return list(found.usable.values())


def _roll_up(
    folders: Mapping[str, list[Topic]],
    below: Mapping[str, list[Topic]],
    counts: Mapping[str, Counts],
) -> dict[str, Counts]:
    """The scores of folders from those of the folders below them."""
    parent = {topic: label for label, group in folders.items() for topic in group}
    summed: dict[str, Counts] = {}
    for label, inside in counts.items():
        summed.setdefault(parent[below[label][0]], Counts()).update(inside)
    return summed


def best_first(ranked: Mapping[str, Any], labels: Iterable[str] | None = None) -> list[str]:
    """Labels by median, the highest first; ties by name."""
    return sorted(
        ranked if labels is None else labels, key=lambda label: (-ranked[label]["median"], label)
    )


def worst_first(ranked: Mapping[str, Any], labels: Iterable[str] | None = None) -> list[str]:
    return sorted(
        ranked if labels is None else labels, key=lambda label: (ranked[label]["median"], label)
    )


def _described(counts: Counts, min_images: int) -> dict[str, Any]:
    images = sum(counts.values())
    return {"images": images, "few": images < min_images, **quantiles.summarize(counts)}


def _note(found: TopicScores, label: str, wrong: Problems, tally: ScoreTotals) -> None:
    tally.images += len(found.usable) + len(found.unscored) + len(found.unusable)
    tally.made_by.update(found.makers)
    if found.usable:
        tally.judges[found.judges] += len(found.usable)
    without = found.unscored and not found.usable and not found.unusable
    if without:
        wrong.topics_without_scores.append(label)
    for names, noted in (
        ([] if without else found.unscored, wrong.images_without_score),
        (found.unusable, wrong.unusable_scores),
        (found.vanished, wrong.vanished_images),
    ):
        if names:
            noted[label] = names


def _extremes(ranked: dict[str, Any], labels: list[str], top: int) -> dict[str, Any]:
    """The best and the worst topics of a folder; where it has too few for both, `in_both` names the shared ones."""
    labels = best_first(ranked, filter(ranked.__contains__, labels))
    best, worst = labels[:top], worst_first(ranked, labels)[:top]

    def entry(label: str) -> dict[str, Any]:
        return {
            "topic": label,
            **{key: ranked[label][key] for key in ("images", "median", "q1", "q3", "few")},
        }

    return {
        "topics": len(labels),
        "ranking": labels,
        "top": [entry(label) for label in best],
        "bottom": [entry(label) for label in worst],
        "in_both": [label for label in best if label in worst],
    }


def best_and_worst(subcluster: Mapping[str, Any], top: int) -> dict[str, list[str]]:
    """The top and the bottom topics under a title each; a subcluster with too few for both shows each topic once."""
    best, worst = ([entry["topic"] for entry in subcluster[side]] for side in ("top", "bottom"))
    if subcluster["topics"] >= 2 * top:
        return {f"top {top}": best, f"bottom {top}, worst first": worst}
    return {
        f"all {subcluster['topics']}, best first": best
        + [label for label in reversed(worst) if label not in best]
    }


def makers_in_words(data: Mapping[str, Any]) -> list[str]:
    return [
        f"{terminal.plural(count, 'score')} by {terminal.escape(maker)}"
        for maker, count in sorted(data["made_by"].items())
    ]


def ranking_warnings(data: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]], int]]:
    """What somebody should look at before they rely on the ranking: title, places with a word each, their number."""
    damaged = [(file["path"].rpartition("/")[0], file["reason"]) for file in data["damaged_files"]]
    unscored = [(label, "no scores") for label in data["topics_without_scores"]]
    origins = [(maker, "") for maker in makers_in_words(data)] if len(data["made_by"]) > 1 else []
    found = [
        ("scores of different origin are compared", origins, len(origins)),
        (
            f"{terminal.plural(len(damaged), 'topic')} with a damaged {json_files.SCORES_FILE}, not counted",
            damaged,
            len(damaged),
        ),
        (f"{terminal.plural(len(unscored), 'topic')} without scores", unscored, len(unscored)),
    ]
    for key, noun, rest in WRONG:
        named = [(label, terminal.list_few(names, 1)) for label, names in data[key].items()]
        found.append(
            (
                f"{terminal.plural(sum(map(len, data[key].values())), noun)} {rest}",
                named,
                len(named),
            )
        )
    return found
