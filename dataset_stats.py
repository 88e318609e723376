#!/usr/bin/env python3
"""Count the images, file types and resolutions of image datasets, and list what needs attention.

Reads the header of every image, never its pixels. Shows a summary: totals, file types, clusters,
resolution groups (Small < 0.5 MP, Medium 0.5 to 2 MP, Large > 2 MP; 1 MP = 1,000,000 pixels; EXIF
orientation applied), the most common resolutions, and what needs attention before training. Writes
the same and more to datasets_image_statistics.json in the current folder:

    {
      "total_files": 410,
      "file_type_counts": {"jpg": 380, "png": 30},
      "cluster_image_counts": {"Animals": 300, "Scenes": 110},
      "resolution_counts": {"500x375": 120, "1920x1080": 12, ...},
      "resolution_groups": {"small": 300, "medium": 20, "large": 90},
      "topics": {"Photos/Animals/Birds/Owls": {"images": 40, "bytes": 4100000, ...}, ...},
      "small_topics": {"Photos/Scenes/City/Night": 9},
      "misnamed_files": [...], "unreadable_files": [...], ...
    }

It never changes or moves an image. Unreadable images are listed and counted; they are not fatal.

examples:
  dataset_stats.py ~/datasets/Photos
  dataset_stats.py Photos/Animals Drawings --output stats.json --html stats.html
  dataset_stats.py Photos --json --quiet | jq .resolution_groups
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth", "PIL")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from common import atomic_files, cli, json_files, terminal, tree
from common.reporter import Reporter, print_result
from reports import census, census_json, charts, dataset_warnings, html_option, levels

MAX_TRAINER_EXAMPLES = 2  # of each thing that trainers trip over; the JSON has more
OUTPUT_FILE = "datasets_image_statistics.json"
USUAL_RATIOS = [Fraction(*sides) for sides in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1))]
MAX_RATIO_ERROR = 0.01  # of a resolution that is named after a usual ratio
GROUP_LABELS = {
    "small": "Small    < 0.5 MP",
    "medium": "Medium   0.5–2 MP",
    "large": "Large    > 2 MP",
}
SIZE_COLUMNS = {"p5": "5 %", "q1": "25 %", "median": "median", "q3": "75 %", "p95": "95 %"}
SIZE_ROWS = (  # title, key in the JSON, decimals
    ("megapixels", "megapixels", 2),
    ("width / height", "aspect_ratios", 2),
    ("short side, px", "short_sides", 0),
)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    topics = tree.find_given_topics(args, reporter)
    counted = census.take_census(topics, args.max_pixels, reporter)
    data = census_json.census_json(counted) | reporter.as_json()
    if args.output:
        json_files.write_json(args.output, data)
    else:
        reporter.warn("the current folder is read-only: give --output FILE to keep the JSON")
    if args.html:
        from reports import dataset_page  # Jinja2 and Pillow, needed for a page only

        dataset_page.write_page(args.html, counted, data, args.max_pixels, reporter)
        html_option.announce_page(args, reporter)
    next_lines = cli.next_step(args, "aesthetic_scorer.py", *args.paths)
    print_result(args, [*summary_lines(data, args.output), *next_lines], data)
    reporter.print_totals(
        counted.images,
        counted=counted.images - counted.unreadable_count,
        unreadable=counted.unreadable_count,
    )
    return reporter.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help=f"write the JSON to FILE (default: {OUTPUT_FILE})",
    )
    html_option.add_html_options(parser, "with charts and thumbnails")
    args = parser.parse_args(argv)
    if args.output or not args.json or os.access(".", os.W_OK | os.X_OK):
        args.output = args.output or OUTPUT_FILE
        atomic_files.check_output(args.output)
    html_option.check_html_options(args)
    return args


def summary_lines(data: Mapping[str, Any], output: str) -> Iterator[str]:
    """Yield the lines for people."""
    datasets = terminal.list_few(data["datasets"])
    counts = []
    for level in levels.distinct_levels(data):
        counts.append(terminal.plural(len(data[f"{level}s"]), level))
    total = terminal.plural(data["total_files"], "image")
    yield f"📊 {terminal.truncate_middle(datasets, terminal.line_columns() - 3)}"
    yield f"   {total}, {terminal.format_bytes(data['bytes'])}"
    yield f"   {' · '.join(counts)}"
    yield from file_lines(data)
    yield from resolution_lines(data)
    yield ""
    yield from warning_lines(data)
    yield from ("", f"💾 {terminal.escape(output)}")


def file_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield charts of file types and folders."""
    total = data["total_files"]
    type_sizes = {}
    for suffix, size in data["file_type_bytes"].items():
        type_sizes[suffix] = terminal.format_bytes(size)
    yield from ("", "🧾 File types")
    yield from charts.bar_chart(data["file_type_counts"], total, type_sizes)
    yield from ("", f"📁 {levels.level_title(data, 'cluster')}")
    yield from charts.bar_chart(data["cluster_image_counts"], total)
    lower = "topic" if "cluster" not in levels.distinct_levels(data) else "subcluster"
    if len(data["clusters"]) == 1 < len(data[f"{lower}s"]):
        images = {}
        for path, counts in data[f"{lower}s"].items():
            images[path.rpartition("/")[2]] = counts["images"]
        yield from ("", f"📂 {levels.level_title(data, lower)}")
        yield from charts.bar_chart(images, total)


def resolution_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield charts of resolutions, and a table of sizes."""
    readable = data["total_files"] - data["unreadable"]
    groups = {GROUP_LABELS[name]: n for name, n in data["resolution_groups"].items()}
    ratios = {resolution: ratio_name(resolution) for resolution in data["resolution_counts"]}
    yield from ("", "📐 Resolution groups")
    yield from charts.bar_chart(groups, readable, keep_order=True)
    yield from ("", "🔝 Most common resolutions")
    yield from charts.bar_chart(data["resolution_counts"], readable, ratios)
    if readable:
        yield from ("", "📏 Sizes")
        yield from size_lines(data, readable)


def ratio_name(resolution: str) -> str:
    """Return the usual name of the aspect ratio (`4:3`; `≈ 3:2` within 1 %), or a decimal (`1.47`).

    `resolution` is WIDTHxHEIGHT.
    """
    ratio = Fraction(resolution.replace("x", "/"))
    upright_ratios = [1 / usual for usual in USUAL_RATIOS]
    nearest = min(
        (*USUAL_RATIOS, *upright_ratios),
        key=lambda usual: abs(ratio / usual - 1),
    )
    if abs(ratio / nearest - 1) > MAX_RATIO_ERROR:
        return f"{float(ratio):.2f}"
    name = f"{nearest.numerator}:{nearest.denominator}"
    return name if ratio == nearest else f"≈ {name}"


def size_lines(data: Mapping[str, Any], readable: int) -> Iterator[str]:
    rows = [["", *SIZE_COLUMNS.values()]]
    for title, key, decimals in SIZE_ROWS:
        rows.append([title, *(f"{data[key][name]:,.{decimals}f}" for name in SIZE_COLUMNS)])
    yield from terminal.format_table(rows, " rrrrr")
    orientations = []
    for name, count in data["orientations"].items():
        orientations.append(f"{name} {terminal.format_percent(count, readable)}")
    yield f"   {' · '.join(orientations)}"
    shares = []
    for side, count in data["short_side_at_least"].items():
        shares.append(f"≥ {side}: {terminal.format_percent(count, readable)}")
    yield f"   short side {' · '.join(shares)}"


def warning_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield what needs attention before training."""
    warnings = []
    listed = {**data, "small_topics": {}}  # split_data.py says what is too small for a split
    for title, places, count in dataset_warnings.list_warnings(listed, MAX_TRAINER_EXAMPLES):
        # After a semicolon, a reason says what to do.
        short = [(place, reason.partition(";")[0]) for place, reason in places]
        warnings.append((title, short, count))
    return charts.warnings_section(warnings)


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
