"""`.cache/pairs.json`: what each pair is, by name (keeping/kind_names.py), and how alike it is.

What copies show beside each other is there too (keeping/copy_traits.py), and which of two variants
is clean (keeping/directions.py).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import TypeVar

from common import cache, json_files
from common.errors import UserError
from common.topics import Stamp, Topic
from imaging import image_identity
from keeping import copy_traits, directions
from keeping.copy_traits import PairTraits, PairTraitsByNames
from keeping.directions import Direction, Directions
from keeping.pair_sections import NameTuple, pairs_path, read_entries

OfPair = TypeVar("OfPair")


def read_pair_likeness(topic: Topic) -> dict[tuple[str, str], float]:
    """Return how alike the images of each pair are (0 to 1), by their paths in both orders.

    Pairs whose figure is missing or damaged are left out.
    """
    likeness: dict[tuple[str, str], float] = {}
    for name, other, _, alike in read_entries(pairs_path(topic)):
        if isinstance(alike, int | float) and 0 <= alike <= 1:
            first, second = topic.path_of(name), topic.path_of(other)
            likeness[first, second] = likeness[second, first] = alike
    return likeness


def images_in(topic: Topic) -> set[str]:
    """Return the images of which the file knows something, by name; none if it is damaged."""
    names = set[str]()
    with contextlib.suppress(UserError, AttributeError, LookupError, TypeError, ValueError):
        figures = json_files.read_json(pairs_path(topic), {})
        for key in (copy_traits.PAIRS_KEY, directions.DIRECTIONS_KEY):
            for name, (others, _) in figures.get(key, {}).items():
                names.update((name, *others))
    return names


def read_topic_directions(topic: Topic, stamps: Mapping[str, Stamp]) -> Directions:
    """Read which of two variants in a topic is clean, or in a dataset as a topic."""
    return directions.read_directions(pairs_path(topic), stamps)


def read_topic_pairs(topic: Topic, stamps: Mapping[str, Stamp]) -> PairTraitsByNames:
    """Read what was measured of pairs of copies in a topic, or in a dataset as a topic."""
    return copy_traits.read_pairs(pairs_path(topic), stamps)


def read_pairs_across(dataset: str, topics: Iterable[Topic]) -> dict[NameTuple, PairTraits]:
    """Read what was measured of pairs of copies in different topics of a dataset, by path."""
    as_topic, stamps = _as_topic(dataset, topics)
    return pairs_by_path(dataset, read_topic_pairs(as_topic, stamps))


def read_directions_across(dataset: str, topics: Iterable[Topic]) -> dict[NameTuple, Direction]:
    """Read which of two variants in different topics of a dataset is clean, by path."""
    as_topic, stamps = _as_topic(dataset, topics)
    return pairs_by_path(dataset, read_topic_directions(as_topic, stamps))


def _as_topic(dataset: str, topics: Iterable[Topic]) -> tuple[Topic, dict[str, Stamp]]:
    """Return a dataset as if it were a topic, and the stamps of its images by their paths there."""
    stamps: dict[str, Stamp] = {}
    for topic in topics:
        folder = os.path.relpath(topic.path, dataset)
        recorded = image_identity.stamps_as_recorded(topic, cache.load_cache(topic).files)
        stamps |= {os.path.join(folder, name): stamp for name, stamp in recorded.items()}
    return Topic(dataset, os.path.basename(dataset), "", "", "", image_count=0), stamps


def pairs_by_path(folder: str, pairs: Mapping[NameTuple, OfPair]) -> dict[NameTuple, OfPair]:
    """Return what is known of pairs of images in a folder by their absolute paths."""
    by_path = {}
    for (first, second), of_pair in pairs.items():
        by_path[os.path.join(folder, first), os.path.join(folder, second)] = of_pair
    return by_path
