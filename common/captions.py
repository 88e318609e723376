"""Which files of a topic belong together: images of one stem, their captions and other sidecars.

Goes by names alone. Names that differ only by case or Unicode form count as the same, because on
some file systems they are.
"""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from common.image_formats import CAPTION_SUFFIXES
from common.topics import Topic

# Of images that kohya sd-scripts read, as of 2026; they skip others, and other spellings.
LOWER_TRAINER_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
TRAINER_SUFFIXES = LOWER_TRAINER_SUFFIXES + tuple(map(str.upper, LOWER_TRAINER_SUFFIXES))
MAX_CAPTION_BYTES = 1_000_000  # a larger file is no caption
MAX_BLANK_BYTES = 1 << 16  # of white space, from which a caption counts as empty

_ignored_links: set[str] = set()


@dataclass(frozen=True, slots=True)
class StemGroup:
    """The images of one topic that share a stem, and their sidecars."""

    stem: str
    images: list[str]  # names
    sidecars: list[str]  # what follows the stem in their names: ".txt", ".jpg.json"


def group_by_stem(
    images: Collection[str], others: Iterable[str]
) -> tuple[list[StemGroup], list[str]]:
    """Group a topic's files by stem, in the order of the images.

    Returns the groups, and those of the `others` that belong to no image. Images whose names differ
    only by case cannot stay together: they get groups of their own, with the same sidecars.
    """
    groups_by_stem: dict[str, list[StemGroup]] = {}
    for name in images:
        stem = stem_of(name)
        groups = groups_by_stem.setdefault(stem, [])
        group = _group_without(name, groups)
        if group is None:
            group = StemGroup(stem, [], groups[0].sidecars if groups else [])
            groups.append(group)
        group.images.append(name)
    unmatched = []
    for name in others:
        image_stem = _image_stem_of(name, groups_by_stem, images)
        if image_stem is None:
            unmatched.append(name)
        else:
            groups_by_stem[image_stem][0].sidecars.append(name[len(image_stem) :])
    return [group for groups in groups_by_stem.values() for group in groups], unmatched


def _group_without(name: str, groups: Iterable[StemGroup]) -> StemGroup | None:
    """Return the first group that has no image of that name, whatever its case."""
    folded = casefold_nfc(name)
    for group in groups:
        if folded not in map(casefold_nfc, group.images):
            return group
    return None


def _image_stem_of(name: str, stems: Collection[str], images: Collection[str]) -> str | None:
    """Return the stem of the image that a file belongs to.

    With an image a.jpg it is `a` for a.txt, a.caption.txt and a.jpg.json.
    """
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
    """Return the same text for names that some file systems take for the same."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name.casefold())


def match_captions(
    topic: Topic, images: Iterable[str], with_foreign_links: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Match images of the topic with their captions, both by name.

    Returns caption by image, and the captions that belong to no image. The most specific name wins:
    `photo.jpg.txt`, then `photo.txt`, then `photo.caption`. Links that is_foreign_link refuses are
    no captions; `with_foreign_links` is for callers that name them and do not read them.
    """
    groups, unmatched = group_by_stem(list(images), _list_captions(topic))
    if not with_foreign_links:
        drop_foreign_links(topic, groups)
    captions = {}
    for group in groups:
        if not group.sidecars:
            continue
        by_lower_ending = {}
        for suffix in group.sidecars:
            name = group.stem + suffix
            stem, ending = os.path.splitext(name)
            by_lower_ending[stem + ending.lower()] = name
        for image in group.images:
            for wanted in _caption_names(image, group.stem):
                if wanted in by_lower_ending:
                    captions[image] = by_lower_ending[wanted]
                    break
    return captions, unmatched


def drop_foreign_links(topic: Topic, groups: Iterable[StemGroup]) -> list[str]:
    """Remove sidecars that are links to files that do not belong to the dataset.

    Such a link may lead to any file of the machine. It is followed only to a regular file below a
    given folder, or in the folder of the real file of its image. Returns the names, sorted.
    """
    dropped = set()
    for group in groups:
        for suffix in list(group.sidecars):
            if is_foreign_link(topic, group.stem + suffix, group.images):
                group.sidecars.remove(suffix)
                dropped.add(group.stem + suffix)
    _ignored_links.update(map(topic.path_of, dropped))
    return sorted(dropped)


def is_foreign_link(topic: Topic, name: str, images: Iterable[str]) -> bool:
    """Tell whether a sidecar of these images is a link to what does not belong to the dataset."""
    path = topic.path_of(name)
    if not os.path.islink(path):
        return False
    real_path = os.path.realpath(path)
    if not os.path.isfile(real_path):
        return True
    given_folders = topic.given_folders or (os.path.realpath(topic.dataset_path),)
    if any(real_path.startswith(os.path.join(folder, "")) for folder in given_folders):
        return False
    image_folders = {os.path.dirname(os.path.realpath(topic.path_of(image))) for image in images}
    return os.path.dirname(real_path) not in image_folders


def count_ignored_links() -> int:
    """Return how many links were no captions or sidecars, since the last call."""
    count = len(_ignored_links)
    _ignored_links.clear()
    return count


def _list_captions(topic: Topic) -> list[str]:
    captions = []
    for name in sorted(topic.entry_names()):
        is_caption_name = name.lower().endswith(CAPTION_SUFFIXES) and not name.startswith(".")
        if is_caption_name and os.path.isfile(topic.path_of(name)):
            captions.append(name)
    return captions


def caption_among(image: str, names: Iterable[str]) -> str:
    """Return the caption of an image among the names in its folder; empty if there is none."""
    by_lower_ending = {}
    for name in names:
        stem, ending = os.path.splitext(name)
        if ending.lower() in CAPTION_SUFFIXES:
            by_lower_ending[stem + ending.lower()] = name
    for wanted in _caption_names(image, stem_of(image)):
        if wanted in by_lower_ending:
            return by_lower_ending[wanted]
    return ""


def _caption_names(image: str, stem: str) -> list[str]:
    """List what an image's caption may be called, the most specific name first."""
    names = [image + suffix for suffix in CAPTION_SUFFIXES]
    return names + [stem + suffix for suffix in CAPTION_SUFFIXES]


def is_read_by_trainers(image: str) -> bool:
    return image.endswith(TRAINER_SUFFIXES)


def decode_caption(content: bytes) -> str | None:
    """Return the text of a caption, without byte order mark, its lines ended by newlines.

    UTF-16 is read if a mark says so. None if the text is neither that nor UTF-8.
    """
    has_utf16_mark = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if has_utf16_mark else "utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_caption(path: str, max_bytes: int = -1) -> bytes:
    """Read a caption, or its first `max_bytes`. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe in its place never blocks
    with open(descriptor, "rb") as file:
        return file.read(max_bytes)


def has_text(path: str) -> bool:
    """Tell whether a caption can be read, and is more than white space."""
    try:
        return bool(read_caption(path, MAX_BLANK_BYTES).strip())
    except OSError:
        return False
