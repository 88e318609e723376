"""What the page of a dataset's scores shows: their spread, and strips of images from the best and the worst topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common import atomic_files, terminal, tree
from common.reporter import Reporter
from common.topic_scores import AESTHETICS, load_topic_scores
from common.topics import Topic
from reports import page, quantiles, ranking

STRIPS = 700  # topics that may get a strip of thumbnails: more than a page holds


def write_page(path: str, topics: Sequence[Topic], data: Mapping[str, Any], talk: Reporter) -> None:
    found = {label: group[0] for label, group in tree.group_by_level(topics, "topic").items()}
    telling = _telling(data)
    strips = {label: _strip(found[label]) for label in telling[:STRIPS]}
    beyond = len(telling) - len(strips)
    wanted = [image["path"] for strip in strips.values() for image in strip]

    def context(rows: int) -> dict[str, Any]:
        overall = data["overall"]
        return {
            "title": terminal.list_few(data["datasets"]),
            "cards": _cards(data),
            "judges": " and ".join(data["judges"]),
            "is_technical": data["judges"] != [AESTHETICS],
            "makers": sorted(data["made_by"].items()),
            "attention": _attention(data),
            "overall": overall,
            "bins": [
                quantiles.Bin(bin["from"], bin["to"], bin["images"]) for bin in overall["histogram"]
            ],
            "score_at_least": _at_least(data),
            "clusters": _ranked(data["clusters"], rows),
            "subclusters": _ranked(data["subclusters"], rows),
            "subclusters_left_out": max(0, len(data["subclusters"]) - rows),
            "groups": _groups(data, strips, rows),
            "notes": [
                *(
                    [
                        f"{terminal.plural(beyond, 'topic')} without a strip, so that this page stays small."
                    ]
                    if beyond > 0
                    else []
                ),
                "A folder's median is that of all its images; the thick part of a spread is the middle half.",
                f"Few: fewer than {terminal.plural(data['min_images'], 'scored image')}, not to be relied on.",
            ],
        }

    page.write_page(path, "aesthetic.html", context, wanted, talk)


def _telling(data: Mapping[str, Any]) -> list[str]:
    """The topics in the order in which they get thumbnails.

    The best and the worst of each subcluster come first, then the second best and worst; among equals the topic goes
    first whose median is farthest from that of all images.
    """
    middle = data["overall"]["median"]
    places: dict[str, int] = {}
    for subcluster in data["subclusters"].values():
        for side in (subcluster["top"], subcluster["bottom"]):
            for place, entry in enumerate(side):
                places[entry["topic"]] = min(place, places.get(entry["topic"], place))
    return sorted(
        places,
        key=lambda label: (places[label], -abs(data["topics"][label]["median"] - middle), label),
    )


def _strip(topic: Topic) -> list[dict[str, str]]:
    """The topic's best, median and worst image; fewer where it has fewer."""
    try:
        scores = load_topic_scores(topic).usable
    except atomic_files.Damaged:  # since it was ranked
        return []
    names = sorted(scores, key=lambda name: (-scores[name], name))
    kinds = (
        {0: "best", len(names) - 1: "worst", (len(names) - 1) // 2: "median"}
        if len(names) > 2
        else {}
    )
    kinds = kinds or dict(enumerate(("best", "worst")[: len(names)]))
    return [
        {
            "path": topic.path_of(names[place]),
            "number": f"{scores[names[place]]:.2f}",
            "caption": kinds[place],
            "title": f"{names[place]}: {scores[names[place]]:.2f}, the {kinds[place]} of {topic.name}",
        }
        for place in sorted(kinds)
    ]


def _cards(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    overall = data["overall"]
    return [
        (f"{overall['median']:.2f}", "median score"),
        (f"{overall['q1']:.2f} – {overall['q3']:.2f}", "middle half"),
        (terminal.thousands(overall["images"]), "scored images"),
        (terminal.thousands(data["found"] - overall["images"]), "without a score"),
        (terminal.thousands(overall["topics"]), "topics"),
        (terminal.thousands(len(data["few_images"])), "few-image topics"),
    ]


def _attention(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"title": title, "places": places, "count": count, "images": []}
        for title, places, count in ranking.ranking_warnings(data)
        if count
    ]


def _at_least(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    images = data["overall"]["images"]
    return [
        {
            "label": f"≥ {score}",
            "percent": 100 * n / images,
            "value": f"{n:,} · {terminal.format_percent(n, images)}",
        }
        for score, n in data["score_at_least"].items()
    ]


def _ranked(folders: Mapping[str, Any], rows: int) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Label, name and scores of the best `rows` folders; a name is unlike that of any other folder, shown or not."""
    names = terminal.shortest_unique_names(folders)
    return [(label, names[label], folders[label]) for label in ranking.best_first(folders)[:rows]]


def _groups(data: Mapping[str, Any], strips: Mapping[str, Any], rows: int) -> list[dict[str, Any]]:
    """The subclusters, best first: their top and bottom topics with strips, and the others, `rows` topics in all."""
    left = rows
    groups = []
    for label, _, subcluster in _ranked(data["subclusters"], rows):
        sections: list[dict[str, Any]] = [
            {"title": title, "topics": [_topic(data, topic, strips) for topic in topics[:left]]}
            for title, topics in ranking.best_and_worst(subcluster, data["top"]).items()
        ]
        shown = {topic["label"] for section in sections for topic in section["topics"]}
        others = [topic for topic in subcluster["ranking"] if topic not in shown][
            : max(0, left - len(shown))
        ]
        left = max(0, left - len(shown) - len(others))
        groups.append(
            {
                "label": label,
                "found": subcluster,
                "sections": sections,
                "others": [_topic(data, topic, {}) for topic in others],
                "left_out": subcluster["topics"] - len(shown) - len(others),
            }
        )
    return groups


def _topic(data: Mapping[str, Any], label: str, strips: Mapping[str, Any]) -> dict[str, Any]:
    return {"label": label, "found": data["topics"][label], "strip": strips.get(label, [])}
