"""Order the copies of one picture, the original first, and say why.

Each copy gets one number, its worth: minus all that it lost (keeping/worth.py). So there are no
cycles, and the order of input does not matter. Ties are broken by format, caption, name and EXIF
date, never by file times.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import inf

from keeping.copy_traits import ImageTraits, PairTraits, PairTraitsByNames
from keeping.enlargements import is_upscale
from keeping.worth import image_losses, pair_losses
from keeping.worth_rules import RULES

# Best first; trainers read the first four.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
COPY_WORDS = re.compile(
    r"\(\d+\)$|(?<![a-z])(?:cop(?:y|ie|ia)|k[oó]pi[ea]?|kopya|cópia)(?![a-z])"
    r"|копия|コピー|副本|复制|複製|사본"
    r"|thumb|whatsapp|-wa\d{4}|screen ?shot",
    re.IGNORECASE,
)


MAX_SEARCHED_STEMS = 300  # for each other; more would take seconds, and number one another
MIN_STEM_CHARACTERS = 3  # of a name that another's may contain by being made from it


@dataclass(frozen=True)
class Copy:
    """One image of a set of copies."""

    name: str
    traits: ImageTraits
    captioned: bool = False

    @property
    def stem(self) -> str:
        return os.path.splitext(os.path.basename(self.name))[0]


@dataclass(frozen=True)
class RankedCopy:
    """A copy and what it lost, in halvings of pixels by term."""

    copy: Copy
    losses: Mapping[str, float]

    @property
    def worth(self) -> float:
        """Rounded, so that equal losses stay equal."""
        return -round(sum(self.losses.values()), 6)


def hub_of(copies: Sequence[Copy]) -> Copy:
    """Return the best copy by what each shows by itself: the others are compared with it."""
    return _best_by_image(rank_by_image(copies))


def _best_by_image(ranked: Sequence[RankedCopy]) -> Copy:
    """Return the best without its caption, which may come or go after the pairs were measured."""
    uncaptioned = [replace(each, copy=replace(each.copy, captioned=False)) for each in ranked]
    copy_like = copy_like_names([each.copy for each in uncaptioned])
    best = min(uncaptioned, key=lambda each: order_key(each, copy_like)).copy.name
    return next(each.copy for each in ranked if each.copy.name == best)


def rank_by_image(copies: Sequence[Copy]) -> list[RankedCopy]:
    """Return the copies in order of name, without pair terms."""
    by_name = sorted(copies, key=lambda copy: copy.name)
    losses = image_losses([copy.traits for copy in by_name])
    return [RankedCopy(copy, each) for copy, each in zip(by_name, losses, strict=True)]


def rank_copies(copies: Sequence[Copy], pairs: PairTraitsByNames) -> list[RankedCopy]:
    """Rank the copies of one picture, best first.

    `pairs` is keyed by two names, the lesser first; a missing pair says nothing.
    """
    ranked = rank_by_image(copies)
    hub = _best_by_image(ranked)
    beside: dict[str, dict[str, float]] = {copy.name: {} for copy in copies}
    for copy in copies:
        pair = pairs.get((min(copy.name, hub.name), max(copy.name, hub.name)), PairTraits())
        copy_first = pair if copy.name < hub.name else pair.swap()
        of_hub, of_copy = pair_losses(hub.traits, copy.traits, copy_first)
        beside[hub.name] = worst_of(beside[hub.name], of_hub)
        beside[copy.name] = worst_of(beside[copy.name], of_copy)
    beside = share_among_twins(copies, beside)
    least_cut = min(losses.get("cut", 0.0) for losses in beside.values())
    for losses in beside.values():
        losses["cut"] = losses.get("cut", 0.0) - least_cut
    finished = [replace(each, losses={**each.losses, **beside[each.copy.name]}) for each in ranked]
    copy_like = copy_like_names(copies)
    return sorted(finished, key=lambda each: order_key(each, copy_like))


def share_among_twins(
    copies: Sequence[Copy], beside: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """Give copies with the same pixels the same pair losses: what is seen in one is in each."""
    shared: dict[int, dict[str, float]] = {}
    for copy in copies:
        digest = copy.traits.pixel_digest
        shared[digest] = worst_of(shared.get(digest, {}), beside[copy.name])
    return {copy.name: dict(shared[copy.traits.pixel_digest]) for copy in copies}


def worst_of(losses: Mapping[str, float], others: Mapping[str, float]) -> dict[str, float]:
    """The greater loss by each term."""
    return {
        term: max(losses.get(term, -inf), others.get(term, -inf)) for term in {*losses, *others}
    }


def order_key(ranked: RankedCopy, copy_like: Set[str]) -> tuple[float | str | bool, ...]:
    """Return the worth, then what decides between equals. Least is best."""
    return (-ranked.worth, *tie_key(ranked.copy, copy_like))


TIES = (
    "in a format that every trainer reads",
    "has a caption",
    "named like an original",
    "earlier EXIF date",
    "shorter name",
    "first by name",
)
NAME_TIES = frozenset({TIES[2], *TIES[4:]})  # nothing but the names differs


def tie_key(copy: Copy, copy_like: Set[str]) -> tuple[float | str | bool, ...]:
    """Return one entry for each of TIES; least is best."""
    form = copy.traits.format
    rank = FORMATS.index(form) if form in FORMATS else len(FORMATS)
    name = os.path.basename(copy.name)
    return (
        rank,
        not copy.captioned,
        copy.name in copy_like,
        copy.traits.taken or "9",
        len(name),
        name,
        copy.name,
    )


def copy_like_names(copies: Sequence[Copy]) -> set[str]:
    """Return the names that copies get: with a word for it, or another's with something added."""
    stems = {copy.stem for copy in copies if len(copy.stem) >= MIN_STEM_CHARACTERS}
    searched = stems if len(stems) <= MAX_SEARCHED_STEMS else set()
    copy_like = set()
    for copy in copies:
        is_longer = any(stem in copy.stem for stem in searched if stem != copy.stem)
        if is_longer or COPY_WORDS.search(copy.stem):
            copy_like.add(copy.name)
    return copy_like


# The reason, in words

REASONS = {
    "detail": "{times:.1f}x the real detail",
    "compression": "less compressed",
    "resaved": "{other} was saved again",
    "colour": "more colour",
    "palette": "all colours; {other} has 256 at most",
    "grain": "less noise",
    "notes": "has the camera's notes",
    "oddity": "tones and sharpness as in most copies",
    "mark": "no text or logo on it",
    "mosaic": "nothing pixelated or blurred",
    "frame": "no frame around it",
    "cut": "nothing cut off",
}


def explain_choice(kept: RankedCopy, other: RankedCopy, copy_like: Set[str]) -> str:
    """Say in one line why `kept` comes before `other`."""
    name = os.path.basename(other.copy.name)
    if kept.worth == other.worth:
        both = tie_key(kept.copy, copy_like), tie_key(other.copy, copy_like)
        keys = zip(TIES, *both, strict=False)
        return next((tie for tie, a, b in keys if a != b), TIES[-1])
    terms = {*kept.losses, *other.losses}
    gains = {term: other.losses.get(term, 0.0) - kept.losses.get(term, 0.0) for term in terms}
    main = max(gains, key=lambda term: (round(gains[term], 6), term))
    reason = REASONS[main].format(times=2 ** (gains["detail"] / RULES.detail), other=name)
    if is_upscale(other.copy.traits, kept.copy.traits):
        reason += f"; {name} is an enlargement"
    return reason
