"""The search between the topics of a dataset, and against reference folders.

What the search within topics left in their sidecars is put side by side; pairs are proposed and looked at as within a
topic. Memory grows with images and matches.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from common import text
from common.dataset import cache, records
from common.dataset.records import COPY, Kinds
from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import across, looking, proposals, references, verdict
from common.duplicates.looking import Opener, Pair
from common.duplicates.methods import ByHash, ByVectors
from common.duplicates.neighbours import Array
from common.duplicates.pool import Pool
from common.duplicates.verdict import Verdict
from common.output import Talk

Method = ByHash | ByVectors
Source = tuple[int, str, Mapping[str, Stamp], Sidecar]  # its number, its path below the dataset, its images, their rows

REFERENCE = -1  # instead of the number of a topic


def search(topics: Sequence[Topic], method: Method, args: argparse.Namespace, pool: Pool, talk: Talk) -> dict[str, int]:
    """Compare the topics of each dataset (args.across), and each of them with the folders in args.against.

    Writes each dataset's file, and returns how many pairs of images, and of images with references, all of them tell.
    """
    datasets: dict[str, list[Topic]] = {}
    for topic in topics:
        datasets.setdefault(topic.dataset_path, []).append(topic)
    given = tuple(os.path.join(os.path.realpath(path), "") for path in args.paths)
    told = {"pairs": 0, "references": 0}
    with tempfile.TemporaryDirectory() as folder:
        known = references.found(args.against, folder, talk.warn)
        read = method.read([known], pool) if args.against else ()
        outside = [(REFERENCE, "", stamps, rows) for _, stamps, rows in read]
        for dataset, several in datasets.items():
            places = [os.path.relpath(topic.path, dataset) for topic in several]
            inside = ((n, places[n], topic.stamps(), method.load(topic)) for n, topic in enumerate(several))
            capacity = sum(topic.found for topic in [*several, known])
            images = beside(itertools.chain(inside, outside), method.keys, capacity)
            pairs = [
                [pair for pair in some if not _is_one_file(dataset, pair)]
                for some in proposed(images, method, args.across)
            ]
            stamps = images.stamps_of({path for some in pairs for pair in some for path in pair})
            del images
            opener = Opener(pool, args.max_pixels, talk)
            said = looking.looked_at(across.whole(dataset), stamps, pairs[0], False, opener)
            said |= dict.fromkeys(pairs[1], verdict.EQUAL)
            compared = _Compared(set(places), args.across, [os.path.join(os.path.abspath(r), "") for r in args.against])
            kinds: Kinds = {}
            for (one, other), found in said.items():
                if found.kind == COPY:
                    kinds.setdefault(one, {})[other] = found.kind
            kinds = across.write(
                dataset, kinds, compared, {**method.about, "rules": verdict.VERSION}, stamps, talk.warn
            )
            _write_figures(dataset, kinds, said)
            if not os.path.join(os.path.realpath(dataset), "").startswith(given):
                compared_now = f"{text.plural(len(several), 'topic')} were compared; what it says of others stays"
                talk.say(f"{text.shown(across.path_in(dataset))}: {compared_now}")
            for path, others in kinds.items():
                told["pairs"] += sum(1 for other in others if path < other and not os.path.isabs(path))
                told["references"] += sum(1 for other in others if os.path.isabs(other))
    return told


@dataclass(frozen=True)
class _Compared:
    """Whether a search has compared two images, by path, and said all that there is to say of a pair of this kind."""

    topics: set[str]  # below the dataset
    across: bool
    references: Sequence[str]

    def __call__(self, one: str, other: str, kind: str) -> bool:
        if kind != COPY:
            return False
        inside = [path for path in (one, other) if not os.path.isabs(path)]
        outside = [path for path in (one, other) if os.path.isabs(path)]
        return (
            all(os.path.dirname(path) in self.topics for path in inside)
            and all(path.startswith(tuple(self.references)) for path in outside)
            and (self.across or bool(outside))
        )


@dataclass(frozen=True)
class Beside:
    """The images of several topics side by side: row i belongs to names[i]."""

    names: list[str]  # paths below the dataset, or absolute ones of references
    groups: Array  # (n,) the number of the topic, or REFERENCE
    stamps: Array  # (n, 2)
    rows: dict[str, Array]

    def stamps_of(self, paths: Set[str]) -> dict[str, Stamp]:
        numbers = (number for number, name in enumerate(self.names) if name in paths)
        return {self.names[n]: (int(self.stamps[n, 0]), int(self.stamps[n, 1])) for n in numbers}


def beside(sources: Iterable[Source], keys: Sequence[str], capacity: int) -> Beside:
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
                wanted[key] = room = np.concatenate([room, np.empty_like(room, shape=(len(array), *room.shape[1:]))])
            room[len(names) : len(names) + len(array)] = array
        names += [os.path.join(place, name) for name in own]
    arrays = {key: array[: len(names)] for key, array in wanted.items()}
    return Beside(names, arrays.pop("groups"), arrays.pop("stamps"), arrays)


def proposed(images: Beside, method: Method, across: bool) -> tuple[list[Pair], list[Pair]]:
    """Pairs to be looked at closely, and pairs that need no look: between topics if `across`, and with references."""

    def apart(first: Array, second: Array) -> Array:
        one, other = images.groups[first], images.groups[second]
        wanted: Array = one != other if across else (one == REFERENCE) != (other == REFERENCE)
        return wanted

    near, equal = method.proposed(images.rows, apart)
    return proposals.named(images.names, near), proposals.named(images.names, equal)


def _is_one_file(dataset: str, pair: Pair) -> bool:
    """Whether a reference image and one of the dataset are one file under two names."""
    if not any(map(os.path.isabs, pair)):
        return False
    try:
        return os.path.samefile(*(os.path.join(dataset, path) for path in pair))
    except OSError:
        return False


def _write_figures(dataset: str, kinds: Kinds, said: Mapping[Pair, Verdict]) -> None:
    """Keep what was measured of the pairs, for whoever shows them, as within topics."""
    figures: dict[str, dict[str, tuple[str, float]]] = {}
    for (one, other), found in said.items():
        if kinds.get(one, {}).get(other) == found.kind:
            figures.setdefault(one, {})[other] = (found.kind, round(found.likeness, 3))
    records.write_json(os.path.join(cache.make_folder(across.whole(dataset)), cache.FIGURES), figures)
