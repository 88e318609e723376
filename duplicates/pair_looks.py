"""The two looks at pairs of images, in parallel: a first look at all, a second at likely copies.

In a set of six copies or more, only the pairs with one image are looked at; what that says of two
others follows. So 500 copies take 499 looks, not 124,750.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.topics import Stamp, Topic
from duplicates import classification, copy_sets
from duplicates.classification import COPY, MAY_BE_COPY, FirstLook, Verdict
from duplicates.copy_sets import Pair
from duplicates.geometry import IDENTITY, Affine
from duplicates.pool import Pool, batches
from duplicates.thumbnails import SmallImage
from duplicates.variant_rules import NOTHING
from keeping import connected

if TYPE_CHECKING:
    from duplicates.confirmation import Confirmation

TASK_PAIRS = 64  # that a process looks at in one go

Decisions = Iterator[tuple[Sequence[Pair], Verdict]]


@dataclass(frozen=True)
class LookTask:
    """Images by name, and how to look at their pairs."""

    topic: Topic
    stamps: Mapping[str, Stamp]
    images: Mapping[str, SmallImage]
    variants: bool
    pool: Pool
    max_pixels: int

    def small_images(self, pair: Pair) -> tuple[SmallImage, SmallImage]:
        return self.images[pair[0]], self.images[pair[1]]


@dataclass
class Looks:
    """What the looks said of pairs that may be copies."""

    first: dict[Pair, FirstLook]
    second: dict[Pair, Confirmation]


def decide_pairs(pairs: Sequence[Pair], task: LookTask) -> Decisions:
    """Yield the verdict on each pair, some pairs together.

    Pairs whose images can no longer be read are left out.
    """
    open_pairs = dict.fromkeys(pairs)
    finished = set[str]()  # images of large sets in which no more follows
    min_pairs = copy_sets.MIN_STAR_PAIRS
    if task.variants:
        min_pairs = copy_sets.MIN_STAR_PAIRS_OF_VARIANTS
    while stars := copy_sets.large_stars(open_pairs, task.stamps, finished, min_pairs):
        with_centres = list(itertools.chain.from_iterable(star.pairs for star in stars))
        looks = Looks({}, {})
        yield from _look_at(with_centres, task, looks)
        for pair in with_centres:
            del open_pairs[pair]
        for star in stars:
            inherited = _inherit_in_star(star, looks, task)
            yield from _decide_confirmed(inherited, task)
            for pair in inherited.first:
                del open_pairs[pair]
            if len(inherited.first) < len(star.pairs):
                finished |= star.images
    yield from _look_at(list(open_pairs), task, Looks({}, {}))


def _look_at(pairs: Sequence[Pair], task: LookTask, looks: Looks) -> Decisions:
    """Take both looks at pairs; also put those of likely copies into `looks`."""
    for group, look in _look_first(pairs, task):
        if look.verdict.kind == MAY_BE_COPY:
            looks.first |= dict.fromkeys(group, look)
        else:
            yield group, look.verdict
    looks.second |= _look_again(looks.first, task)
    yield from _decide_confirmed(looks, task)


def _decide_confirmed(looks: Looks, task: LookTask) -> Decisions:
    """Yield the verdicts on the pairs that got a second look.

    With task.variants none is a copy: only the search for copies lists copies, so that they are the
    same with and without variants. What looks like one is a kind of variant.
    """
    by_least_kind: dict[str, list[Pair]] = {}
    for pair, said in looks.second.items():
        if task.variants:
            by_least_kind.setdefault(said.least_kind, []).append(pair)
        elif said.is_copy:
            yield [pair], Verdict(COPY, looks.first[pair].verdict.likeness)
        else:
            yield [pair], Verdict(NOTHING, 0.0)
    for least_kind, pairs in by_least_kind.items():
        classify = functools.partial(classification.classify_looked_again, least_kind=least_kind)
        for batch, verdicts in task.pool.run(classify, _tasks([[pair] for pair in pairs], task)):
            yield from zip(batch, verdicts, strict=True)


def _look_first(pairs: Sequence[Pair], task: LookTask) -> Iterator[tuple[list[Pair], FirstLook]]:
    """Yield what a first look at small images says; pairs of equal ones are looked at once."""
    groups: dict[tuple[bytes, bytes], list[Pair]] = {}
    for pair in pairs:
        one, other = task.small_images(pair)
        groups.setdefault((one.encoded, other.encoded), []).append(pair)
    unequal: list[list[Pair]] = []
    for (one_bytes, other_bytes), group in groups.items():
        if one_bytes == other_bytes:
            yield group, FirstLook(Verdict(MAY_BE_COPY, 1.0), IDENTITY)
        else:
            unequal.append(group)
    look = functools.partial(classification.look_at_pairs, variants=task.variants)
    for batch, looks in task.pool.run(look, _tasks(unequal, task)):
        yield from zip(batch, looks, strict=True)


def _look_again(first: Mapping[Pair, FirstLook], task: LookTask) -> dict[Pair, Confirmation]:
    """Look at full detail at the pairs that may be copies."""
    if not first:
        return {}
    from duplicates import second_looks  # OpenCV

    affines = {pair: look.affine for pair, look in first.items()}
    components = connected.group_pairs(sorted(first), lambda pair: pair)
    tasks = copy_sets.confirmation_tasks(components, affines, task.stamps, task.topic.path_of)
    confirm = functools.partial(second_looks.confirm_sets, max_pixels=task.max_pixels)
    confirmations: dict[Pair, Confirmation] = {}
    for members_of_sets, answers in task.pool.run(confirm, tasks):
        for members, of_set in zip(members_of_sets, answers, strict=True):
            for (one, other), said in of_set.items():
                confirmations[members[one], members[other]] = said
    return confirmations


def _inherit_in_star(star: copy_sets.Star, looks: Looks, task: LookTask) -> Looks:
    """Return what the looks at the pairs with one image say of the other pairs of its set."""
    of_members: dict[str, Confirmation] = {}
    affines: dict[str, Affine] = {}
    for pair in star.pairs:
        said = looks.second.get(pair)
        if said is None:
            continue
        member = star.other_image(pair)
        of_members[member] = said
        affines[member] = star.affine_to_centre(pair, looks.first[pair].affine)
    inherited = Looks({}, {})
    if not of_members:
        return inherited
    from duplicates import second_looks  # OpenCV

    grey = second_looks.GreyImages(task.images)
    for pair in star.other_pairs:
        follows = copy_sets.inherit(pair, of_members)
        if follows is None:
            continue
        affine = copy_sets.affine_between(affines[pair[0]], affines[pair[1]])
        meets = copy_sets.meets_edges(affine) and grey.keeps_colours(star.centre, pair)
        if follows.is_copy and not meets:
            continue
        likeness = [looks.first[star.pair_with(member)].verdict.likeness for member in pair]
        inherited.first[pair] = FirstLook(Verdict(MAY_BE_COPY, min(likeness)), affine)
        inherited.second[pair] = follows
    return inherited


def _tasks(
    groups: Iterable[list[Pair]], task: LookTask
) -> Iterator[tuple[list[list[Pair]], list[tuple[SmallImage, SmallImage]]]]:
    """Yield batches of groups, with the two images of each group to look at."""
    for batch in batches(groups, TASK_PAIRS):
        yield batch, [task.small_images(group[0]) for group in batch]
