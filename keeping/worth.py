"""What each copy of a picture lost, in halvings of pixels: 1 is as bad as half of them gone.

Works on the numbers that duplicates/originality.py measures, with the standard library alone.
keeping/copy_order.py makes an order of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from math import log2
from statistics import linear_regression, median

from keeping.copy_traits import ImageTraits, PairTraits, image_text
from keeping.worth_rules import RULES

MIN_CYCLES = 8  # along the longer side, where a spectrum begins
BINS_PER_OCTAVE = 8
MAX_COMPARED_COPIES = 200  # that each is compared with; more would take minutes in a set of 5,000
FIRST_SHARP_BIN = 19  # 40 cycles: coarser things say nothing of sharpness


# Detail


def places_to_compare(images: Sequence[ImageTraits]) -> list[int]:
    """Return the places of the images that each is compared with: all, or some of a large set."""
    places = range(len(images))
    if len(images) <= MAX_COMPARED_COPIES:
        return list(places)
    by_size = sorted(
        places, key=lambda place: (images[place].side, image_text((0, 0), images[place]))
    )
    step = len(images) / MAX_COMPARED_COPIES
    return [by_size[int(number * step)] for number in range(MAX_COMPARED_COPIES)]


def band_level(traits: ImageTraits, low: float, high: float) -> float | None:
    """Mean level in dB from `low` to `high` cycles; None where the spectrum has ended."""
    first = round(BINS_PER_OCTAVE * log2(max(1, low / MIN_CYCLES)))
    last = round(BINS_PER_OCTAVE * log2(max(1, high / MIN_CYCLES)))
    levels = traits.spectrum[first:last]
    return sum(levels) / len(levels) / 10 if levels else None


def band_gap(large: ImageTraits, small: ImageTraits, low: float, high: float) -> float | None:
    """Mean level in dB by which the smaller image is above the larger one; None past an end."""
    levels = [band_level(image, low, high) for image in (small, large)]
    return None if None in levels else levels[0] - levels[1]  # type: ignore[operator]


def is_upscale(large: ImageTraits, small: ImageTraits) -> bool:
    """Say whether the larger image is the smaller one enlarged.

    Its spectrum then breaks off where that of the smaller one ends, and the filter that enlarged
    it took something just before that. A soft photo falls slowly, and its reduced copy is the one
    that lacks something there.
    """
    ratio = large.side / small.side
    if ratio < RULES.min_upscale:
        return False
    if abs(large.repeat_share * ratio - 1) < RULES.same_size:
        return True
    limit = small.side / 2
    inner = band_level(large, 0.55 * limit, 0.85 * limit)
    outer = band_level(large, min(1.25, 0.475 * (1 + ratio)) * limit, min(1.75, ratio) * limit)
    edge_gap = band_gap(large, small, 0.72 * limit, 0.97 * limit)
    middle_gap = band_gap(large, small, 0.4 * limit, 0.65 * limit)
    if inner is None or outer is None or edge_gap is None or middle_gap is None:
        return False
    return (
        inner - outer + edge_gap > RULES.upscale_drop_db
        and edge_gap - middle_gap > RULES.upscale_bend_db
        and softness_slope(small) > RULES.max_soft_slope_db
    )


def softness_slope(image: ImageTraits) -> float:
    """Change in dB with the square of the frequency, of which 1 is the highest of the image.

    A soft lens gives a straight line. 0 if there is too little to see.
    """
    limit = image.side / 2
    squares, levels = [], []
    for place, level in enumerate(image.spectrum):
        frequency = MIN_CYCLES * 2 ** ((place + 0.5) / BINS_PER_OCTAVE) / limit
        if 0.2 < frequency < 0.8:
            squares.append(frequency**2)
            levels.append(level / 10)
    return linear_regression(squares, levels).slope if len(squares) > 2 else 0.0


def full_detail(images: Sequence[ImageTraits]) -> list[int]:
    """Spectrum of the picture with all its detail: the highest of its clean copies, 0 at least."""
    clean = [image for image in images if not image.palette]
    clean = [image for image in clean if image.grain_levels <= RULES.max_clean_grain]
    spectra = [image.spectrum for image in clean or images]
    return [max(0, *levels) for levels in zip_longest(*spectra, fillvalue=0)]


def side_with_detail(image: ImageTraits, full: Sequence[int]) -> float:
    """Pixels of the longer side that hold detail: their part of the spectrum has not fallen."""
    shown = total = 0.0
    for place, level in enumerate(image.spectrum):
        cycles = 2 ** (place / BINS_PER_OCTAVE)
        below = (full[place] if place < len(full) else 0) - level
        total += cycles
        shown += cycles * min(1.0, 10 ** ((RULES.fallen_db - below / 10) / 20))
    return image.side * (shown / total if total else 1.0)


def detail_losses(images: Sequence[ImageTraits]) -> list[float]:
    """An enlargement has no more detail than its source."""
    full = full_detail(images)
    own = [side_with_detail(image, full) for image in images]
    real = list(own)
    sources = places_to_compare(images)
    for place, large in enumerate(images):
        for source in sources:
            if is_upscale(large, images[source]):
                real[place] = min(real[place], RULES.upscale_share * own[source])
    return [RULES.detail * log2(max(real) / side) for side in real]


# Compression


def visible_steps(image: ImageTraits) -> float:
    """Steps of the worst JPEG that the image itself shows."""
    return max(image.jpeg_steps, image.past_steps)


def spectrum_gap(spectrum: Sequence[int], other: Sequence[int]) -> float:
    """Mean difference of two spectra in dB, where both have fine detail."""
    fine = zip(spectrum[FIRST_SHARP_BIN:-2], other[FIRST_SHARP_BIN:-2], strict=False)
    gaps = [abs(a - b) for a, b in fine]
    return sum(gaps) / len(gaps) / 10 if gaps else 0.0


def tone_gap(tones: Sequence[float], other: Sequence[float]) -> float:
    """Mean difference in levels."""
    return sum(abs(a - b) for a, b in zip(tones, other, strict=True)) / len(tones)


def is_edited(image: ImageTraits, other: ImageTraits) -> bool:
    """Say whether more than saving again lies between two copies of one size."""
    return (
        tone_gap(image.tones, other.tones) > RULES.edited_tone
        or spectrum_gap(image.spectrum, other.spectrum) > RULES.edited_db
    )


def share_blocks(image: ImageTraits, other: ImageTraits) -> bool:
    """Say whether the image shows the blocks of the other's JPEG, with nothing against it.

    A mere re-save would still show the steps themselves.
    """
    steps = visible_steps(other)
    if steps <= RULES.min_shared_steps or other.block_edges <= RULES.min_block_edges:
        return False
    if image.block_edges <= RULES.shared_blocks * other.block_edges:
        return False
    stays_visible = steps > RULES.visible_ratio * image.jpeg_steps and not image.unseen_loss
    return not stays_visible or is_edited(image, other)


def steps_from_copy(image: ImageTraits, other: ImageTraits) -> float:
    """Steps that the image must have gone through because the other did."""
    if image.pixel_digest == other.pixel_digest:
        return visible_steps(other)
    if abs(image.side / other.side - 1) < RULES.same_size:
        return visible_steps(other) if share_blocks(image, other) else 0.0
    if image.side > other.side:
        return visible_steps(other) if is_upscale(image, other) else 0.0
    return 0.0 if is_upscale(other, image) else min(RULES.resized_steps, visible_steps(other))


def past_steps(images: Sequence[ImageTraits]) -> list[float]:
    """Steps of the worst JPEG in the past of each, seen or inherited."""
    others = [images[place] for place in places_to_compare(images)]
    worst = []
    for image in images:
        inherited = [steps_from_copy(image, other) for other in others]
        worst.append(max([visible_steps(image), *inherited]))
    return worst


def compression_losses(images: Sequence[ImageTraits]) -> list[float]:
    unseen = [RULES.unseen_steps * image.unseen_loss for image in images]
    worst = map(max, past_steps(images), unseen)
    return [RULES.compression * log2(1 + 4 * steps) for steps in worst]


def second_save_losses(images: Sequence[ImageTraits]) -> list[float]:
    """A past that the file's own table does not explain: it was saved again."""
    pasts = zip(images, past_steps(images), strict=True)
    return [
        RULES.resaved * (past > RULES.resaved_ratio * image.jpeg_steps + 0.03)
        for image, past in pasts
    ]


# Colour, grain, and what most copies look like


def colour_losses(images: Sequence[ImageTraits]) -> list[float]:
    levels = [image.colour_levels + RULES.colour_floor for image in images]
    halvings = [log2(max(levels) / each) - 1 for each in levels]
    return [RULES.colour * min(RULES.max_colour_halvings, max(0.0, each)) for each in halvings]


def palette_losses(images: Sequence[ImageTraits]) -> list[float]:
    return [RULES.palette * image.palette for image in images]


def notes_losses(images: Sequence[ImageTraits]) -> list[float]:
    """A camera's notes are lost on the way, and never gained."""
    return [RULES.notes * (not image.taken) for image in images]


def grain_losses(images: Sequence[ImageTraits]) -> list[float]:
    """Enlarging smooths grain: an enlargement counts as grainy as its source."""
    losses = []
    others = [images[place] for place in places_to_compare(images)]
    for image in images:
        sources = [other.grain_levels for other in others if is_upscale(image, other)]
        levels = max([image.grain_levels, *sources])
        losses.append(RULES.grain * log2(max(1.0, levels / RULES.free_grain)))
    return losses


def oddity_losses(images: Sequence[ImageTraits]) -> list[float]:
    """How far each lies from the middle of its set in tones and sharpness: an edit is its own.

    Of two nobody can say which is odd.
    """
    if len(images) < 3:
        return [0.0] * len(images)
    tones = [median(each) for each in zip(*(image.tones for image in images), strict=True)]
    spectra = sorted((image.spectrum for image in images), key=len, reverse=True)
    shared = len(spectra[2])  # bins that three have
    middle = [round(median(s[place] for s in spectra if place < len(s))) for place in range(shared)]
    losses = []
    for image in images:
        tone = log2(1 + tone_gap(image.tones, tones) / RULES.odd_tone)
        sharpness = log2(1 + spectrum_gap(image.spectrum, middle) / RULES.odd_db)
        losses.append(min(RULES.max_oddity, 0.3 * tone + 0.4 * sharpness))
    return losses


IMAGE_TERMS: dict[str, Callable[[Sequence[ImageTraits]], list[float]]] = {
    "detail": detail_losses,
    "compression": compression_losses,
    "resaved": second_save_losses,
    "colour": colour_losses,
    "palette": palette_losses,
    "grain": grain_losses,
    "notes": notes_losses,
    "oddity": oddity_losses,
}


SET_TERMS = ("oddity",)  # depend on how many copies look alike


def image_losses(images: Sequence[ImageTraits]) -> list[dict[str, float]]:
    """Return the losses of each image by term. Images with equal traits are looked at once."""
    distinct = list(dict.fromkeys(images))
    places = {traits: place for place, traits in enumerate(distinct)}
    by_image: list[dict[str, float]] = [{} for _ in images]
    for term, losses_of in IMAGE_TERMS.items():
        if term in SET_TERMS:
            values = losses_of(images)
        else:
            of_distinct = losses_of(distinct)
            values = [of_distinct[places[traits]] for traits in images]
        for losses, value in zip(by_image, values, strict=True):
            losses[term] = value
    return by_image


# What one picture shows beside another


def has_frame(outer: ImageTraits, area: float) -> bool:
    """Say whether a blank rim is all that a picture shows more, by `area` of PairTraits."""
    extra = (1 - 2 ** (-area / 2)) / 2  # share of a side, on each of the four
    return outer.rim_share > RULES.rim_fits * extra


def same_rim(one: ImageTraits, other: ImageTraits) -> bool:
    """Say whether both have a blank rim of one tone: then more or less of it is no loss."""
    return (
        min(one.rim_share, other.rim_share) > 0
        and abs(one.rim_level - other.rim_level) < RULES.rim_levels
    )


def pair_losses(
    hub: ImageTraits, image: ImageTraits, pair: PairTraits
) -> tuple[dict[str, float], dict[str, float]]:
    """Losses of the hub, and of an image beside it, which is first in `pair`. "cut" may be < 0."""
    if abs(pair.area) < RULES.min_area:
        marks = [{"mark": RULES.mark * (pair.mark == sign)} for sign in (-1, 1)]
        mosaics = [{"mosaic": RULES.mosaic * (pair.mosaic == sign)} for sign in (-1, 1)]
        return marks[0] | mosaics[0], marks[1] | mosaics[1]
    outer = image if pair.area > 0 else hub
    if not has_frame(outer, abs(pair.area)):
        return {}, {"cut": -RULES.cut * pair.area}
    frame = {} if same_rim(hub, image) else {"frame": RULES.frame}
    return ({}, frame) if outer is image else (frame, {})
