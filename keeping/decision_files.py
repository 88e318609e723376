"""Decision files that a person gives: read, checked and added to those of the datasets."""

from __future__ import annotations

import os
from collections.abc import Sequence

from common import json_files, run_scope, terminal
from common.errors import UserError
from common.image_formats import is_image_name
from common.reporter import Reporter
from common.topics import Topic, stamp_of
from keeping import decisions
from keeping.decisions import Decisions


def add_decisions(
    topics: Sequence[Topic], reporter: Reporter, added_file: str | None = None
) -> None:
    """Join `added_file`, if given, and warn of decisions about images that are gone or changed.

    Raises UserError.
    """
    if added_file:
        reporter.say(f"✍️  {add_file(topics, added_file)}")
    for dataset in dict.fromkeys(topic.dataset_path for topic in topics):
        decided = decisions.read_decisions(dataset)
        gone, changed = [], []
        for path in decided.paths:
            stamp = stamp_of(os.path.join(dataset, path))
            if stamp is None:
                gone.append(path)
            elif not decisions.is_as_decided(os.path.join(dataset, path), decided.files.get(path)):
                changed.append(path)
        if gone or changed:
            listed = terminal.list_counted(((gone, "gone"), (changed, decisions.CHANGED)))
            file = terminal.escape(decisions.decisions_path(dataset))
            reporter.warn(f"{file}: some of its images are gone or changed: {listed}")


def add_file(topics: Sequence[Topic], path: str) -> str:
    """Add the decisions in the file or pipe `path` to those of the dataset; they overrule the old.

    Returns what was added, in words. Raises UserError, before anything is written, if one names an
    image that does not exist.
    """
    datasets = list(dict.fromkeys(topic.dataset_path for topic in topics))
    if len(datasets) > 1:
        only_one = f"takes one dataset at a time; you gave {len(datasets)}"
        raise UserError(f"--decisions {path}: {only_one}")
    if not os.path.exists(path):
        raise UserError(
            f"{path}: no such file; give --decisions the file that the review page saved"
        )
    dataset = datasets[0]
    run_scope.check_may_write(dataset, decisions.FILE_NAME, topics, "--decisions")
    data = json_files.read_json(path, {}, is_given=True)
    new = decisions.parse_decisions(path, data, dataset)
    for name in new.paths:
        is_image = is_image_name(os.path.basename(name))
        if not is_image or not os.path.isfile(os.path.join(dataset, name)):
            what = f"no such image in {dataset}; correct the path, or delete the line"
            raise UserError(f"{path}: {name}: {what}")
    old = decisions.read_decisions(dataset)
    decisions.write_decisions(dataset, join_decisions(old, new))
    added = []
    for kind in ("different", "same", "keep", "drop"):
        count = len(getattr(new, kind) - getattr(old, kind))
        if count:
            added.append(f"{count:,} {kind}")
    total = len(new.different | new.same) + len(new.keep | new.drop)
    if not added:
        return f"0 decisions added: all {total:,} were there already"
    count = sum(int(part.split()[0].replace(",", "")) for part in added)
    return f"{terminal.plural(count, 'decision')} added: {', '.join(added)}"


def join_decisions(old: Decisions, new: Decisions) -> Decisions:
    """Join both; if they disagree about a pair or an image, `new` counts."""
    return Decisions(
        (old.different - new.same) | new.different,
        (old.same - new.different) | new.same,
        (old.keep - new.drop) | new.keep,
        (old.drop - new.keep) | new.drop,
        {**old.files, **new.files},
    )
