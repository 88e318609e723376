"""Where to lay one image on another, and what is measured there: as a copy, or as a variant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from duplicates import alignment, geometry, template_search
from duplicates.agreement import is_clean, is_same_everywhere
from duplicates.aligned_pair import AlignedPair
from duplicates.alignment import Proposal
from duplicates.comparison import Measurements, measure
from duplicates.copy_rules import decide_copy, is_graphic
from duplicates.geometry import Affine
from duplicates.raster import Raster
from duplicates.registration import luma_correlation, register
from duplicates.shared_part import find_shared_part
from duplicates.soft_detail import measure_soft_detail
from duplicates.surroundings import measure_surroundings
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage
from duplicates.variant_rules import NOTHING, decide_variant, is_overlapping, is_ruled_out

COARSE_SIDE = 32  # pixels of the squares on which images are registered first,
COARSE_STEPS = 3
FINE_SIDE = 64  # and then
FINE_STEPS = 4
CLEAR_EVIDENCE = 0.9  # for a copy: from here on no registration is tried, to save its time
VARIANT_RIM_CELLS = 1  # along each edge that are not compared: a frame begins within them


def measure_as_copy(one: Raster, other: Raster, limits: Thresholds = THRESHOLDS) -> Measurements:
    """Return the better of two looks at two images of one framing: as they are, and registered.

    Registered means moved and stretched a little: the second on the first, or, if that shows no
    copy, the first on the second. Which way matters where little has a structure.
    """
    unmoved = measure(one, other, limits=limits)
    if _copy_evidence(unmoved) >= CLEAR_EVIDENCE:
        return unmoved
    looks = [unmoved]
    for affine in _slight_shifts(one, other, limits):
        moved = measure(one, other, affine, limits=limits)
        if decide_copy(moved, limits).may_be_copy:
            return max(unmoved, moved, key=_copy_evidence)
        looks.append(moved)
    return max(looks, key=_copy_evidence)


def _slight_shifts(one: Raster, other: Raster, limits: Thresholds) -> Iterator[Affine]:
    """Yield the map found by registering `other` on `one`, and the one found the other way."""
    start = _find_slight_shift(one, other, limits)
    if start is not None:
        yield register(one, other, start, FINE_SIDE, FINE_STEPS)
    start = _find_slight_shift(other, one, limits)
    if start is not None:
        yield geometry.inverse(register(other, one, start, FINE_SIDE, FINE_STEPS))


def _find_slight_shift(one: Raster, other: Raster, limits: Thresholds) -> Affine | None:
    """Return the registration that correlates most; None if none is good."""
    best: Affine | None = None
    best_correlation = limits.min_registered_correlation
    for start in _starts(limits):
        affine = register(one, other, start, COARSE_SIDE, COARSE_STEPS)
        correlation = luma_correlation(one, other, affine, COARSE_SIDE)
        if correlation >= best_correlation:
            best, best_correlation = affine, correlation
    return best


def _starts(limits: Thresholds) -> list[Affine]:
    """Maps to register from: either image may be a slight crop of the other."""
    share = limits.zoom_share
    return [geometry.IDENTITY, geometry.zoom(share), geometry.zoom(1 / share)]


def _copy_evidence(seen: Measurements) -> float:
    """Return how much speaks for a copy, at most 1."""
    differing = seen.differing_cells / max(1, seen.compared_cells)
    return seen.agreement - differing - seen.colour_residual_levels / 1000


def measure_as_variant(
    one: SmallImage, other: SmallImage, limits: Thresholds = THRESHOLDS
) -> AlignedPair | None:
    """Return the best look of all proposed alignments, or the first clean one; None without any.

    Both images need hints.
    """
    tried = list[Proposal]()
    proposed: Iterator[Affine] = _remember(_candidate_alignments(one, other), tried)
    first = next(proposed, None)
    if first is None:  # as of most pairs: nothing is decoded
        return None
    proposed = itertools.chain([first], proposed)
    whole = measure_alignments(one.raster, other.raster, proposed, limits)
    if whole is None:
        return None
    if decide_variant(whole, limits).kind == NOTHING:
        for proposal in tried:
            part = _measure_shared_part(one, other, proposal.affine, limits)
            if part and is_overlapping(part, limits):
                return part
    matches = [proposal.matches for proposal in tried if proposal.matches]
    most = max(matches, key=lambda each: each.agreeing_squares, default=None)
    return replace(whole, matches=most)


def measure_alignments(
    one: Raster,
    other: Raster,
    proposed: Iterable[Affine],
    limits: Thresholds = THRESHOLDS,
    refine: bool = True,
) -> AlignedPair | None:
    """Return the best look of the proposed alignments, or the first clean one; None without any.

    They lead from `other` to `one`. What follows a clean one is not asked for. `refine` says
    whether to improve them first.
    """
    best: Measurements | None = None
    is_first_larger = True
    for start in proposed:
        affine, is_first = _from_larger(start)
        larger, lesser = _sort_by_size(one, other, is_first)
        if refine:
            affine = register(larger, lesser, affine, FINE_SIDE, FINE_STEPS)
        seen = measure(larger, lesser, affine, rim_cells=VARIANT_RIM_CELLS, limits=limits)
        if best is None or _variant_evidence(seen) > _variant_evidence(best):
            best, is_first_larger = seen, is_first
        if _is_certain(best, limits):
            break
    if best is None:
        return None
    larger, lesser = _sort_by_size(one, other, is_first_larger)
    whole = AlignedPair(best, is_first_larger=is_first_larger)
    if is_ruled_out(whole, limits):
        return whole
    around = measure_surroundings(larger, lesser, best.affine, limits)
    return replace(whole, around=around, soft=measure_soft_detail(larger, lesser, best.affine))


def _remember(proposals: Iterable[Proposal], tried: list[Proposal]) -> Iterator[Affine]:
    """Yield the proposed maps, and put each proposal that is asked for into `tried`."""
    for proposal in proposals:
        tried.append(proposal)
        yield proposal.affine


def _sort_by_size(one: Raster, other: Raster, is_first_larger: bool) -> tuple[Raster, Raster]:
    """Return the larger image and the lesser."""
    return (one, other) if is_first_larger else (other, one)


def _measure_shared_part(
    one: SmallImage, other: SmallImage, proposed: Affine, limits: Thresholds
) -> AlignedPair | None:
    """Measure the part of one image that the other shows, as a collage does; None without one."""
    affine, is_first_larger = _from_larger(proposed)
    if geometry.overlap_share(affine) >= limits.min_contained_share:
        return None
    larger, lesser = _sort_by_size(one.raster, other.raster, is_first_larger)
    part = find_shared_part(larger, lesser, affine, limits)
    if part is None or part.area < limits.min_overlapping_share:
        return None
    affine = geometry.compose(affine, part.to_whole)
    affine = register(larger, part.raster, affine, FINE_SIDE, FINE_STEPS)
    seen = measure(larger, part.raster, affine, rim_cells=VARIANT_RIM_CELLS, limits=limits)
    shown, share_of_part = seen.overlap
    seen = replace(seen, overlap=(shown, share_of_part * part.area))
    around = measure_surroundings(larger, part.raster, affine, limits)
    return AlignedPair(seen, around, is_first_larger)


def _candidate_alignments(one: SmallImage, other: SmallImage) -> Iterator[Proposal]:
    """Yield maps from `other` to `one` that features, a rotation or a search propose."""
    hints, others = one.hints, other.hints
    assert hints and others
    yield from alignment.propose_from_features(
        hints.features, others.features, hints.size, others.size
    )
    yield from map(Proposal, alignment.maps_from_rotations(hints.thumbnail, others.thumbnail))
    features = min(len(hints.features.places), len(others.features.places))
    if features < template_search.FEW_FEATURES and template_search.may_be_inside(
        hints.outline, others.outline, hints.size, others.size
    ):
        maps = template_search.maps_from_template_search(one.raster, other.raster)
        yield from map(Proposal, maps)


def _from_larger(affine: Affine) -> tuple[Affine, bool]:
    """Return the map to the image that shows more: what the lesser shows lies in it.

    Also whether that is the first image, to which `affine` leads.
    """
    backwards = geometry.inverse(affine)
    if geometry.overlap_share(affine) < geometry.overlap_share(backwards):
        return backwards, False
    return affine, True


def _is_certain(seen: Measurements, limits: Thresholds) -> bool:
    """Whether no other alignment need be tried."""
    if max(seen.overlap) < limits.min_contained_share:
        return False
    if is_graphic(seen, limits):
        return is_same_everywhere(seen, limits)
    return is_clean(seen, limits)


def _variant_evidence(seen: Measurements) -> float:
    """Return how much speaks for an alignment: what agrees, less what does not."""
    windows = seen.structured_windows * seen.structure_agreement
    cells = seen.textured_cells * seen.texture_agreement
    return max(seen.overlap) * (windows + cells / 4) - seen.differing_cells
