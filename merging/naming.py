"""Names in a merge: which names are taken, and what a renamed image is called.

Knows files by name and content alone. Names that differ only by case or Unicode form count as the
same, because on some file systems they are.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

from common.atomic_files import Damaged, file_digest, open_regular
from common.errors import UserError
from common.name_forms import casefold_nfc
from sidecars.stem_groups import stem_of

MAX_NAME_BYTES = 255  # the limit of common file systems
MAX_TAG_BYTES = 100  # for the dataset in a new name: the image's own name needs room too
READ_BYTES = 1 << 20  # compared at a time
MAX_COMPARED_FILES = 8  # of one name and size, with another file; more are told by digest


def candidate_stems(
    stem: str, dataset: str, suffixes: Sequence[str], first_number: int = 1
) -> Iterator[str]:
    """Yield new stems for a stem that is taken: `stem__dataset`, `stem__dataset_2` and so on.

    With `first_number`, from that one on. The stem is shortened if a name with one of the suffixes
    would be too long for a file system.
    Raises UserError.
    """
    longest_suffix = max(len(os.fsencode(suffix)) for suffix in suffixes)
    tag = f"__{truncate_name(dataset, MAX_TAG_BYTES)}"
    for number in itertools.count(first_number):
        ending = tag if number == 1 else f"{tag}_{number}"
        room = MAX_NAME_BYTES - longest_suffix - len(os.fsencode(ending))
        if room < 1:
            raise UserError(
                f"{stem}: its name is taken, and a new one would be too long; "
                "rename it or its other files"
            )
        yield truncate_name(stem, room) + ending


def truncate_name(name: str, max_bytes: int) -> str:
    """Cut a name to `max_bytes`, never in the middle of a character."""
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


def is_same_file(first: str, second: str) -> bool:
    """Tell whether two files hold the same bytes; False if one cannot be read."""
    try:
        first_status, second_status = os.stat(first), os.stat(second)
        if os.path.samestat(first_status, second_status):
            return True
        if first_status.st_size != second_status.st_size:
            return False
        with open_regular(first) as first_file, open_regular(second) as second_file:
            return has_same_bytes(first_file, second_file)
    except (OSError, Damaged):  # Damaged: no regular file
        return False


def has_same_bytes(first: IO[bytes], second: IO[bytes]) -> bool:
    """Tell whether two open files hold the same bytes from here on. Raises OSError."""
    while (chunk := first.read(READ_BYTES)) == second.read(READ_BYTES):
        if not chunk:
            return True
    return False


def is_torn_copy(path: str, source: str) -> bool:
    """Tell whether a file can only be a copy of `source` that a power cut left incomplete.

    It is empty, or a beginning of the source, or all zeros from some point on; so nobody wrote it.
    """
    try:
        with open_regular(path) as copy, open_regular(source) as original:
            is_same = True
            while chunk := copy.read(READ_BYTES):
                expected = original.read(len(chunk))
                if len(expected) < len(chunk):
                    return False
                if is_same and chunk != expected:
                    is_same = False
                    chunk = chunk[_first_difference(chunk, expected) :]
                if not is_same and chunk.strip(b"\0"):
                    return False
            return not is_same or bool(original.read(1))
    except (OSError, Damaged):
        return False


def _first_difference(first: bytes, second: bytes) -> int:
    return next(index for index, byte in enumerate(first) if byte != second[index])


class _File(NamedTuple):
    name: str
    path: str  # where its bytes can be read now
    folder: str = ""  # of its source


class _Arrivals:
    """Images that came, to find one with given bytes without reading all."""

    def __init__(self) -> None:
        self._new: list[_File] = []  # whose size is not known yet
        self._by_size: dict[int, list[_File]] = {}
        self._by_digest: dict[int, dict[str, list[_File]]] = {}  # by size
        self._digested: dict[int, int] = {}  # by size: how many of the files, in order

    def add(self, file: _File) -> None:
        self._new.append(file)

    def find_identical(self, path: str, from_elsewhere: bool = False) -> str | None:
        """Return the name of the first image with the bytes of the file at `path`.

        With `from_elsewhere`, of those that came from other folders.
        """
        for file in self._new:
            with contextlib.suppress(OSError):
                self._by_size.setdefault(os.stat(file.path).st_size, []).append(file)
        self._new.clear()
        try:
            size = os.stat(path).st_size
        except OSError:
            return None
        same_size = self._by_size.get(size, [])
        folder = os.path.dirname(path) if from_elsewhere else None
        if len(same_size) > MAX_COMPARED_FILES:
            same_bytes = self._files_by_digest(size).get(file_digest(path), [])
            return next((file.name for file in same_bytes if file.folder != folder), None)
        for file in same_size:
            if file.folder != folder and is_same_file(file.path, path):
                return file.name
        return None

    def _files_by_digest(self, size: int) -> dict[str, list[_File]]:
        by_digest = self._by_digest.setdefault(size, {})
        files = self._by_size[size]
        for file in files[self._digested.get(size, 0) :]:
            if digest := file_digest(file.path):
                by_digest.setdefault(digest, []).append(file)
        self._digested[size] = len(files)
        return by_digest


class NameRegistry:
    """The names in one folder, present and planned. Keys are casefolded."""

    def __init__(self, joins_any_name: bool = True) -> None:
        """With `joins_any_name`, images of the same bytes are one, also under other names."""
        self._all_arrivals = _Arrivals() if joins_any_name else None
        self._files: dict[str, _File] = {}
        self._images: dict[str, set[str]] = {}  # stem: image names
        self._sidecars: dict[str, set[str]] = {}  # stem: suffixes
        self._arrivals: dict[str, _Arrivals] = {}  # by the name in a source
        # Stem, dataset, suffix and room: all candidate stems before this number are taken.
        self._first_numbers: dict[tuple[str, str, str, int], int] = {}

    def add_image(self, name: str, path: str) -> None:
        key = casefold_nfc(name)
        self._files.setdefault(key, _File(name, path))
        self._images.setdefault(casefold_nfc(stem_of(name)), set()).add(key)

    def add_sidecar(self, stem: str, suffix: str, path: str) -> None:
        name = stem + suffix
        self._files.setdefault(casefold_nfc(name), _File(name, path))
        self._sidecars.setdefault(casefold_nfc(stem), set()).add(casefold_nfc(suffix))

    def add_arrival(self, name: str, source: str) -> None:
        """Note that the image `name` is here for certain and came from `source`, a path."""
        folder, source_name = os.path.split(source)
        file = _File(name, self._files[casefold_nfc(name)].path, folder)
        self._arrivals.setdefault(casefold_nfc(source_name), _Arrivals()).add(file)
        if self._all_arrivals:
            self._all_arrivals.add(file)

    def owner(self, name: str) -> str | None:
        """Return the name that occupies this one: itself, or one that differs by case."""
        file = self._files.get(casefold_nfc(name))
        return file.name if file else None

    def has_identical(self, name: str, path: str) -> bool:
        """Tell whether a file of exactly this name is here, with the bytes of the one at `path`."""
        file = self._files.get(casefold_nfc(name))
        return file is not None and file.name == name and is_same_file(file.path, path)

    def identical_arrival(self, path: str) -> str | None:
        """Return the image here with the bytes of the one at `path`.

        One that came under the same name; else one of another folder, under any name.
        """
        arrivals = self._arrivals.get(casefold_nfc(os.path.basename(path)))
        identical = arrivals.find_identical(path) if arrivals else None
        if not identical and self._all_arrivals:
            identical = self._all_arrivals.find_identical(path, from_elsewhere=True)
        return identical

    def has_only_images(self, stem: str, names: Iterable[str]) -> bool:
        """Tell whether all images of this stem are among `names`."""
        return self._images.get(casefold_nfc(stem), set()) <= set(map(casefold_nfc, names))

    def find_free_stem(
        self, stem: str, dataset: str, suffixes: Sequence[str], sidecars: dict[str, str]
    ) -> str:
        """Return a new stem that images with these suffixes and sidecars can take.

        What is taken for a suffix stays taken, so that thousands of images of one name do not each
        try all names before theirs. Raises UserError.
        """
        all_suffixes = [*suffixes, *sidecars]
        longest = max(len(os.fsencode(suffix)) for suffix in all_suffixes)
        keys = [(casefold_nfc(stem), dataset, suffix, longest) for suffix in suffixes]
        number = max((self._first_numbers.get(key, 1) for key in keys), default=1)
        for candidate in candidate_stems(stem, dataset, all_suffixes, number):
            for key, suffix in zip(keys, suffixes, strict=True):
                if self.owner(candidate + suffix) and self._first_numbers.get(key, 1) == number:
                    self._first_numbers[key] = number + 1
            if not self.find_conflict(candidate, suffixes, sidecars):
                return candidate
            number += 1
        raise AssertionError("candidate stems are endless")

    def find_conflict(self, stem: str, suffixes: Iterable[str], sidecars: dict[str, str]) -> str:
        """Return why images with these suffixes and sidecars (suffix: path) cannot take `stem`.

        Empty if they can.
        """
        if any(self.owner(stem + suffix) for suffix in suffixes):
            return "its name is taken by other bytes"
        key = casefold_nfc(stem)
        if key in self._images or key in self._sidecars:
            if not self._has_same_sidecars(stem, sidecars):
                return "its stem is taken by an image with another caption"
        elif any(self.owner(stem + suffix) for suffix in sidecars):
            return "the name of a file that goes with it is taken"
        return ""

    def _has_same_sidecars(self, stem: str, sidecars: dict[str, str]) -> bool:
        present = self._sidecars.get(casefold_nfc(stem), set())
        if set(map(casefold_nfc, sidecars)) != present:
            return False
        return all(self.has_identical(stem + suffix, path) for suffix, path in sidecars.items())
