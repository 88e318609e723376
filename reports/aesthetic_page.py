"""The page of a ranking: the distribution of scores, and images of the best and worst topics."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from common import atomic_files, terminal, tree
from common.reporter import Reporter
from common.topic_scores import AESTHETICS, load_topic_scores
from common.topics import Topic
from reports import galleries, levels, page, quantiles, ranking

MAX_STRIPS = 700  # topics that may get a strip of thumbnails; no page has room for more

Strips = Mapping[str, list[dict[str, str]]]  # figures by topic label


def write_page(
    path: str,
    topics: Sequence[Topic],
    data: Mapping[str, Any],
    gallery_size: int,
    reporter: Reporter,
) -> None:
    """Write the page of a ranking to `path`. `data` comes from ranking.ranking_json.

    `gallery_size` is the number of best images in a gallery, and of worst ones; 0 for none.
    """
    groups = tree.group_by_level(topics, "topic")
    labels = _topics_for_strips(data)
    strips = {label: _make_strip(groups[label][0]) for label in labels[:MAX_STRIPS]}
    shown = galleries.collect_galleries(topics, data, gallery_size)
    wanted = [figure["path"] for strip in strips.values() for figure in strip]
    if shown:
        wanted = list(dict.fromkeys([*shown.images_to_show(), *wanted]))
    page_folder = os.path.dirname(os.path.abspath(path))

    def context(max_rows: int) -> dict[str, Any]:
        overall = data["overall"]
        bins = []
        for entry in overall["histogram"]:
            bins.append(quantiles.Bin(entry["from"], entry["to"], entry["images"]))
        return {
            "title": terminal.list_few(data["datasets"]),
            "cards": _cards(data),
            "judges": " and ".join(data["judges"]),
            "is_technical": data["judges"] != [AESTHETICS],
            "makers": sorted(data["made_by"].items()),
            "attention": _warnings(data),
            "overall": overall,
            "bins": bins,
            "score_at_least": _at_least_bars(data),
            "clusters": _rows_by_rank(data["clusters"], max_rows),
            "has_subclusters": "subcluster" in levels.distinct_levels(data),
            "lowest_level": levels.level_title(data, "subcluster"),
            "subclusters": _rows_by_rank(data["subclusters"], max_rows),
            "subclusters_left_out": max(0, len(data["subclusters"]) - max_rows),
            "groups": _topic_groups(data, strips, max_rows),
            "galleries": shown,
            "gallery_json": lambda thumbnails: galleries.gallery_json(
                shown, thumbnails, page_folder, max_rows, page.level_option(topics)
            ),
            "notes": _notes(data, len(labels) - len(strips)),
        }

    scripts = ("controls.js", "page.js", "gallery.js")
    page.write_page(path, "aesthetic.html", context, wanted, reporter, scripts=scripts)


def _topics_for_strips(data: Mapping[str, Any]) -> list[str]:
    """Return the topics that are shown with images, in the order in which they get thumbnails.

    First the best and worst of each subcluster, then the second best and worst, and so on. Within
    a round, topics whose median is farthest from the overall median come first.
    """
    overall_median = data["overall"]["median"]
    rounds: dict[str, int] = {}
    for subcluster in data["subclusters"].values():
        for entries in (subcluster["top"], subcluster["bottom"]):
            for number, entry in enumerate(entries):
                topic = entry["topic"]
                rounds[topic] = min(number, rounds.get(topic, number))

    def sort_key(label: str) -> tuple[int, float, str]:
        distance = abs(data["topics"][label]["median"] - overall_median)
        return rounds[label], -distance, label

    return sorted(rounds, key=sort_key)


def _make_strip(topic: Topic) -> list[dict[str, str]]:
    """Return figures of the best, median and worst image; fewer if the topic has fewer images."""
    try:
        scores = load_topic_scores(topic).usable
    except atomic_files.Damaged:  # since it was ranked
        return []
    names = sorted(scores, key=lambda name: (-scores[name], name))
    if len(names) > 2:
        middle = (len(names) - 1) // 2
        chosen = {"best": names[0], "median": names[middle], "worst": names[-1]}
    else:
        chosen = dict(zip(("best", "worst"), names, strict=False))
    figures = []
    for kind, name in chosen.items():
        score = f"{scores[name]:.2f}"
        figures.append(
            {
                "path": topic.path_of(name),
                "number": score,
                "caption": kind,
                "title": f"{name}: {score}, the {kind} of {topic.name}",
            }
        )
    return figures


def _cards(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    overall = data["overall"]
    return [
        (f"{overall['median']:.2f}", "median score"),
        (f"{overall['q1']:.2f} – {overall['q3']:.2f}", "middle 50 %"),
        (terminal.thousands(overall["images"]), "scored images"),
        (terminal.thousands(data["found"] - overall["images"]), "without a score"),
        (terminal.thousands(overall["topics"]), "topics"),
        (terminal.thousands(len(data["few_images"])), "topics with few images"),
    ]


def _warnings(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    warnings = []
    for title, places, count in ranking.ranking_warnings(data):
        if count:
            warnings.append({"title": title, "places": places, "count": count, "images": []})
    return warnings


def _at_least_bars(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    total = data["overall"]["images"]
    bars = []
    for score, count in data["score_at_least"].items():
        value = f"{count:,} · {terminal.format_percent(count, total)}"
        bars.append({"label": f"≥ {score}", "percent": 100 * count / total, "value": value})
    return bars


def _rows_by_rank(
    folders: Mapping[str, Any], max_rows: int
) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Return label, name and scores of the best folders. Names are unique among all folders."""
    names = terminal.shortest_unique_names(folders)
    best = ranking.best_first(folders)[:max_rows]
    return [(label, names[label], folders[label]) for label in best]


def _topic_groups(data: Mapping[str, Any], strips: Strips, max_rows: int) -> list[dict[str, Any]]:
    """Return the subclusters, best first, with `max_rows` topics in all.

    Each has sections of its best and worst topics with strips, and its other topics.
    """
    rows_left = max_rows
    groups = []
    for label, _, subcluster in _rows_by_rank(data["subclusters"], max_rows):
        sections = []
        shown: set[str] = set()
        for title, topics in ranking.best_and_worst(subcluster, data["top"]).items():
            rows = [_topic_row(data, topic, strips) for topic in topics[:rows_left]]
            sections.append({"title": title, "topics": rows})
            shown.update(topics[:rows_left])
        others = [topic for topic in subcluster["ranking"] if topic not in shown]
        others = others[: max(0, rows_left - len(shown))]
        rows_left = max(0, rows_left - len(shown) - len(others))
        groups.append(
            {
                "label": label,
                "scores": subcluster,
                "sections": sections,
                "others": [_topic_row(data, topic, {}) for topic in others],
                "left_out": subcluster["topics"] - len(shown) - len(others),
            }
        )
    return groups


def _topic_row(data: Mapping[str, Any], label: str, strips: Strips) -> dict[str, Any]:
    return {"label": label, "scores": data["topics"][label], "strip": strips.get(label, [])}


def _notes(data: Mapping[str, Any], without_strip: int) -> list[str]:
    notes = [
        "The median of a folder is that of all its images. "
        "The thick part of a range is the middle 50 %.",
        f"Few: fewer than {terminal.plural(data['min_images'], 'scored image')}, "
        "too few to be reliable.",
    ]
    if without_strip > 0:
        topics = terminal.plural(without_strip, "topic")
        notes.insert(0, f"{topics} shown without images, so that this page stays small.")
    return notes
