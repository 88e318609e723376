#!/usr/bin/env python3
"""Count what image datasets hold: images, file types, resolutions, and what needs attention before a training.

Reads the header of every image, never its pixels, and shows a summary: totals, file types, clusters, resolution groups
(Small < 0.5 MP, Medium 0.5 to 2 MP, Large > 2 MP; 1 MP = 1,000,000 pixels; EXIF orientation applied), the most common
resolutions and warnings. The same, and more, goes into datasets_image_statistics.json in the current folder:

    {
      "total_files": 410,
      "file_type_counts": {"jpg": 380, "png": 30},
      "cluster_image_counts": {"Animals": 300, "Scenes": 110},
      "resolution_counts": {"500x375": 120, "1920x1080": 12, ...},
      "resolution_groups": {"small": 300, "medium": 20, "large": 90},
      "topics": {"Photos/Animals/Birds/Owls": {"images": 40, "bytes": 4100000, "topics": 1, "unreadable": 0}, ...},
      "small_topics": {"Photos/Scenes/City/Night": 9}, "misnamed_files": [...], "unreadable_files": [...], ...
    }

It never changes or moves an image; an unreadable one is listed and counted, not fatal.

examples:
  dataset_stats.py ~/datasets/Photos
  dataset_stats.py Photos/Animals Drawings --output stats.json --html stats.html
  dataset_stats.py Photos --json --quiet | jq .resolution_groups
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from common import atomic_files, cli, json_files, terminal, tree
from common.reporter import Reporter, print_result
from reports import caption_checks, census, charts

EXAMPLES = 2  # of each thing that a trainer trips over; the JSON has more
OUTPUT = "datasets_image_statistics.json"
PROPORTIONS = [Fraction(*sides) for sides in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1))]
GROUPS = {"small": "Small    < 0.5 MP", "medium": "Medium   0.5–2 MP", "large": "Large    > 2 MP"}


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk = Reporter(args)
    topics = tree.find_topics(args.paths, talk.warn)
    taken = census.take_census(topics, args.max_pixels, talk)
    data = census.census_json(taken)
    json_files.write_json(args.output, data)
    if args.html:
        from reports import dataset_page  # Jinja2 and thumbnails, only where a page is wanted

        dataset_page.write_page(args.html, taken, data, args.max_pixels, talk)
    print_result(args, summary(data, args.output), data)
    talk.print_totals(
        taken.images,
        counted=taken.images - taken.unreadable_count,
        unreadable=taken.unreadable_count,
    )
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    parser.add_argument(
        "--output",
        metavar="FILE",
        default=OUTPUT,
        help="where the JSON goes (default: %(default)s)",
    )
    parser.add_argument(
        "--html", metavar="FILE", help="also write a page with charts and thumbnails"
    )
    args = parser.parse_args(argv)
    atomic_files.check_output(args.output)
    if args.html:
        atomic_files.check_output(args.html, "--html")
    return args


def summary(data: Mapping[str, Any], output: str) -> Iterator[str]:
    """The lines that people read."""
    total, readable = data["total_files"], data["total_files"] - data["unreadable"]
    yield f"📊 {terminal.truncate_middle(terminal.list_few(data['datasets']), terminal.MAX_WIDTH - 3)}"
    yield f"   {terminal.plural(total, 'image')}, {terminal.format_bytes(data['bytes'])}"
    yield "   " + " · ".join(
        terminal.plural(len(data[f"{level}s"]), level) for level in reversed(tree.LEVEL_NAMES)
    )
    yield from ("", "🧾 File types")
    yield from charts.bar_chart(
        data["file_type_counts"],
        total,
        {kind: terminal.format_bytes(n) for kind, n in data["file_type_bytes"].items()},
    )
    yield from ("", "📁 Clusters")
    yield from charts.bar_chart(data["cluster_image_counts"], total)
    if len(data["clusters"]) == 1 < len(data["subclusters"]):
        yield from ("", "📂 Subclusters")
        yield from charts.bar_chart(
            {path.rpartition("/")[2]: held["images"] for path, held in data["subclusters"].items()},
            total,
        )
    yield from ("", "📐 Resolution groups")
    yield from charts.bar_chart(
        {GROUPS[name]: n for name, n in data["resolution_groups"].items()},
        readable,
        keep_order=True,
    )
    yield from ("", "🔝 Most common resolutions")
    yield from charts.bar_chart(
        data["resolution_counts"],
        readable,
        {size: proportion(size) for size in data["resolution_counts"]},
    )
    if readable:
        yield from ("", "📏 Sizes")
        yield from sizes(data)
    yield ""
    yield from attention(data)
    yield from ("", f"💾 {terminal.escape(output)}")


def proportion(resolution: str) -> str:
    """The usual name of a resolution's shape (`4:3`, `≈ 3:2` within 1 %), or its width / height (`1.47`)."""
    ratio = Fraction(resolution.replace("x", "/"))
    near = min(
        (*PROPORTIONS, *(1 / usual for usual in PROPORTIONS)),
        key=lambda usual: abs(ratio / usual - 1),
    )
    if abs(ratio / near - 1) > 0.01:
        return f"{float(ratio):.2f}"
    return f"{'' if ratio == near else '≈ '}{near.numerator}:{near.denominator}"


def sizes(data: Mapping[str, Any]) -> Iterator[str]:
    shown = ("p5", "q1", "median", "q3", "p95")
    kinds = (
        ("megapixels", "megapixels", 2),
        ("width / height", "aspect_ratios", 2),
        ("short side, px", "short_sides", 0),
    )
    rows = [["", "5 %", "25 %", "median", "75 %", "95 %"]]
    rows += [
        [title, *(f"{data[key][name]:,.{digits}f}" for name in shown)]
        for title, key, digits in kinds
    ]
    yield from terminal.format_table(rows, " rrrrr")
    readable = sum(data["orientations"].values())
    yield "   " + " · ".join(
        f"{name} {terminal.format_percent(n, readable)}" for name, n in data["orientations"].items()
    )
    least = (
        f"≥ {side}: {terminal.format_percent(n, readable)}"
        for side, n in data["short_side_at_least"].items()
    )
    yield "   short side " + " · ".join(least)


def attention(data: Mapping[str, Any]) -> Iterator[str]:
    """What somebody should look at before a training."""
    unreadable = [
        (file["path"], file["reason"].partition(";")[0]) for file in data["unreadable_files"]
    ]
    misnamed = [(file["path"], file["format"]) for file in data["misnamed_files"]]
    empty = [(topic, "no images") for topic in data["empty_topics"]]
    small = sorted(data["small_topics"].items(), key=lambda entry: (entry[1], entry[0]))
    few = [(topic, terminal.plural(images, "image")) for topic, images in small]
    return charts.warnings_section(
        [
            (
                terminal.plural(data["unreadable"], "unreadable image"),
                unreadable,
                data["unreadable"],
            ),
            (
                f"{terminal.plural(data['misnamed'], 'image')} not of the format in the name",
                misnamed,
                data["misnamed"],
            ),
            (terminal.plural(len(empty), "empty topic"), empty, len(empty)),
            (f"{terminal.plural(len(few), 'topic')} too small for a 10 + 5 split", few, len(few)),
            *caption_checks.attention(data["for_trainers"], EXAMPLES),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
