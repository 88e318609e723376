"""The captions of a topic's images: which files they are, and what is in them."""

from __future__ import annotations

import codecs
import contextlib
import os
from collections.abc import Collection, Iterable

from common import links
from common.image_formats import CAPTION_SUFFIXES
from common.topics import Topic
from sidecars.stem_groups import StemGroup, group_by_stem, stem_of

# Of images that kohya sd-scripts read, as of 2026; they skip others, and other spellings.
LOWER_TRAINER_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
TRAINER_SUFFIXES = LOWER_TRAINER_SUFFIXES + tuple(map(str.upper, LOWER_TRAINER_SUFFIXES))
MAX_CAPTION_BYTES = 1_000_000  # a larger file is no caption
MAX_BLANK_BYTES = 1 << 16  # of white space, from which a caption counts as empty


def match_captions(
    topic: Topic, images: Collection[str], with_foreign_links: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Match images of the topic with their captions, both by name.

    Returns caption by image, and the captions that belong to no image. The most specific name wins:
    `photo.jpg.txt`, then `photo.txt`, then `photo.caption`. Links that is_foreign_link refuses are
    no captions; `with_foreign_links` is for callers that name them and do not read them.
    """
    wanted = set(images)
    with_names_left_out = list(dict.fromkeys([*images, *topic.names_left_out()]))
    groups, unmatched = group_by_stem(with_names_left_out, _list_captions(topic))
    if not with_foreign_links:
        drop_foreign_links(topic, groups)
    captions = {}
    for group in groups:
        if not group.sidecars:
            continue
        by_lower_ending = {}
        for suffix in group.sidecars:
            stem, ending = os.path.splitext(group.stem + suffix)
            by_lower_ending[stem + ending.lower()] = group.sidecar_name(suffix)
        for image in filter(wanted.__contains__, group.images):
            for name in _caption_names(image, group.stem):
                if name in by_lower_ending:
                    captions[image] = by_lower_ending[name]
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
            name = group.sidecar_name(suffix)
            if is_foreign_link(topic, name, group.images):
                group.sidecars.remove(suffix)
                dropped.add(name)
    links.note_ignored(map(topic.path_of, dropped))
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


def find_undecodable(topic: Topic, images: Iterable[str]) -> list[str]:
    """Return the paths of captions that decode_caption cannot read. Looks at no links."""
    paths = []
    names = {name for name in topic.entry_names() if name.endswith(CAPTION_SUFFIXES)}
    for image in images if names else ():
        for name in filter(names.__contains__, _caption_names(image, stem_of(image))):
            path = topic.path_of(name)
            if os.path.islink(path):
                break
            with contextlib.suppress(OSError):
                if decode_caption(read_caption(path, MAX_CAPTION_BYTES)) is None:
                    paths.append(path)
                break
    return paths


def has_text(path: str) -> bool:
    """Tell whether a caption can be read, and is more than white space."""
    try:
        return bool(read_caption(path, MAX_BLANK_BYTES).strip())
    except OSError:
        return False
