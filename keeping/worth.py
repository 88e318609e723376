"""What each copy of a picture lost, in halvings of pixels: 1 is as bad as half of them gone.

Works on the numbers that duplicates/originality.py measures, with the standard library alone.
keeping/copy_order.py makes an order of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2
from statistics import median

from keeping.copy_traits import ImageTraits, PairTraits
from keeping.enlargements import (
    FIRST_SHARP_BIN,
    full_detail,
    is_upscale,
    places_to_compare,
    side_with_detail,
)
from keeping.worth_rules import RULES

# Detail


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
