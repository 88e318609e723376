"""What a search says of two images in memory: the first look, then the one at full detail."""

from __future__ import annotations

import numpy as np
from PIL import Image

from duplicates import classification
from duplicates.classification import COPY, MAY_BE_COPY
from duplicates.confirmation import confirm
from duplicates.confirmation_limits import LIMITS, ConfirmationLimits
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.thumbnails import SmallImage, make_small_image


def to_small(image: Image.Image) -> SmallImage:
    return make_small_image(np.asarray(image.convert("RGB")), hints=True)


def kind_of_pair(
    one: Image.Image,
    other: Image.Image,
    variants: bool = False,
    limits: Thresholds = THRESHOLDS,
    full_limits: ConfirmationLimits = LIMITS,
) -> str:
    """Return "copy", a kind of variant, "doubtful" or ""."""
    small, other_small = to_small(one), to_small(other)
    decision = classification.decide_pair(small, other_small, variants, limits)
    if decision.verdict.kind != MAY_BE_COPY:
        return decision.verdict.kind
    assert decision.as_copy
    full = [np.asarray(image.convert("RGB")) for image in (one, other)]
    said = confirm(full[0], full[1], decision.as_copy.affine, limits=full_limits)
    if said.is_copy:
        return COPY
    if not variants:
        return ""
    decision = classification.decide_looked_again(small, other_small, said.least_kind)
    return decision.verdict.kind
