#!/usr/bin/env python3
"""Merge the clusters of several image datasets into one: full_dataset/Cluster/Subcluster/Topic/.

Clusters, subclusters and topics of the same name join. An image is left out where the duplicates_<topic>.json of its
source shows that it matches one that stays (the best by resolution x score), or where another dataset has the same
bytes at the same path; copies of reference images (duplicates_across.json) are left out too. Other bytes at the same
path are both kept, the later one as photo__DataSet_2.jpg. Variants are kept, unless --drop-variants names their kind,
and copies in other topics, unless --drop-across is given. Captions and other sidecars (photo.txt, photo.caption,
photo.json, photo.npz) go with their image, under its name; scores, what made them, image sizes and decisions are
joined; other files are named, not copied.

It writes merge_manifest.jsonl into the target first, one line a source image, so that the result can be audited:

    {"action": "copied", "kept": null, "mtime_ns": 1700000000000000000, "reason": "", "sidecars": ["owl.txt"],
     "size": 48213, "source": "/data/DataSet_1/Animals/Birds/Owls/owl.jpg", "target": "Animals/Birds/Owls/owl.jpg"}
    {"action": "duplicate", "kept": "Animals/Birds/Owls/owl.jpg", "mtime_ns": 1700000000000000000, "reason":
     "matches owl.jpg", "sidecars": [], "size": 9120, "source": "/data/.../owl_small.jpg", "target": null}

(each on one line; actions: copied, renamed, duplicate, variant, reference, identical, unreadable, and superseded where
a source changed after it was merged). An interrupted merge goes on with the same command; a finished one does nothing;
a dataset can be added later. It never changes a source, never overwrites or deletes a file, and refuses what it cannot
do whole.

--mode hardlink needs no space: source and target share each image file, so that editing it in place (not replacing it)
changes both, and deleting one leaves the other. symlink points at the sources, which must stay. Captions and JSON are
always copied.

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
from merging import copying, manifest, merge
from merging.exclusion import MergePolicy
from merging.merge import MergePlan

OUTPUT = "full_dataset"
PARTS = (
    "copied",
    "already_there",
    "duplicates",
    "variants",
    "references",
    "identical",
    "unreadable",
)
TABLE = (
    "found",
    *(part for part in PARTS if part not in ("variants", "references")),
)  # what fits a line
KINDS = ", ".join(json_files.ACTIONABLE_KINDS)
NAMED = 3  # files named in a line of the summary
MORE = ("renamed", "sidecars", "bytes_copied", "bytes_saved")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    talk, target = Reporter(args), os.path.abspath(args.output)
    topics = merge.find_sources(args.paths, target, talk)
    rules = MergePolicy(
        duplicates=not args.keep_duplicates, variants=args.drop_variants, across=args.drop_across
    )
    plan = merge.plan_merge(topics, target, args.mode, rules, args.mixed_scores, talk)
    if not args.dry_run:
        merge.apply_merge(plan, talk)
    data = report(plan, args.mode, args.dry_run)
    print_result(args, summary(plan, data), data)
    talk.print_totals(data["found"], **{part: data[part] for part in PARTS})
    return talk.status


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.make_parser(__doc__, limits_pixels=False)
    parser.add_argument(
        "--output", metavar="FOLDER", default=OUTPUT, help="the target (default: %(default)s)"
    )
    parser.add_argument(
        "--mode",
        choices=copying.MODES,
        default=copying.COPY,
        help="how images come to the target; captions and JSON are always copied (default: %(default)s)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what a run would do, and do nothing"
    )
    parser.add_argument("--keep-duplicates", action="store_true", help="merge duplicates too")
    parser.add_argument(
        "--drop-variants",
        type=kinds,
        default=(),
        metavar="KIND,...",
        help=f"leave out variants: {KINDS}",
    )
    parser.add_argument(
        "--drop-across",
        action="store_true",
        help="leave out copies in other topics of a dataset too",
    )
    parser.add_argument(
        "--mixed-scores", action="store_true", help="merge scores that different models made"
    )
    return parser.parse_args(argv)


def kinds(value: str) -> tuple[str, ...]:
    """An argparse type: kinds of variants, with commas between them."""
    asked = tuple(value.split(","))
    for kind in asked:
        if kind == json_files.DOUBTFUL:
            raise argparse.ArgumentTypeError(
                "doubtful pairs are for a person to decide: they cost no image"
            )
        if kind not in json_files.ACTIONABLE_KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is no kind of variant; choose from {KINDS}")
    return asked


def report(plan: MergePlan, mode: str, dry_run: bool) -> dict[str, Any]:
    """The result as data; that of a dry run says every action."""
    counts = plan.counts()
    data: dict[str, Any] = {
        **numbers(sum(counts.values(), Counter())),
        "target": plan.target,
        "manifest": os.path.join(plan.target, manifest.FILE_NAME),
        "mode": mode,
        "dry_run": dry_run,
        "bytes_free": plan.free,
        "datasets": [
            {"dataset": os.path.basename(path), "path": path, **numbers(count)}
            for path, count in counts.items()
        ],
        "left_behind": [
            {"path": path, "reason": reason} for made in plan.plans for path, reason in made.left
        ],
        "edited": sorted(path for made in plan.plans for path in made.edited),
    }
    if dry_run:
        names = ("action", "source", "target", "reason")
        data["actions"] = [dict(zip(names, action, strict=True)) for action in plan.actions()]
    return data


def numbers(count: Counter[str]) -> dict[str, int]:
    return {name: count[name] for name in ("found", *PARTS, *MORE)}


def summary(plan: MergePlan, data: dict[str, Any]) -> Iterator[str]:
    """The lines that people read; of a dry run first each action."""
    if data["dry_run"]:
        for action, source, place, reason in plan.actions():
            to = f" → {terminal.escape(place)}" if place else ""
            yield f"{action:<10} {terminal.escape(source)}{to}" + (
                f" ({terminal.escape(reason)})" if reason else ""
            )
        yield ""
    done = "Would merge" if data["dry_run"] else "Merged"
    topics = terminal.plural(len(plan.plans), "topic")
    yield f"📦 {done} {terminal.plural(len(data['datasets']), 'dataset')} into {terminal.escape(plan.target)} ({topics})"
    rows = [("dataset", *(part.replace("_", " ") for part in TABLE))]
    for count in [*data["datasets"], {**data, "dataset": "total"}]:
        rows.append((terminal.escape(count["dataset"]), *(f"{count[name]:,}" for name in TABLE)))
    yield from terminal.format_table(rows, right=" rrrrrr")
    if data["variants"]:
        yield f"🔀 {terminal.plural(data['variants'], 'variant')} left out, as --drop-variants asks"
    if data["references"]:
        yield f"📌 {terminal.plural(data['references'], 'image')} left out as copies of reference images"
    if data["renamed"]:
        yield f"🔁 {terminal.plural(data['renamed'], 'image')} renamed: another had the name (see the manifest)"
    if data["sidecars"]:
        yield f"📝 {data['sidecars']:,} captions and other sidecars copied with their images"
    left = [f"{file['path']}: {file['reason']}" for file in data["left_behind"]]
    for title, files in (
        ("📎 Other files, not copied", left),
        ("✏️  Changed in the target since", data["edited"]),
    ):
        if files:
            yield f"{title}: {len(files):,}"
            yield from (f"   {terminal.escape(file)}" for file in files[:NAMED])
            yield from (
                [f"   and {len(files) - NAMED:,} more (--json names all)"]
                if len(files) > NAMED
                else []
            )
    copied, saved = (
        terminal.format_bytes(data["bytes_copied"]),
        terminal.format_bytes(data["bytes_saved"]),
    )
    yield f"💾 {copied} {'to copy' if data['dry_run'] else 'copied'}, {saved} saved; {terminal.format_bytes(plan.free)} were free"
    yield f"📄 {terminal.escape(data['manifest'])}"


if __name__ == "__main__":
    raise SystemExit(cli.run_script(main))
