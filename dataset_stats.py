#!/usr/bin/env python3
"""Count what image datasets hold: images, file types, resolutions, and what wants attention before a training.

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

from common import cli, text
from common.dataset import census, checks, records, tree
from common.output import Talk, show

EXAMPLES = 2  # of each thing that a trainer trips over; the JSON has more
OUTPUT = "datasets_image_statistics.json"
PROPORTIONS = [Fraction(*sides) for sides in ((1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1))]
GROUPS = {"small": "Small    < 0.5 MP", "medium": "Medium   0.5–2 MP", "large": "Large    > 2 MP"}


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk = Talk(args)
    topics = tree.topics(args.paths, talk.warn)
    taken = census.taken(topics, args.max_pixels, talk)
    data = census.report(taken)
    records.write_json(args.output, data)
    if args.html:
        from common.pages import dataset_page  # Jinja2 and thumbnails, only where a page is wanted

        dataset_page.write(args.html, taken, data, args.max_pixels, talk)
    show(args, summary(data, args.output), data)
    talk.tally(taken.images, counted=taken.images - taken.unreadable_count, unreadable=taken.unreadable_count)
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--output", metavar="FILE", default=OUTPUT, help="where the JSON goes (default: %(default)s)")
    parser.add_argument("--html", metavar="FILE", help="also write a page with charts and thumbnails")
    args = parser.parse_args(argv)
    records.check_output(args.output)
    if args.html:
        records.check_output(args.html, "--html")
    return args


def summary(data: Mapping[str, Any], output: str) -> Iterator[str]:
    """The lines that people read."""
    total, readable = data["total_files"], data["total_files"] - data["unreadable"]
    yield f"📊 {text.clipped(text.sampled(data['datasets']), text.WIDTH - 3)}"
    yield f"   {text.plural(total, 'image')}, {text.size(data['bytes'])}"
    yield "   " + " · ".join(text.plural(len(data[f"{level}s"]), level) for level in reversed(tree.LEVELS))
    yield from ("", "🧾 File types")
    yield from text.bars(
        data["file_type_counts"], total, {kind: text.size(n) for kind, n in data["file_type_bytes"].items()}
    )
    yield from ("", "📁 Clusters")
    yield from text.bars(data["cluster_image_counts"], total)
    if len(data["clusters"]) == 1 < len(data["subclusters"]):
        yield from ("", "📂 Subclusters")
        yield from text.bars(
            {path.rpartition("/")[2]: held["images"] for path, held in data["subclusters"].items()}, total
        )
    yield from ("", "📐 Resolution groups")
    yield from text.bars({GROUPS[name]: n for name, n in data["resolution_groups"].items()}, readable, ordered=True)
    yield from ("", "🔝 Most common resolutions")
    yield from text.bars(
        data["resolution_counts"], readable, {size: proportion(size) for size in data["resolution_counts"]}
    )
    if readable:
        yield from ("", "📏 Sizes")
        yield from sizes(data)
    yield ""
    yield from attention(data)
    yield from ("", f"💾 {text.shown(output)}")


def proportion(resolution: str) -> str:
    """The usual name of a resolution's shape (`4:3`, `≈ 3:2` within 1 %), or its width / height (`1.47`)."""
    ratio = Fraction(resolution.replace("x", "/"))
    near = min((*PROPORTIONS, *(1 / usual for usual in PROPORTIONS)), key=lambda usual: abs(ratio / usual - 1))
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
    rows += [[title, *(f"{data[key][name]:,.{digits}f}" for name in shown)] for title, key, digits in kinds]
    yield from text.table(rows, " rrrrr")
    readable = sum(data["orientations"].values())
    yield "   " + " · ".join(f"{name} {text.share(n, readable)}" for name, n in data["orientations"].items())
    least = (f"≥ {side}: {text.share(n, readable)}" for side, n in data["short_side_at_least"].items())
    yield "   short side " + " · ".join(least)


def attention(data: Mapping[str, Any]) -> Iterator[str]:
    """What somebody should look at before a training."""
    unreadable = [(file["path"], file["reason"].partition(";")[0]) for file in data["unreadable_files"]]
    misnamed = [(file["path"], file["format"]) for file in data["misnamed_files"]]
    empty = [(topic, "no images") for topic in data["empty_topics"]]
    small = sorted(data["small_topics"].items(), key=lambda entry: (entry[1], entry[0]))
    few = [(topic, text.plural(images, "image")) for topic, images in small]
    return text.attention(
        [
            (text.plural(data["unreadable"], "unreadable image"), unreadable, data["unreadable"]),
            (f"{text.plural(data['misnamed'], 'image')} not of the format in the name", misnamed, data["misnamed"]),
            (text.plural(len(empty), "empty topic"), empty, len(empty)),
            (f"{text.plural(len(few), 'topic')} too small for a 10 + 5 split", few, len(few)),
            *checks.attention(data["for_trainers"], EXAMPLES),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
