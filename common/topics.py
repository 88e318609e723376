"""A topic, the folder that directly holds images, and what is in it now.

Goes by names and file types alone; never opens a file.
"""

from __future__ import annotations

import fnmatch
import functools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from common.errors import UserError
from common.image_formats import find_masks, is_image_name
from common.links import usable_cache_folder

CACHE_FOLDER = ".cache"
INT64_LIMIT = 1 << 63
# What a folder is called whose images are 0, 1, 2 or 3 levels below it.
LEVEL_NAMES = ("topic", "subcluster", "cluster", "dataset")
MAX_LEVELS = 3  # from a dataset down to a topic

Stamp = tuple[int, int]  # size in bytes and mtime_ns: the same stamp means the same content


class FileStatus(NamedTuple):
    """What a file system says of a file. If all of it is the same, so is the content."""

    stamp: Stamp
    ctime_ns: int  # when content, name or permissions changed last
    inode: int


@dataclass(frozen=True)
class ImageSelection:
    """Which images of a topic a run works on: patterns of paths below the dataset."""

    include: tuple[str, ...] = ()  # all images if there is none
    exclude: tuple[str, ...] = ()
    also: frozenset[str] = frozenset()  # names that a search compares, but does not report

    def reports(self, path: str) -> bool:
        """Tell whether the patterns select an image."""
        is_included = not self.include or matches_any(path, self.include)
        return is_included and not matches_any(path, self.exclude)


def matches_any(path: str, patterns: Sequence[str]) -> bool:
    """Tell whether a path below the dataset matches one of the patterns."""
    return any(fnmatch.fnmatchcase(path, pattern.rstrip("/")) for pattern in patterns)


@dataclass(frozen=True)
class Topic:
    """A folder that directly holds images, with the names of the folders above it."""

    path: str  # absolute
    dataset: str
    cluster: str
    subcluster: str
    name: str
    image_count: int  # when the tree was walked
    levels: int = MAX_LEVELS  # how many levels its folder is below its dataset
    # the real paths of the folders that the run was given; unknown if empty
    given_folders: tuple[str, ...] = field(default=(), compare=False, repr=False)
    masks_are_images: bool = field(default=False, compare=False, repr=False)
    # the images that the run works on; all if there is none (common/run_scope.py)
    selection: ImageSelection | None = field(default=None, compare=False, repr=False)

    @property
    def parts(self) -> tuple[str, str, str, str]:
        return self.dataset, self.cluster, self.subcluster, self.name

    @property
    def label(self) -> str:
        """The topic's path, starting at its dataset's own name."""
        return "/".join(filter(None, self.parts))

    @functools.cached_property
    def place(self) -> str:
        """The topic's path below its dataset."""
        return os.path.join(*filter(None, self.parts[1:]))

    @functools.cached_property
    def folder_in_dataset(self) -> str:
        """The topic's path below its dataset, which is that of its files."""
        names = self.path.strip(os.sep).split(os.sep)  # as relpath does, in a tenth of the time
        return os.path.join(*names[-self.levels :])

    @property
    def has_whole_place(self) -> bool:
        """Whether the path is long enough to name every level below the dataset."""
        return sum(map(bool, self.parts[1:])) == self.levels

    @functools.cached_property
    def dataset_path(self) -> str:
        """The dataset's folder."""
        return self.folder_above(self.levels)

    def folder_above(self, levels_up: int) -> str:
        """Return the folder so many levels above the topic."""
        folder = self.path
        for _ in range(levels_up):
            folder = os.path.dirname(folder)
        return folder

    @property
    def cache_folder(self) -> str:
        """The path of the topic's `.cache/` (see common/cache.py).

        If that is a link to a foreign folder, a temporary folder.
        """
        return usable_cache_folder(self.path_of(CACHE_FOLDER))

    def path_of(self, name: str) -> str:
        return os.path.join(self.path, name)

    def sibling_json(self, kind: str) -> str:
        """Return the path of the topic's JSON file of that kind, which is beside its folder."""
        return os.path.join(self._parent, f"{kind}_{self.name}.json")

    @functools.cached_property
    def _parent(self) -> str:
        return os.path.dirname(self.path)

    def reports(self, name: str) -> bool:
        """Tell whether the run is about an image of that name, and counts it."""
        return not self.selection or self.selection.reports(os.path.join(self.place, name))

    def selects(self, name: str) -> bool:
        """Tell whether the run works on an image of that name; whatever else it is, it stays."""
        return self.reports(name) or bool(self.selection and name in self.selection.also)

    def image_names(self) -> list[str]:
        """List the images to work on that are in the folder now, sorted. Raises UserError."""
        return list(filter(self.selects, self.all_image_names()))

    def all_image_names(self) -> list[str]:
        """List all images that are in the folder now, sorted. Raises UserError if it cannot."""
        return sorted(entry.name for entry in self._image_entries())

    def names_left_out(self) -> list[str]:
        """List the images in the folder that the run leaves out, sorted. Raises UserError."""
        if not self.selection:
            return []
        return [name for name in self.all_image_names() if not self.selects(name)]

    def entry_names(self) -> set[str]:
        """Return the names of all entries. Faster than image_names(), which asks for their types.

        Raises UserError if the folder cannot be listed.
        """
        try:
            return set(os.listdir(self.path))
        except OSError as error:
            raise self._unlistable(error) from None

    def masks_among(self, names: Collection[str]) -> set[str]:
        """Return those of all names in the folder that are masks, and so no images."""
        return set() if self.masks_are_images else find_masks(names)

    def holds_image(self, name: str) -> bool:
        return is_image_name(name) and os.path.isfile(self.path_of(name))

    def image_stamps(self) -> dict[str, Stamp]:
        """Return the stamp of every image to work on that is in the folder, sorted by name."""
        return {name: status.stamp for name, status in self.image_statuses().items()}

    def image_statuses(self) -> dict[str, FileStatus]:
        """Return the status of every image to work on that is in the folder, sorted by name."""
        statuses = {}
        for entry in self._image_entries():
            if not self.selects(entry.name):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:  # deleted since the folder was listed
                continue
            except OSError:  # opening it will report why
                statuses[entry.name] = FileStatus((0, 0), 0, 0)
                continue
            statuses[entry.name] = file_status(status)
        return dict(sorted(statuses.items()))

    def _image_entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.path) as entries:
                images = [entry for entry in entries if is_image_entry(entry)]
        except OSError as error:
            raise self._unlistable(error) from None
        masks = self.masks_among([entry.name for entry in images])
        return [entry for entry in images if entry.name not in masks] if masks else images

    def _unlistable(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path}: can no longer be read ({error.strerror}); fix that, then run again"
        )


def is_image_entry(entry: os.DirEntry[str]) -> bool:
    """Tell whether a folder's entry is an image: a regular file, or a link to one."""
    return is_image_name(entry.name) and is_regular_file(entry)


def is_regular_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) or entry.is_file()
    except OSError:  # a symlink loop
        return False


def stamp_of(path: str) -> Stamp | None:
    """Return the stamp of the file at `path`, or None if it cannot be examined."""
    try:
        return stamp_from_status(os.stat(path))
    except OSError:
        return None


def stamp_from_status(status: os.stat_result) -> Stamp:
    """Return size and time of a file. Both fit into 64 bits, and so into every record.

    Times before 1677 and after 2262 do not: they are counted modulo 2^64 nanoseconds.
    """
    time_ns = status.st_mtime_ns
    if not -INT64_LIMIT <= time_ns < INT64_LIMIT:
        time_ns = (time_ns + INT64_LIMIT) % (2 * INT64_LIMIT) - INT64_LIMIT
    return status.st_size, time_ns


def file_status(status: os.stat_result) -> FileStatus:
    return FileStatus(stamp_from_status(status), status.st_ctime_ns, status.st_ino)
