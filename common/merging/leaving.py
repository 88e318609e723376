"""Which images of a source a merge leaves out, and which others stand for them. Only reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from common import text
from common.dataset import cache, records
from common.dataset.tree import Stamp, Topic
from common.duplicates import keepers
from common.merging.manifest import DUPLICATE, VARIANT
from common.output import Talk


@dataclass(frozen=True)
class Rules:
    """What of a source is left out, where something else stands for it."""

    duplicates: bool = True
    variants: Collection[str] = ()  # the kinds of variants


@dataclass(frozen=True)
class Left:
    """Why an image is left out."""

    action: str
    keeper: str  # the image that stands for it
    reason: str


def left_out(
    source: Topic, stamps: Mapping[str, Stamp], unreadable: Collection[str], rules: Rules, talk: Talk
) -> dict[str, Left]:
    """The images of a topic that do not come along. An unreadable image stands for none. Raises Damaged."""
    cached, scores = cache.load(source), records.read_scores(source)
    copies = keepers.matches(source, stamps, cached) if rules.duplicates else None
    variants = keepers.variants(source, stamps, cached) if rules.variants else None
    for found, path in ((copies, records.duplicates_path(source)), (variants, records.variants_path(source))):
        if found and not found.fits:
            talk.warn(f"{text.shown(path)}: {found.misfit}; such images are kept")
    if rules.variants and not variants:
        talk.warn(f"{text.shown(source.path)}: not searched for variants, none is left out; run {keepers.VARIANTS}")
    kinds = {
        name: {other: kind for other, kind in others.items() if kind in rules.variants}
        for name, others in (variants.usable if variants else {}).items()
    }
    for name, others in (copies.usable if copies else {}).items():
        kinds.setdefault(name, {}).update(dict.fromkeys(others, records.COPY))
    if not any(kinds.values()):
        return {}
    readable = {name: stamp for name, stamp in stamps.items() if name not in unreadable}

    def warn(path: str, reason: str) -> None:
        talk.warn(f"{text.shown(path)}: {reason}; it counts as the worst of its matches")

    out = keepers.left_out(keepers.candidates(source, readable, cached, scores, warn), kinds)
    return {name: _left(keeper, kinds[name][keeper]) for name, keeper in out.items()}


def _left(keeper: str, kind: str) -> Left:
    if kind == records.COPY:
        return Left(DUPLICATE, keeper, f"matches {keeper}")
    return Left(VARIANT, keeper, f"a variant of {keeper} ({kind})")
