"""Which matches of an image in other topics of its dataset a merge acts on (`--drop-across`)."""

from __future__ import annotations

from collections.abc import Collection

from common.json_files import COPY, CROPPED
from keeping.across_file import Across
from keeping.directions import Directions


def matches_to_drop(
    across: Across, path: str, drop_variants: Collection[str], directions: Directions
) -> dict[str, str]:
    """Return the image's copies, and its variants of the kinds to drop, by path.

    `directions` are those of pairs across. Of two cropped images without one, it is not known
    whether either shows all of the other, so neither is dropped.
    """
    matches = {}
    for other, kind in across.matches_in_dataset(path).items():
        first, second = sorted((path, other))
        is_known = kind != CROPPED or (first, second) in directions
        if kind == COPY or (kind in drop_variants and is_known):
            matches[other] = kind
    return matches
