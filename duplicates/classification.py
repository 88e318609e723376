"""From what a close look sees to an answer: copy, a kind of variant, doubtful, or nothing.

Thresholds were chosen on one half of the photos and kinds of pictures, and reported on the other: docs/variants.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from common import json_files
from duplicates import comparison
from duplicates.comparison import Figures, Sheet, Surroundings
from duplicates.thumbnails import Picture

RULES_VERSION = 8  # of the rules: what was said by others is looked at again
COPY = "copy"
NOTHING = ""

SHIFT = (
    0.044  # a copy's edges miss by this share at most: 3 % cropped is 0.032, a bar of 5 % is 0.045
)
GRAPHIC = 0.3  # share of one tone from which a picture is drawn, not taken, and has to be the same everywhere
LEAST, BARE = (
    4,
    1.0,
)  # textured cells below which every cell has to have the same colours, and levels by which
FITTING = 0.93  # correlation of all that has a texture, where there is little: copies had 0.94, others 0.91 at most
SAME = 4.0  # levels that 95 % of the cells may differ where something was put into a corner
PROMISING = 0.4  # share of agreeing windows from which a look from further away was seen to help
FEW = (
    comparison.PLAIN
)  # windows below which there is too little to see in a picture for any tolerance
RICH = 90  # windows from which on a picture of few tones may have another texture below a mark in a corner
MANY = 60  # windows from which on there is much to see in a drawn picture
COARSE = 0.5  # correlation of thumbnails below which no copy was seen
INSIDE = 0.85  # share of the lesser picture that lies within the larger one
CLEAN, ROUGH = 0.95, 0.7  # shares of agreeing windows and cells, everywhere in the overlap
PART = 0.3  # share of agreeing windows under a text across a photo
SPOKEN = 20  # agreeing windows there
ANOTHER = 0.9  # share of differing windows in a quarter: another picture in the same frame
DOUBT = 0.6  # shares of agreeing windows and cells of drawn pictures that are worth a person's look
UNDER, STILL = (
    0.7,
    4.0,
)  # share of the plainer picture's windows, and levels of half of the cells; strangers: 4 of 747
TURNED = 0.15  # sine of an angle, about
SEAM = 1.9  # how much more the pixels differ across an edge than beside it, where something was put around
EMPTY, WHOLE = (
    0.1,
    0.7,
)  # share of texture in a frame; of the larger picture that the lesser one fills below a caption
FRAMED = 0.95  # share of the larger picture below which there is something around
MARK = 6  # cells of 3 x 3 that a mark spoils
SAME_COLOURS, RECOLOURED = (
    0.85,
    24.0,
)  # cosine and levels: hue by 15 degrees is 0.97, by 40 degrees 0.79
TINTED = 0.7  # cosine of colours below which it is the text that two pictures have in common
ZOOMS = (0.94, 1 / 0.94)  # either picture may be cropped by 3 % at each edge
FIT = 0.85  # correlation of small pictures moved into place below which no copy was seen; of copies the least was 0.94
ASTRAY = 0.2  # how far a registration may go before it is no copy's
MARKED = 0.88  # share of agreeing cells and windows where there is a small mark
LOOSE = 4  # cells of 3 x 3 that may differ in a photo but in a corner: more is a thing, not noise
BAD = 0.04  # share of cells that may differ in texture or colour in a photo,
TORN = 0.007  # share of cells that may differ in texture where colours faded
CLOSE, SEVERAL = 10.0, 8  # levels, and textured cells, of what is the same all over
NOISY = 0.85  # share that agrees where no cell has another colour, and noise or compression has eaten at texture
SMALL = 16.0  # levels that a cell of a drawn picture may differ where the tones are the same
FADED, SURE = (
    0.12,
    0.97,
)  # and where all texture agrees: strong contrast leaves white where colours were
TONED = 64.0  # levels by which a drawn picture with little to see may be lighter or darker


@dataclass(frozen=True)
class Verdict:
    """What two images are to each other: COPY, one of records.KINDS, or NOTHING; and how much agrees, 0 to 1."""

    kind: str
    likeness: float


EQUAL = Verdict(COPY, 1.0)  # of images with the same pixels


def verdicts(pairs: Sequence[tuple[Picture, Picture]], variants: bool) -> list[Verdict]:
    """The answers to pairs, in order; without `variants` only whether they are copies.

    Products of small matrices take one thread: more are many times slower, and add up in another order.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [verdict(one, other, variants) for one, other in pairs]


def verdict(one: Picture, other: Picture, variants: bool = False) -> Verdict:
    """What two pictures are to each other; both must have what alignment needs where `variants` are asked for."""
    if not variants or _look_alike(one, other):
        seen = seen_as_copy(one.sheet, other.sheet)
        if is_copy(seen):
            return Verdict(COPY, _likeness(seen))
    placed = seen_as_variant(one, other) if variants else None
    if placed is None:
        return Verdict(NOTHING, 0.0)
    return Verdict(kind(placed), _likeness(placed.seen))


def _look_alike(one: Picture, other: Picture) -> bool:
    assert one.hints and other.hints
    return bool((one.hints.thumbnail * other.hints.thumbnail).sum() >= COARSE)


def _likeness(seen: Figures) -> float:
    return min(seen.alike, seen.crossed)


def kind(placed: Placed) -> str:
    """The first kind that fits a pair that is no copy: one of records.KINDS, or NOTHING."""
    seen, around = placed.seen, placed.around
    agreeing = seen.windows * seen.crossed
    same = _is_same(seen)
    if max(seen.overlap) < INSIDE or (agreeing < FEW and not same):
        return NOTHING
    clean = same or _is_clean(seen)
    doubt = (
        json_files.DOUBTFUL
        if min(seen.crossed, seen.alike) >= DOUBT or _lies_under(seen)
        else NOTHING
    )
    if is_drawn(seen) and not (same or _is_drawn_alike(seen)):
        return doubt
    if not clean and (seen.crossed < PART or agreeing < SPOKEN or seen.blot > ANOTHER):
        return doubt
    over = not clean or seen.cluster > MARK
    if over and (
        seen.usual > RECOLOURED or seen.colours < TINTED
    ):  # what is beside a text stays as it was
        return doubt
    if np.linalg.det(seen.affine[:, :2]) < 0:
        return "mirrored"
    if seen.affine[0, 0] < 0 or max(abs(seen.affine[0, 1]), abs(seen.affine[1, 0])) > TURNED:
        return "turned"
    if around.sides and around.seam >= SEAM and min(seen.overlap) < FRAMED:
        if around.textured < EMPTY:
            return "framed"
        return "contained" if min(seen.overlap) < WHOLE else "captioned"
    if over:
        return "overlaid"
    if min(seen.overlap) < FRAMED or seen.shift > SHIFT:
        return "cropped"
    return "recoloured" if seen.raw >= RECOLOURED else json_files.DOUBTFUL


def _lies_under(seen: Figures) -> bool:
    """Whether most of what the plainer picture shows is in the other one, and all beside it is as it was."""
    return seen.under >= UNDER and seen.usual <= STILL


def _is_clean(seen: Figures) -> bool:
    return seen.windows >= FEW and seen.crossed >= CLEAN and seen.alike >= ROUGH


def _is_same(seen: Figures) -> bool:
    """Whether every cell has the same colour and texture: enough where there is little to see."""
    return (
        seen.bad <= 1
        and seen.worst <= CLOSE
        and seen.raw <= SMALL
        and seen.textured >= SEVERAL
        and seen.alike >= SURE
    )


def _is_drawn_alike(seen: Figures) -> bool:
    """Whether drawn pictures are the same wherever both show anything; one frame around two texts does not do."""
    coloured = seen.windows >= MANY or not (is_recoloured(seen) or seen.toned > TONED)
    fitting = seen.cluster <= LOOSE and seen.worst <= max(comparison.OFF, 1.3 * seen.raw)
    return coloured and fitting and min(seen.crossed, seen.alike) >= CLEAN


def seen_as_copy(one: Sheet, other: Sheet) -> Figures:
    """The best of three looks: with the pictures laid on each other as they are, moved and stretched a little, and
    from further away where a picture may have lost its finest texture.
    """
    seen = comparison.figures(one, other)
    if is_copy(seen):
        return seen
    starts = [comparison.IDENTITY, *(comparison.zoom(share) for share in ZOOMS)]
    near = [comparison.registered(one, other, start, 32, 3) for start in starts]
    near = [affine for affine in near if np.abs(affine - comparison.IDENTITY).max() <= ASTRAY]
    fits = {comparison.agreement(one, other, affine, 32): affine for affine in near}
    if max(fits, default=0) < FIT:
        return seen
    moved = comparison.figures(
        one, other, comparison.registered(one, other, fits[max(fits)], 64, 4)
    )
    best = max(seen, moved, key=_speaking)
    if is_copy(best) or is_drawn(best) or best.crossed < PROMISING or _shows_a_thing(best):
        return best
    far = comparison.figures(one, other, best.affine, comparison.SIDE // 2)
    return far if is_copy(far) and far.cluster <= 2 else best


def _shows_a_thing(seen: Figures) -> bool:
    """Whether something lies in one picture that is not in the other: another texture, and another colour."""
    return seen.clash > TORN * seen.cells and seen.worst > comparison.OFF


def _speaking(seen: Figures) -> float:
    """How much speaks for a copy, of 1."""
    return min(seen.alike, seen.crossed) - seen.bad / max(1, seen.cells) - seen.worst / 1000


def is_copy(seen: Figures) -> bool:
    """The same picture in the same framing. A small mark is allowed where enough of the picture speaks for it."""
    if seen.shift > SHIFT or is_recoloured(seen):
        return False
    agreeing = min(seen.crossed, seen.alike)
    if not is_drawn(seen):
        marked = seen.bad <= BAD * seen.cells and seen.cluster <= LOOSE
        return agreeing >= MARKED and (
            marked or _is_faded(seen) or (seen.cornered and seen.windows >= MANY)
        )
    if seen.textured < LEAST:
        return seen.bad == 0 and max(seen.worst, seen.raw) <= BARE
    if seen.bad and seen.cornered and seen.raw <= SAME and (not seen.clash or seen.windows >= RICH):
        return (
            seen.under >= CLEAN and seen.windows >= LEAST
        )  # a mark, put where the other one is plain
    if seen.fit < FITTING or not (seen.toned <= TONED or seen.windows >= MANY):
        return False
    if seen.worst <= CLOSE and seen.raw <= SMALL and seen.cluster <= 2:
        return agreeing >= NOISY
    near = SMALL if seen.torn or seen.crossed < 1 else comparison.OFF
    if seen.worst > max(near, 1.3 * seen.raw) or agreeing < SURE:
        return False
    return _is_faded(seen) or (seen.cluster <= 2 and (seen.windows >= MANY or seen.crossed == 1))


def _is_faded(seen: Figures) -> bool:
    """Whether all texture agrees, and the colours changed all over the picture."""
    agree = min(seen.crossed, seen.alike) >= SURE and seen.torn <= TORN * seen.cells
    return agree and seen.bad <= FADED * seen.cells and seen.usual >= seen.raw / 5


def is_drawn(seen: Figures) -> bool:
    """Whether one tone covers so much, or so little can be seen, that any difference counts."""
    return seen.tone >= GRAPHIC or seen.windows < FEW


def is_recoloured(seen: Figures) -> bool:
    return seen.colours < SAME_COLOURS and seen.raw >= RECOLOURED


@dataclass(frozen=True)
class Placed:
    """Two pictures, the lesser laid on its place in the larger; and what lies around it there."""

    seen: Figures
    around: Surroundings


def seen_as_variant(one: Picture, other: Picture) -> Placed | None:
    """The best look of the maps that features or a turn propose, or the first that is clean; None without any."""
    best: Placed | None = None
    first, second = one.sheet, other.sheet
    for affine in _maps(one, other):
        larger, lesser = first, second
        if comparison.covered(affine) < comparison.covered(comparison.inverse(affine)):
            affine, larger, lesser = comparison.inverse(affine), second, first
        affine = comparison.registered(larger, lesser, affine, 64, 4)
        seen = comparison.figures(larger, lesser, affine, rim=1)
        if best is None or _weight(seen) > _weight(best.seen):
            best = Placed(seen, comparison.surroundings(larger, affine))
        if max(best.seen.overlap) >= INSIDE and _is_sure(best.seen):
            break
    return best


def _is_sure(seen: Figures) -> bool:
    return _is_same(seen) or (_is_clean(seen) and not is_drawn(seen))


def _maps(one: Picture, other: Picture) -> Iterator[comparison.Map]:
    from duplicates import alignment  # OpenCV

    assert one.hints and other.hints
    yield from alignment.maps_from_points(
        one.hints.points, other.hints.points, one.sheet.size, other.sheet.size
    )
    yield from alignment.maps_from_rotations(one.hints.thumbnail, other.hints.thumbnail)
    if min(len(one.hints.points.places), len(other.hints.points.places)) < alignment.SPARSE:
        yield from alignment.maps_from_template_search(one.sheet, other.sheet)


def _weight(seen: Figures) -> float:
    """How much speaks for a look: what agrees, less what does not."""
    return (
        max(seen.overlap) * (seen.windows * seen.crossed + seen.textured * seen.alike / 4)
        - seen.bad
    )
