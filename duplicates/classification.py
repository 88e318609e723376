"""What two images are to each other: a copy, a kind of variant, doubtful, or nothing.

decide_pair takes the whole decision. The rules are in duplicates/copy_rules.py and
duplicates/variant_rules.py, their numbers in duplicates/thresholds.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duplicates.comparison import Measurements
from duplicates.copy_rules import decide_copy
from duplicates.pair_measurement import measure_as_copy, measure_as_variant
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage
from duplicates.variant_rules import NOTHING, AlignedPair, decide_variant

# Bump when a rule or threshold changes: cached verdicts of other versions are recomputed.
RULES_VERSION = 8
COPY = "copy"


@dataclass(frozen=True)
class Verdict:
    """COPY, one of json_files.VARIANT_KINDS or NOTHING, and the share of detail that agrees."""

    kind: str
    likeness: float


EQUAL = Verdict(COPY, 1.0)  # of images with the same pixels


@dataclass(frozen=True)
class PairDecision:
    """A verdict, the name of the rule that says so, and the measurements that were taken."""

    verdict: Verdict
    rule: str
    as_copy: Measurements | None = None
    as_variant: AlignedPair | None = None


def classify_pairs(pairs: Sequence[tuple[SmallImage, SmallImage]], variants: bool) -> list[Verdict]:
    """Return the verdict on each pair, in order; without `variants`, only COPY or NOTHING.

    Small matrix products run in one thread: more are many times slower, and round differently.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return [decide_pair(one, other, variants).verdict for one, other in pairs]


def decide_pair(
    one: SmallImage, other: SmallImage, variants: bool = False, limits: Thresholds = THRESHOLDS
) -> PairDecision:
    """Decide whether two images are copies, else with `variants` which kind of variant they are.

    For `variants` both images need hints.
    """
    as_copy = None
    if not variants or _thumbnail_correlation(one, other) >= limits.min_thumbnail_correlation:
        as_copy = measure_as_copy(one.raster, other.raster, limits)
        decision = decide_copy(as_copy, limits)
        if decision.is_copy:
            return PairDecision(Verdict(COPY, as_copy.agreement), decision.rule, as_copy)
        if not variants:
            return PairDecision(Verdict(NOTHING, 0.0), decision.rule, as_copy)
    as_variant = measure_as_variant(one, other, limits)
    if as_variant is None:
        return PairDecision(Verdict(NOTHING, 0.0), "no_alignment", as_copy)
    kind = decide_variant(as_variant, limits)
    verdict = Verdict(kind.kind, as_variant.seen.agreement)
    return PairDecision(verdict, kind.rule, as_copy, as_variant)


def _thumbnail_correlation(one: SmallImage, other: SmallImage) -> float:
    assert one.hints and other.hints
    return float((one.hints.thumbnail * other.hints.thumbnail).sum())
