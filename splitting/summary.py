"""The result of a split: as data, and as lines for people."""

from __future__ import annotations

import math
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common import terminal
from common.reporter import section_lines
from keeping import keepers
from splitting import unclean
from splitting.candidates import Split, SplitPolicy
from splitting.earlier_split import LIST_FILES, TRAIN

MAX_LISTED = 5  # topics or leaks in a section of the summary


def make_result(splits: Mapping[str, Split]) -> dict[str, Any]:
    """Return the result as data. `splits` has them by the label of their topic."""
    counts = Counter[str](train=0)
    topics = {}
    leaks = []
    for label, split in splits.items():
        counts.update(split.counts)
        topics[label] = {
            "chosen": split.chosen_count,
            "train": len(split.train),
            "valid": len(split.valid),
            "available": split.available,
            "lowest_score": split.lowest_score,
            "lowest_resolution": split.lowest_resolution,
        }
        for leak in split.leaks:
            entry: dict[str, Any] = {
                "topic": label,
                "valid": leak.valid_name,
                "train": os.path.relpath(leak.train_path, split.topic.path),
                "kind": leak.kind,
            }
            if leak.through:
                between = [os.path.relpath(path, split.topic.path) for path in leak.through]
                entry["through"] = between
            leaks.append(entry)
    return {
        "train": counts["train"],
        "valid": counts["valid"],
        "counts": dict(counts),
        "leaks": leaks,
        "variants_left_out": counts[unclean.REASON],
        "sets_by_size": sum(split.sets_by_size for split in splits.values()),
        "topics": topics,
    }


def summary_lines(
    splits: Mapping[str, Split], result: Mapping[str, Any], policy: SplitPolicy, folder: str
) -> Iterator[str]:
    """Yield the lines that people read."""
    topics = terminal.plural(len(splits), "topic")
    yield f"🎯 {result['train']:,} for training and {result['valid']:,} for validation"
    yield (
        f"   from {topics}: the best {policy.train_count} and the next {policy.valid_count} of each"
    )
    yield from topic_lines(splits, policy)
    if count := result["sets_by_size"]:
        yield f"📏 {keepers.by_size_message(count)}"
    if count := result["variants_left_out"]:
        variants = terminal.plural(count, "variant")
        yield f"🖼  {variants} left out: the clean image may be chosen (--allow-variants)"
    if kept := result.get("kept_split"):
        images = terminal.plural(kept["kept"], "image")
        gone = f"; {kept['not_kept']:,} not: gone, left out, or related to the other side"
        yield f"📌 {images} kept from the earlier split{gone if kept['not_kept'] else ''}"
    changes = result.get("changes")
    if changes and changes["train_changed"]:
        changed = terminal.plural(changes["train_changed"], "training image")
        yield f"🔁 {changed} not in the {LIST_FILES[TRAIN]} that this replaces"
    if changes and changes["moved_to_valid"]:
        moved = terminal.plural(changes["moved_to_valid"], "image")
        yield f"🔁 {moved} moved from training to validation"
    leaks = []
    for leak in result["leaks"]:
        through = ""
        if "through" in leak:
            through = f" through {terminal.list_few(leak['through'])}"
        match = f"{leak['valid']} matches {leak['train']} ({leak['kind']}{through})"
        leaks.append(f"{leak['topic']}: {match}")
    yield from section_lines(
        "💧 Leaks, validation images that match a training image (--exclude-duplicates)",
        leaks,
        MAX_LISTED,
    )
    yield from section_lines(
        "❔ Captions that are not UTF-8 (save them as UTF-8)",
        result.get("odd_captions", ()),
        MAX_LISTED,
    )
    for name in LIST_FILES.values():
        yield f"📄 {terminal.escape(os.path.join(folder, name))}"
    if "export" in result:
        yield from export_lines(result["export"])


def topic_lines(splits: Mapping[str, Split], policy: SplitPolicy) -> Iterator[str]:
    """Yield the topics that cannot fill both sets."""
    small, unscored, without_valid = [], [], []
    for label, split in splits.items():
        if 0 < split.available < policy.full_count:
            small.append(f"{label}: {split.available}")
        if policy.valid_count and split.train and split.skipped and not split.valid:
            without_valid.append(label)
        if split.topic.image_count and not split.has_scores:
            unscored.append(split.topic.path)
    title = "📉 Topics too small for both sets"
    if policy.require_full:
        title = "📉 Topics left out, too small for both sets"
    yield from section_lines(title, small, MAX_LISTED)
    yield from section_lines(
        "🪢 Topics without validation images: all others are related to training images",
        without_valid,
        MAX_LISTED,
    )
    yield from section_lines(
        "❔ Topics without scores (run aesthetic_scorer.py)", unscored, MAX_LISTED
    )


def export_lines(exported: Mapping[str, Any]) -> Iterator[str]:
    images = terminal.plural(exported["images"], "image")
    captions = terminal.plural(exported["captions"], "caption")
    yield f"🚚 {terminal.escape(exported['folder'])}: {images}, {captions}"
    if exported["removed"]:
        removed = terminal.plural(exported["removed"], "file")
        yield f"   {removed} of earlier exports removed or replaced, {exported['put']:,} put there"
    yield from section_lines(
        "✏️  Left as they are there, edited or not from an export", exported["edited"], MAX_LISTED
    )
    kept: Counter[tuple[str, str]] = Counter()
    for place, reason in exported.get("kept", {}).items():
        kept[os.path.dirname(place), reason] += 1
    kept_lines = []
    for (folder, reason), count in sorted(kept.items()):
        kept_lines.append(f"{folder}: {terminal.plural(count, 'file')}, {reason}")
    count = sum(kept.values())
    yield from section_lines(
        f"📌 {terminal.plural(count, 'exported file')} kept (--prune removes them); topics",
        kept_lines,
        MAX_LISTED,
    )
    yield from section_lines(
        "❔ Captions larger than 1 MB, not exported", exported.get("large_captions", ()), MAX_LISTED
    )
    yield from section_lines(
        "❔ Not exported, because their names are not UTF-8", exported["left_out"], MAX_LISTED
    )


def no_image_message(splits: Sequence[Split], paths: Sequence[str], policy: SplitPolicy) -> str:
    """Say why no image was chosen, and what to type."""
    given = terminal.escape(shlex.join(paths))
    best_scores = [split.best_score for split in splits if split.best_score is not None]
    if not best_scores:
        return f"{given}: no image has a score; run aesthetic_scorer.py {given} first"
    best = max(best_scores)
    if policy.min_score > best:
        return f"--min-score {policy.min_score:g}: the best score is {best:.2f}; ask for less"
    limits = {
        "--min-score": policy.min_score > -math.inf,
        "--min-side": policy.min_side,
        "--require-full": policy.require_full,
        "--exclude-duplicates": policy.exclude_duplicates,
    }
    asked = " or ".join(option for option, is_asked in limits.items() if is_asked)
    if not asked:
        return f"{given}: no image to choose, all are unreadable, dropped by you or references"
    return f"{given}: no image to choose; leave out {asked}, or ask for less"
