"""Where an export puts images and captions, and what it writes for trainers. Only plans.

The rules of the loaders, as of their code in 2026:

- Hugging Face datasets (`imagefolder`) takes a split from any folder whose name contains one of
  SPLIT_WORDS, skips folders that begin with two underscores, and reads a backslash in `file_name`
  as a slash. It reads a text that looks like a date as a date; if the other split has a text that
  does not, it stops.
- kohya sd-scripts reads each folder that it is given, but none below it, and takes the caption of
  an image from the text file of the same stem. It stops at an empty caption, and at a folder for
  validation without an image that it reads. A dataset whose `validation_split` is 1 only validates.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from common import json_files, topic_scores
from common.errors import UserError
from common.name_forms import casefold_nfc
from common.topics import Stamp, stamp_from_status, stamp_of
from merging import naming
from merging.transfer import Transfer, TransferMode
from sidecars import caption_table, captions
from splitting.candidates import Split
from splitting.copy_captions import CopyCaptions
from splitting.trainer_files import (
    KOHYA_FILE,
    METADATA_FILE,
    ROLES,
    is_utf8,
    kohya_config,
    text_columns,
)

CAPTION_ENDING = ".txt"
SPLIT_WORDS = re.compile(
    r"(?<![^-._ 0-9])(train(ing)?|val(id(ation)?)?|dev|test(ing)?|eval(uation)?)(?![^-._ 0-9])"
)
# Suffixes that sd-scripts skip, and others for such files.
SUFFIX_REPLACEMENTS = {".jpe": ".jpg", ".jfif": ".jpg"}


@dataclass(frozen=True)
class KeptImage:
    """An image of an earlier export that stays although this one does not choose it."""

    place: str
    stamp: Stamp  # of its source
    row: bytes  # its line of metadata.jsonl; empty if it has none


@dataclass
class Layout:
    """What an export into the folder `target` holds. Places are paths below it."""

    target: str
    files: dict[str, Transfer] = field(default_factory=dict)  # by place: images and captions
    texts: dict[str, bytes] = field(default_factory=dict)  # by place: files for trainers
    kept: list[KeptImage] = field(default_factory=list)  # from earlier exports
    left_out: list[str] = field(default_factory=list)  # paths of images that loaders cannot name
    large_captions: list[str] = field(default_factory=list)  # paths of those that are not read
    odd_captions: list[str] = field(default_factory=list)  # paths of those in another encoding

    def add_file(self, place: str, path: str, mode: str) -> None:
        status = os.stat(path)
        stamp = stamp_from_status(status)
        self.files[place] = Transfer(path, os.path.join(self.target, place), stamp, mode)


class PlaceRegistry:
    """Gives every file and folder of an export a place of its own that no loader misreads."""

    def __init__(self, kept: Iterable[KeptImage]) -> None:
        self._folders: dict[tuple[str, ...], str] = {(role,): role for role in ROLES}
        self._first_numbers: dict[tuple[str, str, str, str], int] = {}
        self._taken = {casefold_nfc(os.path.join(role, METADATA_FILE)) for role in ROLES}
        self._kept = {casefold_nfc(os.path.splitext(image.place)[0]): image for image in kept}

    @property
    def kept(self) -> list[KeptImage]:
        """The kept images whose places are still theirs, by place."""
        return sorted(self._kept.values(), key=lambda image: image.place)

    def folder_place(self, *parts: str) -> str:
        """Return the place of a folder. `parts` are the names that lead to it, the first a role."""
        if parts not in self._folders:
            parent = self.folder_place(*parts[:-1])
            names = _folder_names(parts[-1])
            self._folders[parts] = self._take_first_free(
                os.path.join(parent, name) for name in names
            )
        return self._folders[parts]

    def image_place(self, folder: str, name: str, dataset: str, stamp: Stamp) -> str:
        """Return a new place for an image in a folder.

        No other image there has its stem, so each one has a caption of its own. The place of a
        kept image is free for an image of the same size and time: its dataset has moved.
        """
        stem, suffix = os.path.splitext(name)
        suffix = SUFFIX_REPLACEMENTS.get(suffix.lower(), suffix)
        key = (folder, casefold_nfc(stem), dataset, suffix)
        number = self._first_numbers.get(key, 0)  # all places before this one are taken
        stems = naming.candidate_stems(stem, dataset, [suffix], max(1, number))
        if number == 0:
            stems = itertools.chain([stem], stems)
        places = [os.path.join(folder, next(stems).replace("\\", "+"))]
        while not self._is_free(places[-1], (suffix, stamp)):
            places.append(os.path.join(folder, next(stems).replace("\\", "+")))
        place = places[-1]
        self._taken.add(casefold_nfc(place))
        while places and casefold_nfc(places.pop(0)) in self._taken:
            number += 1
        self._first_numbers[key] = number
        self._kept.pop(casefold_nfc(place), None)
        return place + suffix

    def _take_first_free(self, places: Iterable[str]) -> str:
        place = next(place for place in places if self._is_free(place))
        self._taken.add(casefold_nfc(place))
        return place

    def _is_free(self, place: str, image: tuple[str, Stamp] | None = None) -> bool:
        key = casefold_nfc(place)
        kept = self._kept.get(key)
        if kept and image != (os.path.splitext(kept.place)[1], kept.stamp):
            return False
        return key not in self._taken


def _folder_names(name: str) -> Iterator[str]:
    """Yield names for a folder: its own, with `+` where it would mislead; then numbered ones."""
    safe_name = SPLIT_WORDS.sub(r"\g<0>+", name.replace("\\", "+"))
    safe_name = re.sub("^__", "+__", safe_name)
    if len(os.fsencode(safe_name)) <= naming.MAX_NAME_BYTES:
        yield safe_name
    for number in itertools.count(2):
        ending = f"+{number}"
        yield naming.truncate_name(safe_name, naming.MAX_NAME_BYTES - len(ending)) + ending


def plan_layout(
    splits: Iterable[Split], target: str, mode: str, kept: Iterable[KeptImage] = ()
) -> Layout:
    """Plan the whole export; the same split always gives the same one. Raises UserError.

    The `kept` images of earlier exports have a row and a folder in the files for trainers, too.
    """
    layout = Layout(target)
    registry = PlaceRegistry(kept)
    splits = list(splits)
    copy_captions = CopyCaptions(splits)
    rows: dict[str, list[bytes]] = {role: [] for role in ROLES}
    for split in splits:
        if not split.topic.has_whole_place:
            raise UserError(
                f"{split.topic.path}: its place in the export is unknown, because its path does "
                "not end in Cluster/Subcluster/Topic; move it into such folders"
            )
        try:
            for role in ROLES:
                rows[role] += _add_images(layout, registry, split, role, mode, copy_captions)
        except OSError as error:
            raise UserError(
                f"{error.filename}: cannot be read ({error.strerror}); "
                "fix that, then run the same command again"
            ) from None
    layout.kept = registry.kept
    for role in ROLES:
        for image in layout.kept:
            if image.place.startswith(role + os.sep):
                rows[role].append(image.row)
        if any(rows[role]):
            layout.texts[os.path.join(role, METADATA_FILE)] = b"".join(rows[role])
    places = [*layout.files, *(image.place for image in layout.kept)]
    layout.texts[KOHYA_FILE] = kohya_config(target, places).encode()
    return layout


def _add_images(
    layout: Layout,
    registry: PlaceRegistry,
    split: Split,
    role: str,
    mode: str,
    copy_captions: CopyCaptions,
) -> Iterator[bytes]:
    """Add the images of a topic that have this role. Yields their lines of metadata.jsonl."""
    topic = split.topic
    usable = []
    for name in dict(zip(ROLES, (split.train, split.valid), strict=True))[role]:
        if is_utf8("/".join((*topic.parts, name))):
            usable.append(name)
        else:
            layout.left_out.append(topic.path_of(name))
    folder = registry.folder_place(role, *filter(None, topic.parts[1:])) if usable else role
    places = {}
    stamps = {name: stamp_of(topic.path_of(name)) or (0, 0) for name in usable}
    for name in sorted(usable):
        places[name] = registry.image_place(folder, name, topic.dataset, stamps[name])
    caption_names, _ = captions.match_captions(topic, topic.image_names())
    texts = caption_table.read_texts(topic, caption_names)
    scores = topic_scores.read_scores(topic)
    for name in usable:
        place = places[name]
        layout.add_file(place, topic.path_of(name), mode)
        text = texts.get(name, "")
        path = topic.path_of(caption_names[name]) if name in caption_names else ""
        if not text and not (path and captions.has_text(path)):
            copied_path, text = copy_captions.find(split, name)
            path = copied_path or path
        if text:
            layout.texts[os.path.splitext(place)[0] + CAPTION_ENDING] = text.encode()
        elif path:
            text = _add_caption(layout, place, path)
        yield json_files.json_line(
            {
                "file_name": os.path.relpath(place, role),
                "name": name,
                "score": scores[name],
                **text_columns(topic, text),
            }
        )


def _add_caption(layout: Layout, image_place: str, path: str) -> str:
    """Add a caption, unless it is empty, and return its text."""
    if os.stat(path).st_size > captions.MAX_CAPTION_BYTES:
        layout.large_captions.append(path)
        return ""
    content = captions.read_caption(path, captions.MAX_CAPTION_BYTES)
    if not content:
        return ""
    place = os.path.splitext(image_place)[0] + CAPTION_ENDING
    text = captions.decode_caption(content)
    if text is None:
        layout.odd_captions.append(path)
        text = content.decode("utf-8", "replace")
    elif text.encode() != content:
        layout.texts[place] = text.encode()
        return text.strip()
    layout.add_file(place, path, TransferMode.COPY)
    return text.strip()
