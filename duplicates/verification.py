"""Verify each proposed pair of images once. Verdicts are kept in `.cache/looked*.npz`.

Opens only images of pairs that have no verdict yet, each of them once, in parallel processes.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from common import json_files, sidecar
from common.locks import TryClaim, always_claim
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.topics import Stamp, Topic
from duplicates import classification, copy_sets, thumbnails
from duplicates.classification import MAY_BE_COPY, FirstLook, Verdict
from duplicates.geometry import IDENTITY
from duplicates.pool import Pool
from duplicates.thumbnails import SmallImage
from duplicates.variant_rules import NOTHING

if TYPE_CHECKING:
    from duplicates.confirmation import Confirmation

VERDICT_LAYOUT = {"kinds": ("uint8", ()), "likeness": ("float32", ())}
KIND_CODES = ("", classification.COPY, *json_files.VARIANT_KINDS)  # a kind is stored as its index
TASK_IMAGES = 16  # that a process opens in one go
TASK_PAIRS = 64  # that a process classifies in one go

ImagePair = tuple[str, str]  # names, sorted


class TopicBusy(Exception):
    """Another run has claimed the topic. Try again when that run is done."""


@dataclass(frozen=True)
class ImageOpener:
    """Opens images and classifies pairs in parallel."""

    pool: Pool
    max_pixels: int
    reporter: Reporter
    try_claim: TryClaim = always_claim  # asked before the images of a topic are opened
    opened: Mapping[str, SmallImage] = field(default_factory=dict)  # by name; not opened again

    def open_images(self, topic: Topic, names: Sequence[str], hints: bool) -> dict[str, SmallImage]:
        """Read those of the images that are readable. Raises TopicBusy."""
        images = {name: self.opened[name] for name in names if name in self.opened}
        to_read = [name for name in names if name not in self.opened]
        if to_read and not self.try_claim(topic):
            raise TopicBusy
        read = functools.partial(
            thumbnails.read_small_images, max_pixels=self.max_pixels, hints=hints
        )
        starts = range(0, len(to_read), TASK_IMAGES)
        batches = [to_read[start : start + TASK_IMAGES] for start in starts]
        tasks = ((batch, [topic.path_of(name) for name in batch]) for batch in batches)
        for batch, answers in self.pool.run(read, tasks):
            for name, image in zip(batch, answers, strict=True):
                if image:
                    images[name] = image
        return images


@dataclass(frozen=True)
class _PairsByKey:
    """Pairs by their key in the sidecar, and the stamp that a valid verdict has."""

    pairs: Mapping[str, ImagePair]
    stamps: Mapping[str, Stamp]

    def only(self, keys: Iterable[str]) -> _PairsByKey:
        wanted = {key: self.pairs[key] for key in keys}
        return _PairsByKey(wanted, self.stamps)


def verify_pairs(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    proposed: Iterable[ImagePair],
    variants: bool,
    opener: ImageOpener,
    keep_others: bool = False,
) -> dict[ImagePair, Verdict]:
    """Return the verdict on each proposed pair, but for those that are nothing to each other.

    Stored verdicts on pairs that are not proposed are dropped unless `keep_others`. Raises
    TopicBusy.
    """
    proposed_pairs = _key_pairs(proposed, stamps)
    verdicts = _load_verdicts(topic, stamps, variants, opener.reporter)
    known = verdicts.valid_rows(proposed_pairs.stamps)
    new = proposed_pairs.only(key for key in proposed_pairs.pairs if key not in known)
    if new.pairs:
        names = {name for pair in new.pairs.values() for name in pair}
        images = opener.open_images(topic, sorted(names), variants)
        _classify(topic, stamps, new, images, verdicts, variants, opener)
        verdicts.save()
    if not keep_others:
        verdicts.save(proposed_pairs.stamps)
    return _read_verdicts(proposed_pairs, verdicts)


def _key_pairs(proposed: Iterable[ImagePair], stamps: Mapping[str, Stamp]) -> _PairsByKey:
    pairs: dict[str, ImagePair] = {}
    pair_stamps: dict[str, Stamp] = {}
    for one, other in sorted(set(proposed)):
        key = f"{one}/{other}"  # no name contains a slash
        pairs[key] = (one, other)
        pair_stamps[key] = _pair_stamp(stamps[one], stamps[other])
    return _PairsByKey(pairs, pair_stamps)


def _pair_stamp(one: Stamp, other: Stamp) -> Stamp:
    """Return a stamp that changes with that of either image."""
    return one[0] * 31 + other[0], (one[1] * 31 + other[1]) % 2**63


def _load_verdicts(
    topic: Topic, stamps: Mapping[str, Stamp], variants: bool, reporter: Reporter
) -> Sidecar:
    name = "looked-variants" if variants else "looked"
    about = {"rules": classification.RULES_VERSION, "kinds": KIND_CODES}
    return sidecar.load_sidecar(
        topic,
        name,
        VERDICT_LAYOUT,
        about,
        reporter.warn,
        lambda: json_files.max_bytes_of_pairs(stamps),
    )


def _read_verdicts(keyed: _PairsByKey, verdicts: Sidecar) -> dict[ImagePair, Verdict]:
    keys = list(verdicts.valid_rows(keyed.stamps))
    rows = verdicts.rows(keys)
    codes = rows["kinds"].tolist()
    matches: dict[ImagePair, Verdict] = {}
    for key, code, likeness in zip(keys, codes, rows["likeness"].tolist(), strict=True):
        if 0 < code < len(KIND_CODES):
            matches[keyed.pairs[key]] = Verdict(KIND_CODES[code], likeness)
    return matches


class _NewPairs:
    """Pairs without a verdict, whose images could be opened, and the sidecar for their verdicts."""

    def __init__(
        self,
        topic: Topic,
        stamps: Mapping[str, Stamp],
        keyed: _PairsByKey,
        images: Mapping[str, SmallImage],
        verdicts: Sidecar,
        bar: tqdm,
    ) -> None:
        self.topic = topic
        self.stamps = stamps
        self.images = images
        self.keys: dict[ImagePair, str] = {}
        for key, (one, other) in keyed.pairs.items():
            if one in images and other in images:
                # Across topics a name is a path; sorted by file name, as if in one topic.
                first, second = sorted((one, other), key=os.path.basename)
                self.keys[first, second] = key
        self._pair_stamps = keyed.stamps
        self._verdicts = verdicts
        self._bar = bar

    def image_pair(self, pair: ImagePair) -> tuple[SmallImage, SmallImage]:
        return self.images[pair[0]], self.images[pair[1]]

    def add_verdict(self, pairs: Sequence[ImagePair], verdict: Verdict) -> None:
        keys = [self.keys[pair] for pair in pairs]
        codes = np.full(len(keys), KIND_CODES.index(verdict.kind))
        likeness = np.full(len(keys), verdict.likeness)
        stamps = [self._pair_stamps[key] for key in keys]
        self._verdicts.add(keys, stamps, kinds=codes, likeness=likeness)
        self._bar.update(len(keys))


def _classify(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    keyed: _PairsByKey,
    images: Mapping[str, SmallImage],
    verdicts: Sidecar,
    variants: bool,
    opener: ImageOpener,
) -> None:
    """Classify the pairs whose images could be opened, and add their verdicts to the sidecar."""
    with (
        opener.reporter.progress(len(keyed.pairs), unit="pair") as bar,
        sidecar.checkpoints(verdicts.save) as save_when_due,
    ):
        new = _NewPairs(topic, stamps, keyed, images, verdicts, bar)
        candidates: dict[ImagePair, FirstLook] = {}
        for pairs, look in _look_first(new, variants, opener):
            if look.verdict.kind == MAY_BE_COPY:
                candidates |= dict.fromkeys(pairs, look)
            else:
                new.add_verdict(pairs, look.verdict)
            save_when_due()
        differing: dict[bool, list[ImagePair]] = {True: [], False: []}
        for pair, said in _look_again(new, candidates, opener):
            if said.is_copy:
                likeness = candidates[pair].verdict.likeness
                new.add_verdict([pair], Verdict(classification.COPY, likeness))
            elif variants:
                differing[said.is_near].append(pair)
            else:
                new.add_verdict([pair], Verdict(NOTHING, 0.0))
            save_when_due()
        for is_near, pairs in differing.items():
            for pair, verdict in _classify_differing(new, pairs, is_near, opener):
                new.add_verdict([pair], verdict)
                save_when_due()


def _look_first(
    new: _NewPairs, variants: bool, opener: ImageOpener
) -> Iterator[tuple[list[ImagePair], FirstLook]]:
    """Yield what a first look at small images says; pairs of equal ones are looked at once."""
    groups: list[list[ImagePair]] = []
    for equal, pairs in _group_equal_pairs(new).items():
        if equal[0] == equal[1]:
            yield pairs, FirstLook(Verdict(MAY_BE_COPY, 1.0), IDENTITY)
        else:
            groups.append(pairs)
    look = functools.partial(classification.look_at_pairs, variants=variants)
    for batch, looks in opener.pool.run(look, _tasks(groups, new)):
        yield from zip(batch, looks, strict=True)


def _look_again(
    new: _NewPairs, candidates: Mapping[ImagePair, FirstLook], opener: ImageOpener
) -> Iterator[tuple[ImagePair, Confirmation]]:
    """Yield what a second look at the files says of the pairs that may be copies."""
    from duplicates import second_looks

    affines = {pair: look.affine for pair, look in candidates.items()}
    components = copy_sets.connected_components(sorted(candidates))
    tasks = copy_sets.confirmation_tasks(components, affines, new.stamps, new.topic.path_of)
    confirm = functools.partial(second_looks.confirm_sets, max_pixels=opener.max_pixels)
    for members_of_sets, answers in opener.pool.run(confirm, tasks):
        for members, confirmations in zip(members_of_sets, answers, strict=True):
            for (one, other), said in confirmations.items():
                yield (members[one], members[other]), said


def _classify_differing(
    new: _NewPairs, pairs: Sequence[ImagePair], is_near: bool, opener: ImageOpener
) -> Iterator[tuple[ImagePair, Verdict]]:
    """Yield which variants the pairs are that look like copies and differ at full detail."""
    classify = functools.partial(classification.classify_differing, is_near=is_near)
    for batch, answers in opener.pool.run(classify, _tasks([[pair] for pair in pairs], new)):
        for group, verdict in zip(batch, answers, strict=True):
            yield group[0], verdict


def _group_equal_pairs(new: _NewPairs) -> dict[tuple[bytes, bytes], list[ImagePair]]:
    """Group pairs by the bytes of their two small images."""
    groups: dict[tuple[bytes, bytes], list[ImagePair]] = {}
    for pair in new.keys:
        one, other = new.image_pair(pair)
        groups.setdefault((one.encoded, other.encoded), []).append(pair)
    return groups


def _tasks(
    groups: Iterable[list[ImagePair]], new: _NewPairs
) -> Iterator[tuple[list[list[ImagePair]], list[tuple[SmallImage, SmallImage]]]]:
    """Yield batches of groups, with the two images of each group to classify."""
    remaining = iter(groups)
    while batch := list(itertools.islice(remaining, TASK_PAIRS)):
        yield batch, [new.image_pair(equal[0]) for equal in batch]
