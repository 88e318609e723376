"""Pairs that may be copies, grouped into the sets of images that are confirmed together."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from common.topics import Stamp
from duplicates import geometry
from duplicates.geometry import Affine
from duplicates.thresholds import THRESHOLDS
from keeping import connected

if TYPE_CHECKING:
    from duplicates.confirmation import Confirmation

Pair = tuple[str, str]
Name = TypeVar("Name", str, int)
Positions = tuple[int, int]  # of the two images of a pair in their set

# Pairs of a set, from which on what follows from other pairs gets no look: six copies have 15.
# Few pairs that are proposed as variants look like copies, and from the others nothing follows.
MIN_STAR_PAIRS, MIN_STAR_PAIRS_OF_VARIANTS = 15, 64
MAX_SET_PAIRS = 64  # that are confirmed together
# What these rules say of an image and the largest of its set holds for the copies of that one, too.
INHERITED_REFUSALS = (
    "other_content",
    "small_mark",
    "another_image",
    "icon_pixels",
    "other_frames",
)
TASK_PAIRS = 16  # second looks that a process takes in one go, if it is not one larger set


@dataclass(frozen=True)
class CandidateSet:
    """Images that may be copies of each other, and the pairs that a first look found."""

    paths: Sequence[str]  # the largest file first
    pairs: Mapping[Positions, Affine]  # where to lay the second image on the first


@dataclass(frozen=True)
class Star:
    """The pairs of a large set: those of one image, the centre, and the others."""

    centre: str
    pairs: Sequence[Pair]  # with the centre
    other_pairs: Sequence[Pair]
    images: frozenset[str]  # all of the set

    def other_image(self, pair: Pair) -> str:
        return pair[1] if pair[0] == self.centre else pair[0]

    def pair_with(self, member: str) -> Pair:
        pair = (self.centre, member)
        return pair if pair in self._all_pairs else (member, self.centre)

    @functools.cached_property
    def _all_pairs(self) -> frozenset[Pair]:
        return frozenset(self.pairs)

    def affine_to_centre(self, pair: Pair, affine: Affine) -> Affine:
        """Turn the map from the second image of a pair to the first into one to the centre."""
        return affine if pair[0] == self.centre else geometry.inverse(affine)


def large_stars(
    pairs: Iterable[Pair], stamps: Mapping[str, Stamp], finished: Set[str], min_pairs: int
) -> list[Star]:
    """Return a star of each set of `min_pairs` connected pairs whose images are not finished.

    Its centre is the image with most pairs; of several, the largest file.
    """
    stars = []
    for component in connected.group_pairs(pairs, lambda pair: pair):
        if len(component) < min_pairs or component[0][0] in finished:
            continue
        counts = Counter(name for pair in component for name in pair)
        centre = min(counts, key=lambda name: (-counts[name], -stamps[name][0], name))
        with_centre = [pair for pair in component if centre in pair]
        other_pairs = [pair for pair in component if centre not in pair]
        stars.append(Star(centre, with_centre, other_pairs, frozenset(counts)))
    return stars


def inherit(
    pair: tuple[Name, Name], of_members: Mapping[Name, Confirmation]
) -> Confirmation | None:
    """Say what two images are to each other, from what each is to a third; None if open."""
    one, other = (of_members.get(member) for member in pair)
    if one is None or other is None:
        return None
    if one.is_copy and other.is_copy:
        return max(one, other, key=lambda said: said.strength)
    refusal = other if one.is_copy else one
    if (one.is_copy or other.is_copy) and refusal.rule in INHERITED_REFUSALS:
        return refusal
    return None


def affine_between(first_to_centre: Affine, second_to_centre: Affine) -> Affine:
    """Return the map from places in the second image to places in the first."""
    return geometry.compose(geometry.inverse(first_to_centre), second_to_centre)


def meets_edges(affine: Affine) -> bool:
    """Whether no edge is off by more than a slight crop explains."""
    return geometry.edge_shift(affine) <= THRESHOLDS.max_copy_shift_share


def confirmation_tasks(
    components: Iterable[list[Pair]],
    affines: Mapping[Pair, Affine],
    stamps: Mapping[str, Stamp],
    path_of: Callable[[str], str],
) -> Iterator[tuple[list[list[str]], list[CandidateSet]]]:
    """Yield small components together: the members of each, and the set to confirm.

    A large component is divided, the pairs of its largest images first.
    """
    members_of_sets: list[list[str]] = []
    sets: list[CandidateSet] = []
    for component in _divide_large(components, stamps):
        members = _largest_first(component, stamps)
        position = {name: number for number, name in enumerate(members)}
        pairs = {(position[pair[0]], position[pair[1]]): affines[pair] for pair in component}
        members_of_sets.append(members)
        sets.append(CandidateSet([path_of(name) for name in members], pairs))
        if sum(len(candidates.pairs) for candidates in sets) >= TASK_PAIRS:
            yield members_of_sets, sets
            members_of_sets, sets = [], []
    if sets:
        yield members_of_sets, sets


def _divide_large(
    components: Iterable[list[Pair]], stamps: Mapping[str, Stamp]
) -> Iterator[list[Pair]]:
    for component in components:
        rank = {name: number for number, name in enumerate(_largest_first(component, stamps))}
        ranked = sorted(component, key=lambda pair: sorted((rank[pair[0]], rank[pair[1]])))
        for start in range(0, len(ranked), MAX_SET_PAIRS):
            yield ranked[start : start + MAX_SET_PAIRS]


def _largest_first(pairs: Iterable[Pair], stamps: Mapping[str, Stamp]) -> list[str]:
    """Return the images of these pairs, the largest file first, ties by name."""
    names = {name for pair in pairs for name in pair}
    return sorted(names, key=lambda name: (-stamps[name][0], name))
