"""What a merge brings along in JSON: scores, what made them, and image sizes, under the names in the target.

So later scripts know the merged images as they knew the sources'. What the target holds already wins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common import cache, topic_scores
from common.cache import Cache, Extent, Provenance
from common.errors import UserError
from common.tree import Stamp, Topic
from merging import manifest
from merging.manifest import ManifestLine

Makers = dict[
    str, tuple[str, Mapping[str, Any]]
]  # by its name in words: a topic that something scored, and what


@dataclass(frozen=True)
class CarriedScores:
    """`is_more` says that there are scores which the target does not have yet, made or to be joined by `makers`."""

    scores: Mapping[str, float]
    is_more: bool
    makers: Makers
    scored: Mapping[str, Stamp]  # what each image was when it was scored
    extents: Mapping[str, tuple[Stamp, Extent]]  # that the target does not know yet

    @property
    def is_news(self) -> bool:
        return self.is_more or bool(self.extents)


def read_carried_scores(
    target: Topic, sources: Sequence[Topic], lines: Iterable[ManifestLine]
) -> CarriedScores:
    """The union for one target topic: its own, then its sources' in their order. Raises Damaged."""
    stamps: dict[str, Stamp] = {}
    standing_in: dict[str, list[ManifestLine]] = {source.path: [] for source in sources}
    for line in lines:
        if line.target:
            stamps[line.place] = line.stamp
        if line.action in manifest.IN_TARGET:
            standing_in.setdefault(os.path.dirname(line.source), []).append(line)
    scores, known, _ = cache.read_scores_with_provenance(target)
    there = known
    scored = dict(known.scores.images) if known.scores else {}
    makers: Makers = dict([_maker(target, known, {})]) if scores else {}
    extents: dict[str, tuple[Stamp, Extent]] = {}
    held = len(scores)
    for source in sources:
        (own, known, _), before = cache.read_scores_with_provenance(source), len(scores)
        for line in standing_in[source.path]:
            name, stamp = os.path.basename(line.source), stamps.get(line.place)
            extent, score = known.extent(name, line.stamp), own.get(name)
            if extent and stamp and not there.extent(line.place, stamp):
                extents.setdefault(line.place, (stamp, extent))
            if score is None or score != score or line.place in scores:
                continue
            scores[line.place] = score
            then = known.scores.images.get(name) if known.scores else None
            if then and stamp:
                scored[line.place] = stamp if then == line.stamp else then
        makers.update([_maker(source, known, makers)] if len(scores) > before else [])
    return CarriedScores(scores, len(scores) > held, makers, scored, extents)


def _maker(topic: Topic, known: Cache, others: Makers) -> tuple[str, tuple[str, Mapping[str, Any]]]:
    """What made a topic's scores: its name, and the whole of it, with the precisions of others that are comparable."""
    if not known.scores:
        return topic_scores.UNKNOWN_MAKER, (topic.path, {})
    made_by = dict(known.scores.made_by)
    name = topic_scores.maker_in_words(made_by)
    both = made_by, others[name][1] if name in others else {}
    precisions = set[str]().union(*map(cache.precisions_of, both))
    return name, (
        topic.path,
        {**made_by, "precision": "+".join(sorted(precisions))} if precisions else made_by,
    )


def refuse_mixed(makers: Makers) -> None:
    """Raise UserError where the scores to be merged cannot be compared."""
    if len(makers) > 1:
        examples = "; ".join(
            f"{path} by {maker}" for maker, (path, _) in sorted(makers.items())[:3]
        )
        raise UserError(
            f"scores of different origin: {examples}; score all with one model (aesthetic_scorer.py --rescore), "
            "or pass --mixed-scores to keep them side by side"
        )


def write_carried_scores(target: Topic, carried: CarriedScores, aside: str) -> None:
    """Write the topic's scores, what made them, and sizes. To be read and written under one lock."""
    if carried.is_more:
        scores = {name: score for name, score in carried.scores.items() if score == score}
        cache.write_scores_with_provenance(
            target, scores, _provenance(carried), carried.extents, aside
        )
    elif carried.extents:
        cache.update_cache(target, carried.extents, aside)


def _provenance(carried: CarriedScores) -> Provenance | None:
    if len(carried.makers) == 1:
        ((name, (_, made_by)),) = carried.makers.items()
        return None if name == topic_scores.UNKNOWN_MAKER else Provenance(made_by, carried.scored)
    judges = {
        str(made_by.get("judges"))
        for _, made_by in carried.makers.values()
        if made_by.get("judges")
    }
    several = {"model": f"several models ({'; '.join(sorted(carried.makers))})"}
    return Provenance(
        several | ({"judges": judges.pop()} if len(judges) == 1 else {}), carried.scored
    )
