"""Which scores of a topic are kept, which images are pending, and which scores are foreign.

A score is our own if the topic's cache says that this model and head made it, or if the stored
vector gives exactly this score. So a kill between two writes, or a lost images.json, costs nothing.
Loads numpy and torch only if a stored vector must be asked.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common import atomic_files, cache, image_formats, json_files, locks, terminal, topic_scores
from common.cache import Provenance
from common.clip import heads
from common.clip.model import Model
from common.errors import UserError
from common.reporter import Reporter
from common.topics import Stamp, Topic
from imaging import image_identity
from imaging.image_identity import ImageStamps

if TYPE_CHECKING:
    from common.clip.sidecar import Sidecar

UNKNOWN_SOURCE = "something unknown (its .cache is gone, or another program wrote it)"
IDENTITY_KEYS = ("model", "weights", "decode", "head")  # scores that agree in these are comparable


@dataclass(frozen=True)
class ScoringPolicy:
    """What makes the scores of this run, and what may happen to existing scores."""

    model: Model
    head_choice: heads.HeadChoice
    only_missing: bool
    rescore: bool

    @functools.cached_property
    def head(self) -> heads.Head:
        return heads.load_head(self.head_choice)

    @property
    def made_by(self) -> dict[str, str]:
        """Provenance of the scores, without the precision of their vectors."""
        head = self.head_choice.name
        return {**self.model.about, "head": head, "judges": self.model.score_meaning}


@dataclass(frozen=True)
class ScoreState:
    """The scores of one topic as they are on disk, sorted out."""

    topic: Topic
    stamps: ImageStamps
    kept_scores: Mapping[str, float]
    pending: list[str]  # images that are new, changed, or were unreadable
    foreign: list[str]  # images that something else scored
    own_stamps: Mapping[str, Stamp]  # of the kept scores, those that this model and head made
    made_by: Mapping[str, str]  # provenance of what is on disk; empty if unknown
    is_stale: bool  # the file names images that are gone, or its record lacks some of our own
    digest: str  # of the file's bytes

    @property
    def is_done(self) -> bool:
        return not self.pending and not self.is_stale


def inspect_topic(
    topic: Topic,
    policy: ScoringPolicy,
    reporter: Reporter,
    stamps: ImageStamps | None = None,
) -> ScoreState:
    """Sort out a topic's scores by name, size, time and provenance. Quarantines damaged files.

    `stamps` are the topic's images; without it they are listed now.
    """
    stamps = image_identity.confirm_topic(topic) if stamps is None else stamps
    on_disk, provenance, digest = _read_scores(topic, reporter)
    made_by = provenance.made_by if provenance else {}
    is_same = all(made_by.get(key) == policy.made_by[key] for key in IDENTITY_KEYS)
    recorded = provenance.images if provenance and is_same else {}

    own = {name: stamps[name] for name in on_disk if recorded.get(name, 0) == stamps.get(name)}
    doubtful = [name for name in on_disk if name in stamps and name not in recorded]
    to_verify = own if policy.rescore else doubtful
    verified = _scores_from_vectors(topic, stamps, to_verify, policy, reporter)
    proven = {name: stamps[name] for name, score in verified.items() if score == on_disk[name]}
    own = {name: stamp for name, stamp in own.items() if name not in verified} | proven
    trusted: list[str] = []
    if not policy.rescore:
        trusted = [name for name in doubtful if name not in own]

    outside = {name for name in on_disk if not topic.selects(name)}
    kept = {*own, *trusted, *outside}
    kept_scores = {name: score for name, score in on_disk.items() if name in kept}
    names_missing = image_formats.drop_masks(
        [name for name in on_disk if name not in stamps and name not in outside], stamps
    )
    return ScoreState(
        topic,
        stamps,
        kept_scores,
        pending=[name for name in stamps if name not in kept_scores],
        foreign=[] if policy.only_missing else trusted,
        own_stamps=own | {name: recorded[name] for name in outside & recorded.keys()},
        made_by=made_by,
        is_stale=bool(names_missing) or bool(proven.keys() - recorded.keys()),
        digest=digest,
    )


def _read_scores(
    topic: Topic, reporter: Reporter
) -> tuple[dict[str, float], Provenance | None, str]:
    """Read the topic's scores, what made them, and the file's digest. NaN is no score.

    A damaged file is quarantined and counts as empty.
    """
    try:
        scores, cached, digest = topic_scores.read_scores_with_provenance(topic, reporter.warn)
    except atomic_files.Damaged as error:
        atomic_files.quarantine(error.path, error.reason, reporter.warn)
        return {}, cache.load_cache(topic, reporter.warn).scores, ""
    numbers = {name: score for name, score in scores.items() if score == score}
    return numbers, cached.scores, digest


def _scores_from_vectors(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    names: Collection[str],
    policy: ScoringPolicy,
    reporter: Reporter,
) -> dict[str, float]:
    """The scores that this head gives for the stored vectors of `names`, where there are any."""
    if not names or not os.path.exists(cache.sidecar_path(topic, policy.model.sidecar)):
        return {}
    from common.clip import embed  # numpy, only if there is doubt

    vectors = embed.load_vectors(topic, policy.model, reporter)
    stored = list(vectors.valid_rows({name: stamps[name] for name in names}))
    if not stored:
        return {}
    scores = policy.head(vectors.rows(stored)["vectors"])
    return dict(zip(stored, scores, strict=True))


def refuse_foreign(states: Iterable[ScoreState]) -> None:
    """Raise UserError if a topic holds scores that this run did not make and may not replace."""
    foreign = [state for state in states if state.foreign]
    if not foreign:
        return
    first = foreign[0]
    origin = UNKNOWN_SOURCE
    if made_by := first.made_by:
        origin = (
            f"{made_by.get('model')} ({made_by.get('weights')}) with head {made_by.get('head')}"
        )
    others = sum(len(state.foreign) for state in foreign[1:])
    more = ""
    if others:
        more = f", and {others:,} more in {terminal.plural(len(foreign) - 1, 'other topic')}"
    path = json_files.scores_path(first.topic)
    scores = terminal.plural(len(first.foreign), "score")
    raise UserError(
        f"{path}: {scores} made by {origin}{more}: "
        "--only-missing keeps them and scores the rest, --rescore replaces them"
    )


def write_topic_scores(
    state: ScoreState,
    vectors: Sidecar,
    failed: Collection[str],
    policy: ScoringPolicy,
    reporter: Reporter,
) -> tuple[ScoreState, dict[str, float], dict[str, str]]:
    """Score the pending images from their vectors; write the topic's scores and provenance.

    If another run wrote scores meanwhile, they are inspected again first. Returns the state that
    counts, the scores and their provenance. Raises UserError if the other scores are foreign.
    """
    from common.clip import sidecar

    with locks.topic_lock(state.topic):
        state = _refresh_state(state, failed, policy, reporter)
        stored = vectors.valid_rows(state.stamps)
        names = [name for name in state.pending if name in stored and name not in failed]
        rows = vectors.rows(names)
        scores = dict(state.kept_scores)
        if names:
            scores |= zip(names, policy.head(rows["vectors"]), strict=True)
        precisions = set(rows["precision"].tolist())
        if state.own_stamps:
            precisions |= topic_scores.precisions_of(state.made_by)
        made_by = {**policy.made_by, "precision": "+".join(sorted(precisions))}
        new_stamps = {name: state.stamps[name] for name in names}
        provenance = Provenance(made_by, {**state.own_stamps, **new_stamps})
        if scores or os.path.exists(json_files.scores_path(state.topic)):
            extents = sidecar.row_extents(vectors, state.stamps)
            topic_scores.write_scores_with_provenance(
                state.topic, scores, provenance, extents, records=vectors.new_records
            )
    return state, scores, made_by


def _refresh_state(
    state: ScoreState, failed: Collection[str], policy: ScoringPolicy, reporter: Reporter
) -> ScoreState:
    """Inspect the topic again if its file changed since. Call under the topic's lock."""
    if atomic_files.file_digest(json_files.scores_path(state.topic)) == state.digest:
        return state
    state = inspect_topic(state.topic, policy, reporter, state.stamps)
    refuse_foreign([state])
    kept_scores = {name: score for name, score in state.kept_scores.items() if name not in failed}
    return replace(state, kept_scores=kept_scores)
