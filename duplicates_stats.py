#!/usr/bin/env python3
"""Tell how many duplicates lie in image datasets, from what find_duplicates.py left in duplicates_<topic>.json.

Counts images that have at least one duplicate (entries), and those that a merge would leave out (redundant), for each
cluster and for the worst topics; and pairs of variants by kind, where there is a variants_<topic>.json. Names the
topics that were not searched, and those whose file no longer fits the folder: names, sizes or times differ from what
was searched; of these only matches between unchanged images count.

    {
      "duplicate_entries": 412, "redundant_images": 231,
      "median_images_per_cluster": 1250, "median_duplicates_per_cluster": 40,
      "clusters": {"Photos/Animals": {"images": 1300, "duplicate_entries": 44, "redundant_images": 25, ...}, ...},
      "variants": {"cropped": 12, "mirrored": 3},
      "across": {"pairs": {"copy": 7}, "topics": [{"pairs": 5, "topics": [...]}, ...], "references": {}},
      "worst_topics": [...], "not_searched": [...], "outdated": {...}, "damaged": {...}, "strays": [...], ...
    }

It reads the JSON that other scripts left and changes nothing; an image is opened only where its size is not known.

examples:
  duplicates_stats.py DataSet
  duplicates_stats.py DataSet_* --top 20 --html review.html
  duplicates_stats.py DataSet --json --quiet | jq .redundant_images
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import os
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import across_file, atomic_files, cli, decisions, json_files, terminal, tree
from common.errors import UserError
from common.reporter import Reporter, print_result
from common.topics import Topic
from reports import charts, duplicate_counts
from reports.duplicate_counts import DuplicateTotals

TOP = 10


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk = Reporter(args)
    topics = tree.find_topics(args.paths, talk.warn)
    decisions.add_decisions(topics, talk)
    data = report(
        topics, [duplicate_counts.count_duplicates(topic, talk) for topic in topics], args.top
    )
    data["across"] = duplicate_counts.count_across(
        topics, across_file.read_across(topics, talk.warn), args.top
    )
    if not data["searched"]:
        raise UserError(
            f"{', '.join(args.paths)}: no usable duplicates files; run find_duplicates.py first"
        )
    if args.html:
        from reports import review_page  # Jinja2 and thumbnails, only where a page is wanted

        review_page.write_page(args.html, topics, talk)
    talk.print_totals(
        data["images"], searched=data["searched"], not_searched=data["images"] - data["searched"]
    )
    print_result(args, summary(data), data)
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, limits_pixels=False)
    parser.add_argument(
        "--top",
        type=cli.positive_int,
        default=TOP,
        metavar="N",
        help="topics with most duplicates (default: %(default)s)",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="also write a page to review every set of duplicates"
    )
    args = parser.parse_args(argv)
    if args.html:
        atomic_files.check_output(args.html, "--html")
    return args


def report(topics: Sequence[Topic], counts: Sequence[DuplicateTotals], top: int) -> dict[str, Any]:
    """The object that --json prints."""
    of = dict(zip((topic.path for topic in topics), counts, strict=True))
    named = {
        label: of[group[0].path] for label, group in tree.group_by_level(topics, "topic").items()
    }
    grouped = tree.group_by_level(topics, "cluster")
    clusters = {
        label: totals([of[topic.path] for topic in group]) for label, group in grouped.items()
    }
    worst = sorted(named, key=lambda label: (-named[label].redundant, -named[label].entries, label))
    folders = dict.fromkeys(os.path.dirname(topic.path) for topic in topics)
    return {
        **totals(counts),
        "median_images_per_cluster": statistics.median(
            each["images"] for each in clusters.values()
        ),
        "median_duplicates_per_cluster": statistics.median(
            each["duplicate_entries"] for each in clusters.values()
        ),
        "clusters": clusters,
        "worst_topics": [
            {"topic": label, **totals([named[label]])} for label in worst if named[label].entries
        ][:top],
        "not_searched": [
            label for label, count in named.items() if not count.is_searched and not count.damaged
        ],
        "outdated": {label: count.outdated for label, count in named.items() if count.outdated},
        "damaged": {label: count.damaged for label, count in named.items() if count.damaged},
        "strays": [path for folder in folders for path in json_files.list_orphans(folder)],
    }


def totals(counts: Sequence[DuplicateTotals]) -> dict[str, Any]:
    return {
        "topics": len(counts),
        "images": sum(count.images for count in counts),
        "searched": sum(count.searched for count in counts),
        "duplicate_entries": sum(count.entries for count in counts),
        "redundant_images": sum(count.redundant for count in counts),
        "variants": dict(sum((count.variants for count in counts), Counter())),
    }


def summary(data: Mapping[str, Any]) -> Iterator[str]:
    """The lines for people."""
    yield "👯 Duplicates"
    yield f"   📁 topics                        {data['topics']:>12,}"
    yield f"   🖼  images                        {data['images']:>12,}"
    yield f"   🔗 with at least one duplicate   {data['duplicate_entries']:>12,}  {share(data, 'duplicate_entries')}"
    yield f"   ✂️  redundant                     {data['redundant_images']:>12,}  {share(data, 'redundant_images')}"
    if data["variants"]:
        yield f"   🔀 pairs of variants             {sum(data['variants'].values()):>12,}  {kinds(data['variants'])}"
    yield f"   📊 median images a cluster       {data['median_images_per_cluster']:>12,.2f}"
    yield f"   📊 median duplicates a cluster   {data['median_duplicates_per_cluster']:>12,.2f}"
    yield from ("", "📁 Clusters, most redundant images first")
    clusters = data["clusters"]
    yield from table(
        {label: clusters[label] for label in sorted(clusters, key=lambda one: worst(clusters, one))}
    )
    yield from beyond(data["across"])
    if data["worst_topics"]:
        yield from ("", "📂 Topics, most redundant images first")
        yield from table({each["topic"]: each for each in data["worst_topics"]})
    yield ""
    yield from charts.warnings_section(attention(data))


def beyond(found: Mapping[str, Any]) -> Iterator[str]:
    """The lines on matches with other topics and with references."""
    if found["pairs"]:
        yield from ("", f"🌐 Pairs across topics: {kinds(found['pairs'])}")
        yield from (
            f"   {each['pairs']:>6,}  {terminal.escape(' and '.join(each['topics']))}"
            for each in found["topics"]
        )
    if found["references"]:
        yield f"📌 Matches with reference folders: {kinds(found['references'])}"


def kinds(pairs: Mapping[str, int]) -> str:
    return ", ".join(
        f"{pairs[kind]:,} {kind}" for kind in across_file.ACROSS_KINDS if kind in pairs
    )


def worst(clusters: Mapping[str, Any], label: str) -> tuple[int, int, str]:
    return -clusters[label]["redundant_images"], -clusters[label]["duplicate_entries"], label


def share(totals: Mapping[str, Any], key: str) -> str:
    return terminal.format_percent(totals[key], totals["searched"])


def table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines: list[tuple[str, ...]] = [("", "images", "duplicates", "redundant", "share")]
    for label, row in rows.items():
        numbers = (
            terminal.thousands(row[key])
            for key in ("images", "duplicate_entries", "redundant_images")
        )
        lines.append((terminal.escape(label), *numbers, share(row, "redundant_images")))
    return terminal.format_table(lines, " rrrr")


def attention(data: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[tuple[str, str]], int]]:
    """What somebody should look at, as text.attention takes it."""
    told = {
        "Not searched: run find_duplicates.py": [(label, "") for label in data["not_searched"]],
        "Changed since the search: run find_duplicates.py again": list(data["outdated"].items()),
        "Damaged: run find_duplicates.py again": list(data["damaged"].items()),
        "Files whose topic is gone": [
            (os.path.basename(path), os.path.dirname(path)) for path in data["strays"]
        ],
    }
    yield from ((title, places, len(places)) for title, places in told.items())


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
