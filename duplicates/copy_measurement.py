"""Measures the originality of images that have copies, each once: what keeping/keepers.py goes by.

An image is measured by itself, then the copies of each set are compared with the best of them. Both
are kept in `.cache/` (keeping/copy_traits.py).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from common import cache, json_files
from common.clip import sidecar
from common.json_files import Copies
from common.topics import Stamp, Topic
from duplicates.pool import batches
from duplicates.thumbnails import SmallImage
from duplicates.verification import ImageOpener, TopicBusy
from imaging import image_identity
from keeping import connected, copy_order, copy_traits, pair_records
from keeping.copy_order import Copy
from keeping.copy_traits import ImageTraits, PairTraits
from keeping.pair_sections import NameTuple

TASK_IMAGES = 8  # that a process measures in one go
TASK_PAIRS = 32  # that a process compares in one go


@dataclass(frozen=True)
class CopyMeasurements:
    """What was measured of copies, now or before, by name."""

    images: dict[str, ImageTraits] = field(default_factory=dict)
    pairs: dict[NameTuple, PairTraits] = field(default_factory=dict)
    new_texts: dict[str, str] = field(default_factory=dict)  # copy_traits.image_text, for the cache
    opened: dict[str, SmallImage] = field(default_factory=dict)  # of images that were measured now


def measure_copies(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    copies: Copies,
    equal: Mapping[str, str],
    opener: ImageOpener,
) -> CopyMeasurements:
    """Measure the images of a topic that have copies, and compare those of each set.

    `equal` has the digests of the images in large sets of equal ones: of these one is measured.
    Opens only images that were not measured as they are now. Raises TopicBusy.
    """
    matched = sorted(name for name, others in copies.items() if others and name in stamps)
    if not matched:
        return CopyMeasurements()
    measured = measure_images(topic, stamps, matched, opener, equal)
    known_pairs = pair_records.read_topic_pairs(topic, stamps)
    compare_copies(topic, copies, measured, known_pairs, opener)
    measured.opened.clear()
    return measured


def measure_images(
    topic: Topic,
    stamps: Mapping[str, Stamp],
    names: Sequence[str],
    opener: ImageOpener,
    equal: Mapping[str, str] = MappingProxyType({}),
) -> CopyMeasurements:
    """Measure those of a topic's images that were not measured as they are now.

    A kill loses what was measured since the last checkpoint. Raises TopicBusy.
    """
    measured = CopyMeasurements()
    cached = cache.load_cache(topic)
    missing: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        traits = copy_traits.parse_image(cached.originality.get(name), stamps[name])
        if traits:
            measured.images[name] = traits
        else:
            key = (equal[name], str(stamps[name][0])) if name in equal else (name,)
            missing.setdefault(key, []).append(name)
    if not missing:
        return measured
    firsts = [same[0] for same in missing.values()]
    twins = {same[0]: same for same in missing.values()}
    if not opener.try_claim(topic):
        raise TopicBusy
    from duplicates import originality  # OpenCV

    def save() -> None:
        cache.update_cache(topic, originality=measured.new_texts)

    measure = functools.partial(originality.measure_files, max_pixels=opener.max_pixels)
    tasks = ((batch, list(map(topic.path_of, batch))) for batch in batches(firsts, TASK_IMAGES))
    with (
        opener.reporter.progress(len(firsts), unit="copy") as bar,
        sidecar.checkpoints(save) as save_when_due,
    ):
        for batch, answers in opener.pool.run(measure, tasks):
            for first, answer in zip(batch, answers, strict=True):
                if answer:
                    traits, measured.opened[first] = answer
                    for name in twins[first]:
                        measured.images[name] = traits
                        measured.new_texts[name] = copy_traits.image_text(stamps[name], traits)
            bar.update(len(batch))
            save_when_due()
    return measured


def compare_copies(
    topic: Topic,
    copies: Mapping[str, Collection[str]],
    measured: CopyMeasurements,
    known_pairs: Mapping[NameTuple, PairTraits],
    opener: ImageOpener,
) -> None:
    """Compare the copies of each set with the best of it, and add what they show to `measured`."""
    missing: list[NameTuple] = []
    for pair, traits in known_pairs.items():
        if measured.images.keys() >= set(pair):  # of another hub: true, and may be wanted again
            measured.pairs[pair] = traits
    for pair in _pairs_with_hubs(copies, measured.images):
        if pair not in known_pairs:
            missing.append(pair)
    if not missing:
        return
    names = {name for pair in missing for name in pair}
    unopened = sorted(names - measured.opened.keys())
    small_images = measured.opened | opener.open_images(topic, unopened, hints=False)
    compared = [pair for pair in missing if small_images.keys() >= set(pair)]
    from duplicates import picture_pairs  # OpenCV

    tasks = (
        (batch, [(small_images[a], small_images[b]) for a, b in batch])
        for batch in batches(compared, TASK_PAIRS)
    )
    for batch, answers in opener.pool.run(picture_pairs.compare_small_images, tasks):
        measured.pairs.update(zip(batch, answers, strict=True))


def measure_across(
    dataset: Topic, topics: Mapping[str, Topic], across: Copies, opener: ImageOpener
) -> tuple[CopyMeasurements, dict[str, Stamp]]:
    """Measure the images with copies in other topics, and the copies of these in their own.

    `topics` are by their folders below the dataset, images by their paths there. Writes what was
    measured of an image into the cache of its topic. Returns the stamps of the images, too.
    """
    copies, stamps = _read_copies_across(topics, across)
    measured = CopyMeasurements()
    names_by_folder: dict[str, list[str]] = {}
    for path in sorted(copies):
        names_by_folder.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    for folder, names in names_by_folder.items():
        in_topic = {name: stamps[os.path.join(folder, name)] for name in names}
        of_topic = measure_images(topics[folder], in_topic, names, opener)
        if of_topic.new_texts:
            cache.update_cache(topics[folder], originality=of_topic.new_texts)
        for name, traits in of_topic.images.items():
            measured.images[os.path.join(folder, name)] = traits
        for name, small_image in of_topic.opened.items():
            measured.opened[os.path.join(folder, name)] = small_image
    if copies:
        known_pairs = pair_records.read_topic_pairs(dataset, stamps)
        compare_copies(dataset, copies, measured, known_pairs, opener)
        measured.opened.clear()
    return measured, stamps


def _read_copies_across(
    topics: Mapping[str, Topic], across: Copies
) -> tuple[dict[str, set[str]], dict[str, Stamp]]:
    """Return all copies, within topics and across, that are connected with a pair across.

    Also the stamps of these images.
    """
    copies = {path: set(others) for path, others in across.items() if others}
    stamps: dict[str, Stamp] = {}
    for folder in {os.path.dirname(path) for path in copies}:
        of_topic = image_identity.confirm_topic(topics[folder])
        in_topic = json_files.read_copies(topics[folder]) or {}
        for name in in_topic.keys() & of_topic.keys():
            if others := in_topic[name] & of_topic.keys():
                paths = {os.path.join(folder, other) for other in others}
                copies.setdefault(os.path.join(folder, name), set()).update(paths)
        for name, stamp in of_topic.items():
            stamps[os.path.join(folder, name)] = stamp
    wanted: set[str] = set()
    for component in connected.group_connected(stamps.keys(), copies):
        if not across.keys().isdisjoint(component):
            wanted.update(component)
    return {path: copies[path] for path in wanted}, stamps


def _pairs_with_hubs(
    copies: Mapping[str, Collection[str]], images: Mapping[str, ImageTraits]
) -> list[NameTuple]:
    """Return the pairs to compare: in each set that is measured, the best with every other.

    Of images with the same pixels one is enough.
    """
    pairs: list[NameTuple] = []
    for component in connected.group_connected(copies.keys(), copies):
        if not images.keys() >= set(component):
            continue
        hub = copy_order.hub_of([Copy(name, images[name]) for name in component]).name
        seen = {images[hub].pixel_digest}
        for name in sorted(component):
            if images[name].pixel_digest not in seen:
                seen.add(images[name].pixel_digest)
                pairs.append((min(name, hub), max(name, hub)))
    return sorted(pairs)
