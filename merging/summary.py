"""The result of a merge, or of a dry run: as data, and as lines for people."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from common import terminal
from common.reporter import section_lines
from keeping import keepers
from merging import manifest
from merging.plan import IN_TARGET_ALREADY, LEFT_BEHIND, MergePlan, PlannedAction, TopicPlan

LEFT_OUT = ("duplicates", "variants", "references", "dropped")  # counts of images
PARTS = ("copied", "already_there", *LEFT_OUT, "identical", "unreadable")  # they add up to `found`
CAPTION_COUNTS = ("captions_moved", "captions_left", "captions_written")
SIDECAR_COUNTS = ("sidecars", "sidecars_moved", "sidecars_left")
OTHER_COUNTS = (
    *("damaged", "renamed", *SIDECAR_COUNTS, *CAPTION_COUNTS),
    *("bytes_copied", "bytes_saved"),
)
MAX_LISTED_FILES = 3  # in the summary, of each sort
DROP_ACTIONS = (
    manifest.DUPLICATE,
    manifest.VARIANT,
    manifest.REFERENCE,
    manifest.DROPPED,
    manifest.IDENTICAL,
)
SKIP_ACTIONS = (manifest.UNREADABLE, LEFT_BEHIND)


def make_result(plan: MergePlan, mode: str, dry_run: bool) -> dict[str, Any]:
    """Return the result as data; that of a dry run lists every action."""
    counts_by_dataset = plan.counts_by_dataset()
    datasets = []
    for path, counts in counts_by_dataset.items():
        datasets.append({"dataset": os.path.basename(path), "path": path, **pick_counts(counts)})
    left_behind = [file._asdict() for topic in plan.topics for file in topic.left_behind]
    left_behind += [folder._asdict() for folder in plan.outside]
    edited = [path for topic in plan.topics for path in topic.edited]
    dropped = [path for topic in plan.topics for path in topic.dropped_in_target]
    total = sum(counts_by_dataset.values(), Counter())
    result: dict[str, Any] = {
        **pick_counts(total),
        "topics": sum(1 for topic in plan.topics if _has_images(topic)),
        "target": plan.target,
        "manifest": manifest.manifest_path(plan.target),
        "mode": mode,
        "dry_run": dry_run,
        "bytes_free": plan.free_bytes,
        "datasets": datasets,
        "left_behind": left_behind,
        "edited": sorted(edited),
        "dropped_in_target": sorted(dropped),
        "sets_by_size": plan.sets_by_size,
        "better_left_out": plan.better_left_out,
        "not_searched": plan.not_searched,
    }
    if dry_run:
        result["actions"] = [action._asdict() for action in plan.actions()]
    return result


def _has_images(plan: TopicPlan) -> bool:
    """Tell whether the topic of the target will have an image."""
    return any(line.target or line.kept for line in plan.lines)


def pick_counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in ("found", *PARTS, *OTHER_COUNTS)}


def summary_lines(
    plan: MergePlan, result: dict[str, Any], lists_all: bool = False
) -> Iterator[str]:
    """Yield the lines that people read.

    A dry run starts with every action but plain copies, or with all of them if `lists_all`.
    """
    dry_run = result["dry_run"]
    if dry_run:
        actions = list(plan.actions())
        listed = [action for action in actions if lists_all or not _is_plain_copy(action)]
        yield from map(action_line, listed)
        if unlisted := len(actions) - len(listed):
            yield f"{terminal.plural(unlisted, 'file')} more copied as they are (-v lists all)"
        yield ""
    done = "Would merge" if dry_run else "Merged"
    datasets = terminal.plural(len(result["datasets"]), "dataset")
    topics = terminal.plural(result["topics"], "topic")
    yield f"📦 {done} {datasets} into {terminal.escape(plan.target)} ({topics})"
    yield from table_lines(result)
    yield from count_lines(result)
    left_behind = [f"{file['path']}: {file['reason']}" for file in result["left_behind"]]
    if dry_run and left_behind:  # they are among the actions
        yield f"📎 {terminal.plural(len(left_behind), 'other file')} would not be copied, see above"
        left_behind = []
    edited = "✏️  Changed in the target since they were merged"
    for title, files in (
        ("📎 Other files, not copied", left_behind),
        (edited, result["edited"]),
        ("🗑  Dropped by you since, but still in the target", result["dropped_in_target"]),
    ):
        yield from section_lines(title, files, MAX_LISTED_FILES, "and {:,} more (--json lists all)")
    copied = terminal.format_bytes(result["bytes_copied"])
    saved = terminal.format_bytes(result["bytes_saved"])
    free = terminal.format_bytes(plan.free_bytes)
    yield f"💾 {copied} {'to copy' if dry_run else 'copied'}, {saved} saved; {free} were free"
    if dry_run:
        yield "👀 A dry run: nothing was written. Without --dry-run, the same command merges."
    else:
        yield f"📄 {terminal.escape(result['manifest'])}"


def _is_plain_copy(action: PlannedAction) -> bool:
    """Tell whether a file keeps its name, or is in the target already."""
    keeps_name = os.path.basename(action.source) == os.path.basename(action.target)
    is_copied = action.action not in DROP_ACTIONS and action.action not in SKIP_ACTIONS
    return is_copied and keeps_name and not action.reason


def action_line(action: PlannedAction) -> str:
    """Return what happens to one file: `copy A → B`, `drop A, keep B (why)`, `skip A (why)`."""
    source, target = terminal.escape(action.source), terminal.escape(action.target)
    if action.action in SKIP_ACTIONS:
        line = f"skip       {source}"
    elif action.action in DROP_ACTIONS:
        line = f"drop       {source}"
        if target:
            line += f", keep {target}"
    elif action.action == IN_TARGET_ALREADY:
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
        dropped = sum(counts[name] for name in LEFT_OUT)
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
    would = "would be " if result["dry_run"] else ""
    if count := result["duplicates"]:
        copies = "1 copy" if count == 1 else f"{count:,} copies"
        yield f"👯 {copies} {would}dropped, each in favour of a better one"
    if count := result["not_searched"]:
        yield f"❔ {plural(count, 'topic')} never searched for copies: run find_duplicates.py first"
    if count := result["sets_by_size"]:
        yield f"📏 {keepers.by_size_message(count)}"
    if count := result["better_left_out"]:
        better = "1 better copy" if count == 1 else f"{count:,} better copies"
        yield f"♻️  {better} left out: the target has one; a merge into a new folder takes them"
    if count := result["variants"]:
        yield f"🔀 {plural(count, 'variant')} {would}dropped, because of --drop-variants"
    if count := result["references"]:
        yield f"📌 {plural(count, 'image')} {would}dropped as copies of reference images"
    if count := result["dropped"]:
        yield f"🗑  {plural(count, 'image')} {would}left out, as you decided"
    if count := result["damaged"]:
        yield f"🩹 {plural(count, 'damaged image')} {would}left out; --keep-unreadable takes them"
    if count := result["renamed"]:
        yield f"🔁 {plural(count, 'image')} {would}renamed: another image has the name"
    if count := result["captions_moved"]:
        yield f"💬 {plural(count, 'caption')} of dropped copies {would}given to their keepers"
    if count := result["captions_written"]:
        yield f"💬 {plural(count, 'caption')} of metadata.jsonl {would}written as text files"
    if count := result["captions_left"]:
        yield f"💬 {plural(count, 'other caption')} of dropped copies left out, see the manifest"
    if count := result["sidecars_moved"]:
        yield f"🎭 {plural(count, 'sidecar')} of equal copies {would}given to their keepers"
    if count := result["sidecars_left"]:
        yield f"🎭 {plural(count, 'sidecar')} of dropped copies left out, see the manifest"
    if count := result["sidecars"]:
        yield f"📝 {plural(count, 'caption')} and other sidecars {would}copied with their images"
