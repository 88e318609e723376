#!/usr/bin/env python3
"""Pick the best images of every topic for training and validation.

Sorts a topic's images by width x height x aesthetic score, best first and ties by name: the first 10 are for training,
the next 5 for validation. Writes train_set.json and valid_set.json into the current folder or --output-dir, flat lists
of absolute paths, topic by topic, the best first:

    [
      "/data/Photos/Animals/Birds/Owls/owl7.jpg",
      "/data/Photos/Animals/Birds/Owls/owl2.jpg"
    ]

Scores come from each topic's aesthetic_data.json (aesthetic_scorer.py makes it); an image without a score, or one that
cannot be read, is left out and named. A topic too small for both sets fills training first. Where there is a
duplicates_<topic>.json or variants_<topic>.json (find_duplicates.py), validation images that are a copy or a variant
of a training image are reported as leaks. --exclude-duplicates picks no copy of a better image, and for validation no
variant of a training image, so that there are none. --min-score and --min-side cut off what is not good enough;
--count-megapixels 4 lets more than 4 megapixels count no more than 4.

--export FOLDER also makes a folder that Hugging Face datasets, diffusers and kohya sd-scripts open as it is:

    train/Animals/Birds/Owls/owl7.jpg  owl7.txt      hard links (or --mode copy, symlink); captions are copied
    train/metadata.jsonl  valid/metadata.jsonl       {"file_name": "Animals/Birds/Owls/owl7.jpg", "text": "an owl", ...}
    kohya.toml                                       a subset a folder, validation as a dataset of its own

Run again, it makes FOLDER equal to the new split, and leaves alone what it did not put there or what was edited since.
It never changes or moves an image.

examples:
  split_data.py ~/datasets/Photos
  split_data.py Photos Drawings --train 20 --valid 4 --exclude-duplicates --output-dir splits
  split_data.py Photos --min-score 5 --min-side 512 --export ready
  split_data.py Photos --require-full --json | jq .leaks
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import functools
import math
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from common import cli, json_files, terminal, tree
from common.errors import UserError
from common.reporter import Reporter, print_result
from merging.copying import HARDLINK, MODES
from splitting import choice, export
from splitting.choice import SplitPolicy, Split

TRAIN, VALID = 10, 5
NAMED = 5  # topics or leaks named in the summary


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    cuts = args.min_score, args.min_side, args.count_megapixels
    talk, rules = (
        Reporter(args),
        SplitPolicy(args.train, args.valid, args.require_full, args.exclude_duplicates, *cuts),
    )
    topics = tree.group_by_level(tree.find_topics(args.paths, talk.warn), "topic")
    splits = dict(
        zip(
            topics,
            choice.split_topics([topic for (topic,) in topics.values()], rules, talk),
            strict=True,
        )
    )
    plan = (
        export.plan_export(splits.values(), args.paths, args.export, args.mode)
        if args.export
        else None
    )
    write(splits.values(), args.output_dir, args.relative, args.paths)
    if plan:
        export.apply_export(plan, talk)
    data = report(splits) | ({"export": plan.report()} if plan else {})
    print_result(args, summary(splits, data, rules, args.output_dir), data)
    talk.print_totals(sum(data["counts"].values()), **data["counts"])
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, limits_pixels=False)
    add = functools.partial(
        parser.add_argument, type=number, metavar="N", help="images a topic (default: %(default)s)"
    )
    add("--train", default=TRAIN)
    add("--valid", default=VALID)
    parser.add_argument(
        "--output-dir", metavar="FOLDER", default=".", help="where both files go (default: here)"
    )
    parser.add_argument(
        "--relative", action="store_true", help="write paths relative to their dataset"
    )
    parser.add_argument(
        "--require-full", action="store_true", help="leave out topics too small for both sets"
    )
    parser.add_argument(
        "--exclude-duplicates",
        action="store_true",
        help="pick no copies; validate with no variants",
    )
    cuts = parser.add_argument_group(
        "cuts by quality (aesthetic_stats.py tells what each --min-score would leave)"
    )
    cuts.add_argument(
        "--min-score",
        type=float,
        default=-math.inf,
        metavar="S",
        help="choose none that scores less",
    )
    cuts.add_argument(
        "--min-side",
        type=cli.positive_int,
        default=0,
        metavar="PIXELS",
        help="choose no smaller image",
    )
    cuts.add_argument(
        "--count-megapixels",
        type=float,
        default=math.inf,
        metavar="M",
        help="rank as if none had more megapixels",
    )
    out = parser.add_argument_group("a folder that trainers open as it is")
    out.add_argument(
        "--export",
        metavar="FOLDER",
        help="also put the chosen images there, with captions and metadata",
    )
    out.add_argument(
        "--mode",
        choices=MODES,
        default=HARDLINK,
        help="how images come there (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    if not args.train + args.valid:
        parser.error("--train 0 --valid 0 picks nothing")
    if not args.count_megapixels > 0:
        parser.error("--count-megapixels wants a number above 0")
    json_files.check_output(os.path.join(args.output_dir, "train_set.json"), "--output-dir")
    return args


def number(value: str) -> int:
    """An argparse type: a whole number, 0 included."""
    return cli.positive_int(value) if int(value) else 0


number.__name__ = "whole number"  # argparse names the type in its error


def write(splits: Iterable[Split], folder: str, relative: bool, paths: Sequence[str]) -> None:
    """Write both lists. Raises UserError where nothing was chosen, or where a relative path would mean two images."""
    lists: dict[str, list[str]] = {"train": [], "valid": []}
    for split in splits:
        start = split.topic.dataset_path
        for name, images in (("train", split.train), ("valid", split.valid)):
            made = map(split.topic.file, images)
            lists[name] += [os.path.relpath(path, start) for path in made] if relative else made
    if not any(lists.values()):
        asked = terminal.escape(shlex.join(paths))
        raise UserError(
            f"{asked}: no image to choose; run aesthetic_scorer.py {asked} first, or ask for less"
        )
    twice = [path for path, count in Counter(lists["train"] + lists["valid"]).items() if count > 1]
    if twice:
        raise UserError(
            f"{twice[0]}: in two datasets, which --relative cannot tell apart; split one at a time"
        )
    for name, chosen in lists.items():
        json_files.write_json(os.path.join(folder, f"{name}_set.json"), chosen)


def report(splits: Mapping[str, Split]) -> dict[str, Any]:
    """The result as data."""
    counts = Counter[str](train=0)
    for split in splits.values():
        counts.update(split.counts)
    topics = {
        label: {
            "chosen": len(split.train) + len(split.valid),
            "train": len(split.train),
            "valid": len(split.valid),
            "available": split.available,
            **split.lowest,
        }
        for label, split in splits.items()
    }
    return {
        "train": counts["train"],
        "valid": counts["valid"],
        "counts": dict(counts),
        "leaks": [
            {
                "topic": label,
                "valid": name,
                "train": os.path.relpath(path, split.topic.path),
                "kind": kind,
            }
            for label, split in splits.items()
            for name, path, kind in split.leaks
        ],
        "topics": topics,
    }


def summary(
    splits: Mapping[str, Split], data: Mapping[str, Any], rules: SplitPolicy, folder: str
) -> Iterator[str]:
    """The lines that people read."""
    yield f"🎯 {data['train']:,} for training and {data['valid']:,} for validation"
    yield f"   from {terminal.plural(len(splits), 'topic')}: the best {rules.train} and the next {rules.valid} of each"
    small = [
        label for label, split in splits.items() if 0 < split.available < rules.train + rules.valid
    ]
    unscored = [
        label
        for label, split in splits.items()
        if split.topic.found == split.counts["without_score"] > 0
    ]
    title = (
        "Topics left out, too small for both sets"
        if rules.require_full
        else "Topics too small for both sets"
    )
    yield from listed(f"📉 {title}", [f"{label}: {splits[label].available}" for label in small])
    yield from listed(
        "❔ Topics without scores: run aesthetic_scorer.py",
        [splits[label].topic.path for label in unscored],
    )
    leaks = [
        f"{leak['topic']}: {leak['valid']} is like {leak['train']} ({leak['kind']})"
        for leak in data["leaks"]
    ]
    yield from listed(
        "💧 Leaks, validation images like a training image (--exclude-duplicates)", leaks
    )
    yield from (
        f"📄 {terminal.escape(os.path.join(folder, name))}"
        for name in ("train_set.json", "valid_set.json")
    )
    if made := data.get("export"):
        counted = (
            terminal.plural(made["images"], "image"),
            terminal.plural(made["captions"], "caption"),
        )
        yield f"🚚 {terminal.escape(made['folder'])}: {', '.join(counted)}"
        yield from listed(
            "✏️  Stay as they are there: edited, or not from an export", made["edited"]
        )
        yield from listed("❔ Not exported: their names are not UTF-8", made["left_out"])


def listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A title with its count and the first few lines; nothing where there are none."""
    if lines:
        yield f"{title}: {len(lines):,}"
        yield from (f"   {terminal.escape(line)}" for line in lines[:NAMED])
    if len(lines) > NAMED:
        yield f"   … and {len(lines) - NAMED:,} more"


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
