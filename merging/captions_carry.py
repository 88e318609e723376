"""The caption of a dropped copy goes to its keeper, if that has none. Only plans.

The caption of an image in `metadata.jsonl` becomes a text file, if the image has no other one.

What is in the target is never rewritten. A caption that does not come along is named in the
manifest line of the keeper, and counted.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from common import name_forms
from common.topics import stamp_of
from merging import manifest
from merging.manifest import CarriedFile
from merging.plan import TopicPlan
from merging.source_captions import Caption, list_captions, read_caption
from merging.target import sidecar_sources
from merging.transfer import Transfer, TransferMode
from sidecars import captions, stem_groups


class CaptionRule(StrEnum):
    """Which caption an image gets, if several of its copies have one."""

    KEEPER = "keeper"  # its own, else that of the best copy
    LONGEST = "longest"
    JOIN = "join"  # all, best first, with commas between


OWN_RANK = -1  # of an image's own caption in a table: before those of its copies
CAPTION_RULES = [rule.value for rule in CaptionRule]


class _TopicCaptions:
    """The names in one topic of the target, present and planned."""

    def __init__(self, plan: TopicPlan) -> None:
        self.plan = plan
        self.arriving = {os.path.basename(each.target): each for each in plan.transfers}
        self.present: set[str] = set()
        if os.path.isdir(plan.topic.path):
            self.present.update(os.listdir(plan.topic.path))
        # A torn copy is replaced: what counts is what arrives.
        self.present -= {name for name, each in self.arriving.items() if each.torn}
        self._folded = set(map(name_forms.casefold_nfc, self.present | self.arriving.keys()))
        self._by_stem: dict[str, list[str]] = {}
        for name in sorted(self.present | self.arriving.keys()):
            self._by_stem.setdefault(stem_groups.stem_of(name), []).append(name)
        self._images_of_stem = Counter[str]()
        self.numbers: dict[str, int] = {}  # of the lines of images in the target, by name
        for number, line in enumerate(plan.lines):
            if line.target and line.action != manifest.SUPERSEDED:
                self._images_of_stem[stem_groups.stem_of(line.target_name)] += 1
                self.numbers[line.target_name] = number

    def caption_of(self, image: str) -> str:
        """Return the name of an image's caption, present or planned; empty if there is none."""
        stem = stem_groups.stem_of(image)
        names = self._by_stem.get(stem, []) + self._by_stem.get(image, [])
        return captions.caption_among(image, names)

    def is_of_one_image(self, caption: str, image: str) -> bool:
        """Tell whether a caption belongs to this image alone."""
        is_specific = caption.startswith(image)
        return is_specific or self._images_of_stem[stem_groups.stem_of(image)] == 1

    def read(self, name: str) -> Caption | None:
        """Read a caption by its name; None if it is empty."""
        if name in self.present:
            return read_caption(self.plan.topic.path_of(name))
        return read_caption(self.arriving[name].source) if name else None

    def free_name(self, image: str, ending: str) -> str:
        """Return a name for a caption of the image alone; empty if it is taken."""
        stem = stem_groups.stem_of(image)
        wanted = (stem if self._images_of_stem[stem] == 1 else image) + ending
        return "" if name_forms.casefold_nfc(wanted) in self._folded else wanted

    def plan_caption(self, name: str, chosen: Sequence[Caption]) -> None:
        """Plan to write a caption under this name, in place of one that was to come there."""
        stamp = stamp_of(chosen[0].path) or (0, 0)
        content = None
        if len(chosen) > 1:
            content = ", ".join(each.line for each in chosen).encode("utf-8", "surrogateescape")
        elif chosen[0].image:
            content = chosen[0].text.encode()
        target = self.plan.topic.path_of(name)
        transfer = Transfer(chosen[0].path, target, stamp, TransferMode.COPY, None, content)
        if name in self.arriving:
            self.plan.transfers.remove(self.arriving[name])
        self.plan.transfers.append(transfer)
        self.arriving[name] = transfer
        self._folded.add(name_forms.casefold_nfc(name))


Found = dict[str, list[Caption]]  # by the place of the image to give it to, the best first


def carry_captions(plans: Sequence[TopicPlan], rule: str) -> None:
    """Plan for each image without a caption to get that of a table, or of a dropped copy."""
    found = _find_captions(plans)
    for plan in plans if found else ():
        places = [line.target for line in plan.lines if line.target in found]
        if not places:
            continue
        topic = _TopicCaptions(plan)
        for place in places:
            name = os.path.basename(place)
            if name in topic.numbers:
                _carry_to(topic, name, found[place], rule)
    _forget_left_behind(plans)
    _forget_sidecars(plans)


def _find_captions(plans: Sequence[TopicPlan]) -> Found:
    """Return the captions of dropped copies, and those of images in tables."""
    ranked: dict[str, list[tuple[int, str, Caption]]] = {}
    for plan in plans:
        for source in plan.sources:
            for line, caption in list_captions(source, plan.lines):
                rank = OWN_RANK if line.target else plan.ranks.get(line.source, 0)
                place = line.target or line.kept or ""
                ranked.setdefault(place, []).append((rank, line.source, caption))
    found: Found = {}
    for place, entries in ranked.items():
        found[place] = [caption for _, _, caption in sorted(entries, key=lambda each: each[:2])]
    return found


def _carry_to(topic: _TopicCaptions, image: str, others: Sequence[Caption], rule: str) -> None:
    """Choose the caption of one image, and note in its line what became of the others."""
    number = topic.numbers[image]
    line = topic.plan.lines[number]
    own_name = topic.caption_of(image)
    own = topic.read(own_name)
    entries = {}
    for entry in line.captions:
        if not entry.name or entry.name in topic.present:
            entries[entry.source] = entry
    # The caption of identical bytes may come along as a sidecar already.
    new = [caption for caption in others if caption.source not in entries and caption != own]
    chosen = [] if own_name in topic.present else _choose(own, new, rule)
    if chosen and chosen != [own]:
        if own and own_name in topic.arriving:
            new.insert(0, own)
        name = own_name if topic.is_of_one_image(own_name, image) else ""
        own_name = name or topic.free_name(image, chosen[0].ending)
        if own_name:
            topic.plan_caption(own_name, chosen)
            sidecars = tuple(each for each in line.sidecars if each != own_name)
            line = replace(line, sidecars=sidecars)
        else:
            chosen = []
    texts = {caption.line for caption in chosen or ([own] if own else [])}
    for caption in new:
        is_used = caption in chosen or (len(chosen) > 1 and caption.line in texts)
        if is_used or caption.line not in texts:
            name = own_name if is_used else ""
            entries[caption.source] = CarriedFile(name, caption.source, caption.digest)
            moved = "captions_written" if caption.image else "captions_moved"
            _count(topic.plan, moved if name else "captions_left")
    topic.plan.lines[number] = replace(line, captions=tuple(entries.values()))


def _count(plan: TopicPlan, key: str) -> None:
    plan.counts.setdefault(plan.sources[0].dataset_path, Counter())[key] += 1


def _choose(own: Caption | None, dropped: Sequence[Caption], rule: str) -> list[Caption]:
    """Return the captions to use, best first."""
    both = [own, *dropped] if own else list(dropped)
    if rule == CaptionRule.JOIN:
        unique = {caption.line: caption for caption in reversed(both)}
        return [caption for caption in both if unique[caption.line] is caption]
    if rule == CaptionRule.LONGEST and both:
        return [max(both, key=lambda caption: len(caption.line))]
    return both[:1]


def _forget_left_behind(plans: Sequence[TopicPlan]) -> None:
    """Do not list captions as left behind that come along after all."""
    named: set[str] = set()
    for plan in plans:
        for line in plan.lines:
            named.update(entry.source for entry in line.captions if entry.name)
    for plan in plans:
        plan.left_behind = [each for each in plan.left_behind if each.path not in named]


def _forget_sidecars(plans: Sequence[TopicPlan]) -> None:
    """Do not name a caption that was carried in the line of the identical image that it is from."""
    for plan in plans:
        carried = {entry.source for line in plan.lines for entry in line.captions if entry.name}
        for number, line in enumerate(plan.lines):
            if line.action == manifest.IDENTICAL and carried:
                pairs = sidecar_sources(line)
                sidecars = tuple(name for name, source in pairs if source not in carried)
                plan.lines[number] = replace(line, sidecars=sidecars)
