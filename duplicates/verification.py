"""Verify each proposed pair of images once. Verdicts are kept in `.cache/looked*.npz`.

Opens only images of pairs that have no verdict yet, each of them once, in parallel processes.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from common import json_files
from common.clip import sidecar
from common.clip.sidecar import Sidecar
from common.locks import TryClaim, always_claim
from common.reporter import Reporter
from common.topics import Stamp, Topic
from duplicates import classification, pair_looks, thumbnails
from duplicates.classification import Verdict
from duplicates.pool import Pool, batches
from duplicates.thumbnails import SmallImage
from keeping.directions import NO_DIRECTION, Direction
from keeping.topic_relations import RULES_VERSION

VERDICT_LAYOUT = {"kinds": ("uint8", ()), "likeness": ("float32", ())}
# Of a variant: Direction of keeping/directions.py, of the images in the order of their names.
VARIANT_LAYOUT = {**VERDICT_LAYOUT, "clean": ("int8", ()), "shown": ("float32", ())}
KIND_CODES = ("", classification.COPY, *json_files.SHOWN_KINDS)  # a kind is stored as its index
TASK_IMAGES = 16  # that a process opens in one go

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
        tasks = (
            (batch, [topic.path_of(name) for name in batch])
            for batch in batches(to_read, TASK_IMAGES)
        )
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

    Stored verdicts on pairs that are not proposed are dropped unless `keep_others`, or the run
    works on a part of the topic. Raises TopicBusy.
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
    if not keep_others and not topic.selection:
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
    about = {sidecar.RULES: RULES_VERSION, "kinds": KIND_CODES}
    if variants:
        about["lists_copies"] = False  # verdicts of versions that did are looked at again
    return sidecar.load_sidecar(
        topic,
        name,
        VARIANT_LAYOUT if variants else VERDICT_LAYOUT,
        about,
        reporter.warn,
        lambda: json_files.max_bytes_of_pairs({*stamps, *topic.all_image_names()}),
    )


def _read_verdicts(keyed: _PairsByKey, verdicts: Sidecar) -> dict[ImagePair, Verdict]:
    keys = list(verdicts.valid_rows(keyed.stamps))
    rows = verdicts.rows(keys)
    codes, likeness = rows["kinds"].tolist(), rows["likeness"].tolist()
    directions = [NO_DIRECTION] * len(keys)
    if "clean" in rows:
        directions = list(map(Direction, rows["clean"].tolist(), rows["shown"].tolist()))
    matches: dict[ImagePair, Verdict] = {}
    for row, key in enumerate(keys):
        if 0 < codes[row] < len(KIND_CODES):
            verdict = Verdict(KIND_CODES[codes[row]], likeness[row], directions[row])
            matches[keyed.pairs[key]] = verdict
    return matches


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
    keys: dict[ImagePair, str] = {}
    for key, (one, other) in keyed.pairs.items():
        if one in images and other in images:
            # Across topics a name is a path; sorted by file name, as if in one topic.
            first, second = sorted((one, other), key=os.path.basename)
            keys[first, second] = key
    task = pair_looks.LookTask(topic, stamps, images, variants, opener.pool, opener.max_pixels)
    with (
        opener.reporter.progress(len(keyed.pairs), unit="pair") as bar,
        sidecar.checkpoints(verdicts.save) as save_when_due,
    ):
        for pairs, verdict in pair_looks.decide_pairs(list(keys), task):
            names = [keys[pair] for pair in pairs]
            columns = {
                "kinds": np.full(len(names), KIND_CODES.index(verdict.kind)),
                "likeness": np.full(len(names), verdict.likeness),
            }
            if variants:
                is_swapped = [keyed.pairs[keys[pair]] != pair for pair in pairs]
                clean = verdict.direction.clean
                columns["clean"] = np.where(is_swapped, -clean, clean)
                columns["shown"] = np.full(len(names), verdict.direction.shown)
            verdicts.add(names, [keyed.stamps[name] for name in names], **columns)
            bar.update(len(names))
            save_when_due()
