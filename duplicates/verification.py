"""Looks closely at every proposed pair of a topic, once: what was said stays in `.cache/looked*.npz`.

Only images of pairs that nobody has looked at yet are opened, once each, by parallel processes.
"""

from __future__ import annotations

import functools
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common import json_files, sidecar
from common.claims import TryClaim, always_claim
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.tree import Stamp, Topic
from duplicates import classification, thumbnails
from duplicates.classification import Verdict
from duplicates.pool import Pool
from duplicates.thumbnails import Picture

VERDICT_LAYOUT = {"kinds": ("uint8", ()), "likeness": ("float32", ())}
KIND_CODES = ("", classification.COPY, *json_files.VARIANT_KINDS)  # of a row by its number
IMAGES = 16  # that a process opens at once
PAIRS = 64  # that a process looks at at once

ImagePair = tuple[str, str]  # names, the lesser first


class TopicBusy(Exception):
    """Another run works on the topic; it comes again when that one is done."""


@dataclass(frozen=True)
class PictureOpener:
    """What opens images and looks at pairs."""

    pool: Pool
    max_pixels: int
    talk: Reporter
    take: TryClaim = always_claim  # asked before a topic's images are opened

    def opened(self, topic: Topic, names: Sequence[str], hints: bool) -> dict[str, Picture]:
        """Those of the images that can be read, small; with what alignment needs if `hints`. Raises Busy."""
        if names and not self.take(topic):
            raise TopicBusy
        read = functools.partial(thumbnails.read_picture, max_pixels=self.max_pixels, hints=hints)
        chunks = [list(names[start : start + IMAGES]) for start in range(0, len(names), IMAGES)]
        tasks = ((chunk, [topic.file(name) for name in chunk]) for chunk in chunks)
        found: dict[str, Picture] = {}
        for chunk, answers in self.pool.run(read, tasks):
            found.update((name, one) for name, one in zip(chunk, answers, strict=True) if one)
        return found


def verify_pairs(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    proposed: Iterable[ImagePair],
    variants: bool,
    opener: PictureOpener,
    opened: Mapping[str, Picture] | None = None,
    more: bool = False,
) -> dict[ImagePair, Verdict]:
    """What the close look says of each proposed pair; nothing of pairs that are neither alike nor doubtful.

    Images in `opened` are not opened again. What was said of pairs that are not proposed is forgotten, unless `more`
    will be. Raises Busy.
    """
    pairs = {
        f"{one}/{other}": (one, other) for one, other in sorted(set(proposed))
    }  # a name holds no slash
    wanted = {key: _pair_stamp(stamps[one], stamps[other]) for key, (one, other) in pairs.items()}
    name = "looked-variants" if variants else "looked"
    about = {"rules": classification.RULES_VERSION, "kinds": KIND_CODES}
    memory = sidecar.load_sidecar(
        topic,
        name,
        VERDICT_LAYOUT,
        about,
        opener.talk.warn,
        lambda: json_files.max_bytes_per_pair(stamps),
    )
    known = memory.fresh(wanted)
    new = {key: pair for key, pair in pairs.items() if key not in known}
    if new:
        names = sorted({name for pair in new.values() for name in pair} - set(opened or ()))
        seen = {**(opened or {}), **opener.opened(topic, names, variants)}
        try:
            _look(new, wanted, seen, memory, variants, opener)
        finally:  # what has been seen when a run is stopped is not looked at again
            memory.save()
    if not more:
        memory.save(wanted)
    told = list(memory.fresh(wanted))
    rows = memory.rows(told)
    said = zip(told, rows["kinds"].tolist(), rows["likeness"].tolist(), strict=True)
    return {
        pairs[key]: Verdict(KIND_CODES[kind], likeness)
        for key, kind, likeness in said
        if 0 < kind < len(KIND_CODES)
    }


def _pair_stamp(one: Stamp, other: Stamp) -> Stamp:
    """A stamp that changes with either image's."""
    return one[0] * 31 + other[0], (one[1] * 31 + other[1]) % 2**63


def _look(
    pairs: Mapping[str, ImagePair],
    wanted: Mapping[str, Stamp],
    opened: Mapping[str, Picture],
    memory: Sidecar,
    variants: bool,
    opener: PictureOpener,
) -> None:
    """Look at each pair whose images are open, and put what is seen into the memory. Equal pictures are one."""
    groups: dict[tuple[bytes, bytes], list[str]] = {}
    for key, (one, other) in pairs.items():
        if one in opened and other in opened:
            groups.setdefault((opened[one].encoded, opened[other].encoded), []).append(key)

    def put(keys: Sequence[str], said: Verdict) -> None:
        numbers, likeness = (
            np.full(len(keys), KIND_CODES.index(said.kind)),
            np.full(len(keys), said.likeness),
        )
        memory.add(keys, [wanted[key] for key in keys], kinds=numbers, likeness=likeness)

    def tasks() -> Iterator[tuple[list[list[str]], list[tuple[Picture, Picture]]]]:
        unlike = (keys for (one, other), keys in groups.items() if one != other)
        while chunk := list(itertools.islice(unlike, PAIRS)):
            ordered = (
                sorted(pairs[keys[0]], key=os.path.basename) for keys in chunk
            )  # as if in one topic
            yield chunk, [(opened[one], opened[other]) for one, other in ordered]

    for (first, second), keys in groups.items():
        if first == second:
            put(keys, classification.EQUAL)
    judge = functools.partial(classification.verdicts, variants=variants)
    saved = time.monotonic()
    with opener.talk.progress(len(pairs), unit="pair") as bar:
        for chunk, said in opener.pool.run(judge, tasks()):
            for keys, answer in zip(chunk, said, strict=True):
                put(keys, answer)
                bar.update(len(keys))
            if time.monotonic() - saved >= sidecar.CHECKPOINT_SECONDS:
                memory.save()
                saved = time.monotonic()
