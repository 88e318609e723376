"""The images kept so far in the walk from best to worst, with what the next one matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from keeping.equal_images import EqualSets, join_nodes


class KeptImages:
    """The images kept so far in the walk from best to worst, to find what the next one matches."""

    def __init__(self, matches: Mapping[str, Iterable[str]], equals: EqualSets) -> None:
        """`matches` are both ways; `equals` says which images they count for too."""
        self._matches = join_nodes(matches, equals) if equals else matches
        self._equals = equals
        self._kept: dict[str, list[str]] = {}  # by node, best first
        self._kept_equals: dict[str, list[str]] = {}  # by set, best first
        self._rank: dict[str, int] = {}

    def add(self, name: str) -> None:
        self._rank[name] = len(self._rank)
        self._kept.setdefault(self._equals.node(name), []).append(name)
        self._kept_equals.setdefault(self._equals.set_of(name), []).append(name)

    def best_match(self, name: str) -> str | None:
        """Return the best of the kept images that this one matches."""
        groups = [self._kept_equals.get(self._equals.set_of(name), ())]
        for node in self._matches.get(self._equals.node(name), ()):
            if node in self._kept:
                groups.append(self._kept[node])
        best = []
        for group in groups:
            first = next((kept for kept in group if self._equals.may_match(name, kept)), None)
            if first:
                best.append(first)
        return min(best, key=self._rank.__getitem__, default=None)
