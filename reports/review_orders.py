"""How the bulk rules of the review page order a set, and what its filters ask of a set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from reports.review_sets import ReviewData, ReviewSet

# What a bulk rule keeps of a set, and how it ranks images: larger values first. Ties keep the order
# of the keeper rule.
BULK_RULES: dict[str, tuple[str, Callable[[dict[str, Any]], float]]] = {
    "pixels": ("with most pixels", lambda photo: photo["pixels"]),
    "bytes": ("with most bytes", lambda photo: photo["bytes"]),
    "oldest": ("with the oldest file", lambda photo: -int(photo["time"])),
    "caption": ("with a caption", lambda photo: bool(photo["caption"])),
}


def bulk_orders(each: ReviewSet, data: ReviewData) -> dict[str, list[str]]:
    """Return the images of a set, best first, for each bulk rule that ranks them differently."""
    orders = {}
    for rule, (_, value) in BULK_RULES.items():
        order = sorted(each.images, key=lambda image: -value(data.photos[image]))
        if order != each.images:
            orders[rule] = order
    return orders


def is_identical(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether all files of a set have the same bytes."""
    sizes = {data.photos[image]["bytes"] for image in each.images}
    if len(sizes) > 1:
        return False
    digests = set()
    for image in each.images:
        try:
            with open(image, "rb") as file:
                digests.add(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            return False
        if len(digests) > 1:
            return False
    return True


def is_decided_by_name(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether the two best images differ in nothing that the keeper rule weighs."""
    first, second = (data.photos[image] for image in each.images[:2])
    return bool(first["worth"] == second["worth"] and first["bytes"] == second["bytes"])


def captions_differ(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether two images of a set have captions that are not the same."""
    texts = {data.photos[image]["caption"] for image in each.images}
    return len(texts - {""}) > 1
