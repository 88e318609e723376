"""From what a close look sees to an answer: copy, a kind of variant, doubtful, or nothing.

Thresholds were chosen on one half of the photos and kinds of pictures, and reported on the other: docs/variants.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.duplicates import look
from common.duplicates.look import Array, Figures
from common.duplicates.pictures import Picture

VERSION = 1  # of the rules: what was said by others is looked at again
COPY = "copy"
NOTHING = ""

SHIFT = 0.042  # a copy's edges miss by this share at most: 3 % cropped is 0.032, 6 % is 0.068
GRAPHIC = 0.3  # share of one tone from which a picture is drawn, not taken, and has to be the same everywhere
LEAST, SAME = 4, 4.0  # windows below which a picture has to have the same colours, and levels that those may differ
PROMISING = 0.5  # share of agreeing windows from which a look from further away was seen to help
PLAIN = 0.6  # share of one tone from which fine texture is all there is to go by
FEW = 12  # windows below which there is too little to see in a picture for any tolerance
MANY = 60  # windows from which on a mark in a corner of a drawn picture is one
SAME_COLOURS, RECOLOURED = 0.85, 24.0  # cosine and levels: hue by 15 degrees is 0.97, by 40 degrees 0.79
ASTRAY = 0.2  # how far a registration may go before it is no copy's
MARKED = 0.88  # share of agreeing cells and windows where there is a small mark
BAD = 0.04  # share of cells that may differ in texture or colour in a photo,
FADED, SURE = 0.12, 0.97  # and where all texture agrees: strong contrast leaves white where colours were
TONED = 64.0  # levels by which a drawn picture with little to see may be lighter or darker


@dataclass(frozen=True)
class Verdict:
    """What two images are to each other: COPY, one of records.KINDS, or NOTHING; and how much agrees, 0 to 1."""

    kind: str
    likeness: float


def verdicts(pairs: Sequence[tuple[Picture, Picture]], variants: bool) -> list[Verdict]:
    """The answers to pairs, in order; without `variants` only whether they are copies."""
    return [verdict(one.pixels, other.pixels) for one, other in pairs]


def verdict(one: Array, other: Array) -> Verdict:
    seen = seen_as_copy(one, other)
    return Verdict(COPY if is_copy(seen) else NOTHING, min(seen.alike, seen.crossed))


def seen_as_copy(one: Array, other: Array) -> Figures:
    """The best of three looks: with the pictures laid on each other as they are, moved and stretched a little, and
    from further away where a picture may have lost its finest texture.
    """
    seen = look.figures(one, other)
    if is_copy(seen):
        return seen
    affine = look.registered(one, other, look.IDENTITY, 32, 4)
    if np.abs(affine - look.IDENTITY).max() > ASTRAY:
        return seen
    affine = look.registered(one, other, affine, 64, 3)
    moved = look.figures(one, other, affine)
    best = max(seen, moved, key=lambda each: min(each.alike, each.crossed) - each.bad / max(1, each.cells))
    if is_copy(best) or best.tone >= PLAIN or best.windows < FEW or best.crossed < PROMISING:
        return best
    far = look.figures(one, other, best.affine, look.SIDE // 2)
    return far if is_copy(far) else best


def is_copy(seen: Figures) -> bool:
    """The same picture in the same framing. A small mark is allowed where enough of the picture speaks for it."""
    if seen.shift > SHIFT or is_recoloured(seen):
        return False
    if not is_drawn(seen):
        faded = seen.bad <= FADED * seen.cells and min(seen.crossed, seen.alike) >= SURE
        marked = seen.bad <= BAD * seen.cells or (seen.cornered and seen.windows >= MANY)
        return min(seen.crossed, seen.alike) >= MARKED and (marked or faded)
    if seen.windows >= MANY and seen.cornered:
        return min(seen.crossed, seen.alike) >= MARKED
    if seen.tone < PLAIN and seen.windows >= MANY and seen.cluster <= 3:
        return seen.crossed >= SURE and seen.alike >= SURE
    if seen.windows < LEAST:
        return seen.bad == 0 and seen.raw <= SAME
    toned = seen.toned <= TONED or seen.windows >= MANY
    return seen.alike >= 0.96 and seen.crossed == 1 and seen.cluster <= 2 and toned


def is_drawn(seen: Figures) -> bool:
    """Whether one tone covers so much, or so little can be seen, that any difference counts."""
    return seen.tone >= GRAPHIC or seen.windows < FEW


def is_recoloured(seen: Figures) -> bool:
    return seen.colours < SAME_COLOURS and seen.raw >= RECOLOURED
