"""Sets of equal images: images of a topic with the same bytes or pixels, and so copies.

A set of more than MAX_LISTED_IMAGES is too large to list all its pairs. In the files it is a star
around its first name, and matches of the set with other images are listed for one image of it. The
digest by which its images are equal is in the provenance of the duplicates file. Readers take every
pair of the set as copies, and every match of one image as a match of all, but for pairs that a
person called different. Needs only the standard library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set

from common.json_files import COPY, Copies, Kinds

MAX_LISTED_IMAGES = 30  # of a set whose pairs are all listed

Pair = tuple[str, str]  # names, sorted


class EqualSets:
    """The large sets of equal images in a folder. Most folders have none."""

    def __init__(
        self,
        digests: Mapping[str, str] | None = None,
        present: Iterable[str] = (),
        different: Set[Pair] = frozenset(),
        share_matches: bool = True,
    ) -> None:
        """`digests` are those of the images at the search; only images in `present` are members.

        `different` are pairs that a person called different. Without `share_matches`, a match of
        one image is no match of its set: the file lists each.
        """
        self.members: dict[str, list[str]] = {}  # by the first image of the set, sorted
        self.different = different
        self._share_matches = share_matches
        self._first_of: dict[str, str] = {}  # of each member
        self._node_of: dict[str, str] = {}  # of the members that share matches
        self._digests = digests or {}
        self._first_by_digest: dict[str, str] = {}
        if not digests:
            return
        for name in sorted(digests.keys() & set(present)):
            first = self._first_by_digest.setdefault(digests[name], name)
            self.members.setdefault(first, []).append(name)
            self._first_of[name] = first
        if share_matches:
            self._node_of = self._first_of.copy()

    def __bool__(self) -> bool:
        return bool(self.members)

    def add(self, other: EqualSets, rename: Callable[[str], str]) -> None:
        """Add the sets of another folder, with other names for their images."""
        different = set(self.different)
        for one, another in other.different:
            different.add(_sort_pair(rename(one), rename(another)))
        self.different = different
        for first, names in other.members.items():
            renamed = [rename(name) for name in names]
            self.members[rename(first)] = renamed
            self._first_of.update(dict.fromkeys(renamed, rename(first)))
        for name, node in other._node_of.items():
            self._node_of[rename(name)] = rename(node)

    def node(self, name: str) -> str:
        """Return the first of all images with the same matches, or the image itself."""
        return self._node_of.get(name, name)

    def set_of(self, name: str) -> str:
        """Return the first image of the set that an image is in, or the image itself."""
        return self._first_of.get(name, name)

    def may_match(self, one: str, other: str) -> bool:
        """Tell whether no person called the two images different."""
        return not self.different or _sort_pair(one, other) not in self.different

    def is_copy(self, one: str, other: str) -> bool:
        """Tell whether two images are in one set, and copies."""
        return self.set_of(one) == self.set_of(other) and self.may_match(one, other)

    def link(self, matches: Mapping[str, Mapping[str, str]], with_stars: bool) -> Kinds:
        """Return matches between present images that stand for all those of their sets.

        Matches of a set with another image or set are moved to one present image of each, whatever
        became of the image that the file lists. `with_stars` adds the pairs of each set's star.
        `matches` are both ways.
        """
        if not self._share_matches:
            return {name: dict(others) for name, others in matches.items()}
        linked: Kinds = {}
        done = set[Pair]()
        for name, others in matches.items():
            for other, kind in others.items():
                nodes = self._node_at_search(name), self._node_at_search(other)
                if nodes[0] == nodes[1] or _sort_pair(*nodes) in done:
                    continue
                done.add(_sort_pair(*nodes))
                if pair := self._first_matching_pair(*nodes):
                    linked.setdefault(pair[0], {})[pair[1]] = kind
                    linked.setdefault(pair[1], {})[pair[0]] = kind
        if with_stars:
            for first, names in self.members.items():
                for name in names[1:]:
                    linked.setdefault(first, {})[name] = COPY
                    linked.setdefault(name, {})[first] = COPY
        return linked

    def link_copies(self, copies: Copies, names: Iterable[str]) -> Copies:
        """Return the copies of each name, as `link` does, with the star of each set."""
        kinds = {name: dict.fromkeys(others, COPY) for name, others in copies.items()}
        linked = self.link(kinds, with_stars=True)
        return {name: set(linked.get(name, ())) for name in names}

    def add_stars(self, matches: Mapping[str, Collection[str]]) -> Mapping[str, Collection[str]]:
        """Return the matches with each set's images connected, so that they are one component."""
        if not self:
            return matches
        connected = {name: set(others) for name, others in matches.items()}
        for first, names in self.members.items():
            for name in names[1:]:
                connected.setdefault(first, set()).add(name)
                connected.setdefault(name, set()).add(first)
        return connected

    def _node_at_search(self, name: str) -> str:
        """Return the node of an image that may be gone: that of what is left of its set."""
        return self._first_by_digest.get(self._digests.get(name, ""), name)

    def _first_matching_pair(self, one: str, other: str) -> Pair | None:
        ones = self.members.get(one, [one])
        others = self.members.get(other, [other])
        for pair in itertools.product(ones, others):
            if self.may_match(*pair):
                return pair
        return None

    def kind_of(self, kinds_by_node: Kinds, one: str, other: str) -> str:
        """Return the kind of a match; `kinds_by_node` are made by join_kinds. Raises KeyError."""
        if self.set_of(one) == self.set_of(other):
            return COPY
        return kinds_by_node[self.node(one)][self.node(other)]

    def has_match(self, name: str, copies: Mapping[str, Set[str]]) -> bool:
        """Tell whether an image has a copy, listed or not."""
        if copies.get(name):
            return True
        others = self.members.get(self.set_of(name), ())
        return any(self.is_copy(name, other) for other in others if other != name)

    def count_pairs(self, copies: Mapping[str, Set[str]]) -> int:
        """Return the number of pairs of copies, listed or not."""
        if not self:
            return sum(map(len, copies.values())) // 2
        by_node = join_nodes(copies, self)
        count = 0
        for node, others in by_node.items():
            for other in others:
                if node < other:
                    count += len(self.members.get(node, "1")) * len(self.members.get(other, "1"))
        for names in self.members.values():
            count += len(names) * (len(names) - 1) // 2
        for one, other in self.different:
            nodes = self.node(one), self.node(other)
            count -= nodes[0] == nodes[1] or nodes[1] in by_node.get(nodes[0], ())
        return count


NO_SETS = EqualSets()


def join_nodes(matches: Mapping[str, Iterable[str]], equals: EqualSets) -> dict[str, set[str]]:
    """Return which nodes match, both ways: images, or the first image of each set."""
    joined: dict[str, set[str]] = {}
    for name, others in matches.items():
        node = equals.node(name)
        for other in others:
            other_node = equals.node(other)
            if node != other_node:
                joined.setdefault(node, set()).add(other_node)
    return joined


def join_kinds(kinds: Kinds, equals: EqualSets) -> Kinds:
    """Return which nodes match and how, as join_nodes does."""
    if not equals:
        return kinds
    joined: Kinds = {}
    for name, others in kinds.items():
        for other, kind in others.items():
            joined.setdefault(equals.node(name), {})[equals.node(other)] = kind
    return joined


def prove_sets(
    copies: Copies, sizes: Mapping[str, int], digest_of: Callable[[Sequence[str]], Sequence[str]]
) -> dict[str, str]:
    """Return the digests of images that can only be a set whose star the file lists.

    Those have the same neighbour and the same size in bytes. `sizes` has the images that are
    present and unchanged. `digest_of` reads the bytes of these images; empty for unreadable ones.
    """
    candidates = set[str]()
    for hub, others in copies.items():
        if len(others) < MAX_LISTED_IMAGES:
            continue
        by_size: dict[int, list[str]] = {}
        for name in (hub, *others):
            is_listed_less = name == hub or len(copies.get(name, ())) < len(others)
            if name in sizes and is_listed_less:
                by_size.setdefault(sizes[name], []).append(name)
        for names in by_size.values():
            if len(names) > 1:
                candidates.update(names)
    ordered = sorted(candidates)
    by_digest: dict[str, list[str]] = {}
    for name, digest in zip(ordered, digest_of(ordered), strict=True):
        if digest:
            by_digest.setdefault(digest, []).append(name)
    proven = {}
    for digest, names in by_digest.items():
        if len(names) > 1:
            proven.update(dict.fromkeys(names, digest))
    return proven


def _sort_pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)
