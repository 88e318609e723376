"""Which scores of a topic stand, which are owed, and which are somebody else's.

A score is ours when the topic's cache says that this model and head made it, or when the stored vector gives it: so a
kill between two files, or a lost images.json, costs nothing. Needs the standard library alone until there is doubt.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common import text
from common.dataset import cache, records
from common.dataset.cache import Provenance
from common.dataset.tree import Stamp, Topic
from common.errors import UserError
from common.output import Talk
from common.scores import heads
from common.vectors.model import Model

if TYPE_CHECKING:
    from common.dataset.sidecar import Sidecar

UNKNOWN = "something unknown (its .cache is gone, or another program wrote it)"
IDENTITY = ("model", "weights", "decode", "head")  # scores that agree in these are comparable; precision is not in it


@dataclass(frozen=True)
class Rules:
    """What makes the scores of this run, and what may happen to those that something else made."""

    model: Model
    choice: heads.Choice
    only_missing: bool
    rescore: bool

    @functools.cached_property
    def head(self) -> heads.Head:
        return heads.load(self.choice)

    @property
    def made_by(self) -> dict[str, str]:
        return {**self.model.about, "head": self.choice.name, "judges": self.model.judges}


@dataclass(frozen=True)
class State:
    """One topic's scores as they are on disk, sorted out."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    standing: Mapping[str, float]  # stay as they are
    owed: list[str]  # new, changed, or formerly unreadable images
    foreign: list[str]  # scored by something else
    ours: Mapping[str, Stamp]  # of the standing ones those that this model and head made
    made_by: Mapping[str, str]  # of what is there now; empty where that is unknown
    is_stale: bool  # the file names images that are gone

    @property
    def is_done(self) -> bool:
        return not self.owed and not self.is_stale


def survey(topic: Topic, rules: Rules, talk: Talk) -> State:
    """Sort out a topic's scores by name, size, time and provenance. Damaged files are set aside."""
    stamps = topic.stamps()
    written = _written(topic, talk)
    recorded = cache.load(topic, talk.warn).scores
    made_by = recorded.made_by if recorded else {}
    same = all(made_by.get(key) == rules.made_by[key] for key in IDENTITY)
    known = recorded.images if recorded and same else {}
    ours = {name: stamps[name] for name in written if known.get(name, 0) == stamps.get(name)}
    doubtful = [name for name in written if name in stamps and name not in known]
    if doubtful and not rules.rescore:
        ours.update({name: stamps[name] for name in _proven(topic, stamps, doubtful, written, rules, talk)})
    trusted = [name for name in doubtful if name not in ours and not rules.rescore]
    staying = {*ours, *trusted}
    standing = {name: score for name, score in written.items() if name in staying}
    return State(
        topic,
        stamps,
        standing,
        owed=[name for name in stamps if name not in standing],
        foreign=[] if rules.only_missing else trusted,
        ours=ours,
        made_by=made_by,
        is_stale=any(name not in stamps for name in written),
    )


def _written(topic: Topic, talk: Talk) -> dict[str, float]:
    """The usable scores in the topic's file; a damaged file is set aside, NaN or text counts as no score."""
    try:
        found = records.read_scores(topic)
    except records.Damaged as error:
        records.set_aside(error.path, error.reason, talk.warn)
        return {}
    return {name: score for name, score in found.items() if score == score}


def _proven(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    doubtful: Collection[str],
    written: Mapping[str, float],
    rules: Rules,
    talk: Talk,
) -> list[str]:
    """Of the doubtful scores those that this head gives for the stored vector."""
    if not os.path.exists(cache.sidecar_path(topic, rules.model.sidecar)):
        return []
    from common.vectors import embed  # numpy, only where there is doubt

    vectors = embed.load_vectors(topic, rules.model, talk)
    names = list(vectors.fresh({name: stamps[name] for name in doubtful}))
    if not names:
        return []
    scores = rules.head(vectors.rows(names)["vectors"])
    return [name for name, score in zip(names, scores, strict=True) if score == written[name]]


def refuse_foreign(states: Iterable[State]) -> None:
    """Raise UserError if any topic holds scores that this run did not make and may not replace."""
    foreign = [state for state in states if state.foreign]
    if not foreign:
        return
    first, count = foreign[0], sum(len(state.foreign) for state in foreign)
    by = first.made_by
    origin = f"{by.get('model')} ({by.get('weights')}) with head {by.get('head')}" if by else UNKNOWN
    others = count - len(first.foreign)
    more = f", and {others:,} more in {text.plural(len(foreign) - 1, 'other topic')}" if others else ""
    raise UserError(
        f"{records.scores_path(first.topic)}: {text.plural(len(first.foreign), 'score')} made by {origin}{more}: "
        "--only-missing keeps them and scores the rest, --rescore replaces them"
    )


def finish(
    state: State, vectors: Sidecar, failed: Iterable[str], rules: Rules
) -> tuple[dict[str, float], dict[str, str]]:
    """Score what was owed from its vectors, write the topic's file and what made it; returns both."""
    from common.dataset import sidecar

    unscored = set(failed)
    names = [name for name in state.owed if name not in unscored]
    rows = vectors.rows(names)
    new = dict(zip(names, rules.head(rows["vectors"]), strict=True)) if names else {}
    scores = {**state.standing, **new}
    if scores or os.path.exists(records.scores_path(state.topic)):
        records.write_scores(state.topic, scores)
    precisions = set(rows["precision"].tolist()) | (cache.precisions(state.made_by) if state.ours else set())
    made_by = {**rules.made_by, "precision": "+".join(sorted(precisions))}
    made = Provenance(made_by, {**state.ours, **{name: state.stamps[name] for name in names}})
    cache.update(state.topic, extents=sidecar.extents(vectors, state.stamps), scores=made)
    return scores, made_by
