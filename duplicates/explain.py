"""Says of two image files what a close look measures, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from common.errors import UserError
from duplicates import classification, thumbnails
from duplicates.classification import Placed, Verdict
from duplicates.comparison import Figures


@dataclass(frozen=True)
class Explanation:
    """What was seen of two images: laid on each other as they are, and by features and turns."""

    answer: Verdict
    copy: Figures
    variant: Placed | None


def explain_pair(one: str, other: str, max_pixels: int) -> Explanation:
    """What the close look sees in two files. Raises UserError where one cannot be read."""
    read = thumbnails.read_picture([one, other], max_pixels, hints=True)
    for path, picture in zip((one, other), read, strict=True):
        if picture is None:
            raise UserError(f"{path}: cannot be read as an image; --explain wants two images")
    first, second = (picture for picture in read if picture)
    seen = classification.seen_as_copy(first.sheet, second.sheet)
    return Explanation(
        classification.verdict(first, second, True),
        seen,
        classification.seen_as_variant(first, second),
    )


def explanation_lines(told: Explanation) -> Iterator[str]:
    """For people: each figure with what it is held against."""
    yield f"🔍 {told.answer.kind or 'nothing'} (agrees in {told.answer.likeness:.0%})"
    drawn = classification.is_drawn(told.copy)
    needs = "everywhere, drawn" if drawn else f"{classification.MARKED:.0%}, photo"
    yield f"   laid on each other as they are: {'a copy' if classification.is_copy(told.copy) else 'no copy'}"
    yield from _figures(told.copy, needs)
    yield f"      an edge misses by   {told.copy.shift:8.1%}  a copy's by {classification.SHIFT:.1%} at most"
    if told.variant is None:
        yield "   by features or a turn: no way to lay one on the other"
        return
    kind = classification.kind(told.variant) or "nothing"
    yield f"   by features or a turn: {kind}"
    yield from _figures(
        told.variant.seen, f"{classification.CLEAN:.0%}, or {classification.PART:.0%} under a text"
    )
    one, other = told.variant.seen.overlap
    yield f"      overlap             {one:8.0%}  of one, {other:.0%} of the other"


def _figures(seen: Figures, needs: str) -> Iterator[str]:
    yield f"      crossed texture     {seen.crossed:8.1%}  of {seen.windows} windows agree; needed: {needs}"
    yield f"      any texture         {seen.alike:8.1%}  of {seen.textured} cells agree"
    told = f"{seen.cluster} of them together, {seen.clash} with a texture in both"
    yield f"      differing cells     {seen.bad:8}  of {seen.cells}, {told}"
    yield f"      worst cell          {seen.worst:8.0f}  levels from where a map of colours takes it"
    yield f"      one tone covers     {seen.tone:8.0%}  drawn from {classification.GRAPHIC:.0%} on"
    recoloured = f"recoloured below {classification.SAME_COLOURS:g} where {classification.RECOLOURED:g} levels apart"
    yield f"      colours             {seen.colours:8.2f}  {recoloured}; here {seen.raw:.0f}"


def explanation_json(told: Explanation) -> dict[str, Any]:
    """The object that --json prints."""
    figures = {key: value for key, value in vars(told.copy).items() if key != "affine"}
    return {
        "answer": told.answer.kind or None,
        "likeness": round(told.answer.likeness, 3),
        "figures": figures,
    }
