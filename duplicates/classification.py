"""What two images are to each other: a copy, a kind of variant, doubtful, or nothing.

decide_pair takes a first look at two small images; pairs that may be copies then get a second look
at full detail (duplicates/second_looks.py). The rules of the first look are in
duplicates/copy_rules.py and duplicates/variant_rules.py, their numbers in duplicates/thresholds.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from common.json_files import DOUBTFUL, OVERLAPPING
from duplicates import clean_side, lettering
from duplicates.aligned_pair import AlignedPair, ChangedPair
from duplicates.comparison import Measurements
from duplicates.copy_rules import decide_copy
from duplicates.geometry import IDENTITY, Affine, inverse
from duplicates.inverted import measure_inverted
from duplicates.one_thread import limit_to_one_thread
from duplicates.pair_measurement import measure_as_copy, measure_as_variant
from duplicates.perspective import measure_in_perspective
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage
from duplicates.variant_rules import NOTHING, OVERLAID, decide_variant
from keeping.directions import NO_DIRECTION, Direction

COPY = "copy"
MAY_BE_COPY = "may be a copy"  # of the first look; never stored


@dataclass(frozen=True)
class Verdict:
    """COPY, one of json_files.SHOWN_KINDS or NOTHING, and the share of detail that agrees.

    The direction is that of the two images in their order.
    """

    kind: str
    likeness: float
    direction: Direction = NO_DIRECTION  # of variants

    def swap(self) -> Verdict:
        """Return the verdict on the same two images in the other order."""
        return replace(self, direction=self.direction.swap())


EQUAL = Verdict(COPY, 1.0)  # of images with the same pixels


@dataclass(frozen=True)
class PairDecision:
    """A verdict, the name of the rule that says so, and the measurements that were taken."""

    verdict: Verdict
    rule: str
    as_copy: Measurements | None = None
    as_variant: AlignedPair | None = None


@dataclass(frozen=True)
class FirstLook:
    """A verdict, or MAY_BE_COPY and where to lay the second image on the first."""

    verdict: Verdict
    affine: Affine

    def swap(self) -> FirstLook:
        """Return the look at the same two images in the other order."""
        return FirstLook(self.verdict.swap(), inverse(self.affine))


def look_at_pairs(
    pairs: Sequence[tuple[SmallImage, SmallImage]], variants: bool
) -> list[FirstLook]:
    """Take a first look at each pair, in order; without `variants`, MAY_BE_COPY or NOTHING.

    Small matrix products run in one thread: more are many times slower, and round differently.
    """
    with limit_to_one_thread():
        return [_look_at_pair(one, other, variants) for one, other in pairs]


def classify_looked_again(
    pairs: Sequence[tuple[SmallImage, SmallImage]], least_kind: str
) -> list[Verdict]:
    """Return the verdict of the search for variants on each pair that got a second look."""
    verdicts = []
    with limit_to_one_thread():
        for one, other in pairs:
            first, second = in_fixed_order(one, other)
            verdict = decide_looked_again(first, second, least_kind).verdict
            verdicts.append(verdict if first is one else verdict.swap())
    return verdicts


def in_fixed_order(one: SmallImage, other: SmallImage) -> tuple[SmallImage, SmallImage]:
    """Return the two images in the order of their bytes: verdicts do not depend on names."""
    return (one, other) if one.encoded <= other.encoded else (other, one)


def _look_at_pair(one: SmallImage, other: SmallImage, variants: bool) -> FirstLook:
    first, second = in_fixed_order(one, other)
    decision = decide_pair(first, second, variants)
    affine = decision.as_copy.affine if decision.as_copy else IDENTITY
    look = FirstLook(decision.verdict, affine)
    return look if first is one else look.swap()


def decide_pair(
    one: SmallImage, other: SmallImage, variants: bool = False, limits: Thresholds = THRESHOLDS
) -> PairDecision:
    """Decide whether two images may be copies, else with `variants` which kind of variant they are.

    For `variants` both images need hints.
    """
    as_copy = None
    if not variants or _thumbnail_correlation(one, other) >= limits.min_thumbnail_correlation:
        as_copy = measure_as_copy(one.raster, other.raster, limits)
        decision = decide_copy(as_copy, limits)
        if decision.may_be_copy:
            verdict = Verdict(MAY_BE_COPY, as_copy.agreement)
            return PairDecision(verdict, decision.rule, as_copy)
        if not variants:
            return PairDecision(Verdict(NOTHING, 0.0), decision.rule, as_copy)
    return decide_as_variant(one, other, limits, as_copy)


def decide_as_variant(
    one: SmallImage,
    other: SmallImage,
    limits: Thresholds = THRESHOLDS,
    as_copy: Measurements | None = None,
) -> PairDecision:
    """Decide which kind of variant two images are that are no copies. Both need hints."""
    as_they_are = measure_as_variant(one, other, limits)
    decision = PairDecision(Verdict(NOTHING, 0.0), "no_alignment", as_copy)
    if as_they_are is not None:
        decision = _decide_aligned(one.raster, other.raster, as_they_are, limits, as_copy)
    if decision.verdict.kind in (NOTHING, DOUBTFUL):
        verdict = _find_lettering(one, other)
        if verdict:
            return replace(decision, verdict=verdict, rule="text_is_laid_over")
    for changed in _rectify_or_invert(one, other, decision, limits):
        second = _decide_aligned(changed.one, changed.other, changed.pair, limits, as_copy)
        if second.verdict.kind not in (NOTHING, decision.verdict.kind):
            return second
    return decision


def _find_lettering(one: SmallImage, other: SmallImage) -> Verdict | None:
    """Return OVERLAID if one of two images is the other one with text across it."""
    assert one.hints and other.hints
    if not lettering.may_have_lettering(one.hints, other.hints):
        return None
    added = lettering.measure_lettering(one.raster, other.raster)
    if not lettering.is_lettering(added, one.raster, other.raster):
        return None
    direction = Direction(1 if added.is_first_plainer else -1)
    return Verdict(OVERLAID, added.kept_share, direction)


def _rectify_or_invert(
    one: SmallImage, other: SmallImage, decision: PairDecision, limits: Thresholds
) -> Iterator[ChangedPair]:
    """Yield the pair with one image rectified or inverted, if the decision leaves room for it."""
    if decision.verdict.kind not in (NOTHING, DOUBTFUL):
        return
    if decision.as_variant and decision.as_variant.matches:
        matches = decision.as_variant.matches
        rectified = measure_in_perspective(one.raster, other.raster, matches, limits)
        if rectified:
            yield rectified
    if decision.verdict.kind == NOTHING:
        inverted = measure_inverted(one, other, limits)
        if inverted:
            yield inverted


def _decide_aligned(
    one: Raster,
    other: Raster,
    pair: AlignedPair,
    limits: Thresholds,
    as_copy: Measurements | None,
) -> PairDecision:
    """Decide about two images by how one lies on the other."""
    kind = decide_variant(pair, limits)
    direction = clean_side.find_direction(kind.kind, pair, one, other)
    verdict = Verdict(kind.kind, pair.seen.agreement, direction)
    return PairDecision(verdict, kind.rule, as_copy, pair)


def decide_looked_again(one: SmallImage, other: SmallImage, least_kind: str) -> PairDecision:
    """Decide which kind of variant two images are that got a second look. Both need hints.

    At least of the kind that the second look leaves open: Confirmation.least_kind. If that is a
    kind of variant, both show the same part of a picture.
    """
    decision = decide_as_variant(one, other)
    weaker = (NOTHING,) if least_kind == DOUBTFUL else (NOTHING, DOUBTFUL, OVERLAPPING)
    if least_kind == NOTHING or decision.verdict.kind not in weaker:
        return decision
    seen = measure_as_copy(one.raster, other.raster)
    direction = clean_side.find_direction_in_one_framing(
        least_kind, one.raster, other.raster, seen.affine
    )
    return PairDecision(Verdict(least_kind, seen.agreement, direction), "second_look", seen)


def _thumbnail_correlation(one: SmallImage, other: SmallImage) -> float:
    assert one.hints and other.hints
    return float((one.hints.thumbnail * other.hints.thumbnail).sum())
