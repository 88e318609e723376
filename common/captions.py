"""Which files of a topic belong together: images of one stem, and the captions and other sidecars that go with them.

Knows files by name alone. Names that differ only by case or Unicode form count as the same, because on some file
systems they are.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from common.topics import Topic

CAPTION_SUFFIXES = (".txt", ".caption")  # of captions; where an image has both, the first counts


@dataclass(frozen=True, slots=True)
class StemGroup:
    """The images of one topic that share a stem, and the sidecars that go with them: `photo` + `.txt`, `.jpg.json`."""

    stem: str
    images: list[str]  # names
    sidecars: list[str]  # what follows the stem in their names


def group_by_stem(
    images: Collection[str], others: Iterable[str]
) -> tuple[list[StemGroup], list[str]]:
    """A topic's files, grouped by stem in the order of the images, and those that go with no image.

    Images whose names differ only by case cannot stay together: they make groups of their own, with the same sidecars.
    """
    found: dict[str, list[StemGroup]] = {}
    for name in images:
        stem = stem_of(name)
        alike = found.setdefault(stem, [])
        fitting = (
            group for group in alike if casefold_nfc(name) not in map(casefold_nfc, group.images)
        )
        group = next(fitting, None)
        if group is None:
            group = StemGroup(stem, [], alike[0].sidecars if alike else [])
            alike.append(group)
        group.images.append(name)
    alone = []
    for name in others:
        owner = _image_stem_of(name, found, images)
        if owner is None:
            alone.append(name)
        else:
            found[owner][0].sidecars.append(name[len(owner) :])
    return [group for alike in found.values() for group in alike], alone


def _image_stem_of(name: str, stems: Collection[str], images: Collection[str]) -> str | None:
    """The stem that the file belongs to: `a` for a.txt, a.caption.txt and a.jpg.json, where a.jpg is an image."""
    stem = name
    while (shorter := stem_of(stem)) != stem:
        stem = shorter
        if stem in stems:
            return stem
        if stem in images:
            return stem_of(stem)
    return None


def stem_of(name: str) -> str:
    return os.path.splitext(name)[0]


def casefold_nfc(name: str) -> str:
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def match_captions(topic: Topic, images: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """By image of the topic the name of its caption, where it has one; and the captions that go with no image.

    Of several forms the more specific wins: `photo.jpg.txt`, then `photo.txt`, then `photo.caption`.
    """
    listed = sorted(
        name
        for name in topic.entry_names()
        if name.lower().endswith(CAPTION_SUFFIXES) and not name.startswith(".")
    )
    found, alone = group_by_stem(
        list(images), [name for name in listed if os.path.isfile(topic.path_of(name))]
    )
    captions = {}
    for group in found:
        there = {}
        for name in (group.stem + suffix for suffix in group.sidecars):
            stem, ending = os.path.splitext(name)
            there[stem + ending.lower()] = name
        for name in group.images if there else ():
            forms = (stem + ending for stem in (name, group.stem) for ending in CAPTION_SUFFIXES)
            if form := next(filter(there.__contains__, forms), ""):
                captions[name] = there[form]
    return captions, alone


def read_caption(path: str, most: int = -1) -> bytes:
    """A caption, or its first `most` bytes. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(most)
