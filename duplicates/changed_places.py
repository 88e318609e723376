"""Where two images differ at full detail: places with more left than a copy leaves, in boxes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from duplicates.confirmation_limits import ConfirmationLimits
from duplicates.residuals import CONTRAST_FLOOR_LEVELS, Array, Layer

Box = tuple[float, float, float, float]  # left, top, right, bottom in shares of width and height

MIN_RING_PIXELS = 8  # around changed places, to which they are compared


def find_changes(
    layers: list[Layer], limits: ConfirmationLimits, few_colours: bool
) -> tuple[float, tuple[Box, ...], float]:
    """Return the greatest strength, the boxes of all places with other content, and `exchanged`.

    Below 1 that strength is only what none exceeds. `exchanged` is 0 if only one image shows
    something in the boxes, 0.7 if each shows as much.
    """
    height, width = layers[0].valid.shape
    changed_anywhere = np.zeros((height, width), np.float32)
    greatest, sums, own = 0.0, np.zeros(5), np.zeros(2)
    for layer in layers:
        allowed = limits.palette_factor if few_colours else 1.0
        peak = float(layer.greatest_strength(limits) / allowed)
        if peak < 1:  # mostly: then what else the layer knows need not be computed
            greatest = max(greatest, peak)
            continue
        strength = layer.strength(limits) / allowed
        peak = float(strength.max())
        greatest = max(greatest, peak)
        if peak < 1:
            continue
        grown = cv2.resize(strength, (width, height), interpolation=cv2.INTER_LINEAR)
        changed_anywhere = np.maximum(changed_anywhere, grown)
        changed = strength >= 1
        x, y = layer.source[changed], layer.target[changed]
        apart = x - y
        products = apart * apart, x * x, y * y, apart * x, -apart * y
        sums += [each.sum() for each in products]
        only_source = np.abs(x) > 3 * np.abs(y)
        only_target = np.abs(y) > 3 * np.abs(x)
        own += [(apart[only] ** 4).sum() for only in (only_source, only_target)]
    if greatest < 1:
        return greatest, (), 0.0
    return greatest, _boxes(changed_anywhere), _exchange_strength(sums, own)


def _boxes(strongest: Array) -> tuple[Box, ...]:
    """The places from strength 1 on, with what touches them; strongest first."""
    height, width = strongest.shape
    near = cv2.dilate((strongest >= 1).astype(np.uint8), np.ones((9, 9), np.uint8))
    _, _, stats, _ = cv2.connectedComponentsWithStats(near)
    boxes = []
    for x, y, w, h, _ in stats[1:].tolist():
        peak = float(strongest[y : y + h, x : x + w].max())
        boxes.append((-peak, (x / width, y / height, (x + w) / width, (y + h) / height)))
    return tuple(box for _, box in sorted(boxes))


@dataclass(frozen=True)
class Ground:
    """What the plainer of two images shows in the rectangle around all boxes."""

    ratio: float  # its contrast there, to that beside: about 1 if it shows there what is around
    bareness: float  # its contrast there and beside, to that of the other one there: 0 if bare


NO_GROUND = Ground(0.0, 0.0)


def measure_ground(layers: list[Layer], boxes: tuple[Box, ...]) -> Ground:
    """Measure the plainer image where the other one may have something of its own."""
    finest = layers[0]
    height, width = finest.source.shape
    left, top, right, bottom = bounding_box(boxes)
    x0, y0 = int(left * width), int(top * height)
    x1, y1 = max(x0 + 1, round(right * width)), max(y0 + 1, round(bottom * height))
    margin = max(MIN_RING_PIXELS, min(x1 - x0, y1 - y0) // 2)
    ring = np.zeros((height, width), bool)
    ring[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = True
    ring[y0:y1, x0:x1] = False
    contrasts = []
    for detail in (finest.source, finest.target):
        inside = float(np.sqrt((detail[y0:y1, x0:x1] ** 2).mean()))
        beside = float(np.sqrt((detail[ring] ** 2).mean())) if ring.any() else 0.0
        contrasts.append((inside, beside))
    ratio = min(inside / (beside + CONTRAST_FLOOR_LEVELS) for inside, beside in contrasts)
    plainer, marked = sorted(contrasts)
    return Ground(ratio, max(plainer) / (marked[0] + CONTRAST_FLOOR_LEVELS))


def bounding_box(boxes: tuple[Box, ...]) -> Box:
    """The rectangle around all boxes."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _exchange_strength(sums: Array, own: Array) -> float:
    """How much each image shows of its own, from sums of squares and products of the changes."""
    correlations = sums[3:] / np.sqrt((sums[0] + 1) * (sums[1:3] + 1))
    share_of_less = own.min() / (own.sum() + 1)
    return float(np.clip(correlations.min(), 0, 3 * share_of_less))
