"""Masks, JSON and the like of a dropped copy go to its keeper, if their pixels are equal. Plans.

A mask fits only the same pixels, and latents are made of them. What does not come along is named in
the manifest line of the keeper, and counted. Captions are in merging/captions_carry.py.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from common import atomic_files
from common.image_formats import CAPTION_SUFFIXES
from common.name_forms import casefold_nfc
from common.topics import Topic, stamp_of
from merging import manifest, naming
from merging.manifest import CarriedFile, ManifestLine
from merging.plan import TopicPlan
from merging.target import file_names, other_names
from merging.transfer import Transfer, TransferMode
from sidecars import stem_groups


class _Sidecar(NamedTuple):
    """A sidecar of a dropped copy."""

    path: str
    copy: str  # the path of the copy
    suffix: str  # behind the stem of the copy


def carry_sidecars(plans: Sequence[TopicPlan]) -> None:
    """Plan to bring the sidecars of dropped copies to their keepers."""
    by_keeper: dict[str, list[_Sidecar]] = {}
    equal_copies: set[str] = set()
    for plan in plans:
        equal_copies |= plan.equal_copies
        kept_places = {line.source: line.kept for line in plan.lines if _is_copy(line)}
        for source in plan.sources if kept_places else ():
            for sidecar in _list_sidecars(source, kept_places.keys()):
                by_keeper.setdefault(kept_places[sidecar.copy] or "", []).append(sidecar)
    for plan in plans if by_keeper else ():
        wanted = [number for number, line in enumerate(plan.lines) if line.target in by_keeper]
        names = _TopicNames(plan) if wanted else None
        for number in wanted:
            line = plan.lines[number]
            if names and line.action != manifest.SUPERSEDED:
                sidecars = by_keeper[line.target or ""]
                plan.lines[number] = _carry_to(plan, names, line, sidecars, equal_copies)


def _is_copy(line: ManifestLine) -> bool:
    return line.action == manifest.DUPLICATE and bool(line.kept)


def _list_sidecars(source: Topic, copies: Collection[str]) -> Iterator[_Sidecar]:
    """Yield the sidecars of stems whose images are all dropped copies, captions excepted."""
    images = source.image_names()
    others = other_names(file_names(source), images)
    for group in stem_groups.group_by_stem(images, others)[0]:
        copy = source.path_of(group.images[0])
        if not all(source.path_of(name) in copies for name in group.images):
            continue
        for suffix in group.sidecars:
            path = source.path_of(group.sidecar_name(suffix))
            if not suffix.lower().endswith(CAPTION_SUFFIXES) and not os.path.islink(path):
                yield _Sidecar(path, copy, suffix)


class _TopicNames:
    """The names in one topic of the target, present and planned."""

    def __init__(self, plan: TopicPlan) -> None:
        arriving = {os.path.basename(each.target): each.source for each in plan.transfers}
        present = set(os.listdir(plan.topic.path)) if os.path.isdir(plan.topic.path) else set()
        paths = {name: plan.topic.path_of(name) for name in present} | arriving
        self.paths = {casefold_nfc(name): path for name, path in paths.items()}
        self._images_of_stem = Counter(
            stem_groups.stem_of(line.target_name) for line in plan.lines if line.target
        )

    def name_for(self, image: str, sidecar: _Sidecar) -> str:
        """Return the name of a sidecar beside the image; empty if it would be another's, too."""
        stem, ending = os.path.splitext(image)
        copy_ending = os.path.splitext(sidecar.copy)[1]
        suffix = sidecar.suffix
        if suffix.startswith(copy_ending):  # copy.jpg.json
            suffix = ending + suffix[len(copy_ending) :]
        name = stem + suffix
        is_short = len(os.fsencode(name)) <= naming.MAX_NAME_BYTES
        return name if is_short and self._images_of_stem[stem] == 1 else ""


def _carry_to(
    plan: TopicPlan,
    names: _TopicNames,
    line: ManifestLine,
    sidecars: Sequence[_Sidecar],
    equal_copies: set[str],
) -> ManifestLine:
    """Plan to bring the sidecars to one image. Returns its line, with what became of them."""
    known = {each.source: each for each in line.sidecars_of_copies}
    entries = dict(known)
    moved = set()
    for sidecar in sidecars:
        wanted = ""
        if sidecar.copy in equal_copies:
            wanted = names.name_for(line.target_name, sidecar)
        taken = names.paths.get(casefold_nfc(wanted)) if wanted else None
        earlier = known.get(sidecar.path)
        if earlier and earlier.name and taken:
            continue
        stamp = stamp_of(sidecar.path)
        if wanted and not taken and stamp:
            target = plan.topic.path_of(wanted)
            transfer = Transfer(sidecar.path, target, stamp, TransferMode.COPY)
            plan.transfers.append(transfer)
            names.paths[casefold_nfc(wanted)] = sidecar.path
            moved.add(sidecar.path)
        elif not (taken and naming.is_same_file(taken, sidecar.path)):
            wanted = ""
        digest = atomic_files.file_digest(sidecar.path)
        entries[sidecar.path] = CarriedFile(wanted, sidecar.path, digest)
        if not earlier or bool(earlier.name) != bool(wanted):
            key = "sidecars_moved" if wanted else "sidecars_left"
            plan.counts.setdefault(plan.sources[0].dataset_path, Counter())[key] += 1
    plan.left_behind = [each for each in plan.left_behind if each.path not in moved]
    return replace(line, sidecars_of_copies=tuple(entries.values()))
