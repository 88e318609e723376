#!/usr/bin/env python3
"""Pick the best images of every topic for training and validation.

Ranks the images of a topic by width x height x aesthetic score, best first; ties are broken by
name. The first 10 are for training, the next 5 for validation. Writes train_set.json and
valid_set.json into the current folder or --output-dir: flat lists of absolute paths, topic by
topic, best first:

    [
      "/data/Photos/Animals/Birds/Owls/owl7.jpg",
      "/data/Photos/Animals/Birds/Owls/owl2.jpg"
    ]

Scores come from the aesthetic_data.json of each topic (made by aesthetic_scorer.py). Images without
a score, and those that cannot be read, are not chosen; they are reported. A topic too small for
both sets fills training first.

If a topic has a duplicates_<topic>.json or variants_<topic>.json (from find_duplicates.py),
validation images that are a copy or a variant of a training image are reported as leaks.
--exclude-duplicates picks no copy of a better image, no screenshot, meme, frame or crop of an image
that may be chosen, and for validation no variant of a training image, so that the sets do not
overlap.

--export FOLDER also makes a folder that Hugging Face datasets, diffusers and kohya sd-scripts open
without changes:

    train/Animals/Birds/Owls/owl7.jpg    hard links, or --mode copy, symlink
    train/Animals/Birds/Owls/owl7.txt    captions are copied
    train/metadata.jsonl                 {"file_name": "Animals/Birds/Owls/owl7.jpg",
    valid/metadata.jsonl                  "text": "an owl", ...}
    kohya.toml                           a subset per folder, and a dataset for validation

A second run makes FOLDER equal to the new split. Files that it did not put there, or that were
edited since, stay as they are. So do files whose source image is not seen, because its dataset is
not given or not mounted, or whose topic has no scores; --prune removes them. Source images are
never changed or moved.

examples:
  split_data.py ~/datasets/Photos
  split_data.py Photos Drawings --train 20 --valid 4 --exclude-duplicates --output-dir splits
  split_data.py Photos --min-score 5 --min-side 512 --export ready
  split_data.py Photos --require-full --json | jq .leaks
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth", "PIL")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import contextlib
import dataclasses
import os
from collections import Counter
from collections.abc import Sequence

from common import atomic_files, cli, json_files, tree
from common.errors import UserError
from common.reporter import Reporter, print_result
from common.target_folder import TargetFolder
from reports import html_option
from sidecars import captions
from splitting import choice, export, options, summary
from splitting.candidates import Split, SplitPolicy
from splitting.earlier_split import (
    LIST_FILES,
    NO_SPLIT,
    TRAIN,
    VALID,
    SplitChanges,
    compare_with_earlier,
    read_earlier_split,
)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    policy = SplitPolicy(
        train_count=args.train,
        valid_count=args.valid,
        require_full=args.require_full,
        exclude_duplicates=args.exclude_duplicates,
        allow_variants=args.allow_variants,
        min_score=args.min_score,
        min_side=args.min_side,
        max_megapixels=args.count_megapixels,
        prefer=args.prefer,
        earlier=read_earlier_split(args.output_dir) if args.keep_split else NO_SPLIT,
    )
    is_complete = args.export is not None  # what is not found would be taken for gone
    topics_found = tree.find_given_topics(args, reporter, is_complete)
    topics_by_label = tree.group_by_level(topics_found, "topic")
    topics = [topic for (topic,) in topics_by_label.values()]
    splits = choice.split_topics(topics, policy, reporter)
    export_plan = None
    if args.export is None:
        changes = write_lists(splits, policy, args)
        odd_captions = find_odd_captions(splits)
    else:
        with TargetFolder(os.path.abspath(args.export), "--export") as folder:
            export_plan = export.plan_export(splits, args.paths, folder, args.mode, args.prune)
            changes = write_lists(splits, policy, args)
            export.apply_export(export_plan, folder, reporter)
        odd_captions = export_plan.layout.odd_captions
    splits_by_label = dict(zip(topics_by_label, splits, strict=True))
    result = summary.make_result(splits_by_label)
    if args.keep_split:
        kept = sum(split.kept_count for split in splits)
        result["kept_split"] = {"kept": kept, "not_kept": len(policy.earlier) - kept}
    if odd_captions:
        result["odd_captions"] = odd_captions
    if changes:
        result["changes"] = dataclasses.asdict(changes)
    if export_plan:
        result["export"] = export_plan.as_json()
    if args.html:
        from reports import split_page  # Jinja2, needed for a page only

        split_page.write_page(args.html, splits_by_label, result, reporter)
        html_option.announce_page(args, reporter)
    lines = summary.summary_lines(splits_by_label, result, policy, args.output_dir)
    print_result(args, lines, result | reporter.as_json())
    reporter.print_totals(sum(result["counts"].values()), **result["counts"])
    if export_plan and export_plan.problems:
        raise UserError(problem_message(export_plan))
    return reporter.status


def find_odd_captions(splits: Sequence[Split]) -> list[str]:
    """Return the paths of captions of chosen images that are in an unknown encoding."""
    paths = []
    for split in splits:
        paths += captions.find_undecodable(split.topic, [*split.train, *split.valid])
    return paths


def problem_message(plan: export.ExportPlan) -> str:
    more = len(plan.problems) - 1
    others = f" (and {more:,} more, see --json)" if more else ""
    return f"{plan.target}: exported, but {plan.problems[0]}{others}"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, limits_pixels=False)
    options.add_options(parser)
    html_option.add_html_options(parser, "that shows both sets, leaks, and what is left out")
    args = parser.parse_args(argv)
    html_option.check_html_options(args)
    if not args.train + args.valid:
        parser.error("--train 0 --valid 0 picks no images")
    if not args.count_megapixels > 0:
        parser.error("--count-megapixels must be above 0")
    if os.path.isdir(args.output_dir) or not os.path.isdir(parent_folder(args.output_dir)):
        atomic_files.check_output(os.path.join(args.output_dir, LIST_FILES[TRAIN]), "--output-dir")
    else:  # a new folder, made when the lists are written
        atomic_files.check_output(args.output_dir, "--output-dir")
    return args


def parent_folder(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def write_lists(
    splits: Sequence[Split], policy: SplitPolicy, args: argparse.Namespace
) -> SplitChanges | None:
    """Write both lists; return how they differ from those that they replace, if there are any.

    Raises UserError if no image was chosen, or if a relative path would mean two images.
    """
    train: list[str] = []
    valid: list[str] = []
    for split in splits:
        for paths, names in ((train, split.train), (valid, split.valid)):
            for name in names:
                path = split.topic.path_of(name)
                if args.relative:
                    path = os.path.relpath(path, split.topic.dataset_path)
                paths.append(path)
    if not train and not valid:
        raise UserError(summary.no_image_message(splits, args.paths, policy))
    for path, count in Counter(train + valid).items():
        if count > 1:
            raise UserError(
                f"{path}: in two datasets, which --relative cannot tell apart; split one at a time"
            )
    with contextlib.suppress(FileExistsError):
        os.mkdir(args.output_dir)
    train_file = os.path.join(args.output_dir, LIST_FILES[TRAIN])
    changes = compare_with_earlier(train_file, train, valid)
    json_files.write_json(train_file, train)
    json_files.write_json(os.path.join(args.output_dir, LIST_FILES[VALID]), valid)
    return changes


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
