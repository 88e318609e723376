"""Variants have a direction: one of two is clean, without a frame, caption or overlay, or whole.

Recorded beside the kinds in `.cache/pairs.json`, with the stamps of both images, in a shape that
earlier versions pass over. Directions only order images; they drop none. Needs only the standard
library.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from common.json_files import COPY, CROPPED, Kinds
from common.topics import Stamp
from keeping import pair_sections
from keeping.pair_sections import NameTuple

DIRECTIONS_KEY = "/clean"  # of pairs.json: no name of an image
SAME_FRAMING = (COPY, "mirrored", "turned", "recoloured")
MIN_INNER_SHARE = 0.5  # of the pixels that a frame or screenshot shows of a picture


@dataclass(frozen=True)
class Direction:
    """Which of two images is the clean one."""

    clean: int = 0  # 1: the first, -1: the second, 0: neither, or it is not known
    shown: float = 0.0  # share of the other's area in which a frame or screenshot shows it, else 0

    def swap(self) -> Direction:
        return Direction(-self.clean, self.shown)


NO_DIRECTION = Direction()

Directions = Mapping[NameTuple, Direction]  # by names, sorted
CleanVersions = Mapping[str, Collection[str]]  # image to the images that are clean beside it


def directions_json(
    directions: Directions, stamps: Mapping[str, Stamp]
) -> dict[str, list[dict[str, str] | int]]:
    """Return what pairs.json holds under DIRECTIONS_KEY."""
    texts = {pair: f"{each.clean} {round(each.shown, 3)}" for pair, each in directions.items()}
    return pair_sections.section_json(texts, stamps)


def read_directions(path: str, stamps: Mapping[str, Stamp]) -> dict[NameTuple, Direction]:
    """Read the directions of pairs of images with these stamps, from the pairs.json at `path`."""
    return pair_sections.read_section(path, DIRECTIONS_KEY, stamps, _parse_direction)


def _parse_direction(text: str) -> Direction | None:
    clean, shown = text.split(" ")
    return Direction(int(clean), float(shown)) if 0 <= float(shown) <= 1 else None


def clean_versions(
    kinds: Kinds,
    directions: Directions,
    pixels: Mapping[str, int],
    all_kinds: Kinds | None = None,
) -> dict[str, set[str]]:
    """Return for each image those that are clean beside it, of its direct variants in `kinds`.

    `pixels` are those of each image: a picture that a screenshot shows with more than twice of its
    own is not clean beside it. `all_kinds` are the matches that may contradict a direction, if
    `kinds` has only some.
    """
    clean_of: dict[str, set[str]] = {}
    for (first, second), direction in directions.items():
        kind = kinds.get(first, {}).get(second, COPY)
        if kind == COPY or not direction.clean:
            continue
        clean, other = (first, second) if direction.clean > 0 else (second, first)
        shown_pixels = direction.shown * pixels.get(other, 0)
        if pixels.get(clean, 0) >= MIN_INNER_SHARE * shown_pixels:
            clean_of.setdefault(other, set()).add(clean)
    return _drop_contradicted(clean_of, kinds if all_kinds is None else all_kinds)


def _drop_contradicted(clean_of: CleanVersions, kinds: Kinds) -> dict[str, set[str]]:
    """Drop whole pictures that are a frame or collage to an image of the same framing.

    What surrounds a picture looks like more of it to one image, and like a frame to a copy of that:
    a frame is what was seen, more of it what was not told from that.
    """
    certain: dict[str, set[str]] = {}
    for other, clean_ones in clean_of.items():
        matches = kinds.get(other, {})
        alike = {name for name, kind in matches.items() if kind in SAME_FRAMING}
        for clean in clean_ones:
            is_whole = matches.get(clean) == CROPPED
            if not is_whole or alike.isdisjoint(clean_of.get(clean, ())):
                certain.setdefault(other, set()).add(clean)
    return certain


def sort_clean_first(names: Sequence[str], clean_of: CleanVersions) -> list[str]:
    """Return the names with each after those that are clean beside it, else in their order.

    A circle is broken at its first name.
    """
    if not clean_of:
        return list(names)
    ranks = {name: rank for rank, name in enumerate(names)}
    waits_for: dict[str, set[str]] = {}
    unclean_of: dict[str, list[str]] = {}
    for name in names:
        waits_for[name] = {clean for clean in clean_of.get(name, ()) if clean in ranks} - {name}
        for clean in waits_for[name]:
            unclean_of.setdefault(clean, []).append(name)
    ready = [ranks[name] for name in names if not waits_for[name]]
    order: list[str] = []
    unplaced = dict.fromkeys(names)
    while unplaced:
        if not ready:
            first = next(iter(unplaced))
            ready = [ranks[_first_in_circle(first, waits_for, ranks)]]
        name = names[heapq.heappop(ready)]
        order.append(name)
        del unplaced[name]
        waits_for[name] = set()
        for unclean in unclean_of.get(name, ()):
            if name in waits_for[unclean]:
                waits_for[unclean].remove(name)
                if not waits_for[unclean]:
                    heapq.heappush(ready, ranks[unclean])
    return order


def _first_in_circle(
    start: str, waits_for: Mapping[str, Collection[str]], ranks: Mapping[str, int]
) -> str:
    """Return the first by rank in a circle of names that each wait for the next."""
    path = [start]
    places = {start: 0}
    while True:
        following = min(waits_for[path[-1]], key=ranks.__getitem__)
        if following in places:
            return min(path[places[following] :], key=ranks.__getitem__)
        places[following] = len(path)
        path.append(following)
