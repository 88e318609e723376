"""Finds the topics below the folders given on a command line: `DataSet/Cluster/Subcluster/Topic/image`.

Decides what a topic is and what an image is, by name and file type alone; never opens a file. Nothing here stays in
memory per image, so that a million of them cost no more than their folders.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from common import terminal
from common.errors import UserError, os_error_to_user_error

LEVEL_NAMES = (
    "topic",
    "subcluster",
    "cluster",
    "dataset",
)  # what a folder is when its images lie 0, 1, 2, 3 levels below
EXTENSIONS: tuple[str, ...] = (
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".avif",
)
if importlib.util.find_spec("pillow_heif"):
    EXTENSIONS += (".heic", ".heif")
_SUFFIXES = frozenset(
    EXTENSIONS + tuple(map(str.upper, EXTENSIONS))
)  # the usual spellings, found at once

Stamp = tuple[
    int, int
]  # size in bytes and mtime_ns: a file with the same stamp is taken to be the same file


@dataclass(frozen=True)
class Topic:
    """A folder that directly holds images. `found` is how many it held when the tree was walked."""

    path: str  # absolute
    dataset: str
    cluster: str
    subcluster: str
    name: str
    found: int

    @property
    def parts(self) -> tuple[str, str, str, str]:
        return self.dataset, self.cluster, self.subcluster, self.name

    @property
    def label(self) -> str:
        """The topic's path from its dataset's own name on."""
        return "/".join(filter(None, self.parts))

    @property
    def dataset_path(self) -> str:
        """The dataset's folder: three levels up."""
        return os.path.dirname(os.path.dirname(os.path.dirname(self.path)))

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def beside(self, kind: str) -> str:
        """Where a file about matches of the topic's images lies: beside its folder."""
        return os.path.join(os.path.dirname(self.path), f"{kind}_{self.name}.json")

    def images(self) -> list[str]:
        """Names of the images that lie in the topic now, sorted. Raises UserError where it cannot be read any more."""
        return sorted(entry.name for entry in self._entries())

    def names(self) -> set[str]:
        """Names of whatever lies in the topic now: quicker than `images` where most are known to be images."""
        try:
            return set(os.listdir(self.path))
        except OSError as error:
            raise self._gone(error) from None

    def holds(self, name: str) -> bool:
        """Whether there is an image of that name in the topic now."""
        return is_image_name(name) and os.path.isfile(self.file(name))

    def stamps(self) -> dict[str, Stamp]:
        """Size and time of every image that lies in the topic now, sorted by name."""
        stamps = {}
        for entry in self._entries():
            try:
                status = entry.stat()
            except FileNotFoundError:  # gone since the folder was read
                continue
            except OSError:  # opening it will tell why
                stamps[entry.name] = (0, 0)
                continue
            stamps[entry.name] = (status.st_size, status.st_mtime_ns)
        return dict(sorted(stamps.items()))

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.path) as entries:
                return [
                    entry
                    for entry in entries
                    if is_image_name(entry.name)
                    and (entry.is_file(follow_symlinks=False) or _is_file(entry))
                ]
        except OSError as error:
            raise self._gone(error) from None

    def _gone(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path}: cannot be read any more ({error.strerror}); see to it, then go on"
        )


def stamp_of(path: str) -> Stamp | None:
    """Size and time of the file at `path`; None where there is none that can be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def is_image_name(name: str) -> bool:
    suffix = name[name.rfind(".") :]
    return (suffix in _SUFFIXES or suffix.lower() in _SUFFIXES) and name[0] != "."


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a symlink loop
        return False


def find_topics(paths: Sequence[str], warn: Callable[[str], None]) -> list[Topic]:
    """Every topic below `paths`: in the order of the paths, sorted by name within each; a folder counts once.

    Raises UserError where a path is no folder, holds datasets, or where no image is found at all.
    """
    for path in paths:
        _check_path(path)
    seen: dict[tuple[int, int], str] = {}
    found = [topic for root in _find_roots(paths) for topic in _topics_below(root, seen, warn)]
    if not any(topic.found for topic in found):
        where = ", ".join(map(terminal.escape, paths))
        raise UserError(
            f"{where}: no images found; expected DataSet/Cluster/Subcluster/Topic/image.jpg"
        )
    return found


def find_folders(root: str, warn: Callable[[str], None]) -> list[str]:
    """Every folder at any depth from `root` down that directly holds images, sorted."""
    return sorted(folder.path for folder in _walk_folder(root, {}, warn) if folder.images)


def group_by_level(topics: Sequence[Topic], level: str) -> dict[str, list[Topic]]:
    """The topics by the topic, subcluster, cluster or dataset they make up, in their order.

    A key is the folder's path from its dataset's own name on, or the whole path where two folders share that (datasets
    of one name in two places).
    """
    above = LEVEL_NAMES.index(level)
    folders: dict[str, list[Topic]] = {}
    for topic in topics:
        folder = topic.path
        for _ in range(above):
            folder = os.path.dirname(folder)
        folders.setdefault(folder, []).append(topic)
    labels = {
        folder: "/".join(filter(None, group[0].parts[: 4 - above]))
        for folder, group in folders.items()
    }
    shared = Counter(labels.values())
    return {
        labels[folder] if labels[folder] and shared[labels[folder]] == 1 else folder: group
        for folder, group in folders.items()
    }


def _check_path(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise UserError(f"{path or '(empty)'}: no such folder{_suggest_path(path)}") from None
    except OSError as error:
        raise os_error_to_user_error(path, "opened", error) from None
    if not stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path}: not a folder; pass the folder that holds it")


def _suggest_path(path: str) -> str:
    """What may have been meant, among the folders beside the one that is not there."""
    parent, name = os.path.split(os.path.abspath(path))
    try:
        with os.scandir(parent) as entries:
            beside = [entry.name for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return f"; {parent} is not there either"
    except OSError:
        return ""
    near = difflib.get_close_matches(name, beside, n=1) if path else []
    return f"; did you mean {near[0]}?" if near else ""


def _find_roots(paths: Sequence[str]) -> list[str]:
    """The paths as absolute ones, without those that are given twice or lie below another."""
    real = dict[str, str]()
    for path in paths:
        real.setdefault(os.path.realpath(path), os.path.abspath(path))
    return [
        path
        for folder, path in real.items()
        if not any(above in real for above in _parents(folder))
    ]


def _parents(folder: str) -> Iterator[str]:
    while folder != (folder := os.path.dirname(folder)):
        yield folder


@dataclass(frozen=True)
class _Folder:
    parts: tuple[str, ...]  # below the root
    path: str
    images: int


def _topics_below(
    root: str, seen: dict[tuple[int, int], str], warn: Callable[[str], None]
) -> Iterator[Topic]:
    folders = sorted(_walk_folder(root, seen, warn), key=lambda folder: folder.parts)
    images = Counter[int]()
    for folder in folders:
        images[len(folder.parts)] += folder.images
    level = max(images, key=lambda depth: (images[depth], depth), default=0)
    if not images[level]:
        warn(f"{terminal.escape(root)}: no images below it")
        return
    if level >= len(LEVEL_NAMES):
        raise UserError(
            f"{root}: most of its images lie {level} folders down, so it holds datasets: pass its subfolders "
            f"({os.path.join(root, '*')})"
        )
    for folder in folders:
        if len(folder.parts) == level:
            yield _make_topic(folder)
        elif folder.images:
            warn(
                f"{terminal.escape(folder.path)}: {terminal.plural(folder.images, 'image')} outside any topic, not processed "
                f"(the topics of this {LEVEL_NAMES[level]} lie {terminal.plural(level, 'level')} below it)"
            )


def _make_topic(folder: _Folder) -> Topic:
    names = [name for name in folder.path.split(os.sep) if name][-4:]
    dataset, cluster, subcluster, name = [""] * (4 - len(names)) + names
    return Topic(folder.path, dataset, cluster, subcluster, name, folder.images)


def _walk_folder(
    root: str, seen: dict[tuple[int, int], str], warn: Callable[[str], None]
) -> Iterator[_Folder]:
    """Every folder from `root` down, each real one once: links are followed last, so that a folder's own place wins."""
    waiting: list[tuple[tuple[str, ...], str]] = [((), root)]
    linked: list[tuple[tuple[str, ...], str]] = []
    while waiting or linked:
        if not waiting:
            linked.sort(reverse=True)
            waiting.append(linked.pop())
        parts, path = waiting.pop()
        try:
            status = os.stat(
                os.path.join(path, ".")
            )  # fails where the folder may be listed, but nothing in it opened
            first = seen.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                warn(
                    f"{terminal.escape(path)}: the same folder as {terminal.escape(first)}, counted once"
                )
                continue
            images, others = 0, []
            with os.scandir(path) as entries:
                for entry in entries:
                    if is_image_name(entry.name) and entry.is_file(follow_symlinks=False):
                        images += 1
                    elif not entry.name.startswith("."):
                        others.append(entry)
        except OSError as error:
            warn(f"{terminal.escape(path)}: cannot be read ({error.strerror}), skipped")
            continue
        for entry in sorted(others, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(((*parts, entry.name), entry.path))
            elif entry.is_symlink() and os.path.isdir(entry.path):
                linked.append(((*parts, entry.name), entry.path))
            elif is_image_name(entry.name) and _is_file(entry):
                images += 1
            elif is_image_name(entry.name) or (
                entry.is_symlink() and not os.path.exists(entry.path)
            ):
                warn(f"{terminal.escape(entry.path)}: {_entry_kind(entry)}, no image")
        yield _Folder(parts, path, images)


def _entry_kind(entry: os.DirEntry[str]) -> str:
    return "a link that leads nowhere" if entry.is_symlink() else "not a regular file"
