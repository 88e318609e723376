"""The tables and lists of folders by score that aesthetic_stats.py prints.

`data` is the object of ranking.ranking_json throughout.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import terminal
from reports import charts, ranking

MAX_EXTREME_SUBCLUSTERS = 6  # best and worst in full tables; the JSON has them all
NAME_COLUMNS = 22  # of a name in a table, so that all tables line up
PLOT_COLUMNS = 18
MIN_NAME_COLUMNS = 6  # of a name in a list: five fit beside their medians
LIST_INDENT = 11

Sections = Mapping[str, Sequence[str]]  # folder labels by title
Ranked = Mapping[str, Any]  # scores by folder label


def format_ranking(sections: Sections, ranked: Ranked, overall: Mapping[str, Any]) -> list[str]:
    """Return a table with one line per folder: name, images, median, quartiles, range plot.

    Names are unique among all folders in `ranked`.
    """
    names = terminal.shortest_unique_names(ranked)
    shown = [names[label] for labels in sections.values() for label in labels]
    name_columns = _name_columns(shown)
    truncated = terminal.truncate_distinct(shown, name_columns)
    low = f"{overall['min']:.2f}"
    high = f"{overall['max']:.2f}"
    axis = low + high.rjust(PLOT_COLUMNS - len(low))
    rows: list[tuple[str, ...]] = []
    for title, labels in sections.items():
        if rows:
            rows.append((title, "", "", "", "", ""))
        else:
            rows.append((title, "images", "median", "quartiles", axis, ""))
        for label in labels:
            cell = terminal.pad_cell(truncated[names[label]], name_columns)
            rows.append((cell, *_figures(ranked[label], overall)))
    return terminal.format_table(rows, " rrr  ")


def _name_columns(names: Sequence[str]) -> int:
    """Return how wide names may be: NAME_COLUMNS, or what the longest needs on a wide terminal."""
    longest = max(map(terminal.display_width, names), default=0)
    return max(NAME_COLUMNS, min(longest, NAME_COLUMNS + terminal.extra_columns()))


def _figures(scores: Mapping[str, Any], overall: Mapping[str, Any]) -> tuple[str, ...]:
    q1, median, q3 = scores["q1"], scores["median"], scores["q3"]
    return (
        terminal.thousands(scores["images"]),
        f"{median:.2f}",
        f"{q1:.2f}–{q3:.2f}",
        charts.range_plot(q1, median, q3, overall["min"], overall["max"], PLOT_COLUMNS),
        "few" if scores["few"] else "",
    )


def brief_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line per subcluster, then one for its best topics and one for its worst."""
    best = ranking.best_first(data["subclusters"])
    lines = format_ranking({"": best}, data["subclusters"], data["overall"])
    yield from lines[: -len(best)]  # the heading, if there is room for a table
    for label, line in zip(best, lines[-len(best) :], strict=True):
        yield line
        yield from extremes_lines(data, data["subclusters"][label]["ranking"])


def extremes_lines(data: Mapping[str, Any], topics: Sequence[str]) -> Iterator[str]:
    """Yield the best and the worst topics with their medians, each topic once.

    `topics` has the best first. Names are truncated so that each list fits on one line if possible.
    """
    best = topics[: min(data["top"], (len(topics) + 1) // 2)]
    worst = ranking.worst_first(data["topics"], topics[len(best) :])[: data["top"]]
    names = terminal.shortest_unique_names([*best, *worst])
    room = terminal.line_columns() - LIST_INDENT

    def items(columns: int) -> list[list[str]]:
        truncated = terminal.truncate_distinct(names.values(), columns)
        lists = []
        for side in (best, worst):
            lists.append(
                [f"{truncated[names[label]]} {_median(data['topics'][label])}" for label in side]
            )
        return lists

    def is_too_wide(columns: int) -> bool:
        return any(terminal.display_width(", ".join(side)) > room for side in items(columns))

    longest = min(room, max(map(terminal.display_width, names.values())))
    choices = range(MIN_NAME_COLUMNS + 1, max(MIN_NAME_COLUMNS, longest) + 1)
    columns = MIN_NAME_COLUMNS + bisect_right(choices, False, key=is_too_wide)
    for title, side in zip(("best", "worst"), items(columns), strict=True):
        lines = charts.join_wrapped(side, terminal.terminal_columns() - LIST_INDENT)
        for number, line in enumerate(lines):
            heading = "" if number else title
            yield f"    {heading:6}{line}"


def _median(topic: Mapping[str, Any]) -> str:
    mark = "*" if topic["few"] else ""
    return f"{topic['median']:.2f}{mark}"


def full_tables(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of the best and worst subclusters, then one per subcluster of its topics."""
    subclusters = data["subclusters"]
    yield from format_ranking(_extreme_subclusters(subclusters), subclusters, data["overall"])
    for label, subcluster in sorted(subclusters.items()):
        topics = terminal.plural(subcluster["topics"], "topic")
        summary = f"median {subcluster['median']:.2f}, {topics}"
        room = terminal.line_columns() - 5 - len(summary)
        yield ""
        yield f"📂 {terminal.truncate_middle(terminal.escape(label), room)}  {summary}"
        ranked = {topic: data["topics"][topic] for topic in subcluster["ranking"]}
        sections = ranking.best_and_worst(subcluster, data["top"])
        yield from format_ranking(sections, ranked, data["overall"])


def _extreme_subclusters(subclusters: Ranked) -> dict[str, list[str]]:
    """Return the best and the worst subclusters by title; all of them if they are few."""
    best = ranking.best_first(subclusters)
    between = len(best) - 2 * MAX_EXTREME_SUBCLUSTERS
    if between <= 0:
        return {"": best}
    return {
        f"best {MAX_EXTREME_SUBCLUSTERS}": best[:MAX_EXTREME_SUBCLUSTERS],
        f"worst {MAX_EXTREME_SUBCLUSTERS} ({between:,} more between)": best[
            -MAX_EXTREME_SUBCLUSTERS:
        ],
    }
