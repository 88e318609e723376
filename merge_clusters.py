#!/usr/bin/env python3
"""Merge several image datasets into one: full_dataset/Cluster/Subcluster/Topic/.

Clusters, subclusters and topics of the same name are joined. Nothing is lost:

  copies      keep the best (resolution x score), drop the others. Copies are what
              duplicates_<topic>.json of the source lists; copies of reference images
              (duplicates_across.json) are dropped too
  variants    are kept, unless --drop-variants names their kind
  same path   in two datasets: the same bytes are kept once; other bytes are both kept, the later
              one as photo__DataSet_2.jpg
  sidecars    captions and others (photo.txt, photo.caption, photo.json, photo.npz) go with their
              image, under its name; other files are listed, not copied
  records     scores, what made them, image sizes and decisions are joined

Copies in different topics are kept, unless --drop-across is given.

Before anything else it writes merge_manifest.jsonl into the target, one line per source image, so
that the result can be checked:

    {"action": "copied", "kept": null, "mtime_ns": 1700000000000000000, "reason": "",
     "sidecars": ["owl.txt"], "size": 48213,
     "source": "/data/DataSet_1/Animals/Birds/Owls/owl.jpg", "target": "Animals/Birds/Owls/owl.jpg"}
    {"action": "duplicate", "kept": "Animals/Birds/Owls/owl.jpg", "mtime_ns": 1700000000000000000,
     "reason": "matches owl.jpg", "sidecars": [], "size": 9120,
     "source": "/data/.../owl_small.jpg", "target": null}

(each on a single line; actions: copied, renamed, duplicate, variant, reference, identical,
unreadable, and superseded if a source changed after it was merged).

If a merge is interrupted, run the same command again to finish it. A finished merge does nothing,
and datasets can be added later. Sources are never changed, files are never overwritten or deleted,
and a merge that cannot be completed does not start.

--mode hardlink needs no space: source and target share each image file, so editing it in place
(not replacing it) changes both; deleting one leaves the other. With --mode symlink the target
points at the sources, which must stay. Captions and JSON are always copied.

examples:
  merge_clusters.py DataSet_1 DataSet_2 DataSet_3 --dry-run | less
  merge_clusters.py DataSet_1 DataSet_2 DataSet_3
  merge_clusters.py DataSet_* --output /big/full --mode hardlink --json > merge.json
"""

from __future__ import annotations

import common.signals  # noqa: F401 (first: from here on Ctrl-C is one line)

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from common import cli, json_files, terminal
from common.reporter import Reporter, print_result
from merging import copying, manifest, merge, plan
from merging.exclusion import MergePolicy
from merging.plan import MergePlan, PlannedAction

DEFAULT_OUTPUT = "full_dataset"
DROPPED = ("duplicates", "variants", "references")  # counts of images that a better one replaces
PARTS = ("copied", "already_there", *DROPPED, "identical", "unreadable")  # they add up to `found`
OTHER_COUNTS = ("renamed", "sidecars", "bytes_copied", "bytes_saved")
KIND_CHOICES = ", ".join(json_files.ACTIONABLE_KINDS)
MAX_LISTED_FILES = 3  # in the summary, of each sort
DROP_ACTIONS = (manifest.DUPLICATE, manifest.VARIANT, manifest.REFERENCE, manifest.IDENTICAL)
SKIP_ACTIONS = (manifest.UNREADABLE, plan.LEFT_BEHIND)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    reporter = Reporter(args)
    target = os.path.abspath(args.output)
    topics = merge.find_sources(args.paths, target, reporter)
    policy = MergePolicy(
        drop_copies=not args.keep_duplicates,
        drop_variants=args.drop_variants,
        drop_across=args.drop_across,
    )
    merge_plan = merge.plan_merge(topics, target, args.mode, policy, args.mixed_scores, reporter)
    if not args.dry_run:
        merge.apply_merge(merge_plan, reporter)
    result = make_result(merge_plan, args.mode, args.dry_run)
    print_result(args, summary_lines(merge_plan, result), result)
    reporter.print_totals(result["found"], **{part: result[part] for part in PARTS})
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
        help="also drop copies in other topics of the same dataset",
    )
    parser.add_argument(
        "--mixed-scores", action="store_true", help="merge scores that different models made"
    )
    return parser.parse_args(argv)


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


def make_result(merge_plan: MergePlan, mode: str, dry_run: bool) -> dict[str, Any]:
    """Return the result as data; that of a dry run lists every action."""
    counts_by_dataset = merge_plan.counts_by_dataset()
    datasets = []
    for path, counts in counts_by_dataset.items():
        datasets.append({"dataset": os.path.basename(path), "path": path, **pick_counts(counts)})
    left_behind = [file._asdict() for topic in merge_plan.topics for file in topic.left_behind]
    edited = [path for topic in merge_plan.topics for path in topic.edited]
    total = sum(counts_by_dataset.values(), Counter())
    result: dict[str, Any] = {
        **pick_counts(total),
        "target": merge_plan.target,
        "manifest": manifest.manifest_path(merge_plan.target),
        "mode": mode,
        "dry_run": dry_run,
        "bytes_free": merge_plan.free_bytes,
        "datasets": datasets,
        "left_behind": left_behind,
        "edited": sorted(edited),
    }
    if dry_run:
        result["actions"] = [action._asdict() for action in merge_plan.actions()]
    return result


def pick_counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in ("found", *PARTS, *OTHER_COUNTS)}


def summary_lines(merge_plan: MergePlan, result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that people read; those of a dry run start with every action."""
    dry_run = result["dry_run"]
    if dry_run:
        yield from map(action_line, merge_plan.actions())
        yield ""
    done = "Would merge" if dry_run else "Merged"
    datasets = terminal.plural(len(result["datasets"]), "dataset")
    topics = terminal.plural(len(merge_plan.topics), "topic")
    yield f"📦 {done} {datasets} into {terminal.escape(merge_plan.target)} ({topics})"
    yield from table_lines(result)
    yield from count_lines(result)
    left_behind = [f"{file['path']}: {file['reason']}" for file in result["left_behind"]]
    yield from file_lines("📎 Other files, not copied", left_behind)
    yield from file_lines("✏️  Changed in the target since they were merged", result["edited"])
    copied = terminal.format_bytes(result["bytes_copied"])
    saved = terminal.format_bytes(result["bytes_saved"])
    free = terminal.format_bytes(merge_plan.free_bytes)
    yield f"💾 {copied} {'to copy' if dry_run else 'copied'}, {saved} saved; {free} were free"
    if dry_run:
        yield "👀 A dry run: nothing was written. Without --dry-run, the same command merges."
    else:
        yield f"📄 {terminal.escape(result['manifest'])}"


def action_line(action: PlannedAction) -> str:
    """Return what happens to one file: `copy A → B`, `drop A, keep B (why)`, `skip A (why)`."""
    source, target = terminal.escape(action.source), terminal.escape(action.target)
    if action.action in SKIP_ACTIONS:
        line = f"skip       {source}"
    elif action.action in DROP_ACTIONS:
        line = f"drop       {source}"
        if target:
            line += f", keep {target}"
    elif action.action == plan.IN_TARGET_ALREADY:
        line = f"is there   {source} → {target}"
    else:
        line = f"{action.action:<10} {source} → {target}"
    return f"{line} ({terminal.escape(action.reason)})" if action.reason else line


def table_lines(result: dict[str, Any]) -> list[str]:
    """Return the table of images per dataset; the columns of a row add up to its first one."""
    rows: list[Sequence[str]] = [
        ("dataset", "found", "copied", "already there", "dropped", "identical", "unreadable")
    ]
    for counts in [*result["datasets"], {**result, "dataset": "total"}]:
        dropped = sum(counts[name] for name in DROPPED)
        numbers = (
            counts["found"],
            counts["copied"],
            counts["already_there"],
            dropped,
            counts["identical"],
            counts["unreadable"],
        )
        rows.append((terminal.escape(counts["dataset"]), *map(terminal.thousands, numbers)))
    return terminal.format_table(rows, " rrrrrr")


def count_lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each count that is not in the table, unless it is 0."""
    plural = terminal.plural
    if count := result["duplicates"]:
        copies = "1 copy" if count == 1 else f"{count:,} copies"
        yield f"👯 {copies} dropped; the manifest names the image kept instead of each"
    if count := result["variants"]:
        yield f"🔀 {plural(count, 'variant')} dropped, because of --drop-variants"
    if count := result["references"]:
        yield f"📌 {plural(count, 'image')} dropped as copies of reference images"
    if count := result["renamed"]:
        yield f"🔁 {plural(count, 'image')} renamed, because the name was taken (see the manifest)"
    if count := result["sidecars"]:
        yield f"📝 {plural(count, 'caption')} and other sidecars copied with their images"


def file_lines(title: str, files: Sequence[str]) -> Iterator[str]:
    """Yield a title with the number of files, and the first few of them, if there are any."""
    if not files:
        return
    yield f"{title}: {len(files):,}"
    for file in files[:MAX_LISTED_FILES]:
        yield f"   {terminal.escape(file)}"
    if len(files) > MAX_LISTED_FILES:
        yield f"   and {len(files) - MAX_LISTED_FILES:,} more (--json lists all)"


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
