#!/usr/bin/env python3
"""Count the duplicates in image datasets, from what find_duplicates.py wrote.

Reads duplicates_<topic>.json and counts images that have at least one duplicate (entries) and those
that a merge would drop (redundant), for each cluster and for the worst topics. Where there is a
variants_<topic>.json, counts pairs of variants by kind. Lists the topics that were not searched,
and those that changed since: names, sizes or times differ from what was searched. There, only
matches between unchanged images count.

    {
      "duplicate_entries": 412, "redundant_images": 231,
      "median_images_per_cluster": 1250, "median_duplicates_per_cluster": 40,
      "clusters": {"Photos/Animals": {"images": 1300, "duplicate_entries": 44, ...}, ...},
      "variants": {"cropped": 12, "mirrored": 3},
      "across": {"pairs": {"copy": 7}, "topics": [...], "references": {}},
      "worst_topics": [...], "not_searched": [...], "outdated": {...}, "damaged": {...},
      "strays": [...], ...
    }

It changes nothing, and opens an image only if its size in pixels is not known.

examples:
  duplicates_stats.py DataSet
  duplicates_stats.py DataSet_* --top 20 --html review.html
  duplicates_stats.py DataSet --json --quiet | jq .redundant_images
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import cli, terminal, tree
from common.errors import UserError
from common.reporter import Reporter, print_result
from keeping import across_file, decision_files, keepers
from keeping.preference import add_prefer_option
from reports import charts, duplicate_counts, duplicate_totals, html_option

TOP_TOPICS = 10


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    topics = tree.find_given_topics(args, reporter)
    decision_files.add_decisions(topics, reporter)
    counts = [duplicate_counts.count_duplicates(topic, reporter, args.prefer) for topic in topics]
    across = across_file.read_across(topics, reporter.warn)
    data = duplicate_totals.counts_json(topics, counts, args.top)
    data["across"] = duplicate_counts.count_across(topics, across, args.top)
    if not data["searched"]:
        given = shlex.join(args.paths)
        advice = f"run find_duplicates.py {given} first"
        raise UserError(f"{given}: no usable duplicates files; {advice}")
    if args.html:
        from reports import review_page  # Jinja2 and Pillow, needed for a page only

        review_page.write_page(args.html, topics, reporter, args.prefer)
        html_option.announce_page(args, reporter)
    reporter.print_totals(
        data["images"],
        searched=data["searched"],
        unreadable=data["unreadable"],
        not_searched=data["images"] - data["searched"] - data["unreadable"],
    )
    level = "dataset" if args.levels == 1 else "cluster"
    lines = [*summary_lines(data, level), *next_lines(args, data)]
    print_result(args, lines, data | reporter.as_json())
    return reporter.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, limits_pixels=False)
    parser.add_argument(
        "--top",
        type=cli.positive_int,
        default=TOP_TOPICS,
        metavar="N",
        help="topics with most duplicates (default: %(default)s)",
    )
    add_prefer_option(parser)
    html_option.add_html_options(parser, "to review every set of duplicates")
    args = parser.parse_args(argv)
    html_option.check_html_options(args)
    return args


def summary_lines(data: Mapping[str, Any], level: str) -> Iterator[str]:
    """Yield the lines for people. `level` is what the clusters are: datasets, if there are none."""
    yield "👯 Duplicates"
    yield f"   📁 topics                          {data['topics']:>12,}"
    yield f"   🖼  images                          {data['images']:>12,}"
    yield (
        f"   🔗 with at least one duplicate     {data['duplicate_entries']:>12,}"
        f"  {share_searched(data, 'duplicate_entries')}"
    )
    yield (
        f"   ✂️  redundant                       {data['redundant_images']:>12,}"
        f"  {share_searched(data, 'redundant_images')}"
    )
    if data["sets_by_size"]:
        yield f"   📏 {keepers.by_size_message(data['sets_by_size'])}"
    if data["variants"]:
        pairs = sum(data["variants"].values())
        yield f"   🔀 pairs of variants               {pairs:>12,}  {list_kinds(data['variants'])}"
    for noun in ("images", "duplicates"):
        title = f"median {noun} per {level}"
        yield f"   📊 {title:31} {data[f'median_{noun}_per_cluster']:>12,.2f}"
    yield from ("", f"📁 {level.capitalize()}s, most redundant images first")
    yield from format_counts(most_redundant_first(data["clusters"]))
    yield from summarize_across(data["across"])
    if data["worst_topics"]:
        yield from ("", "📂 Topics, most redundant images first")
        yield from format_counts({topic["topic"]: topic for topic in data["worst_topics"]})
    yield ""
    yield from charts.warnings_section(list_warnings(data))


def next_lines(args: argparse.Namespace, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what to type next: look at the sets, then merge without the copies."""
    if data["duplicate_entries"] and not args.html:
        yield from cli.next_step(args, "duplicates_stats.py", *args.paths, "--html", "review.html")
    else:
        yield from cli.next_step(args, "merge_clusters.py", *args.paths, "--dry-run")


def most_redundant_first(clusters: Mapping[str, Any]) -> dict[str, Any]:
    def sort_key(label: str) -> tuple[int, int, str]:
        cluster = clusters[label]
        return -cluster["redundant_images"], -cluster["duplicate_entries"], label

    return {label: clusters[label] for label in sorted(clusters, key=sort_key)}


def share_searched(counts: Mapping[str, Any], key: str) -> str:
    return terminal.format_percent(counts[key], counts["searched"])


def format_counts(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a table with one line per folder."""
    rows: list[tuple[str, ...]] = [("", "images", "duplicates", "redundant", "share")]
    for label, row in counts.items():
        numbers = []
        for key in ("images", "duplicate_entries", "redundant_images"):
            numbers.append(terminal.thousands(row[key]))
        share = share_searched(row, "redundant_images")
        rows.append((terminal.escape(label), *numbers, share))
    return terminal.format_table(rows, " rrrr")


def summarize_across(across: Mapping[str, Any]) -> Iterator[str]:
    """Yield pairs across topics, and matches with references."""
    if across["pairs"]:
        yield from ("", f"🌐 Pairs across topics: {list_kinds(across['pairs'])}")
        for entry in across["topics"]:
            both = " and ".join(entry["topics"])
            yield f"   {entry['pairs']:>6,}  {terminal.escape(both)}"
    if across["references"]:
        yield f"📌 Matches with reference folders: {list_kinds(across['references'])}"


def list_kinds(pairs: Mapping[str, int]) -> str:
    counts = []
    for kind in across_file.ACROSS_KINDS:
        if kind in pairs:
            counts.append(f"{pairs[kind]:,} {kind}")
    return ", ".join(counts)


def list_warnings(data: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[tuple[str, str]], int]]:
    """Yield title, places with a reason each, and count, as charts.warnings_section takes them."""
    orphans = [(os.path.basename(path), os.path.dirname(path)) for path in data["strays"]]
    warnings = {
        "Not searched: run find_duplicates.py": [(label, "") for label in data["not_searched"]],
        "Changed since the search: run find_duplicates.py again": list(data["outdated"].items()),
        "Damaged: run find_duplicates.py again": list(data["damaged"].items()),
        "Files whose topic is gone": orphans,
    }
    for title, places in warnings.items():
        yield title, places, len(places)


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
