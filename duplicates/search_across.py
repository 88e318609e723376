"""The search between the topics of a dataset, and against reference folders.

What the search within topics left in their sidecars is put side by side; pairs are proposed and looked at as within a
topic. Memory grows with images and matches.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from common import across_file, json_files, terminal
from common.json_files import COPY, Kinds
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.tree import Stamp, Topic
from duplicates import (
    candidate_pairs,
    classification,
    effnet,
    proposers,
    references,
    results,
    variants,
    verification,
)
from duplicates.classification import Verdict
from duplicates.neighbours import PairFilter, Array
from duplicates.pool import Pool
from duplicates.proposers import PhashProposer, ClipProposer, TopicRows
from duplicates.references import References
from duplicates.verification import PictureOpener, ImagePair

Method = PhashProposer | ClipProposer
Source = tuple[
    int, str, Mapping[str, Stamp], Sidecar
]  # its number, its path below the dataset, its images, their rows

REFERENCE = -1  # instead of the number of a topic


def search_datasets(
    topics: Sequence[Topic], method: Method, args: argparse.Namespace, pool: Pool, talk: Reporter
) -> dict[str, dict[str, int]]:
    """Compare the topics of each dataset (args.across), and each of them with the folders in args.against.

    Writes each dataset's file; returns how many pairs of images, and of images with references, they tell of each kind.
    """
    datasets: dict[str, list[Topic]] = {}
    for topic in topics:
        datasets.setdefault(topic.dataset_path, []).append(topic)
    given = tuple(os.path.join(os.path.realpath(path), "") for path in args.paths)
    pairs, outside = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        crossing = _AcrossSearch(
            references.list_references(args.against, folder, talk.warn), method, args, pool, talk
        )
        for dataset, several in datasets.items():
            for one, others in crossing.searched(dataset, several).items():
                for other, kind in others.items():
                    if not os.path.isabs(one) and (one < other or os.path.isabs(other)):
                        (outside if os.path.isabs(other) else pairs)[kind] += 1
            if not os.path.join(os.path.realpath(dataset), "").startswith(given):
                compared = f"{terminal.plural(len(several), 'topic')} were compared; what it says of others stays"
                talk.say(f"{terminal.escape(across_file.across_path(dataset))}: {compared}")
    return {"pairs": dict(pairs), "references": dict(outside)}


class _AcrossSearch:
    """Searches one dataset after the other; reference images are read once, when this is made."""

    def __init__(
        self,
        known: References,
        method: Method,
        args: argparse.Namespace,
        pool: Pool,
        talk: Reporter,
    ) -> None:
        self._known, self._method, self._args, self._talk = known, method, args, talk
        self._opener = PictureOpener(pool, args.max_pixels, talk)
        self._network: effnet.EmbeddingNetwork | None = (
            effnet.EmbeddingNetwork(args.device) if args.variants else None
        )
        self._outside = list(method.read([known], pool)) if args.against else []

    def searched(self, dataset: str, topics: Sequence[Topic]) -> Kinds:
        """Search one dataset and write what is found; all that its file says then."""
        places = [os.path.relpath(topic.path, dataset) for topic in topics]
        works = ((topic, topic.stamps(), self._method.load(topic)) for topic in topics)
        images = stack_tables(
            _sources(places, works, self._outside), self._method.keys, self._capacity(topics)
        )
        near, equal = (
            self._apart(dataset, pairs)
            for pairs in candidate_pairs_across(images, self._method, self._args.across)
        )
        images.rows.clear()
        stamps = images.stamps_of({path for pair in [*near, *equal] for path in pair})
        said = verification.verify_pairs(
            across_file.dataset_as_topic(dataset), stamps, near, False, self._opener
        )
        said |= dict.fromkeys(equal, classification.EQUAL)
        if self._network:
            said |= self._variants(dataset, topics, places, images, near, said, self._network)
            stamps = images.stamps_of({path for pair in said for path in pair})
        seen = results.group_verdicts(stamps, said)
        kinds: Kinds = {one: dict.fromkeys(others, COPY) for one, others in seen.copies.items()}
        for one, others in seen.variants.items():
            kinds.setdefault(one, {}).update(others)
        made_by = {**self._method.about, "rules": classification.RULES_VERSION}
        kinds = across_file.write_across(
            dataset, kinds, self._compared(places), made_by, stamps, self._talk.warn
        )
        results.write_pair_figures(across_file.dataset_as_topic(dataset), seen, kinds)
        return kinds

    def _variants(
        self,
        dataset: str,
        topics: Sequence[Topic],
        places: Sequence[str],
        images: ImageTable,
        near: Sequence[ImagePair],
        copies: Mapping[ImagePair, Verdict],
        network: effnet.EmbeddingNetwork,
    ) -> dict[ImagePair, Verdict]:
        """What is variant or doubtful across topics, among images that stand for their copies; said of these too."""
        standing: dict[str, list[str]] = {}

        def works() -> Iterator[TopicRows]:
            for topic, place in zip(topics, places, strict=True):
                stamps, vectors = topic.stamps(), variants.load_embeddings(topic, self._talk)
                own = variants.pick_representatives(
                    stamps, json_files.read_matches(topic) or {}, vectors
                )
                for name, several in own.items():
                    standing[os.path.join(place, name)] = [
                        os.path.join(place, other) for other in several
                    ]
                yield (
                    topic,
                    {name: stamps[name] for name in sorted(set().union(*own.values()))},
                    vectors,
                )

        known = self._known.stamps()
        outside = [
            (
                self._known,
                known,
                variants.embed_pictures(self._known, known, list(known), network, self._opener)[0],
            )
        ]
        stand_ins = stack_tables(
            _sources(places, works(), outside if known else []),
            tuple(variants.EMBEDDING_LAYOUT),
            self._capacity(topics),
        )
        standing |= {name: [name] for name in stand_ins.names if os.path.isabs(name)}
        names, rows = stand_ins.names, stand_ins.rows

        def some(few: Array) -> object:
            return variants.propose_pairs(
                names[: len(few)], {key: array[: len(few)] for key, array in rows.items()}
            )

        proposers.estimate_time(rows["vectors"], some, self._talk)
        stays = set(names)
        near = [pair for pair in near if stays.issuperset(pair)]
        wanted = (
            variants.propose_pairs(names, rows, stand_ins.apart(self._args.across)).union(near)
            - copies.keys()
        )
        stamps = images.stamps_of({path for pair in wanted for path in pair})
        pairs = [
            pair for pair in self._apart(dataset, sorted(wanted)) if stamps.keys() >= set(pair)
        ]
        said = verification.verify_pairs(
            across_file.dataset_as_topic(dataset), stamps, pairs, True, self._opener
        )
        return variants.propagate_verdicts(said, standing, copies)

    def _capacity(self, topics: Sequence[Topic]) -> int:
        return sum(topic.found for topic in [*topics, self._known])

    def _apart(self, dataset: str, pairs: Iterable[ImagePair]) -> list[ImagePair]:
        return [pair for pair in pairs if not _is_one_file(dataset, pair)]

    def _compared(self, places: Iterable[str]) -> _Compared:
        folders = tuple(os.path.join(os.path.abspath(folder), "") for folder in self._args.against)
        return _Compared(set(places), self._args.across, folders, self._args.variants)


def _sources(
    places: Sequence[str], inside: Iterable[TopicRows], outside: Iterable[TopicRows]
) -> Iterator[Source]:
    for number, (_, stamps, rows) in enumerate(inside):
        yield number, places[number], stamps, rows
    for _, stamps, rows in outside:
        yield REFERENCE, "", stamps, rows


@dataclass(frozen=True)
class _Compared:
    """Whether a search has compared two images, by path, and said all that there is to say of a pair of this kind."""

    topics: set[str]  # below the dataset
    across: bool
    references: tuple[str, ...]  # folders, with a slash at their end
    variants: bool

    def __call__(self, one: str, other: str, kind: str) -> bool:
        if kind != COPY and not self.variants:
            return False
        inside = [path for path in (one, other) if not os.path.isabs(path)]
        outside = [path for path in (one, other) if os.path.isabs(path)]
        return (
            all(os.path.dirname(path) in self.topics for path in inside)
            and all(path.startswith(self.references) for path in outside)
            and (self.across or bool(outside))
        )


@dataclass(frozen=True)
class ImageTable:
    """The images of several topics side by side: row i belongs to names[i]."""

    names: list[str]  # paths below the dataset, or absolute ones of references
    groups: Array  # (n,) the number of the topic, or REFERENCE
    stamps: Array  # (n, 2)
    rows: dict[str, Array]

    def apart(self, across: bool) -> PairFilter:
        """Which pairs of rows may be compared: of different topics if `across`, and of a topic and the references."""

        def wanted(first: Array, second: Array) -> Array:
            one, other = self.groups[first], self.groups[second]
            found: Array = one != other if across else (one == REFERENCE) != (other == REFERENCE)
            return found

        return wanted

    def stamps_of(self, paths: Set[str]) -> dict[str, Stamp]:
        numbers = (number for number, name in enumerate(self.names) if name in paths)
        return {self.names[n]: (int(self.stamps[n, 0]), int(self.stamps[n, 1])) for n in numbers}


def stack_tables(sources: Iterable[Source], keys: Sequence[str], capacity: int) -> ImageTable:
    """The images of the sources, each of which is let go before the next is asked for; about `capacity` in all."""
    names: list[str] = []
    wanted: dict[str, Array] = {}
    for number, place, stamps, rows in sources:
        own = list(rows.fresh(stamps))
        found = rows.rows(own)
        found = {key: found[key] for key in keys}
        found["groups"] = np.full(len(own), number, np.int32)
        found["stamps"] = np.array([stamps[name] for name in own], np.int64).reshape(-1, 2)
        for key, array in found.items():
            room = wanted.setdefault(key, np.empty((capacity, *array.shape[1:]), array.dtype))
            if len(room) < len(names) + len(array):
                wanted[key] = room = np.concatenate(
                    [room, np.empty_like(room, shape=(len(array), *room.shape[1:]))]
                )
            room[len(names) : len(names) + len(array)] = array
        names += [os.path.join(place, name) for name in own]
    arrays = {key: array[: len(names)] for key, array in wanted.items()}
    return ImageTable(names, arrays.pop("groups"), arrays.pop("stamps"), arrays)


def candidate_pairs_across(
    images: ImageTable, method: Method, across: bool
) -> tuple[list[ImagePair], list[ImagePair]]:
    """Pairs to be looked at closely, and pairs that need no look: between topics if `across`, and with references."""
    near, equal = method.proposed(images.rows, images.apart(across))
    return candidate_pairs.as_name_pairs(images.names, near), candidate_pairs.as_name_pairs(
        images.names, equal
    )


def _is_one_file(dataset: str, pair: ImagePair) -> bool:
    """Whether a reference image and one of the dataset are one file under two names."""
    if not any(map(os.path.isabs, pair)):
        return False
    try:
        return os.path.samefile(*(os.path.join(dataset, path) for path in pair))
    except OSError:
        return False
