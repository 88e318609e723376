"""Walks the folders below a dataset, and counts in each the files that count as images.

Goes by names and file types alone; opens only files without an ending. Keeps nothing in memory per
image, so memory grows with the number of folders only.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from common import terminal
from common.errors import os_error_to_user_error
from common.image_formats import (
    SIGNATURE_BYTES,
    UNREAD_ENDINGS,
    find_masks,
    is_image_name,
    masked_stem,
    starts_like_image,
    unread_kind,
)
from common.topics import is_image_entry, is_regular_file

# What other programs keep among images: thumbnails, deleted and recovered files.
FOREIGN_FOLDERS = ("@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "lost+found")
ADD_ENDING = "add one to the name, such as .jpg"
BROKEN_LINK, NOT_REGULAR = "a broken link", "not a regular file"
NOT_FILES = {BROKEN_LINK: "broken links", NOT_REGULAR: "not regular files"}  # their plurals

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Folder:
    parts: tuple[str, ...]  # names below the root
    path: str
    image_count: int


# (device, inode) of every folder walked so far, with the path where it was found first.
WalkedFolders = dict[tuple[int, int], str]


@dataclass
class SkippedFiles:
    """Files that hold images and are not read."""

    unread: Counter[str] = field(default_factory=Counter)  # by ending
    foreign: Counter[str] = field(default_factory=Counter)  # images, by the folder's name
    not_files: dict[str, list[str]] = field(default_factory=dict)  # paths, by what they are
    masks: int = 0  # beside the images that they belong to
    masks_are_images: bool = False

    def add_file(self, entry: os.DirEntry[str]) -> None:
        """Count a file if it is an image of a format that is not read, or has no ending."""
        if kind := unread_kind(entry.name):
            self.unread[kind] += is_regular_file(entry)
        elif "." not in entry.name and is_regular_file(entry):
            with contextlib.suppress(OSError), open(entry.path, "rb") as file:
                self.unread[""] += starts_like_image(file.read(SIGNATURE_BYTES))

    def add_foreign(self, path: str) -> None:
        """Count the images in a folder of another program."""
        for _, _, names in os.walk(path):
            self.foreign[os.path.basename(path)] += sum(map(is_image_name, names))

    def add(self, other: SkippedFiles) -> None:
        self.unread += other.unread
        self.foreign += other.foreign
        self.masks += other.masks
        for kind, paths in other.not_files.items():
            self.not_files.setdefault(kind, []).extend(paths)

    def lines(self) -> list[str]:
        """Return a line for each reason not to read, with the number of files and the remedy."""
        counts_by_remedy: dict[str, dict[str, int]] = {}
        for ending, count in sorted((+self.unread).items()):
            remedy = UNREAD_ENDINGS.get(ending, ADD_ENDING)
            counts_by_remedy.setdefault(remedy, {})[ending] = count
        lines = []
        for remedy, counts in counts_by_remedy.items():
            names = ", ".join(itertools.starmap(_describe_unread, counts.items()))
            verb, pronoun = ("is", "it") if sum(counts.values()) == 1 else ("are", "them")
            lines.append(f"{names} {verb} not read: {remedy.format(pronoun)}")
        if total := self.foreign.total():
            names = ", ".join(sorted(+self.foreign))
            images = terminal.plural(total, "image")
            lines.append(f"{images} in folders of other programs ({names}) passed over")
        return lines

    def not_file_lines(self) -> list[str]:
        """Return a line for each kind of what is named like an image and is no file."""
        lines = []
        for kind, paths in sorted(self.not_files.items()):
            what = f"{NOT_FILES[kind]}, no images" if len(paths) > 1 else f"{kind}, not an image"
            lines.append(f"{terminal.list_few(sorted(paths))}: {what}")
        return lines


def _describe_unread(ending: str, count: int) -> str:
    if ending:
        return terminal.plural(count, f"{ending} file")
    return f"{terminal.plural(count, 'image')} without an ending"


def walk_folders(
    root: str,
    walked: WalkedFolders,
    warn: Warn,
    skipped: SkippedFiles,
    is_complete: bool = False,
) -> Iterator[Folder]:
    """Yield every folder from `root` down, each real one once.

    Links are followed last: a folder that is also linked to is found in its own place.
    """
    waiting: list[tuple[tuple[str, ...], str]] = [((), root)]
    linked: list[tuple[tuple[str, ...], str]] = []
    while waiting or linked:
        if not waiting:
            linked.sort(reverse=True)
            waiting.append(linked.pop())
        parts, path = waiting.pop()
        try:
            if not _is_first_visit(path, walked, warn):
                continue
            image_count, others = _scan_folder(path, skipped)
        except OSError as error:
            if is_complete:
                raise os_error_to_user_error(path, "read", error) from None
            warn(f"{terminal.escape(path)}: cannot be read ({error.strerror}), skipped")
            continue
        for entry in sorted(others, key=lambda entry: entry.name):
            if entry.name in FOREIGN_FOLDERS and entry.is_dir():
                skipped.add_foreign(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(((*parts, entry.name), entry.path))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                linked.append(((*parts, entry.name), entry.path))
            elif is_image_name(entry.name) and is_regular_file(entry):
                image_count += 1
            elif is_image_name(entry.name) or _is_dangling(entry):
                skipped.not_files.setdefault(_entry_kind(entry), []).append(entry.path)
            else:
                skipped.add_file(entry)
        yield Folder(parts, path, image_count)


def _is_first_visit(path: str, walked: WalkedFolders, warn: Warn) -> bool:
    """Note the folder as walked. Raises OSError if nothing in it can be opened."""
    # "." fails where the folder may be listed but not entered.
    status = os.stat(os.path.join(path, "."))
    first_path = walked.setdefault((status.st_dev, status.st_ino), path)
    if first_path == path:
        return True
    warn(f"{terminal.escape(path)}: the same folder as {terminal.escape(first_path)}, counted once")
    return False


def _scan_folder(path: str, skipped: SkippedFiles) -> tuple[int, list[os.DirEntry[str]]]:
    """Count images that are regular files; return their number and all other visible entries."""
    image_count = 0
    others = []
    has_mask_names = False
    with os.scandir(path) as entries:
        for entry in entries:
            if is_image_name(entry.name) and entry.is_file(follow_symlinks=False):
                image_count += 1
                has_mask_names = has_mask_names or bool(masked_stem(entry.name))
            elif not entry.name.startswith("."):
                others.append(entry)
    if has_mask_names and not skipped.masks_are_images:
        with os.scandir(path) as entries:
            masks = len(find_masks([entry.name for entry in entries if is_image_entry(entry)]))
        skipped.masks += masks
        image_count -= masks
    return image_count, others


def _is_dangling(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def _entry_kind(entry: os.DirEntry[str]) -> str:
    return BROKEN_LINK if entry.is_symlink() else NOT_REGULAR
