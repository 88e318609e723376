"""Verify each proposed pair of images once. Verdicts are kept in `.cache/looked*.npz`.

Opens only images of pairs that have no verdict yet, each of them once, in parallel processes.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from common import json_files, sidecar
from common.locks import TryClaim, always_claim
from common.reporter import Reporter
from common.sidecar import Sidecar
from common.topics import Stamp, Topic
from duplicates import classification, thumbnails
from duplicates.classification import Verdict
from duplicates.pool import Pool
from duplicates.thumbnails import SmallImage

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
        _classify(new, images, verdicts, variants, opener)
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


def _classify(
    keyed: _PairsByKey,
    images: Mapping[str, SmallImage],
    verdicts: Sidecar,
    variants: bool,
    opener: ImageOpener,
) -> None:
    """Classify the pairs whose images could be opened, and add their verdicts to the sidecar.

    Pairs of equal images are classified once.
    """

    def add_verdict(keys: Sequence[str], verdict: Verdict) -> None:
        codes = np.full(len(keys), KIND_CODES.index(verdict.kind))
        likeness = np.full(len(keys), verdict.likeness)
        stamps = [keyed.stamps[key] for key in keys]
        verdicts.add(keys, stamps, kinds=codes, likeness=likeness)

    equal_keys, groups = _group_equal_pairs(keyed.pairs, images)
    if equal_keys:
        add_verdict(equal_keys, classification.EQUAL)
    classify = functools.partial(classification.classify_pairs, variants=variants)
    with (
        opener.reporter.progress(len(keyed.pairs), unit="pair") as bar,
        sidecar.checkpoints(verdicts.save) as save_when_due,
    ):
        for batch, answers in opener.pool.run(classify, _tasks(groups, keyed.pairs, images)):
            for keys, verdict in zip(batch, answers, strict=True):
                add_verdict(keys, verdict)
                bar.update(len(keys))
            save_when_due()


def _group_equal_pairs(
    pairs: Mapping[str, ImagePair], images: Mapping[str, SmallImage]
) -> tuple[list[str], list[list[str]]]:
    """Return the keys of pairs of one and the same image, and groups of keys of equal pairs."""
    groups: dict[tuple[bytes, bytes], list[str]] = {}
    for key, (one, other) in pairs.items():
        if one in images and other in images:
            encoded = (images[one].encoded, images[other].encoded)
            groups.setdefault(encoded, []).append(key)
    equal: list[str] = []
    unequal: list[list[str]] = []
    for (first, second), keys in groups.items():
        if first == second:
            equal += keys
        else:
            unequal.append(keys)
    return equal, unequal


def _tasks(
    groups: Iterable[list[str]],
    pairs: Mapping[str, ImagePair],
    images: Mapping[str, SmallImage],
) -> Iterator[tuple[list[list[str]], list[tuple[SmallImage, SmallImage]]]]:
    """Yield batches of groups, with the two images of each group to classify."""
    remaining = iter(groups)
    while batch := list(itertools.islice(remaining, TASK_PAIRS)):
        image_pairs = []
        for keys in batch:
            # Across topics a name is a path; sorted by file name, as if in one topic.
            first, second = sorted(pairs[keys[0]], key=os.path.basename)
            image_pairs.append((images[first], images[second]))
        yield batch, image_pairs
