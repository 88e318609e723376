#!/usr/bin/env python3
"""Rank the topics of image datasets by the scores that aesthetic_scorer.py left in them.

Shows the median and the middle half (quartiles) of the scores: of all images with a histogram, of each cluster, of the
subclusters, and of the best and worst topics of each subcluster. A folder's median is that of all its images. Ties go
by name. Topics with few images are flagged, never hidden. What has no score, or one that cannot be compared with the
others, is counted and named. With --json or --output, all of it as JSON:

    {
      "overall": {"images": 346, "median": 5.31, "q1": 4.87, "q3": 5.8, "histogram": [...], ...},
      "subclusters": {"Photos/Animals/Birds": {"median": 5.55, "top": [{"topic": "Photos/Animals/Birds/Owls",
                      "median": 6.02, "images": 16, ...}], "bottom": [...], "in_both": [], ...}, ...},
      "topics": {"Photos/Animals/Birds/Owls": {"images": 16, "median": 6.02, "q1": 5.5, "q3": 6.3, ...}, ...},
      "made_by": {"ViT-L-14-quickgelu (openai) + laion-v1": 346}, "few_images": [...], ...
    }

It never opens an image (but for the thumbnails of --html) and never changes a file of the dataset.

examples:
  aesthetic_stats.py ~/datasets/Photos
  aesthetic_stats.py Photos Drawings --top 10 --html scores.html
  aesthetic_stats.py Photos/Animals --json --quiet | jq '.subclusters[].top[0].topic'
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import functools
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import atomic_files, cli, json_files, terminal, tree
from common.errors import UserError
from common.reporter import Reporter, print_result
from common.topic_scores import AESTHETICS
from reports import charts, ranking

TOP = 5
MIN_IMAGES = 5
LISTED = 6  # best and worst subclusters of --all; the JSON has them all
SHARES = (("half", "q1", "q3"), ("90 %", "p5", "p95"), ("all", "min", "max"))
NAME, STRIP = (
    22,
    18,
)  # columns of a name, so that all tables line up, and of the picture of a spread
LEAST = 6  # columns that a name keeps on a line that it shares: five fit beside their medians


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk = Reporter(args)
    topics = tree.find_topics(args.paths, talk.warn)
    data = ranking.ranking_json(topics, args.top, args.min_images, talk)
    check(data, args.paths, talk)
    if args.output:
        json_files.write_json(args.output, data)
    if args.html:
        from reports import aesthetic_page  # Jinja2 and thumbnails, only where a page is wanted

        aesthetic_page.write_page(args.html, topics, data, talk)
    print_result(args, summary(data, args.all), data)
    talk.print_totals(
        data["found"],
        scored=data["overall"]["images"],
        without_score=data["found"] - data["overall"]["images"],
    )
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, opens_images=False)
    add = functools.partial(parser.add_argument, type=cli.positive_int)
    add(
        "--top",
        default=TOP,
        metavar="K",
        help="best and worst topics a subcluster (default: %(default)s)",
    )
    add(
        "--min-images",
        default=MIN_IMAGES,
        metavar="N",
        help="flag topics with fewer (default: %(default)s)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="print a table of topics for each subcluster, not three lines",
    )
    parser.add_argument("--output", metavar="FILE", help="also write the JSON to FILE")
    parser.add_argument(
        "--html", metavar="FILE", help="also write a page with charts and thumbnails"
    )
    args = parser.parse_args(argv)
    for option in ("output", "html"):
        if getattr(args, option):
            atomic_files.check_output(getattr(args, option), f"--{option}")
    return args


def check(data: Mapping[str, Any], paths: Sequence[str], talk: Reporter) -> None:
    """Stop where there is nothing to rank; warn where the scores cannot be compared."""
    if not data["topics"]:
        damaged = [file["path"] for file in data["damaged_files"]]
        reason = f"{terminal.list_few(damaged)} damaged" if damaged else "no scores found"
        raise UserError(f"{', '.join(paths)}: {reason}; run aesthetic_scorer.py first")
    if len(data["made_by"]) > 1:
        talk.warn(
            f"scores of different origin are compared: {', '.join(ranking.makers_in_words(data))}"
        )


def summary(data: Mapping[str, Any], tables: bool) -> Iterator[str]:
    """The lines that people read."""
    overall, judged = data["overall"], " and ".join(data["judges"])
    yield f"🎨 {terminal.truncate_middle(terminal.list_few(data['datasets']), terminal.MAX_WIDTH - 25)}: median score {overall['median']:.2f}"
    counted = [
        terminal.plural(len(data[level + "s"]), level)
        for level in ("cluster", "subcluster", "topic")
    ]
    yield f"   {terminal.plural(overall['images'], 'scored image')} · {' · '.join(counted)}"
    if judged != AESTHETICS:
        yield (
            f"   scores mean {judged}, not aesthetics"
            if AESTHETICS not in judged
            else f"   scores mean {judged}"
        )
    yield from (
        f"   {terminal.truncate_middle(line, terminal.MAX_WIDTH - 3)}"
        for line in ranking.makers_in_words(data)
    )
    yield from ("", "📊 All images")
    lows = [(share, overall[low], overall[high]) for share, low, high in SHARES]
    said = " · ".join(f"{share} {low:.2f} to {high:.2f}" for share, low, high in lows)
    yield f"   {terminal.truncate_middle(said, terminal.MAX_WIDTH - 3)}"
    digits = 1 if all(round(b["from"], 1) == b["from"] for b in overall["histogram"]) else 2
    shares = {
        f"{b['from']:.{digits}f} to {b['to']:.{digits}f}": b["images"] for b in overall["histogram"]
    }
    yield from charts.bar_chart(
        shares,
        overall["images"],
        keep_order=True,
        max_entries=len(shares),
        full=max(shares.values()),
    )
    said = ", ".join(leaves(data)) or "nearly all or none"
    yield f"   {terminal.truncate_middle(f'--min-score leaves {said}', terminal.MAX_WIDTH - 3)}"
    yield from ("", "📁 Clusters, best first")
    yield from table({"": ranking.best_first(data["clusters"])}, data["clusters"], overall)
    yield from ("", "📂 Subclusters, best first")
    yield from whole(data) if tables else brief(data)
    if data["few_images"]:
        mark = "few" if tables else "few, *"
        yield from (
            "",
            f"   {mark}: fewer than {terminal.plural(data['min_images'], 'scored image')}, not to be relied on",
        )
    yield ""
    yield from charts.warnings_section(ranking.ranking_warnings(data))


def leaves(data: Mapping[str, Any]) -> list[str]:
    """`4.5: 80 %` for half points that leave more than a few images and cut off more than a few; five fit a line."""
    shares = {
        score: round(100 * n / data["overall"]["images"])
        for score, n in data["score_at_least"].items()
    }
    telling = [f"{score}: {percent} %" for score, percent in shares.items() if 5 <= percent <= 95]
    return telling[:: -(-len(telling) // 5) or 1]


def brief(data: Mapping[str, Any]) -> Iterator[str]:
    """A line for each subcluster, then one for its best topics and one for its worst."""
    best = ranking.best_first(data["subclusters"])
    lines = table({"": best}, data["subclusters"], data["overall"])
    yield from lines[: -len(best)]  # the heading, where there is room for a table
    for label, line in zip(best, lines[-len(best) :], strict=True):
        yield line
        yield from ends(data, data["subclusters"][label]["ranking"])


def ends(data: Mapping[str, Any], ordered: Sequence[str]) -> Iterator[str]:
    """The best and the worst of a subcluster's topics with their medians, each topic once; names are cut to fit."""
    best = ordered[: min(data["top"], (len(ordered) + 1) // 2)]
    worst = ranking.worst_first(data["topics"], ordered[len(best) :])[: data["top"]]
    names = terminal.shortest_unique_names([*best, *worst])
    room = max(terminal.terminal_columns(), terminal.MAX_WIDTH) - 11

    def lines(columns: int) -> list[list[str]]:
        cut = terminal.truncate_distinct(names.values(), columns)
        return [
            [f"{cut[names[label]]} {score(data['topics'][label])}" for label in side]
            for side in (best, worst)
        ]

    def too_wide(columns: int) -> bool:
        return any(terminal.display_width(", ".join(items)) > room for items in lines(columns))

    longest = max(LEAST, min(room, max(map(terminal.display_width, names.values()))))
    columns = LEAST + bisect_right(range(LEAST + 1, longest + 1), False, key=too_wide)
    for title, items in zip(("best", "worst"), lines(columns), strict=True):
        for number, line in enumerate(charts.join_wrapped(items, terminal.terminal_columns() - 11)):
            yield f"    {'' if number else title:6}{line}"


def score(topic: Mapping[str, Any]) -> str:
    return f"{topic['median']:.2f}{'*' if topic['few'] else ''}"


def whole(data: Mapping[str, Any]) -> Iterator[str]:
    """A table of the best and the worst subclusters, and for each subcluster one of its best and worst topics."""
    subclusters, overall = data["subclusters"], data["overall"]
    yield from table(apart(subclusters), subclusters, overall)
    for label, subcluster in sorted(subclusters.items()):
        said = (
            f"median {subcluster['median']:.2f}, {terminal.plural(subcluster['topics'], 'topic')}"
        )
        yield from (
            "",
            f"📂 {terminal.truncate_middle(terminal.escape(label), terminal.MAX_WIDTH - 5 - len(said))}  {said}",
        )
        ranked = {topic: data["topics"][topic] for topic in subcluster["ranking"]}
        yield from table(ranking.best_and_worst(subcluster, data["top"]), ranked, overall)


def apart(subclusters: Mapping[str, Any]) -> dict[str, list[str]]:
    """The best and the worst subclusters; all of them where that is no more."""
    best = ranking.best_first(subclusters)
    if len(best) <= 2 * LISTED:
        return {"": best}
    left = f"worst {LISTED} ({len(best) - 2 * LISTED:,} more between)"
    return {f"best {LISTED}": best[:LISTED], left: best[-LISTED:]}


def table(
    sections: Mapping[str, Sequence[str]], ranked: Mapping[str, Any], overall: Mapping[str, Any]
) -> list[str]:
    """A line a folder: images, median, quartiles, their place; its name is unlike that of all others in `ranked`."""
    names, low, high = terminal.shortest_unique_names(ranked), overall["min"], overall["max"]
    cut = terminal.truncate_distinct(
        (names[label] for labels in sections.values() for label in labels), NAME
    )
    axis = f"{low:.2f}{high:{STRIP - len(f'{low:.2f}')}.2f}"
    rows: list[tuple[str, ...]] = []
    for title, labels in sections.items():
        rows.append(
            (title, "", "", "", "", "")
            if rows
            else (title, "images", "median", "quartiles", axis, "")
        )
        for label in labels:
            found = ranked[label]
            strip = charts.range_plot(found["q1"], found["median"], found["q3"], low, high, STRIP)
            quartiles = f"{found['q1']:.2f}–{found['q3']:.2f}"
            few = "few" if found["few"] else ""
            figures = (
                terminal.thousands(found["images"]),
                f"{found['median']:.2f}",
                quartiles,
                strip,
                few,
            )
            rows.append((terminal.pad_cell(cut[names[label]], NAME), *figures))
    return terminal.format_table(rows, " rrr  ")


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
