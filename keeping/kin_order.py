"""The order of mirrored, turned and recoloured versions, of which none is the clean one.

They are measured only if they have copies, so what is known of all decides: pixels, the number of
copies, then the name. The aesthetic score has no say: between versions of one picture it is noise.
Needs only the standard library.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence

from common.json_files import Kinds
from keeping import connected, copy_order

KIN_KINDS = ("mirrored", "turned", "recoloured")
HAS_CLEANER_VERSION = "there is a cleaner version of the other"
PIXEL_STEPS = 4  # in a doubling: as many pixels, for all that is known

Names = Mapping[str, Collection[str]]


def find_kin(kinds: Kinds) -> dict[str, set[str]]:
    """Return the matches of these kinds, for each image that has one."""
    kin = {}
    for name, others in kinds.items():
        if of_kind := {other for other, kind in others.items() if kind in KIN_KINDS}:
            kin[name] = of_kind
    return kin


class KinOrder:
    """Orders sets of copies that are kin of one another."""

    def __init__(self, pixels: Mapping[str, int], copies_of: Names, kin: Names) -> None:
        """`pixels` are those of all images, by name."""
        self._pixels = pixels
        self._sets = [*connected.group_connected(pixels, copies_of)] if kin else []
        self._set_of = {name: names for names in self._sets for name in names}
        self._kin = kin

    def sort(self, order: Sequence[str]) -> list[str]:
        """Return the names with those of kin sorted, in the places that these have together.

        Copies keep their order, the best first.
        """
        places = {name: place for place, name in enumerate(order)}
        members: dict[str, list[str]] = {}  # by the first, best first
        first_of: dict[str, str] = {}
        for name in order:
            first = first_of.get(name, name)
            members.setdefault(first, []).append(name)
            for copy in self._set_of.get(name, ()):
                first_of.setdefault(copy, first)
        links: dict[str, set[str]] = {}
        for name, others in self._kin.items():
            for other in others if name in places else ():
                if other in places:
                    links.setdefault(first_of.get(name, name), set()).add(
                        first_of.get(other, other)
                    )
        sorted_names = list(order)
        for component in connected.group_connected(members, links):
            best_first = sorted(component, key=self._key)
            names = [name for first in best_first for name in members[first]]
            for place, name in zip(sorted(map(places.__getitem__, names)), names, strict=True):
                sorted_names[place] = name
        return sorted_names

    def _key(self, name: str) -> tuple[float | bool | str, ...]:
        base = os.path.basename(name)
        is_copy_like = bool(copy_order.COPY_WORDS.search(os.path.splitext(base)[0]))
        steps = round(math.log2(max(1, self._pixels[name])) * PIXEL_STEPS)
        copies = len(self._set_of.get(name, ()))
        return -steps, -copies, is_copy_like, len(base), base, name

    def explain(self, kept: str, dropped: str) -> str:
        """Say why one image is kept before its kin; empty if they are none."""
        if kept not in self._kin.get(dropped, ()):
            return ""
        reasons = ("more pixels", "it has more copies", *copy_order.TIES[2:3], *copy_order.TIES[4:])
        if self._key(kept) > self._key(dropped):  # directions come before this order
            return HAS_CLEANER_VERSION
        both = zip(reasons, self._key(kept), self._key(dropped), strict=False)
        return next((reason for reason, mine, other in both if mine != other), reasons[-1])
