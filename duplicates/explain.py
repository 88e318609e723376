"""Explain what is measured of two image files, and which rule gives the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import UserError
from duplicates import (
    classification,
    copy_rules,
    hash_rows,
    pair_measurement,
    second_looks,
    thumbnails,
    variant_rules,
)
from duplicates.aligned_pair import AlignedPair
from duplicates.classification import PairDecision, Verdict
from duplicates.comparison import Measurements
from duplicates.confirmation import Confirmation
from duplicates.proposers import PhashProposer
from duplicates.thresholds import THRESHOLDS
from duplicates.thumbnails import SmallImage

# The names that --json has for measurements.
JSON_NAMES = {
    "cells": "compared_cells",
    "textured": "textured_cells",
    "alike": "texture_agreement",
    "windows": "structured_windows",
    "crossed": "structure_agreement",
    "bad": "differing_cells",
    "under": "plainer_side_agreement",
    "cluster": "block_differing_cells",
    "blot": "quadrant_difference",
    "cornered": "differs_in_one_corner",
    "tone": "flat_tone_share",
    "colours": "colour_cosine",
    "raw": "colour_p95_levels",
    "usual": "colour_median_levels",
    "worst": "colour_residual_levels",
    "toned": "luma_p95_levels",
    "shift": "edge_shift",
    "overlap": "overlap",
}


@dataclass(frozen=True)
class Explanation:
    """The decision about two images, and all measurements, also those that it did not need."""

    decision: PairDecision
    as_copy: Measurements
    as_variant: AlignedPair | None
    second_look: Confirmation | None  # of images that may be copies
    is_proposed: bool = (
        True  # by the search for copies; else only the one for variants compares them
    )

    @property
    def stage(self) -> str:
        """Which look took the decision."""
        return "second look" if self.second_look else "first look"


def explain_pair(
    one: str, other: str, max_pixels: int, proposer: PhashProposer | None = None
) -> Explanation:
    """Measure and classify two image files. Raises UserError if one cannot be read.

    `proposer` says whether the search for copies compares them; without one, it does.
    """
    paths = [one, other]
    images = []
    for path, image in zip(
        paths, thumbnails.read_small_images(paths, max_pixels, hints=True), strict=True
    ):
        if image is None:
            raise UserError(f"{path}: cannot be read as an image; --explain wants two images")
        images.append(image)
    first, second = classification.in_fixed_order(*images)
    if first is not images[0]:
        one, other = other, one
    is_proposed = not proposer or _proposes(proposer, paths, max_pixels)
    decision = classification.decide_pair(first, second, variants=not is_proposed)
    if is_proposed and decision.verdict.kind == variant_rules.NOTHING:
        decision = classification.decide_as_variant(first, second, as_copy=decision.as_copy)
    as_copy = decision.as_copy
    if as_copy is None:
        as_copy = pair_measurement.measure_as_copy(first.raster, second.raster)
    second_look = None
    if decision.verdict.kind == classification.MAY_BE_COPY:
        second_look = second_looks.confirm_files(one, other, as_copy.affine, max_pixels)
        if second_look:
            decision = _decide_again(decision, second_look, is_proposed, (first, second))
    as_variant = decision.as_variant
    if as_variant is None:
        as_variant = pair_measurement.measure_as_variant(first, second)
    return Explanation(decision, as_copy, as_variant, second_look, is_proposed)


def _proposes(proposer: PhashProposer, paths: Sequence[str], max_pixels: int) -> bool:
    rows, _ = hash_rows.read_hash_rows(paths, max_pixels)
    candidates = proposer.propose_pairs(paths, rows)
    return bool(candidates.unverified or candidates.equal)


def _decide_again(
    decision: PairDecision,
    second_look: Confirmation,
    is_proposed: bool,
    images: tuple[SmallImage, SmallImage],
) -> PairDecision:
    """Return the decision about two images that may be copies, after the look at full detail.

    The search for variants, which alone compares a pair that is not proposed, lists no copies.
    """
    if second_look.is_copy and is_proposed:
        return PairDecision(
            Verdict(classification.COPY, decision.verdict.likeness), second_look.rule
        )
    as_variant = classification.decide_looked_again(*images, second_look.least_kind)
    return PairDecision(as_variant.verdict, second_look.rule)


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Yield, for people, each measurement with the threshold that it is compared with."""
    decision = explanation.decision
    kind = decision.verdict.kind or "nothing"
    by_rule = f"by the rule {_rule(decision.rule)}, at the {explanation.stage}"
    yield f"🔍 {kind} ({decision.verdict.likeness:.0%} agrees) {by_rule}"
    yield from _copy_lines(explanation.as_copy)
    if explanation.second_look:
        answer = "the same" if explanation.second_look.is_copy else "not the same"
        yield f"   at full detail: {answer}: {explanation.second_look.sentence()}"
    if not explanation.is_proposed:
        yield "   the search for copies does not compare them: their hashes or thumbnails differ"
    if explanation.as_variant is None:
        yield "   aligned by features or rotation: no alignment found"
    else:
        yield from _variant_lines(explanation.as_variant)


def _copy_lines(seen: Measurements) -> Iterator[str]:
    copy = copy_rules.decide_copy(seen)
    needed = f"{THRESHOLDS.min_photo_agreement:.0%} of a photo"
    if copy_rules.is_drawn(seen, THRESHOLDS):
        needed = f"{THRESHOLDS.min_graphic_agreement:.0%} of a graphic"
    answer = "may be a copy" if copy.may_be_copy else "no copy"
    yield f"   in the same framing: {answer} by the rule {_rule(copy.rule)}"
    yield from _measurement_lines(seen, needed)
    max_shift = THRESHOLDS.max_copy_shift_share
    at_most = f"of a side; a copy {max_shift:.1%} at most"
    yield f"      an edge misses by   {seen.edge_shift:8.1%}  {at_most}"


def _variant_lines(pair: AlignedPair) -> Iterator[str]:
    variant = variant_rules.decide_variant(pair)
    kind = variant.kind or "nothing"
    clean = THRESHOLDS.min_clean_structure_agreement
    overlaid = THRESHOLDS.min_overlaid_share
    way = "aligned"
    if pair.is_inverted or pair.is_rectified:
        way = "inverted, and aligned" if pair.is_inverted else "seen from the front, and aligned"
    yield f"   {way} by features or rotation: {kind} by the rule {_rule(variant.rule)}"
    yield from _measurement_lines(pair.seen, f"{clean:.0%}, or {overlaid:.0%} under a text")
    one, other = pair.seen.overlap
    yield f"      overlap             {one:8.0%}  of one, {other:.0%} of the other"


def _measurement_lines(seen: Measurements, needed: str) -> Iterator[str]:
    windows = f"of {seen.structured_windows} windows agree; needed: {needed}"
    yield f"      structure           {seen.structure_agreement:8.1%}  {windows}"
    cells = f"of {seen.textured_cells} cells agree"
    yield f"      texture             {seen.texture_agreement:8.1%}  {cells}"
    together = f"{seen.block_differing_cells} in one 3 x 3 block"
    differing = f"of {seen.compared_cells}, {together}"
    yield f"      differing cells     {seen.differing_cells:8}  {differing}"
    residual = "levels from what the other cells predict"
    yield f"      worst cell          {seen.colour_residual_levels:8.0f}  {residual}"
    graphic = f"of the image; a graphic from {THRESHOLDS.min_graphic_tone_share:.0%} on"
    yield f"      one tone covers     {seen.flat_tone_share:8.0%}  {graphic}"
    recoloured = f"recoloured below {THRESHOLDS.min_same_colour_cosine:g}"
    yield f"      colour cosine       {seen.colour_cosine:8.2f}  {recoloured}, if colours are far"
    far = f"levels apart; far from {THRESHOLDS.min_recoloured_levels:g} on"
    yield f"      colours             {seen.colour_p95_levels:8.0f}  {far}"


def _rule(name: str) -> str:
    """Return the name of a rule as words."""
    return f'"{name.replace("_", " ")}"'


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Return the object that --json prints."""
    decision = explanation.decision
    seen = explanation.as_copy
    return {
        "answer": decision.verdict.kind or None,
        "likeness": round(decision.verdict.likeness, 3),
        "rule": decision.rule,
        "stage": explanation.stage,
        "is_proposed": explanation.is_proposed,
        "difference": explanation.second_look.sentence() if explanation.second_look else None,
        "figures": {name: getattr(seen, field) for name, field in JSON_NAMES.items()},
    }
