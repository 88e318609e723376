"""Which scores of a topic stand, which are owed, and which are somebody else's.

A score is ours when the topic's cache says that this model and head made it, or when the stored vector gives it: so a
kill between two files, or a lost images.json, costs nothing. Needs the standard library alone until there is doubt.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common import cache, json_files, terminal
from common.cache import Provenance
from common.clip import heads
from common.clip.model import Model
from common.errors import UserError
from common.reporter import Reporter
from common.tree import Stamp, Topic

if TYPE_CHECKING:
    from common.sidecar import Sidecar

UNKNOWN_SOURCE = "something unknown (its .cache is gone, or another program wrote it)"
IDENTITY = (
    "model",
    "weights",
    "decode",
    "head",
)  # scores that agree in these are comparable; precision is not in it


@dataclass(frozen=True)
class ScoringPolicy:
    """What makes the scores of this run, and what may happen to those that something else made."""

    model: Model
    choice: heads.HeadChoice
    only_missing: bool
    rescore: bool

    @functools.cached_property
    def head(self) -> heads.Head:
        return heads.load_head(self.choice)

    @property
    def made_by(self) -> dict[str, str]:
        return {**self.model.about, "head": self.choice.name, "judges": self.model.judges}


@dataclass(frozen=True)
class ScoreState:
    """One topic's scores as they are on disk, sorted out."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    standing: Mapping[str, float]  # stay as they are
    owed: list[str]  # new, changed, or formerly unreadable images
    foreign: list[str]  # scored by something else
    ours: Mapping[str, Stamp]  # of the standing ones those that this model and head made
    made_by: Mapping[str, str]  # of what is there now; empty where that is unknown
    is_stale: bool  # the file names images that are gone, or its record lacks some that are ours
    digest: str  # of the file

    @property
    def is_done(self) -> bool:
        return not self.owed and not self.is_stale


def inspect_topics(
    topic: Topic, rules: ScoringPolicy, talk: Reporter, stamps: Mapping[str, Stamp] | None = None
) -> ScoreState:
    """Sort out a topic's scores by name, size, time and provenance. Damaged files are set aside."""
    stamps = topic.stamps() if stamps is None else stamps
    written, recorded, digest = _read_scores(topic, talk)
    made_by = recorded.made_by if recorded else {}
    same = all(made_by.get(key) == rules.made_by[key] for key in IDENTITY)
    known = recorded.images if recorded and same else {}
    ours = {name: stamps[name] for name in written if known.get(name, 0) == stamps.get(name)}
    doubtful = [name for name in written if name in stamps and name not in known]
    given = _scores_from_vectors(topic, stamps, ours if rules.rescore else doubtful, rules, talk)
    proven = {name: stamps[name] for name, score in given.items() if score == written[name]}
    ours = {name: stamp for name, stamp in ours.items() if name not in given} | proven
    trusted = [name for name in doubtful if name not in ours and not rules.rescore]
    staying = {*ours, *trusted}
    standing = {name: score for name, score in written.items() if name in staying}
    return ScoreState(
        topic,
        stamps,
        standing,
        owed=[name for name in stamps if name not in standing],
        foreign=[] if rules.only_missing else trusted,
        ours=ours,
        made_by=made_by,
        is_stale=any(name not in stamps for name in written) or bool(proven.keys() - known.keys()),
        digest=digest,
    )


def _read_scores(topic: Topic, talk: Reporter) -> tuple[dict[str, float], Provenance | None, str]:
    """The usable scores in the topic's file, what made them, and the file's digest.

    A damaged file is set aside, NaN is no score.
    """
    try:
        found, known, digest = cache.read_scores_with_provenance(topic, talk.warn)
    except json_files.Damaged as error:
        json_files.quarantine(error.path, error.reason, talk.warn)
        return {}, cache.load_cache(topic, talk.warn).scores, ""
    return {name: score for name, score in found.items() if score == score}, known.scores, digest


def _scores_from_vectors(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    names: Collection[str],
    rules: ScoringPolicy,
    talk: Reporter,
) -> dict[str, float]:
    """The scores that this head gives for the stored vectors of these images, as far as there are any."""
    if not names or not os.path.exists(cache.sidecar_path(topic, rules.model.sidecar)):
        return {}
    from common.clip import embed  # numpy, only where there is doubt

    vectors = embed.load_vectors(topic, rules.model, talk)
    known = list(vectors.fresh({name: stamps[name] for name in names}))
    return (
        dict(zip(known, rules.head(vectors.rows(known)["vectors"]), strict=True)) if known else {}
    )


def refuse_foreign(states: Iterable[ScoreState]) -> None:
    """Raise UserError if any topic holds scores that this run did not make and may not replace."""
    foreign = [state for state in states if state.foreign]
    if not foreign:
        return
    first, count = foreign[0], sum(len(state.foreign) for state in foreign)
    by = first.made_by
    origin = (
        f"{by.get('model')} ({by.get('weights')}) with head {by.get('head')}"
        if by
        else UNKNOWN_SOURCE
    )
    others = count - len(first.foreign)
    more = (
        f", and {others:,} more in {terminal.plural(len(foreign) - 1, 'other topic')}"
        if others
        else ""
    )
    raise UserError(
        f"{json_files.scores_path(first.topic)}: {terminal.plural(len(first.foreign), 'score')} made by {origin}{more}: "
        "--only-missing keeps them and scores the rest, --rescore replaces them"
    )


def write_topic_scores(
    state: ScoreState,
    vectors: Sidecar,
    failed: Collection[str],
    rules: ScoringPolicy,
    talk: Reporter,
) -> tuple[ScoreState, dict[str, float], dict[str, str]]:
    """Score what is owed from its vectors, write the topic's file and what made it; returns both.

    Where another run has written scores meanwhile, they are sorted out anew: the state that counts comes first. Raises
    UserError where they are somebody else's.
    """
    from common import sidecar

    with cache.topic_lock(state.topic):
        if json_files.file_digest(json_files.scores_path(state.topic)) != state.digest:
            state = inspect_topics(state.topic, rules, talk, state.stamps)
            refuse_foreign([state])
            kept = {name: score for name, score in state.standing.items() if name not in failed}
            state = replace(state, standing=kept)
        have = vectors.fresh(state.stamps)
        names = [name for name in state.owed if name in have and name not in failed]
        rows = vectors.rows(names)
        new = dict(zip(names, rules.head(rows["vectors"]), strict=True)) if names else {}
        scores = {**state.standing, **new}
        precisions = set(rows["precision"].tolist()) | (
            cache.precisions_of(state.made_by) if state.ours else set()
        )
        made_by = {**rules.made_by, "precision": "+".join(sorted(precisions))}
        made = Provenance(made_by, {**state.ours, **{name: state.stamps[name] for name in names}})
        if scores or os.path.exists(json_files.scores_path(state.topic)):
            cache.write_scores_with_provenance(
                state.topic, scores, made, sidecar.row_extents(vectors, state.stamps)
            )
    return state, scores, made_by
