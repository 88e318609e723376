"""Groups what matches connect, directly or through others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

Item = TypeVar("Item")


def group_connected(
    names: Collection[str], matches: Mapping[str, Collection[str]]
) -> list[list[str]]:
    """Group the names that matches connect; none alone. `matches` are both ways."""
    components = []
    visited: set[str] = set()
    for start in names:
        if start in visited or not matches.get(start):
            continue
        visited.add(start)
        component = [start]
        for name in component:  # grows meanwhile
            for other in matches.get(name, ()):
                if other in names and other not in visited:
                    visited.add(other)
                    component.append(other)
        if len(component) > 1:
            components.append(component)
    return components


def group_pairs(
    pairs: Iterable[Item], names_of: Callable[[Item], tuple[str, str]]
) -> list[list[Item]]:
    """Group pairs that share names, directly or through other pairs.

    In order of the first pair; pairs of a group keep their order.
    """
    pairs = list(pairs)
    matches: dict[str, list[str]] = {}
    for pair in pairs:
        one, other = names_of(pair)
        matches.setdefault(one, []).append(other)
        matches.setdefault(other, []).append(one)
    group_of: dict[str, list[Item]] = {}
    groups: list[list[Item]] = []
    for names in group_connected(matches, matches):
        groups.append([])
        group_of.update(dict.fromkeys(names, groups[-1]))
    for pair in pairs:
        group_of[names_of(pair)[0]].append(pair)
    return groups
