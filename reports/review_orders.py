"""How the bulk rules of the review page order a set, and what its filters ask of a set."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from common import atomic_files
from keeping import copy_order
from keeping.worth_rules import RULES
from reports import review_images
from reports.review_sets import ReviewData, ReviewSet

# What a bulk rule keeps of a set, and what it ranks images by, least first. Ties keep the order of
# the keeper rule.
SortKey = Callable[[dict[str, Any]], float | str]
BULK_RULES: dict[str, tuple[str, SortKey]] = {
    "detail": ("with most real detail", lambda photo: photo.get("detail_loss", 0.0)),
    "pixels": ("with most pixels", lambda photo: -photo["pixels"]),
    "bytes": ("with most bytes", lambda photo: -photo["bytes"]),
    "oldest": ("with the oldest date", lambda photo: photo["date"]),
    "newest": ("with the newest date", lambda photo: -photo["date"]),
    "first": ("first by path", lambda photo: photo["path"]),
    "caption": ("with a caption", lambda photo: not photo["caption"]),
}


def bulk_orders(each: ReviewSet, data: ReviewData) -> dict[str, list[str]]:
    """Return the images of a set, best first, for each bulk rule that ranks them differently.

    For a set across topics, the rules `in FOLDER` put the images of a folder first.
    """

    def rank_by(key: SortKey) -> list[str]:
        return sorted(each.images, key=lambda image: key(data.photos[image]))

    orders = {}
    if each.section == "across":
        for folder in sorted({data.photos[image]["place"] for image in each.images}):
            orders[f"in {folder}"] = rank_by(functools.partial(_is_elsewhere, folder))
    for rule, (_, key) in BULK_RULES.items():
        order = rank_by(key)
        if order != each.images:
            orders[rule] = order
    return orders


def _is_elsewhere(folder: str, photo: dict[str, Any]) -> bool:
    return bool(photo["place"] != folder)


def add_detail_facts(each: ReviewSet, data: ReviewData) -> None:
    """Say of each copy how much real detail it has, compared with the best of its set."""
    photos = [data.photos[image] for image in each.images if "detail_loss" in data.photos[image]]
    if each.section != "copies" or not photos:
        return
    least = min(photo["detail_loss"] for photo in photos)
    for photo in photos:
        share = 2 ** ((least - photo["detail_loss"]) / RULES.detail)
        photo["facts"][review_images.DETAIL_FACT] = f"real detail {100 * share:.0f} %"


def is_identical(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether all files of a set have the same bytes."""
    sizes = {data.photos[image]["bytes"] for image in each.images}
    if len(sizes) > 1:
        return False
    first = atomic_files.file_digest(each.images[0])
    others = (atomic_files.file_digest(image) for image in each.images[1:])
    return bool(first) and all(digest == first for digest in others)


def is_decided_by_name(each: ReviewSet) -> bool:
    """Return whether the two best images differ in nothing but their names."""
    best = set(each.images[:2])
    return any(
        {pair.first, pair.second} == best and pair.why in copy_order.NAME_TIES
        for pair in each.pairs
    )


def captions_differ(each: ReviewSet, data: ReviewData) -> bool:
    """Return whether two images of a set have captions that are not the same."""
    texts = {data.photos[image]["caption"] for image in each.images}
    return len(texts - {""}) > 1
