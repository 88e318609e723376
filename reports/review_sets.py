"""Collect the sets of matching images, for the review page, from what find_duplicates.py wrote."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from common import atomic_files, cache, json_files
from common.json_files import COPY, DOUBTFUL
from common.topics import Stamp, Topic
from imaging import image_identity, images
from keeping import (
    across_file,
    connected,
    decisions,
    keeper_order,
    keepers,
    pair_records,
    topic_relations,
)
from keeping.across_file import Across
from keeping.keeper_order import KeeperRule, Ranking
from keeping.preference import Preference
from reports import page, review_images

SECTIONS = ("copies", "variants", "doubtful", "across", "references")
SECTION_OF_KIND = {COPY: "copies", DOUBTFUL: "doubtful"}  # within a topic; all others are variants
MAX_DOUBTFUL_PAIRS = 200  # on a page; more than a person reviews in one go


@dataclass(frozen=True)
class ReviewPair:
    """Two images that match, by absolute path. `likeness` is 0 to 1, or None if not known."""

    first: str
    second: str
    kind: str
    likeness: float | None
    why: str = ""  # the first of them in the order of the keeper rule is kept before the other

    @property
    def paths(self) -> tuple[str, str]:
        return self.first, self.second

    @property
    def sort_key(self) -> tuple[float, str, str]:
        """Doubtful pairs come first, most similar first; then the others, least similar first."""
        if self.kind == DOUBTFUL:
            likeness = 0.0 if self.likeness is None else self.likeness
            return -likeness - 1, self.first, self.second
        likeness = 1.0 if self.likeness is None else self.likeness
        return likeness, self.first, self.second


@dataclass(frozen=True)
class ReviewSet:
    """Images that are connected by pairs of one section, in the order of the keeper rule."""

    section: str
    images: list[str]
    pairs: list[ReviewPair]  # by sort_key


@dataclass
class ReviewData:
    """All images and pairs to review."""

    page_folder: str
    datasets: list[str]
    level_option: str = ""  # that commands on the page need
    # What the page knows of each image, by path, in the order of the keeper rule.
    photos: dict[str, dict[str, Any]] = field(default_factory=dict)
    pairs: dict[str, list[ReviewPair]] = field(
        default_factory=lambda: {section: [] for section in SECTIONS}
    )
    dropped: set[str] = field(default_factory=set)  # by the keeper rule in a merge
    dropped_by_person: set[str] = field(default_factory=set)  # in no set
    unlisted_doubtful: int = 0  # doubtful pairs over MAX_DOUBTFUL_PAIRS, in no set

    def describe(self, path: str, extent: cache.Extent, stamp: Stamp) -> dict[str, Any]:
        """Return what the page shows of an image."""
        return review_images.describe_image(path, extent, stamp, self.datasets, self.page_folder)

    def sets(self) -> Iterator[ReviewSet]:
        """Yield the connected components of each section."""
        positions = {path: number for number, path in enumerate(self.photos)}
        for section, pairs in self.pairs.items():
            for component in connected.group_pairs(pairs, lambda pair: pair.paths):
                paths = {path for pair in component for path in pair.paths}
                yield ReviewSet(
                    section,
                    sorted(paths, key=positions.__getitem__),
                    sorted(component, key=lambda pair: pair.sort_key),
                )


def read_review_data(
    page_path: str, topics: list[Topic], prefer: Preference = Preference.BEST
) -> ReviewData:
    """Read the pairs of the topics, of images across topics, and with references.

    Damaged files are skipped: the script has already reported them.
    """
    page_folder = os.path.dirname(os.path.abspath(page_path))
    datasets = list(dict.fromkeys(topic.dataset_path for topic in topics))
    data = ReviewData(page_folder, datasets, page.level_option(topics))
    across = across_file.read_across(topics, _ignore)
    data.dropped_by_person = decisions.dropped_paths(data.datasets)
    for topic in topics:
        _add_topic(topic, across, data, prefer)
    _add_pairs_across(across, data)
    _limit_doubtful_pairs(data)
    return data


def _ignore(*_: str) -> None:
    """Ignore a warning that the script has already printed."""


def _add_topic(topic: Topic, across: Across, data: ReviewData, prefer: Preference) -> None:
    """Add a topic's pairs, and its images that have any, in the topic or across."""
    cached = cache.load_cache(topic)
    stamps = image_identity.stamps_as_recorded(topic, cached.files)
    try:
        relations = topic_relations.read_topic_relations(topic, stamps, cached)
    except atomic_files.Damaged:
        return
    kinds = relations.kinds((COPY, *json_files.SHOWN_KINDS))
    shown = set()
    for name in stamps:
        path = topic.path_of(name)
        if path not in data.dropped_by_person and (name in kinds or path in across.kinds):
            shown.add(name)
    scores = keepers.scores_for_ranking(topic, _ignore)
    candidates = keepers.make_candidates(topic, stamps, cached, scores, _ignore, shown)
    kept = {candidate.name for candidate in candidates if candidate.keep}
    # The page's script puts images to keep first, because it knows newer decisions.
    undecided = [replace(candidate, keep=False) for candidate in candidates]
    copies = relations.copies or {}
    rule = KeeperRule(prefer, pair_records.read_topic_pairs(topic, stamps))
    ranking = keeper_order.rank_candidates(undecided, relations.equals.add_stars(copies), rule)
    _add_topic_pairs(topic, kinds, ranking, data)
    for candidate in ranking.order:
        name = candidate.name
        if name in shown:
            extent = keepers.image_extent(topic, name, stamps[name], cached, _ignore) or (0, 0)
            path = topic.path_of(name)
            photo = data.describe(path, extent, stamps[name])
            photo["kept"] = name in kept
            review_images.add_measured_facts(photo, candidate, ranking)
            photo |= review_images.describe_equals(topic, name, relations.equals)
            data.photos[path] = photo
    choice = keepers.select_redundant(candidates, copies, rule=rule, equals=relations.equals)
    data.dropped.update(map(topic.path_of, choice.keepers))


def _add_topic_pairs(
    topic: Topic, kinds: json_files.Kinds, ranking: Ranking, data: ReviewData
) -> None:
    likeness = pair_records.read_pair_likeness(topic)
    ranks = {image.name: rank for rank, image in enumerate(ranking.order)}
    for name, others in kinds.items():
        for other, kind in others.items():
            paths = {topic.path_of(name), topic.path_of(other)}
            if name < other and data.dropped_by_person.isdisjoint(paths):
                section = SECTION_OF_KIND.get(kind, "variants")
                first = topic.path_of(name)
                second = topic.path_of(other)
                better, worse = sorted((ranks[name], ranks[other]))
                why = ranking.explain(ranking.order[better], ranking.order[worse])
                pair = ReviewPair(first, second, kind, likeness.get((first, second)), why)
                data.pairs[section].append(pair)


def _add_pairs_across(across: Across, data: ReviewData) -> None:
    """Add pairs of the images so far with those in other topics and in reference folders."""
    likeness: dict[tuple[str, str], float] = {}
    for dataset in data.datasets:
        likeness |= pair_records.read_pair_likeness(across_file.dataset_as_topic(dataset))
    given = set(data.photos)
    for first, others in across.kinds.items():
        for second, kind in others.items():
            both = {first, second}
            if first > second or not both & given or both & data.dropped_by_person:
                continue
            references = both & across.references
            section = "references" if references else "across"
            pair = ReviewPair(first, second, kind, likeness.get((first, second)))
            data.pairs[section].append(pair)
            for path in both - data.photos.keys():
                data.photos[path] = _describe_outsider(path, data)
            if references and kind == COPY:
                for path in both - references:
                    if not data.photos[path]["kept"]:
                        data.dropped.add(path)


def _limit_doubtful_pairs(data: ReviewData) -> None:
    """Leave the most similar MAX_DOUBTFUL_PAIRS of all sections, and count the others."""
    pairs = itertools.chain.from_iterable(data.pairs.values())
    doubtful = sorted((pair for pair in pairs if pair.kind == DOUBTFUL), key=lambda p: p.sort_key)
    unlisted = set(doubtful[MAX_DOUBTFUL_PAIRS:])
    data.unlisted_doubtful = len(unlisted)
    for section, of_section in data.pairs.items():
        data.pairs[section] = [pair for pair in of_section if pair not in unlisted]


def _describe_outsider(path: str, data: ReviewData) -> dict[str, Any]:
    """Describe an image that is in none of the topics."""
    extent = stamp = (0, 0)
    try:
        status = os.stat(path)
        header = images.read_header(path)
    except (OSError, images.Unreadable):
        pass
    else:
        extent = header.width, header.height
        stamp = status.st_size, status.st_mtime_ns
    photo = data.describe(path, extent, stamp)
    return photo | {"kept": photo["dataset"] < 0}  # a reference
