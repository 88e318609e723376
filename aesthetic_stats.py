#!/usr/bin/env python3
"""Rank the topics of image datasets by the scores that aesthetic_scorer.py stored in them.

Shows the median and the middle 50 % (quartiles) of the scores: of all images with a histogram, of
each cluster, of the subclusters, and of the best and worst topics of each subcluster. The median of
a folder is that of all its images. Ties are broken by name. Topics with few images are flagged,
never hidden. Images without a score, or with one that is not comparable, are counted and listed.
With --json or --output, all of it as JSON:

    {
      "overall": {"images": 346, "median": 5.31, "q1": 4.87, "q3": 5.8, "histogram": [...], ...},
      "subclusters": {"Photos/Animals/Birds": {"median": 5.55,
          "top": [{"topic": "Photos/Animals/Birds/Owls", "median": 6.02, "images": 16, ...}],
          "bottom": [...], "in_both": [], ...}, ...},
      "topics": {"Photos/Animals/Birds/Owls": {"images": 16, "median": 6.02, "q1": 5.5, ...}, ...},
      "made_by": {"ViT-L-14-quickgelu (openai) + laion-v1": 346}, "few_images": [...], ...
    }

It opens images only for the thumbnails of --html. In the dataset it changes at most decisions.json:
--decisions adds what you decided on that page, such as images that no merge and no split takes.

examples:
  aesthetic_stats.py ~/datasets/Photos
  aesthetic_stats.py Photos Drawings --top 10 --html scores.html
  aesthetic_stats.py Photos --decisions ~/Downloads/decisions.json
  aesthetic_stats.py Photos/Animals --json --quiet | jq '.subclusters[].top[0].topic'
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import functools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import atomic_files, cli, json_files, terminal, tree
from common.errors import UserError
from common.reporter import Reporter, print_result
from common.topic_scores import AESTHETICS
from keeping import decision_files
from reports import charts, html_option, levels, ranking, score_tables

TOP_TOPICS = 5
GALLERY_IMAGES = 60
MIN_IMAGES = 5
RANGES = (("middle 50 %", "q1", "q3"), ("middle 90 %", "p5", "p95"), ("range", "min", "max"))
MAX_SHARES = 5  # of images at or above a score; more do not fit on a line
SHARE_PERCENTS = range(5, 96)  # that say something: not nearly all, not nearly none


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    topics = tree.find_given_topics(args, reporter)
    if args.decisions:
        decision_files.add_decisions(topics, reporter, args.decisions)
    data = ranking.ranking_json(topics, args.top, args.min_images, reporter)
    check_comparable(data, args.paths, reporter)
    if args.output:
        json_files.write_json(args.output, data)
    if args.html:
        from reports import aesthetic_page  # Jinja2 and Pillow, needed for a page only

        aesthetic_page.write_page(args.html, topics, data, args.gallery, reporter)
        html_option.announce_page(args, reporter)
    next_lines = cli.next_step(args, "find_duplicates.py", *args.paths)
    print_result(args, [*summary_lines(data, args.all), *next_lines], data | reporter.as_json())
    scored = data["overall"]["images"]
    reporter.print_totals(data["found"], scored=scored, without_score=data["found"] - scored)
    return reporter.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, opens_images=False)
    add_number = functools.partial(parser.add_argument, type=cli.positive_int)
    add_number(
        "--top",
        default=TOP_TOPICS,
        metavar="K",
        help="best and worst topics per subcluster (default: %(default)s)",
    )
    add_number(
        "--min-images",
        default=MIN_IMAGES,
        metavar="N",
        help="flag topics with fewer scored images (default: %(default)s)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="print a table of topics per subcluster, not three lines",
    )
    parser.add_argument("--output", metavar="FILE", help="also write the JSON to FILE")
    parser.add_argument(
        "--decisions", metavar="FILE", help="first add the decisions in FILE to decisions.json"
    )
    html_option.add_html_options(parser, "with charts, and the best and worst images to look at")
    parser.add_argument(
        "--gallery",
        type=cli.whole_number,
        default=GALLERY_IMAGES,
        metavar="N",
        help="best and worst images on it: of all, and of each cluster (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if args.output is not None:
        atomic_files.check_output(args.output)
    html_option.check_html_options(args)
    return args


def check_comparable(data: Mapping[str, Any], paths: Sequence[str], reporter: Reporter) -> None:
    """Raise UserError if no topic has scores. Warn if scores are not comparable."""
    if not data["topics"]:
        damaged = [file["path"] for file in data["damaged_files"]]
        reason = f"{terminal.list_few(damaged)} damaged" if damaged else "no scores found"
        given = shlex.join(paths)
        raise UserError(f"{given}: {reason}; run aesthetic_scorer.py {given} first")
    if len(data["made_by"]) > 1:
        origins = ", ".join(ranking.score_origins(data))
        reporter.warn(f"scores of different origin are compared: {origins}")


def summary_lines(data: Mapping[str, Any], with_tables: bool) -> Iterator[str]:
    """Yield the lines for people."""
    overall = data["overall"]
    yield from heading_lines(data)
    yield from ("", "📊 All images")
    yield from distribution_lines(overall)
    yield limit_line(
        f"images at or above {', '.join(shares_at_or_above(data)) or 'any score: all'}"
    )
    if "subcluster" in levels.distinct_levels(data):
        yield from ("", "📁 Clusters, best first")
        clusters = {"": ranking.best_first(data["clusters"])}
        yield from score_tables.format_ranking(clusters, data["clusters"], overall)
    yield from ("", f"📂 {levels.level_title(data, 'subcluster')}, best first")
    if with_tables:
        yield from score_tables.full_tables(data)
    else:
        yield from score_tables.brief_lines(data)
    if data["few_images"]:
        mark = "few" if with_tables else "few, *"
        limit = terminal.plural(data["min_images"], "scored image")
        yield from ("", f"   {mark}: fewer than {limit}, too few to be reliable")
    yield ""
    yield from charts.warnings_section(ranking.ranking_warnings(data))


def limit_line(text: str) -> str:
    return f"   {terminal.truncate_middle(text, terminal.line_columns() - 3)}"


def heading_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield how much was scored, what the scores mean, and what made them."""
    overall = data["overall"]
    datasets = terminal.truncate_middle(
        terminal.list_few(data["datasets"]), terminal.line_columns() - 25
    )
    yield f"🎨 {datasets}: median score {overall['median']:.2f}"
    counts = [terminal.plural(overall["images"], "scored image")]
    for level in levels.distinct_levels(data)[1:]:
        counts.append(terminal.plural(len(data[f"{level}s"]), level))
    if len(data["topics"]) < data["topics_found"]:
        found = terminal.plural(data["topics_found"], "topic")
        counts[-1] = f"{len(data['topics']):,} of {found} with scores"
    yield f"   {' · '.join(counts)}"
    meaning = " and ".join(data["judges"])
    if AESTHETICS not in meaning:
        yield f"   scores mean {meaning}, not aesthetics"
    elif meaning != AESTHETICS:
        yield f"   scores mean {meaning}"
    for line in ranking.score_origins(data):
        yield limit_line(line)


def distribution_lines(overall: Mapping[str, Any]) -> Iterator[str]:
    """Yield the quantiles of all scores, and their histogram."""
    ranges = [f"{name} {overall[low]:.2f} to {overall[high]:.2f}" for name, low, high in RANGES]
    yield limit_line(" · ".join(ranges))
    bins = overall["histogram"]
    has_one_decimal = all(round(score_bin["from"], 1) == score_bin["from"] for score_bin in bins)
    decimals = 1 if has_one_decimal else 2
    counts = {}
    for score_bin in bins:
        label = f"{score_bin['from']:.{decimals}f} to {score_bin['to']:.{decimals}f}"
        counts[label] = score_bin["images"]
    yield from charts.bar_chart(
        counts,
        overall["images"],
        keep_order=True,
        max_entries=len(counts),
        full=max(counts.values()),
    )


def shares_at_or_above(data: Mapping[str, Any]) -> list[str]:
    """Return `4.5: 80 %` for some half points: the images that `--min-score 4.5` would keep."""
    shares = []
    for score, count in data["score_at_least"].items():
        percent = round(100 * count / data["overall"]["images"])
        if percent in SHARE_PERCENTS:
            shares.append(f"{score}: {percent} %")
    step = -(-len(shares) // MAX_SHARES) or 1
    return shares[::step]


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
