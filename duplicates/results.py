"""The matches within one topic, grouped by image and written together with what made them.

keeping/keepers.py decides which image of a set is kept; the summary only says so.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

from common import atomic_files, cache, json_files, locks
from common.cache import Cache, Provenance
from common.clip import sidecar
from common.json_files import Copies, Kinds
from common.reporter import Reporter
from common.topics import Stamp, Topic
from duplicates import partial_topics
from duplicates.classification import COPY, Verdict
from duplicates.copy_measurement import CopyMeasurements
from duplicates.proposers import TopicRows
from duplicates.verification import ImagePair
from keeping import copy_traits, decisions, directions, keepers, kind_names
from keeping.directions import Direction
from keeping.equal_images import EqualSets
from keeping.pair_sections import NO_LIKENESS, pairs_path
from keeping.preference import Preference

Parsed = TypeVar("Parsed")

MAX_DOUBTFUL_PER_IMAGE = 10  # doubtful pairs in the file; the others are only counted


@dataclass(frozen=True)
class TopicSummary:
    """What is reported of one topic."""

    label: str
    images: int
    copy_pairs: int
    redundant: Mapping[str, str]  # image to its keeper
    reasons: Mapping[str, str]  # redundant image: why its keeper is kept
    variants: Mapping[str, int]  # pairs of each kind
    unlisted_doubtful: int  # doubtful pairs over MAX_DOUBTFUL_PER_IMAGE

    @property
    def sets(self) -> dict[str, list[str]]:
        """Each keeper with its redundant copies, sorted."""
        sets: dict[str, list[str]] = {}
        for name, keeper in sorted(self.redundant.items()):
            sets.setdefault(keeper, []).append(name)
        return sets


@dataclass
class TopicVerdicts:
    """The matches of a topic, by image."""

    copies: Copies  # every image is a key
    variants: Kinds  # doubtful ones too; each pair once
    figures: dict[str, dict[str, tuple[str, float]]]  # of each match, once: kind and likeness
    unlisted_doubtful: int
    equal: Mapping[str, str]  # digests of the images in large sets of equal ones
    measured: CopyMeasurements = field(default_factory=CopyMeasurements)
    directions: dict[ImagePair, Direction] = field(default_factory=dict)  # of variants


def group_verdicts(
    names: Iterable[str],
    verdicts: Mapping[ImagePair, Verdict],
    equal: Mapping[str, str] = MappingProxyType({}),
) -> TopicVerdicts:
    """Group the verdicts on pairs of the named images by image.

    `equal` has the digests of the images in large sets of equal ones. Keeps only the most similar
    doubtful pairs: at most MAX_DOUBTFUL_PER_IMAGE for any image.
    """
    grouped = TopicVerdicts({name: set() for name in names}, {}, {}, 0, equal)
    doubtful_of = Counter[str]()
    for pair, verdict in sorted(verdicts.items(), key=lambda item: (-item[1].likeness, item[0])):
        one, other = pair
        if verdict.kind == json_files.DOUBTFUL:
            if max(doubtful_of[one], doubtful_of[other]) >= MAX_DOUBTFUL_PER_IMAGE:
                grouped.unlisted_doubtful += 1
                continue
            doubtful_of.update(pair)
        if verdict.kind == COPY:
            grouped.copies[one].add(other)
            grouped.copies[other].add(one)
        else:
            grouped.variants.setdefault(one, {})[other] = verdict.kind
            if verdict.direction.clean:
                grouped.directions[pair] = verdict.direction
        figures = (verdict.kind, round(verdict.likeness, 3))
        grouped.figures.setdefault(one, {})[other] = figures
    return grouped


def write_results(
    images: TopicRows,
    verdicts: TopicVerdicts,
    made_by: Mapping[str, Any],
    with_variants: bool,
    prefer: Preference,
    reporter: Reporter,
) -> TopicSummary:
    """Write the matches of a topic with their provenance; return what to report.

    A kill at any moment leaves a provenance that fits the file (see cache.write_with_provenance).
    Without `with_variants`, variants of an earlier search stay if they still hold. Damaged files
    are set aside. Raises UserError.
    """
    topic = images.topic
    with locks.topic_lock(topic):
        old_copies = _read_or_quarantine(json_files.read_copies, topic, reporter)
        old_variants = _read_or_quarantine(json_files.read_variants, topic, reporter)
        if old_variants:
            old_variants = kind_names.name_kinds(old_variants, pairs_path(topic))
        old_cache = cache.load_cache(topic, reporter.warn)
        new_extents = sidecar.row_extents(images.rows, images.stamps)
        provenance = Provenance(
            dict(made_by),
            dict(images.stamps),
            equal=verdicts.equal,
            unreadable=frozenset(images.stamps.keys() - new_extents),
        )
        if with_variants:
            compared = partial_topics.stamps_for_variants(images)
            variants = json_files.symmetrize(verdicts.variants, json_files.SHOWN_KINDS)
            if topic.selection:
                valid = _still_valid_provenance("variants", old_cache, images)
                compared |= partial_topics.carry_pairs(
                    variants, old_variants or {}, valid.images if valid else {}, compared
                )
            variants_provenance: Provenance | None = Provenance(dict(made_by), compared)
        else:
            variants_provenance = _still_valid_provenance("variants", old_cache, images)
            variants = _still_valid_variants(
                old_variants or {}, variants_provenance, verdicts.copies
            )
        decided = decisions.decisions_for_topic(topic)
        equals = EqualSets(verdicts.equal, images.stamps, decided.different)
        if equals:
            verdicts.copies |= equals.link_copies(verdicts.copies, images.stamps)
            variants = equals.link(variants, with_stars=False)
        decided.apply_to(verdicts.copies, variants)
        if topic.selection and old_copies:
            earlier = _still_valid_provenance("duplicates", old_cache, images)
            if earlier:
                outside = partial_topics.carry_copies(
                    verdicts.copies, old_copies, earlier.images, images.stamps
                )
                provenance = replace(
                    provenance,
                    images={**images.stamps, **outside},
                    unreadable=provenance.unreadable | (earlier.unreadable & outside.keys()),
                )
        files: dict[str, tuple[bytes, Provenance | None]] = {}
        if with_variants or old_variants is not None:
            files["variants"] = kind_names.variants_content(variants), variants_provenance
        files["duplicates"] = json_files.copies_content(verdicts.copies), provenance
        extents = {**old_cache.extents, **new_extents}
        if images.stamps or old_copies is not None:
            # First: a pair that a file lists as cropped must not be without its name.
            write_pair_figures(topic, verdicts, variants, images.stamps)
            has_new_extents = extents != old_cache.extents
            cache.write_with_provenance(
                topic,
                files,
                new_extents if has_new_extents else None,
                records=images.rows.new_records,
                originality=verdicts.measured.new_texts,
            )
        texts = {**old_cache.originality, **verdicts.measured.new_texts}
        known = Cache(extents, originality=texts)
        return _summarize(images, verdicts, variants, equals, known, prefer, reporter)


def _read_or_quarantine(
    read: Callable[[Topic], Parsed], topic: Topic, reporter: Reporter
) -> Parsed | None:
    try:
        return read(topic)
    except atomic_files.Damaged as error:
        atomic_files.quarantine(error.path, error.reason, reporter.warn)
        return None


def _still_valid_provenance(key: str, old: Cache, images: TopicRows) -> Provenance | None:
    """The provenance of one of cache.TRACKED_FILES, with only the images that are unchanged."""
    recorded: Provenance | None = getattr(old, key)
    path_of, _ = cache.TRACKED_FILES[key]
    digest = atomic_files.file_digest(path_of(images.topic))
    provenance = recorded.for_digest(digest) if recorded else None
    if provenance is None:
        return None
    unchanged = partial_topics.still_valid(images, provenance)
    return Provenance(provenance.made_by, unchanged, unreadable=provenance.unreadable)


def _still_valid_variants(old: Kinds, provenance: Provenance | None, copies: Copies) -> Kinds:
    """The old variants between unchanged images that are not copies now."""
    unchanged = provenance.images if provenance else {}
    still_valid: Kinds = {}
    for name, others in old.items():
        if name not in unchanged:
            continue
        copies_of_name = copies.get(name, ())
        for other, kind in others.items():
            if other in unchanged and other not in copies_of_name:
                still_valid.setdefault(name, {})[other] = kind
    return still_valid


def write_pair_figures(
    topic: Topic, verdicts: TopicVerdicts, variants: Kinds, stamps: Mapping[str, Stamp]
) -> None:
    """Write what is known of each pair to `.cache/pairs.json`.

    For the review page kind and likeness of each match, for the keeper rule what copies show beside
    each other, and which of two variants is clean. Figures of an earlier search stay for variants
    that are still listed.
    """
    path = pairs_path(topic)
    # A damaged file is only replaced: the next search measures again.
    with contextlib.suppress(atomic_files.Damaged, AttributeError, TypeError):
        old_figures = json_files.read_json(path, {})
        for name, others in variants.items():
            for other, kind in others.items():
                old = old_figures.get(name, {}).get(other, [None])
                if old[0] == kind:
                    verdicts.figures.setdefault(name, {}).setdefault(other, old)
    for name, others in variants.items():
        for other, kind in others.items():
            if kind in kind_names.FILE_KINDS:
                figures_of_name = verdicts.figures.setdefault(min(name, other), {})
                figures_of_name.setdefault(max(name, other), (kind, NO_LIKENESS))
    content: dict[str, Any] = dict(verdicts.figures)
    if verdicts.measured.pairs:
        content[copy_traits.PAIRS_KEY] = copy_traits.pairs_json(verdicts.measured.pairs, stamps)
    known_directions = {}
    for pair, direction in directions.read_directions(path, stamps).items():
        is_looked_at = pair[1] in verdicts.variants.get(pair[0], {})
        if pair[1] in variants.get(pair[0], {}) and not is_looked_at:
            known_directions[pair] = direction
    known_directions |= verdicts.directions
    if known_directions:
        content[directions.DIRECTIONS_KEY] = directions.directions_json(known_directions, stamps)
    if content or os.path.lexists(path):
        cache.make_cache_folder(topic)
        json_files.write_json(path, content)


def _summarize(
    images: TopicRows,
    verdicts: TopicVerdicts,
    variants: Kinds,
    equals: EqualSets,
    known: Cache,
    prefer: Preference,
    reporter: Reporter,
) -> TopicSummary:
    topic = images.topic
    stamps, copies = images.stamps, verdicts.copies
    if topic.selection:
        stamps = {name: stamps[name] for name in filter(topic.reports, stamps)}
        copies = {name: copies[name] & stamps.keys() for name in stamps}
        equals = EqualSets(verdicts.equal, stamps, decisions.decisions_for_topic(topic).different)
    scores = keepers.scores_for_ranking(topic, reporter.warn)
    choice = keepers.topic_redundant(
        topic,
        stamps,
        known,
        scores,
        copies,
        reporter.report_unreadable,
        equals,
        prefer,
    )
    return TopicSummary(
        label=topic.label,
        images=len(stamps),
        copy_pairs=equals.count_pairs(copies),
        redundant=choice.keepers,
        reasons=choice.reasons,
        variants=_count_pairs(variants, topic),
        unlisted_doubtful=verdicts.unlisted_doubtful,
    )


def _count_pairs(variants: Kinds, topic: Topic) -> dict[str, int]:
    """Pairs of each kind, in the order of SHOWN_KINDS."""
    counts = Counter[str]()
    for name in filter(topic.reports, variants):
        counts.update(kind for other, kind in variants[name].items() if topic.reports(other))
    return {kind: counts[kind] // 2 for kind in json_files.SHOWN_KINDS if counts[kind]}
