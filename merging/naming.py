"""Names in a merge: which names are taken, and what a renamed image is called.

Knows files by name and content alone. Names that differ only by case or Unicode form count as the same, because on
some file systems they are.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

from common.captions import casefold_nfc, stem_of
from common.errors import UserError

NAME_BYTES = 255  # what the usual file systems allow a name
TAG_BYTES = 100  # of them for the dataset in a new name: the image's own name wants room too
CHUNK = 1 << 20


def candidate_stems(stem: str, dataset: str, suffixes: Sequence[str]) -> Iterator[str]:
    """New stems for a group whose own is taken: `stem__dataset`, `stem__dataset_2` and on.

    The stem loses its end where one of the names, with its suffix, would not fit a file system. Raises UserError.
    """
    longest = max(len(os.fsencode(suffix)) for suffix in suffixes)
    for number in itertools.count(1):
        tag = f"__{truncate_name(dataset, TAG_BYTES)}" + (f"_{number}" if number > 1 else "")
        room = NAME_BYTES - longest - len(os.fsencode(tag))
        if room < 1:
            raise UserError(
                f"{stem}: its name is taken, and a new one would be too long; rename it or its other files"
            )
        yield truncate_name(stem, room) + tag


def truncate_name(name: str, length: int) -> str:
    """The longest start of `name` that takes at most `length` bytes, never half a character."""
    while len(os.fsencode(name)) > length:
        name = name[:-1]
    return name


def is_same_file(one: str, other: str) -> bool:
    """Whether two files hold the same bytes; False where one cannot be read."""
    try:
        first, second = os.stat(one), os.stat(other)
        if os.path.samestat(first, second):
            return True
        if first.st_size != second.st_size:
            return False
        with open(one, "rb", buffering=0) as left, open(other, "rb", buffering=0) as right:
            while (read := left.read(CHUNK)) == right.read(CHUNK):
                if not read:
                    return True
    except OSError:
        pass
    return False


def is_torn_copy(path: str, source: str) -> bool:
    """Whether a file can be nothing but a copy of `source` that a power cut tore, and is not whole.

    It is empty, or a beginning of the source, or from some point on all zeros, and so not what somebody wrote.
    """
    try:
        with open(path, "rb") as torn, open(source, "rb") as whole:
            same = True
            while read := torn.read(CHUNK):
                expected = whole.read(len(read))
                if len(expected) < len(read):
                    return False
                if same and read != expected:
                    read = read[next(i for i, byte in enumerate(read) if byte != expected[i]) :]
                    same = False
                if not same and read.strip(b"\0"):
                    return False
            return not same or bool(whole.read(1))
    except OSError:
        return False


class NameRegistry:
    """The names in one folder, those that are there and those that are planned."""

    def __init__(self) -> None:
        self._files: dict[
            str, tuple[str, str]
        ] = {}  # folded name: the name, and where its bytes can be read now
        self._images: dict[str, set[str]] = {}  # folded stem: folded names
        self._sidecars: dict[str, set[str]] = {}  # folded stem: folded suffixes
        self._came_as: dict[
            str, list[str]
        ] = {}  # folded name in a source: names here of images that came under it

    def add_image(self, name: str, path: str) -> None:
        self._files.setdefault(casefold_nfc(name), (name, path))
        self._images.setdefault(casefold_nfc(stem_of(name)), set()).add(casefold_nfc(name))

    def add_sidecar(self, stem: str, suffix: str, path: str) -> None:
        self._files.setdefault(casefold_nfc(stem + suffix), (stem + suffix, path))
        self._sidecars.setdefault(casefold_nfc(stem), set()).add(casefold_nfc(suffix))

    def add_arrival(self, name: str, came_as: str) -> None:
        """The image `name` is here for certain, and had the name `came_as` where it came from."""
        self._came_as.setdefault(casefold_nfc(came_as), []).append(name)

    def holder(self, name: str) -> str | None:
        """The name that keeps others from this one: itself, or one that differs by case."""
        return self._files.get(casefold_nfc(name), (None,))[0]

    def holds(self, name: str, path: str) -> bool:
        """Whether a file of exactly this name is here, with the same bytes as the one at `path`."""
        held, there = self._files.get(casefold_nfc(name), (None, ""))
        return held == name and is_same_file(there, path)

    def twin(self, name: str, path: str) -> str | None:
        """The image here that came under this name and holds the same bytes."""
        for held in self._came_as.get(casefold_nfc(name), ()):
            if is_same_file(self._files[casefold_nfc(held)][1], path):
                return held
        return None

    def holds_only(self, stem: str, names: Iterable[str]) -> bool:
        """Whether no image but these has this stem."""
        return self._images.get(casefold_nfc(stem), set()) <= set(map(casefold_nfc, names))

    def conflict(self, stem: str, suffixes: Iterable[str], sidecars: dict[str, str]) -> str:
        """Why images with these suffixes and sidecars (suffix: path) cannot come under `stem`; empty if they can."""
        if any(self.holder(stem + suffix) for suffix in suffixes):
            return "its name is taken by other bytes"
        if casefold_nfc(stem) in self._images or casefold_nfc(stem) in self._sidecars:
            same = set(map(casefold_nfc, sidecars)) == self._sidecars.get(casefold_nfc(stem), set())
            if not same or not all(
                self.holds(stem + suffix, path) for suffix, path in sidecars.items()
            ):
                return "its stem is taken by an image with another caption"
        elif any(self.holder(stem + suffix) for suffix in sidecars):
            return "the name of a file that goes with it is taken"
        return ""
