"""Second looks: confirm at full detail the pairs that the first look takes for copies.

Each image of a set is decoded once for all its pairs. The pairs of a set are confirmed against its
largest image; what follows from that needs no look of its own. Run by processes.
"""

from __future__ import annotations

import filecmp
import functools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from duplicates import copy_sets, geometry
from duplicates.confirmation import Confirmation, confirm_images
from duplicates.copy_sets import CandidateSet, Positions
from duplicates.full_colours import is_grey
from duplicates.full_images import FullImage, read_full_image
from duplicates.geometry import Affine
from duplicates.one_thread import limit_to_one_thread
from duplicates.thumbnails import SmallImage
from imaging import images

DECODED_IMAGES = 32  # kept of one set: 100 MB, or 300 if they are animated


def confirm_sets(
    sets: Sequence[CandidateSet], max_pixels: int
) -> list[dict[Positions, Confirmation]]:
    """Confirm the pairs of each set; those whose images cannot be read any more are left out.

    Runs in one thread: more are slower, and round differently.
    """
    import cv2

    cv2.setNumThreads(1)
    with limit_to_one_thread():
        return [_confirm_set(candidates, max_pixels) for candidates in sets]


def confirm_files(one: str, other: str, affine: Affine, max_pixels: int) -> Confirmation | None:
    """Confirm one pair of files; None if one cannot be read."""
    answers = confirm_sets([CandidateSet([one, other], {(0, 1): affine})], max_pixels)
    return answers[0].get((0, 1))


def _confirm_set(candidates: CandidateSet, max_pixels: int) -> dict[Positions, Confirmation]:
    @functools.lru_cache(maxsize=DECODED_IMAGES)
    def read(position: int) -> FullImage | None:
        return _read_if_readable(candidates.paths[position], max_pixels)

    answers: dict[Positions, Confirmation] = {}
    open_pairs = dict(candidates.pairs)
    while open_pairs:
        keeper = min(map(min, open_pairs))
        with_keeper = [pair for pair in open_pairs if keeper in pair]
        of_members: dict[int, Confirmation] = {}

        def keeps(pair: Positions, keeper: int = keeper) -> bool:
            return keeps_colours(_is_grey(read(keeper)), (_is_grey(read(one)) for one in pair))

        for pair in with_keeper:
            said = _confirm_pair(candidates.paths, pair, open_pairs.pop(pair), read)
            if said:
                answers[pair] = of_members[sum(pair) - keeper] = said
        for pair in list(open_pairs):
            inherited = copy_sets.inherit(pair, of_members)
            if inherited and (not inherited.is_copy or keeps(pair)):
                answers[pair] = inherited
                del open_pairs[pair]
    return answers


def _read_if_readable(path: str, max_pixels: int) -> FullImage | None:
    try:
        return read_full_image(path, max_pixels)
    except images.Unreadable:  # it was readable at the first look
        return None


def _confirm_pair(
    paths: Sequence[str],
    pair: Positions,
    affine: Affine,
    read: Callable[[int], FullImage | None],
) -> Confirmation | None:
    """Lay the smaller file on the larger, so that the answer does not depend on the names."""
    one, other = pair
    try:
        if filecmp.cmp(paths[one], paths[other], shallow=False):
            return Confirmation(True, "same_bytes")
        if os.path.getsize(paths[one]) > os.path.getsize(paths[other]):
            one, other, affine = other, one, geometry.inverse(affine)
    except OSError:
        return None
    source, target = read(one), read(other)
    if source is None or target is None:
        return None
    return confirm_images(source, target, affine)


class GreyImages:
    """Tells which small images are grey, each looked at once."""

    def __init__(self, images: Mapping[str, SmallImage]) -> None:
        self._images = images
        self._is_grey: dict[str, bool] = {}

    def keeps_colours(self, centre: str, pair: tuple[str, str]) -> bool:
        return keeps_colours(self.is_grey(centre), map(self.is_grey, pair))

    def is_grey(self, name: str) -> bool:
        if name not in self._is_grey:
            self._is_grey[name] = is_grey(self._images[name].raster.pixels)
        return self._is_grey[name]


def keeps_colours(centre_is_grey: bool, members_are_grey: Iterable[bool]) -> bool:
    """Whether an image can say that two others have the same colours: if it has any.

    Two colourings of an image are each a copy of the grey one.
    """
    return not centre_is_grey or all(members_are_grey)


def _is_grey(image: FullImage | None) -> bool:
    return image is not None and is_grey(image.frames[0].on_white)
