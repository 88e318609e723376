#!/usr/bin/env python3
"""Merge several image datasets into one: full_dataset/Cluster/Subcluster/Topic/.

Clusters, subclusters and topics of the same name are joined. Nothing is lost:

  copies      keep the original, or the copy that lost least of it; drop the others. Copies
              are what duplicates_<topic>.json of the source lists; copies of reference images
              (duplicates_across.json) are dropped too
  variants    are kept, unless --drop-variants names their kind
  same path   in two datasets: the same bytes are kept once; other bytes are both kept, the later
              one as photo__DataSet_2.jpg
  sidecars    captions and others (photo.txt, photo.caption, photo.json, photo.npz) go with their
              image, under its name; other files are listed, not copied. The caption of a dropped
              copy goes to its keeper, if that has none (--captions)
  damaged     images that the scorer or the search found damaged are left out, unless
              --keep-unreadable is given
  records     scores, what made them, image sizes and decisions are joined

Copies in different datasets are kept, except the same bytes: merge the datasets with --for-search,
search the target, and merge that. Copies in different topics are kept, unless --drop-across is
given. What you dropped is left out first (decisions.json), so that no other image is left out
because of it.

Before anything else it writes merge_manifest.jsonl into the target, one line per source image, so
that the result can be checked:

    {"action": "copied", "kept": null, "mtime_ns": 1700000000000000000, "reason": "",
     "sidecars": ["owl.txt"], "size": 48213,
     "source": "/data/DataSet_1/Animals/Birds/Owls/owl.jpg", "target": "Animals/Birds/Owls/owl.jpg"}
    {"action": "duplicate", "kept": "Animals/Birds/Owls/owl.jpg", "mtime_ns": 1700000000000000000,
     "reason": "matches owl.jpg: 2.1x the real detail", "sidecars": [], "size": 9120,
     "source": "/data/.../owl_small.jpg", "target": null}

(each on a single line; actions: copied, renamed, duplicate, variant, reference, dropped, identical,
unreadable, and superseded if a source changed after it was merged).

If a merge is interrupted, run the same command again to finish it. A finished merge does nothing,
and datasets can be added later. Sources are never changed, files are never overwritten or deleted,
and a merge that cannot be completed does not start.

--mode hardlink needs no space: source and target share each image file, so editing it in place
(not replacing it) changes both; deleting one leaves the other. With --mode symlink the target
points at the sources, which must stay. Captions and JSON are always copied.

examples:
  merge_clusters.py DataSet_1 DataSet_2 DataSet_3 --dry-run | less
  merge_clusters.py DataSet_1 DataSet_2 DataSet_3 --dry-run --html merge.html --open
  merge_clusters.py DataSet_1 DataSet_2 DataSet_3
  merge_clusters.py DataSet_* --output /big/full --mode hardlink --json > merge.json
"""

if __name__ == "__main__":  # first: can this Python run the script?
    from common import start

    start.check("tqdm", "wcwidth")

import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

import argparse
import dataclasses
import os
from collections.abc import Sequence

from common import cli, json_files
from common.reporter import Reporter, print_result
from common.target_folder import TargetFolder
from keeping.preference import add_prefer_option
from merging import captions_carry, copying, merge, outside, summary
from merging.plan import MergePlan
from merging.policy import MergePolicy
from merging.transfer import TransferMode
from reports import html_option

DEFAULT_OUTPUT = "full_dataset"
KIND_CHOICES = ", ".join(json_files.ACTIONABLE_KINDS)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    target = os.path.abspath(args.output)
    topics = merge.find_sources(args, target, reporter)
    policy = MergePolicy(
        drop_copies=not (args.keep_duplicates or args.for_search),
        drop_references=not args.keep_duplicates,
        drop_variants=args.drop_variants,
        drop_across=args.drop_across,
        captions=args.captions,
        keep_unreadable=args.keep_unreadable or args.for_search,
        prefer=args.prefer,
        for_search=args.for_search,
    )
    mode = TransferMode.LINK.value if args.for_search else args.mode
    with TargetFolder(target, "--output") as folder:
        plan = merge.plan_merge(topics, folder, mode, policy, args.mixed_scores, reporter)
        plan = dataclasses.replace(plan, outside=outside.find_outside_files(args.paths, topics))
        if not args.dry_run:
            merge.apply_merge(plan, folder, reporter)
    result = summary.make_result(plan, mode, args.dry_run)
    if args.html:
        from reports import merge_page  # Jinja2 and Pillow, needed for a page only

        merge_page.write_page(args.html, plan, result, reporter)
        html_option.announce_page(args, reporter)
    lines = list(summary.summary_lines(plan, result, args.verbose))
    lines += next_lines(args, plan)
    print_result(args, lines, result | reporter.as_json())
    reporter.print_totals(result["found"], **{part: result[part] for part in summary.PARTS})
    return reporter.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, limits_pixels=False)
    parser.add_argument(
        "--output",
        metavar="FOLDER",
        default=DEFAULT_OUTPUT,
        help="the target (default: %(default)s)",
    )
    parser.add_argument(
        "--mode",
        choices=copying.TRANSFER_MODES,
        default=copying.TransferMode.COPY.value,
        help="how images come to the target; captions and JSON are always copied "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what a run would do, without doing it"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="with --dry-run: also list the images that are copied under their own names",
    )
    add_prefer_option(parser)
    parser.add_argument("--keep-duplicates", action="store_true", help="merge copies too")
    parser.add_argument(
        "--drop-variants",
        type=variant_kinds,
        default=(),
        metavar="KIND,...",
        help=f"drop variants of these kinds: {KIND_CHOICES}",
    )
    parser.add_argument(
        "--drop-across",
        action="store_true",
        help="also drop copies, and variants of these kinds, in other topics of the same dataset",
    )
    parser.add_argument(
        "--captions",
        choices=captions_carry.CAPTION_RULES,
        default=captions_carry.CaptionRule.KEEPER.value,
        help="which caption an image gets, if dropped copies of it have one too "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--keep-unreadable",
        action="store_true",
        help="merge images too that the scorer or the search found damaged",
    )
    parser.add_argument(
        "--for-search",
        action="store_true",
        help="only link the images, also copies and damaged ones: a folder in which datasets are "
        "searched together, and which is merged then",
    )
    parser.add_argument(
        "--mixed-scores", action="store_true", help="merge scores that different models made"
    )
    html_option.add_html_options(parser, "that shows what goes in and what is left out")
    args = parser.parse_args(argv)
    html_option.check_html_options(args)
    if args.for_search and args.dry_run:
        parser.error("--for-search makes nothing but links; leave --dry-run out")
    return args


def next_lines(args: argparse.Namespace, plan: MergePlan) -> list[str]:
    """Return what to type next: the search in the target, and why."""
    if args.dry_run:
        return []
    step = cli.next_step(args, "find_duplicates.py", args.output, "--variants", "--across")
    if step and plan.has_sources_that_meet:
        return ["🌐 copies across datasets are still in: nothing searched them together", *step]
    return step


def variant_kinds(value: str) -> tuple[str, ...]:
    """Parse kinds of variants, separated by commas. An argparse type."""
    kinds = tuple(value.split(","))
    for kind in kinds:
        if kind == json_files.DOUBTFUL:
            raise argparse.ArgumentTypeError(
                "doubtful pairs never drop an image; decide them in the review page"
            )
        if kind not in json_files.ACTIONABLE_KINDS:
            raise argparse.ArgumentTypeError(
                f"{kind!r} is no kind of variant; choose from {KIND_CHOICES}"
            )
    return kinds


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
