"""Pairs that may be copies, grouped into the sets of images that are confirmed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.topics import Stamp
from duplicates.geometry import Affine

Pair = tuple[str, str]
Positions = tuple[int, int]  # of the two images of a pair in their set

TASK_PAIRS = 16  # second looks that a process takes in one go, if it is not one larger set


@dataclass(frozen=True)
class CandidateSet:
    """Images that may be copies of each other, and the pairs that a first look found."""

    paths: Sequence[str]  # the largest file first
    pairs: Mapping[Positions, Affine]  # where to lay the second image on the first


def connected_components(pairs: Iterable[Pair]) -> list[list[Pair]]:
    """Divide pairs into those that are connected by common images, in order of the first pair."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        parents.setdefault(name, name)
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name

    pairs = list(pairs)
    for one, other in pairs:
        parents[root(other)] = root(one)
    components: dict[str, list[Pair]] = {}
    for pair in pairs:
        components.setdefault(root(pair[0]), []).append(pair)
    return list(components.values())


def confirmation_tasks(
    components: Iterable[list[Pair]],
    affines: Mapping[Pair, Affine],
    stamps: Mapping[str, Stamp],
    path_of: Callable[[str], str],
) -> Iterator[tuple[list[list[str]], list[CandidateSet]]]:
    """Yield small components together: the members of each, and the set to confirm."""
    members_of_sets: list[list[str]] = []
    sets: list[CandidateSet] = []
    for component in components:
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


def _largest_first(pairs: Iterable[Pair], stamps: Mapping[str, Stamp]) -> list[str]:
    """Return the images of these pairs, the largest file first, ties by name."""
    names = {name for pair in pairs for name in pair}
    return sorted(names, key=lambda name: (-stamps[name][0], name))
