"""Chains of copies and variants: A and B are related if both match O, or through more images."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set

from keeping import connected

Links = Mapping[str, Collection[str]]  # image to those that it matches, by path, both ways


class Chains:
    """Which images are connected by matches."""

    def __init__(self, links: Iterable[Links]) -> None:
        self._links: dict[str, set[str]] = {}
        for some in links:
            for path, others in some.items():
                self._links.setdefault(path, set()).update(others)
                for other in others:
                    self._links.setdefault(other, set()).add(path)
        self._set_of: dict[str, int] = {}
        components = connected.group_connected(self._links.keys(), self._links)
        for number, paths in enumerate(components):
            self._set_of.update(dict.fromkeys(paths, number))

    def sets_of(self, paths: Iterable[str]) -> set[int]:
        """Return the numbers of the sets that these images are in."""
        return {self._set_of[path] for path in paths if path in self._set_of}

    def is_in(self, path: str, sets: Set[int]) -> bool:
        return self._set_of.get(path) in sets

    def shortest_chain(self, start: str, ends: Set[str]) -> list[str]:
        """Return the images from `start` to the nearest of `ends`, both included; else none."""
        came_from = {start: ""}
        queue = [start]
        for path in queue:  # grows meanwhile
            if path in ends and path != start:
                chain = [path]
                while came_from[chain[-1]]:
                    chain.append(came_from[chain[-1]])
                return chain[::-1]
            for other in sorted(self._links.get(path, ())):
                if other not in came_from:
                    came_from[other] = path
                    queue.append(other)
        return []
