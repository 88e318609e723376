"""Carries scores into the target of a merge, with what made them, and what is known of images.

So later scripts know the merged images as they knew those of the sources. What the target has
already takes precedence.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from common import cache, locks, topic_scores
from common.cache import Cache, Extent, FileRecord, Provenance
from common.durability import BackgroundWriter
from common.errors import UserError
from common.target_folder import TargetFolder
from common.topics import FileStatus, Stamp, Topic
from imaging.image_identity import ImageStamps
from merging import manifest, source_records
from merging.manifest import ManifestLine
from merging.originality_carry import CarriedOriginality
from merging.plan import TopicPlan
from merging.source_records import SourceRecords

MAX_EXAMPLES = 3  # of makers, named in an error


class ScoreMaker(NamedTuple):
    """What made scores: a topic that has such scores, and the record of their origin."""

    topic_path: str
    made_by: Mapping[str, Any]


ScoreMakers = dict[str, ScoreMaker]  # by its description in words


@dataclass
class CarriedScores:
    """The scores of one target topic: its own, joined by those of its sources."""

    scores: dict[str, float]
    makers: ScoreMakers
    scored: dict[str, Stamp]  # the stamp of each image when it was scored
    extents: dict[str, tuple[Stamp, Extent]] = field(default_factory=dict)  # new to the target
    records: dict[str, FileRecord] = field(default_factory=dict)  # new to the target
    originality: CarriedOriginality = field(default_factory=CarriedOriginality)
    has_new_scores: bool = False  # some that the target does not have yet

    @property
    def has_news(self) -> bool:
        has_new_facts = bool(self.extents or self.records or self.originality.has_news)
        return self.has_new_scores or has_new_facts


def read_carried_scores(
    target: Topic,
    sources: Iterable[SourceRecords],
    lines: Iterable[ManifestLine],
    for_search: bool = False,
) -> CarriedScores:
    """Join the scores of a target topic with those of its sources, in order. Raises Damaged.

    A folder of links to search in has the scores of its sources alone.
    """
    target_stamps: dict[str, Stamp] = {}
    lines_by_folder: dict[str, list[ManifestLine]] = {}
    for line in lines:
        if line.target:
            target_stamps[line.target_name] = line.stamp
        if line.action in manifest.IN_TARGET:
            lines_by_folder.setdefault(os.path.dirname(line.source), []).append(line)
    scores, target_cache, _ = topic_scores.read_scores_with_provenance(target)
    before = dict(scores)
    if for_search:
        scores = {}
    carried = CarriedScores(dict(scores), makers={}, scored={})
    carried.originality = CarriedOriginality(target_stamps, target_cache.originality)
    if target_cache.scores and not for_search:
        carried.scored.update(target_cache.scores.images)
    if scores:
        carried.makers.update([_score_maker(target, target_cache, {})])
    for source in sources:
        source_lines = lines_by_folder.get(source.topic.path, [])
        _add_source(carried, source, source_lines, target_stamps, target_cache)
    if for_search:
        carried.has_new_scores = carried.scores != before
    return carried


def _add_source(
    carried: CarriedScores,
    source: SourceRecords,
    lines: Sequence[ManifestLine],
    target_stamps: Mapping[str, Stamp],
    target_cache: Cache,
) -> None:
    """Add what a source knows about images that the target knows nothing about."""
    known, stamps = source.cached, source.stamps
    stamps.confirm()
    count_before = len(carried.scores)
    arrived = {os.path.basename(line.source): line for line in lines if is_unchanged(line, stamps)}
    names = {name: line.target_name for name, line in arrived.items() if line.target}
    carried.originality.add_source(source.topic, stamps, known, names)
    for line in lines:
        name, target_name = os.path.basename(line.source), line.target_name
        stamp = target_stamps.get(target_name)
        known_stamp = line.stamp  # under which the source's records know the image
        record = known.files.get(name)
        if is_unchanged(line, stamps):
            known_stamp = stamps[name]
            if (
                stamp
                and record
                and record.stamp == known_stamp
                and target_name not in target_cache.files
            ):
                status = FileStatus(stamp, 0, 0)
                carried.records.setdefault(target_name, FileRecord(record.digest, stamp, status))
        extent = known.extent(name, known_stamp)
        if extent and stamp and not target_cache.extent(target_name, stamp):
            carried.extents.setdefault(target_name, (stamp, extent))
        score = source.scores.get(name)
        if score is None or score != score or target_name in carried.scores:  # != : NaN
            continue
        carried.scores[target_name] = score
        scored = known.scores.images.get(name) if known.scores else None
        if scored and stamp:
            carried.scored[target_name] = stamp if scored == known_stamp else scored
    if len(carried.scores) > count_before:
        carried.has_new_scores = True
        carried.makers.update([_score_maker(source.topic, known, carried.makers)])


def is_unchanged(line: ManifestLine, stamps: ImageStamps) -> bool:
    """Tell whether the source image is as it was merged."""
    name = os.path.basename(line.source)
    return name in stamps and stamps.statuses[name].stamp == line.stamp


def _score_maker(topic: Topic, known: Cache, others: ScoreMakers) -> tuple[str, ScoreMaker]:
    """Return the description of what made a topic's scores, and its record.

    The record names the precisions of `others` too that can be compared with it.
    """
    if not known.scores:
        return topic_scores.UNKNOWN_MAKER, ScoreMaker(topic.path, {})
    made_by = dict(known.scores.made_by)
    description = topic_scores.maker_in_words(made_by)
    precisions = topic_scores.precisions_of(made_by)
    if description in others:
        precisions |= topic_scores.precisions_of(others[description].made_by)
    if precisions:
        made_by["precision"] = "+".join(sorted(precisions))
    return description, ScoreMaker(topic.path, made_by)


def refuse_mixed_scores(makers: ScoreMakers) -> None:
    """Raise UserError if the scores to be merged cannot be compared."""
    if len(makers) <= 1:
        return
    examples = []
    for description, maker in sorted(makers.items())[:MAX_EXAMPLES]:
        examples.append(f"{maker.topic_path} by {description}")
    raise UserError(
        f"scores of different origin: {'; '.join(examples)}; score all with one model "
        "(aesthetic_scorer.py --rescore), or pass --mixed-scores to keep them side by side"
    )


def write_new_records(plans: Iterable[TopicPlan], folder: TargetFolder) -> None:
    """Write what the sources know about images in the target, several topics at once."""
    news = [plan for plan in plans if plan.has_new_records]
    if news:
        folder.make_staging()  # before the threads, which share it
    with BackgroundWriter(_write_records) as write_in_background:
        for plan in news:
            write_in_background(plan, folder)


def _write_records(plan: TopicPlan, folder: TargetFolder) -> None:
    """Read the records again, which may have changed while images were copied; write the news."""
    sources = []
    for topic in plan.sources:
        confirmed = plan.confirmed.get(topic.path)
        sources.append(source_records.read_source_records(topic, confirmed))
    with locks.topic_lock(plan.topic, folder):
        carried = read_carried_scores(plan.topic, sources, plan.lines, plan.for_search)
        _write_carried_scores(plan.topic, carried, folder)


def _write_carried_scores(
    target: Topic, carried: CarriedScores, target_folder: TargetFolder
) -> None:
    """Write a topic's scores, what made them, and sizes. Read and write them under one lock."""
    traits = carried.originality.new_texts
    if carried.has_new_scores:
        scores = {name: score for name, score in carried.scores.items() if score == score}
        topic_scores.write_scores_with_provenance(
            target,
            scores,
            _provenance(carried),
            carried.extents,
            target_folder,
            carried.records,
            traits,
        )
    elif carried.has_news:
        cache.update_cache(target, carried.extents, target_folder, carried.records, traits)
    carried.originality.write_pairs(target, target_folder)


def _provenance(carried: CarriedScores) -> Provenance | None:
    if len(carried.makers) == 1:
        ((description, maker),) = carried.makers.items()
        if description == topic_scores.UNKNOWN_MAKER:
            return None
        return Provenance(maker.made_by, carried.scored)
    made_by = {"model": f"several models ({'; '.join(sorted(carried.makers))})"}
    judges = {str(maker.made_by.get("judges") or "") for maker in carried.makers.values()} - {""}
    if len(judges) == 1:
        made_by["judges"] = judges.pop()
    return Provenance(made_by, carried.scored)
