"""Looks closely at every proposed pair of a topic, once: what was said stays in `.cache/looked*.npz`.

Only images of pairs that nobody has looked at yet are opened, once each, by processes.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from common.dataset import records, sidecar
from common.dataset.sidecar import Sidecar
from common.dataset.tree import Stamp, Topic
from common.duplicates import pictures, verdict
from common.duplicates.pictures import Picture
from common.duplicates.pool import Pool
from common.duplicates.verdict import Verdict
from common.output import Talk

LAYOUT = {"kinds": ("uint8", ()), "likeness": ("float32", ())}
KINDS = ("", verdict.COPY, *records.KINDS)  # of a row by its number
IMAGES = 16  # that a process opens at once
PAIRS = 64  # that a process looks at at once

Pair = tuple[str, str]  # names, the lesser first


def looked_at(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    proposed: Iterable[Pair],
    variants: bool,
    pool: Pool,
    max_pixels: int,
    talk: Talk,
) -> dict[Pair, Verdict]:
    """What the close look says of each proposed pair; nothing of pairs that are neither alike nor doubtful."""
    pairs = {f"{one}/{other}": (one, other) for one, other in sorted(set(proposed))}  # a name holds no slash
    wanted = {key: _together(stamps[one], stamps[other]) for key, (one, other) in pairs.items()}
    name = "looked-variants" if variants else "looked"
    memory = sidecar.load(topic, name, LAYOUT, {"rules": verdict.VERSION, "kinds": KINDS}, talk.warn)
    known = memory.fresh(wanted)
    new = [pair for key, pair in pairs.items() if key not in known]
    if new:
        _look(topic, new, wanted, memory, variants, pool, max_pixels, talk)
    memory.save(wanted)
    rows = memory.rows(list(memory.fresh(wanted)))
    said = zip(memory.fresh(wanted), rows["kinds"].tolist(), rows["likeness"].tolist(), strict=True)
    return {pairs[key]: Verdict(KINDS[kind], likeness) for key, kind, likeness in said if kind}


def _together(one: Stamp, other: Stamp) -> Stamp:
    """A stamp that changes with either image's."""
    return one[0] * 31 + other[0], (one[1] * 31 + other[1]) % 2**63


def _look(
    topic: Topic,
    pairs: Sequence[Pair],
    wanted: Mapping[str, Stamp],
    memory: Sidecar,
    variants: bool,
    pool: Pool,
    max_pixels: int,
    talk: Talk,
) -> None:
    """Open the images of `pairs`, look at each pair, and put what is seen into the memory."""
    opened = _opened(topic, sorted({name for pair in pairs for name in pair}), variants, pool, max_pixels)

    def tasks() -> Iterator[tuple[list[Pair], list[tuple[Picture, Picture]]]]:
        readable = iter([(one, other) for one, other in pairs if one in opened and other in opened])
        while chunk := list(itertools.islice(readable, PAIRS)):
            yield chunk, [(opened[one], opened[other]) for one, other in chunk]

    judge = functools.partial(verdict.verdicts, variants=variants)
    with talk.progress(len(pairs)) as bar:
        for chunk, said in pool.run(judge, tasks()):
            keys = [f"{one}/{other}" for one, other in chunk]
            numbers = np.array([KINDS.index(one.kind) for one in said], np.uint8)
            likeness = np.array([one.likeness for one in said], np.float32)
            memory.add(keys, [wanted[key] for key in keys], kinds=numbers, likeness=likeness)
            bar.update(len(chunk))


def _opened(topic: Topic, names: Sequence[str], points: bool, pool: Pool, max_pixels: int) -> dict[str, Picture]:
    read = functools.partial(pictures.read, max_pixels=max_pixels, points=points)
    chunks = [list(names[start : start + IMAGES]) for start in range(0, len(names), IMAGES)]
    found: dict[str, Picture] = {}
    for chunk, answers in pool.run(read, ((chunk, [topic.file(name) for name in chunk]) for chunk in chunks)):
        found.update((name, one) for name, one in zip(chunk, answers, strict=True) if one)
    return found
