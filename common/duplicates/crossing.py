"""The search between the topics of a dataset, and against reference folders.

What the search within topics left in their sidecars is put side by side; pairs are proposed and looked at as within a
topic. Memory grows with images and matches.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
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
            said, stamps = _said(dataset, [*inside, *outside], method, pool, args, talk)
            compared = _Compared(set(places), args.across, [os.path.join(os.path.abspath(r), "") for r in args.against])
            kinds: Kinds = {}
            for (one, other), found in said.items():
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


def _said(
    dataset: str,
    sources: Sequence[tuple[int, str, Mapping[str, Stamp], Sidecar]],
    method: Method,
    pool: Pool,
    args: argparse.Namespace,
    talk: Talk,
) -> tuple[dict[Pair, Verdict], dict[str, Stamp]]:
    """What the close look says of proposed pairs, by path; and the stamps of the images in them.

    A source has its number, its path below the dataset, its images and their rows.
    """
    fresh = [list(rows.fresh(stamps)) for _, _, stamps, rows in sources]
    names = [os.path.join(place, name) for (_, place, *_), own in zip(sources, fresh, strict=True) for name in own]
    groups = np.repeat([number for number, *_ in sources], list(map(len, fresh)))
    blocks = [rows.rows(own) for (*_, rows), own in zip(sources, fresh, strict=True)]
    rows = {key: np.concatenate([block.pop(key) for block in blocks]) for key in method.keys}

    def apart(first: Array, second: Array) -> Array:
        one, other = groups[first], groups[second]
        wanted: Array = one != other if args.across else (one == REFERENCE) != (other == REFERENCE)
        return wanted

    near, equal = (proposals.named(names, found) for found in method.proposed(rows, apart))
    wanted = {path for pair in [*near, *equal] for path in pair}
    every = (
        (os.path.join(place, name), stamps[name])
        for (_, place, stamps, _), own in zip(sources, fresh, strict=True)
        for name in own
    )
    stamps = {path: stamp for path, stamp in every if path in wanted}
    here = across.whole(dataset)
    near = [pair for pair in near if not _is_one_file(dataset, pair)]
    said = looking.looked_at(here, stamps, near, False, Opener(pool, args.max_pixels, talk))
    same = dict.fromkeys((pair for pair in equal if not _is_one_file(dataset, pair)), Verdict(COPY, 1.0))
    return {pair: found for pair, found in (said | same).items() if found.kind == COPY}, stamps


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
