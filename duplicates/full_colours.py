"""How the colours of two registered images relate: light, tone, or another product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from duplicates.confirmation_limits import ConfirmationLimits
from duplicates.full_tones import BURNT_LEVEL, DARK_LEVEL, LUMA, greatest_of_three, mean_cells

Array = np.ndarray[Any, np.dtype[Any]]

GREY_SIDE = 64  # pixels a side at which that is measured
GREY_LEVELS = 6.0  # root mean square from grey below which an image has no colours
MIN_TWO_TONES_SHARE = 0.97  # of an image: icons have 0.99 or more, 13 of 21 drawn wallpapers less
TONES = 64  # of luminance; two neighbours count as one tone
TONE_SAMPLES = 500  # cells on which changes of tone are tried
TONE_STEPS = tuple(1.03**step for step in range(-18, 19))  # gains, powers and factors 0.59 to 1.70


@dataclass(frozen=True)
class Colours:
    """How the colours of two registered images relate, before they are matched."""

    is_graphic: bool
    p95_levels: float  # by which 95 % of the cells differ at most
    hue_degrees: float  # by which half of the clear colours differ at least
    cosine: float  # of the colours around grey; 1 if one image has none
    one_is_grey: bool  # and the other is not
    tone_miss: float  # levels that the best change of one tone leaves; 0 if it was not asked for
    balance_miss: float  # levels that one gain per channel leaves
    gain_spread: float  # largest to smallest of these gains
    is_two_toned: bool = False  # one of them is a shape of one tone on its ground


def compare_colours(
    source: Array, target: Array, valid: Array, limits: ConfirmationLimits
) -> Colours:
    """How the colours of two registered images relate, from the means of cells."""
    x, y, inside = mean_cells(source, target, valid)
    x, y = x[inside], y[inside]
    graphic = is_graphic(source, limits) or is_graphic(target, limits)
    if not len(x):
        return Colours(graphic, 0.0, 0.0, 1.0, False, 0.0, 0.0, 1.0)
    two_toned = graphic and (is_two_toned(source) or is_two_toned(target))
    gains = _channel_gains(x, y)
    p95_levels = p95_miss(x, y)
    tone_miss = 0.0
    if graphic and p95_levels > limits.max_same_colour_levels:
        few = max(1, len(x) // TONE_SAMPLES)
        tone_miss = min(
            _tone_change_miss(x[::few], y[::few]), _tone_change_miss(y[::few], x[::few])
        )
    return Colours(
        is_graphic=graphic,
        p95_levels=p95_levels,
        hue_degrees=_median_hue_turn(x, y, limits),
        cosine=_chroma_cosine(x, y),
        one_is_grey=_is_grey(x) != _is_grey(y),
        tone_miss=tone_miss,
        balance_miss=p95_miss((x * gains).clip(0, 255), y),
        gain_spread=float(gains.max() / gains.min()),
        is_two_toned=two_toned,
    )


def is_other_render(colours: Colours, limits: ConfirmationLimits) -> bool:
    """A drawing in other colours. One gain per channel would explain any colour of a single shape,
    so only changes of tone are allowed, and where these do not fit a hue that stays."""
    if colours.hue_degrees > limits.max_hue_degrees:
        return True
    if colours.tone_miss <= limits.max_tone_miss_levels:
        return False
    turned = colours.hue_degrees > limits.max_graphic_hue_degrees
    if colours.one_is_grey or turned or _has_other_chroma(colours, limits):
        return True
    return colours.p95_levels > limits.max_graphic_levels


def is_white_balance(colours: Colours, limits: ConfirmationLimits) -> bool:
    """One gain per channel explains the colours."""
    changed = colours.p95_levels > limits.max_same_colour_levels
    explains = colours.balance_miss <= limits.max_tone_miss_levels
    return changed and explains and colours.gain_spread <= limits.max_gain_spread


def has_other_colours(colours: Colours, limits: ConfirmationLimits) -> bool:
    """Whether the colours changed in a way that no light or tone explains."""
    if colours.is_graphic:
        return is_other_render(colours, limits)
    turned = colours.hue_degrees > limits.max_hue_degrees
    changed = turned or _has_other_chroma(colours, limits)
    return changed and not is_white_balance(colours, limits)


def _has_other_chroma(colours: Colours, limits: ConfirmationLimits) -> bool:
    """Whether the colours lie in another direction from grey, and far apart."""
    is_far = colours.p95_levels >= limits.min_recoloured_levels
    return is_far and colours.cosine < limits.min_same_colour_cosine


def is_graphic(image: Array, limits: ConfirmationLimits) -> bool:
    """Whether one tone covers so much of an image that it is drawn, not taken."""
    return float(_tone_shares(image).max()) >= limits.min_graphic_tone_share


def is_two_toned(image: Array) -> bool:
    """Whether two tones cover nearly all of an image, as a shape and its ground do."""
    shares = _tone_shares(image)
    first = int(shares.argmax())
    apart = np.abs(np.arange(len(shares)) - first) > 1
    return float(shares[first] + shares[apart].max()) >= MIN_TWO_TONES_SHARE


def _tone_shares(image: Array) -> Array:
    """Return the share of pixels of each two neighbouring tones of a uint8 RGB image; (63,)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    counts = cv2.calcHist([grey.astype(np.uint8)], [0], None, [TONES], [0, 256]).ravel()
    shares: Array = (counts[1:] + counts[:-1]) / grey.size
    return shares


def is_grey(image: Array) -> bool:
    """Whether a uint8 RGB image has no colours to speak of."""
    small = cv2.resize(image, (GREY_SIDE, GREY_SIDE), interpolation=cv2.INTER_AREA)
    return _is_grey(small.reshape(-1, 3).astype(np.float32))


def part_with_drawing(image: Array, limits: ConfirmationLimits) -> tuple[slice, slice]:
    """The rows and columns of all that is not of the most frequent tone; at least one pixel."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.int16)
    ground = int(np.bincount(grey.ravel(), minlength=256).argmax())
    shown: Array = np.abs(grey - ground) > limits.max_icon_pixel_levels
    return _extent(np.asarray(shown.any(1))), _extent(np.asarray(shown.any(0)))


def _extent(shown: Array) -> slice:
    positions = np.flatnonzero(shown)
    return slice(int(positions[0]), int(positions[-1]) + 1) if len(positions) else slice(0, 1)


def p95_miss(x: Array, y: Array) -> float:
    return float(np.percentile(greatest_of_three(np.abs(x - y)), 95))


def _median_hue_turn(x: Array, y: Array, limits: ConfirmationLimits) -> float:
    """Degrees by which half of all clear colours differ at least; 0 if there are few."""
    both = np.stack([x, y])
    clear = ((both > DARK_LEVEL) & (both < BURNT_LEVEL)).all((0, 2))
    chroma = both - (both @ LUMA)[..., None]
    lengths = np.linalg.norm(chroma, axis=2)
    clear &= lengths.min(0) >= limits.min_hue_saturation_levels
    if clear.sum() < max(4, len(x) // 100):
        return 0.0
    cosines = (chroma[0] * chroma[1]).sum(1)[clear] / lengths.prod(0)[clear]
    return float(np.degrees(np.arccos(np.clip(np.median(cosines), -1, 1))))


def _chroma_cosine(x: Array, y: Array) -> float:
    """Cosine of the colours around grey; 1 if one image has none to speak of."""
    if _is_grey(x) or _is_grey(y):
        return 1.0
    x, y = _chroma(x), _chroma(y)
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def _is_grey(colours: Array) -> bool:
    return float((_chroma(colours) ** 2).sum()) < GREY_LEVELS**2 * len(colours)


def _chroma(colours: Array) -> Array:
    return colours - (colours @ LUMA)[:, None]


def _channel_gains(x: Array, y: Array) -> Array:
    """One gain per channel from x to y, from cells that are burnt or dark in neither; (3,)."""
    clear = ((x > DARK_LEVEL) & (x < BURNT_LEVEL) & (y > DARK_LEVEL) & (y < BURNT_LEVEL)).all(1)
    if clear.sum() < 4:
        return np.ones(3, np.float32)
    ratios = y[clear] / x[clear]
    return np.median(ratios, axis=0)


def _tone_change_miss(x: Array, y: Array) -> float:
    """Levels that the best change of one kind leaves: brightness, gamma, contrast or saturation."""
    grey = (x @ LUMA)[:, None]
    mean = float(grey.mean())
    share = x / 255
    least = 255.0
    for step in TONE_STEPS:
        changes = (x * step, 255 * share**step, mean + (x - mean) * step, grey + (x - grey) * step)
        least = min(least, *(p95_miss(each.clip(0, 255), y) for each in changes))
    return min(least, p95_miss(np.repeat(grey, 3, axis=1), y))
