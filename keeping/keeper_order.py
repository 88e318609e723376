"""The order in which images of a set are kept, best first, and the reason in words.

Copies that were measured go by what each of them lost (keeping/copy_order.py). A set with an image
that was not measured goes by size as a whole. `--prefer` puts another order before both, and a
clean variant comes before one with a frame or text, whatever the order. Above all counts what a
person decided. Works on names and numbers, with the standard library alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field

from keeping import connected, copy_order, preference
from keeping.copy_order import Copy, RankedCopy
from keeping.copy_traits import ImageTraits, PairTraitsByNames
from keeping.directions import CleanVersions, sort_clean_first
from keeping.kin_order import KinOrder
from keeping.preference import Preference

CLEAN = "it is the clean one"
CHOSEN_BEFORE = "it was chosen before"
MIN_TOLD_RATIO = 1.05  # of pixels, that is no 1.0 when rounded


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rule needs to know about an image."""

    name: str
    pixels: int  # 0 if they are not known
    size: int  # bytes
    score: float | None  # None if the image has none
    keep: bool = False  # a person decided to keep it
    width: int = 0
    traits: ImageTraits | None = None  # None if it was not measured
    captioned: bool = False
    in_target: bool = False  # an earlier merge brought it, and it is still there
    mtime_ns: int = 0
    chosen_before: bool = False  # an earlier split chose it

    @property
    def extent(self) -> tuple[int, int]:
        """Width and height in pixels; zeros if they are not known."""
        return self.width, self.pixels // max(1, self.width)

    @property
    def date_ns(self) -> int:
        """When it was taken, or the file time."""
        return preference.date_ns(self.traits.taken if self.traits else "", self.mtime_ns)

    @property
    def is_settled(self) -> bool:
        """Whether it is kept, whatever it matches."""
        return self.keep or self.in_target


def has_equal_pixels(image: Candidate, copy: Candidate | None) -> bool:
    """Tell whether a copy has the size and the pixels of an image, as far as both were measured."""
    if copy is None or image.traits is None or copy.traits is None:
        return False
    both = []
    for each, traits in ((image, image.traits), (copy, copy.traits)):
        both.append((each.extent, traits.width, traits.height, traits.pixel_digest))
    return both[0] == both[1]


@dataclass(frozen=True)
class KeeperRule:
    """What the order of images goes by, besides the images themselves."""

    prefer: Preference = Preference.BEST
    pairs: PairTraitsByNames = field(default_factory=dict)  # what was measured of copies
    clean_of: CleanVersions = field(default_factory=dict)  # of variants
    kin: Mapping[str, Collection[str]] = field(default_factory=dict)  # mirrored and the like


BEST_FIRST = KeeperRule()  # without anything measured of pairs


@dataclass(frozen=True)
class Ranking:
    """Candidates from best to worst."""

    order: list[Candidate]
    rule: KeeperRule = BEST_FIRST
    by_score: bool = False  # scores count where no traits are known
    copies: Mapping[str, RankedCopy] = field(default_factory=dict)  # of measured sets, by name
    copy_like: Set[str] = frozenset()  # names in these sets that look like those of copies
    sets_by_size: int = 0  # with an image that was not measured
    kin: KinOrder | None = None

    def explain(self, kept: Candidate, dropped: Candidate) -> str:
        """Say in a few words why one image is kept before another that it matches."""
        if kept.keep:
            return "you keep it"
        if kept.chosen_before and not dropped.chosen_before:
            return CHOSEN_BEFORE
        if kept.name in self.rule.clean_of.get(dropped.name, ()):
            return CLEAN
        prefer = self.rule.prefer
        if preference_key(kept, prefer) != preference_key(dropped, prefer):
            return _explain_preference(kept, dropped, prefer)
        both = (self.copies.get(kept.name), self.copies.get(dropped.name))
        if both[0] and both[1]:
            return copy_order.explain_choice(both[0], both[1], self.copy_like)
        if self.kin and (reason := self.kin.explain(kept.name, dropped.name)):
            return reason
        return self._explain_by_size(kept, dropped)

    def _explain_by_size(self, kept: Candidate, dropped: Candidate) -> str:
        if kept.pixels != dropped.pixels and not self.by_score:
            return _explain_pixels(kept, dropped)
        if size_value(kept, self.by_score) != size_value(dropped, self.by_score):
            return "more pixels x score" if self.by_score else "more pixels"
        return "more bytes" if kept.size != dropped.size else "first by name"


def rank_candidates(
    candidates: Iterable[Candidate],
    copies_of: Mapping[str, Collection[str]] | None = None,
    rule: KeeperRule = BEST_FIRST,
) -> Ranking:
    """Rank the candidates from best to worst.

    Copies are compared within each set that they connect. Without copies, every image is ranked by
    size alone.
    """
    by_size = rank_by_size(candidates)
    places = {image.name: place for place, image in enumerate(by_size)}
    order = list(by_size)
    copies: dict[str, RankedCopy] = {}
    copy_like: set[str] = set()
    sets_by_size = 0
    for component in connected.group_connected(places, copies_of or {}):
        members = [by_size[places[name]] for name in component]
        as_copies = _as_copies(members)
        if as_copies is None:
            sets_by_size += 1
            continue
        ranked = copy_order.rank_copies(as_copies, rule.pairs)
        copies |= {each.copy.name: each for each in ranked}
        copy_like |= copy_order.copy_like_names(as_copies)
        by_name = {image.name: image for image in members}
        best_first = sorted((by_name[each.copy.name] for each in ranked), key=_person_key)
        own_places = sorted(places[name] for name in component)
        for place, image in zip(own_places, best_first, strict=True):
            order[place] = image
    kin = KinOrder({image.name: image.pixels for image in order}, copies_of or {}, rule.kin)
    if rule.kin:
        by_name = {image.name: image for image in order}
        order = sorted((by_name[name] for name in kin.sort([*by_name])), key=_person_key)
    if rule.prefer != Preference.BEST:
        order.sort(key=lambda image: (_person_key(image), preference_key(image, rule.prefer)))
        sets_by_size = 0
    order = _sort_clean_first(order, rule.clean_of)
    return Ranking(order, rule, all_scored(by_size), copies, copy_like, sets_by_size, kin)


def _sort_clean_first(order: list[Candidate], clean_of: CleanVersions) -> list[Candidate]:
    """Sort each image after its clean versions, except those that are kept anyway."""
    if not clean_of:
        return order
    by_name = {image.name: image for image in order}
    waiting = {}
    for name, clean in clean_of.items():
        if name in by_name and not by_name[name].is_settled:
            waiting[name] = clean
    return [by_name[name] for name in sort_clean_first([*by_name], waiting)]


def preference_key(image: Candidate, prefer: Preference) -> tuple[int | str, ...]:
    """Return what `--prefer` ranks an image by, least first; ties keep the order of the rule."""
    match prefer:
        case Preference.LARGEST:
            return -image.pixels, -image.size
        case Preference.OLDEST:
            return (image.date_ns,)
        case Preference.NEWEST:
            return (-image.date_ns,)
        case Preference.FIRST:
            return (image.name,)
        case Preference.BEST:
            return ()


def _explain_preference(kept: Candidate, dropped: Candidate, prefer: Preference) -> str:
    match prefer:
        case Preference.LARGEST if kept.pixels != dropped.pixels:
            return _explain_pixels(kept, dropped)
        case Preference.LARGEST:
            return "more bytes"
        case Preference.OLDEST | Preference.NEWEST:
            word = "older" if prefer == Preference.OLDEST else "newer"
            age = preference.duration_text(kept.date_ns - dropped.date_ns)
            return f"{word} by {age}"
        case _:
            return "first by path"


def _explain_pixels(kept: Candidate, dropped: Candidate) -> str:
    """Say of two images with other numbers of pixels by how many times one has more."""
    ratio = kept.pixels / dropped.pixels if dropped.pixels else 1
    return f"{ratio:.1f}x the pixels" if ratio >= MIN_TOLD_RATIO else "more pixels"


def _as_copies(members: Iterable[Candidate]) -> list[Copy] | None:
    """Return a set as copies to compare; None if one of them was not measured."""
    copies = []
    for image in members:
        if image.traits is None:
            return None
        copies.append(Copy(image.name, image.traits, image.captioned))
    return copies


def _person_key(image: Candidate) -> tuple[bool, bool, bool]:
    return not image.keep, not image.in_target, not image.chosen_before


def rank_by_size(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sort by resolution x score if every image has a score above 0, else by resolution.

    Then by bytes, then by name. Images that a person decided to keep come first.
    """
    candidates = list(candidates)
    by_score = all_scored(candidates)

    def sort_key(image: Candidate) -> tuple[bool, bool, bool, float, int, str]:
        return (*_person_key(image), -size_value(image, by_score), -image.size, image.name)

    return sorted(candidates, key=sort_key)


def size_value(image: Candidate, by_score: bool) -> float:
    if by_score and image.score is not None:
        return image.pixels * image.score
    return image.pixels


def all_scored(candidates: Iterable[Candidate]) -> bool:
    """Tell whether these images are ranked by their scores too, where nothing better is known."""
    return all(image.score is not None and image.score > 0 for image in candidates)
