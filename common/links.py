"""Links that a run does not follow: those of a `.cache`, and sidecars outside of the dataset.

A `.cache` that is a link is used if it leads to a cache of ours or an empty folder.
People link it to a faster disk. Whatever else it leads to is not ours to write into, so the run
uses a temporary folder instead, which is deleted at the end.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterable

MADE_BY_US = re.compile(rb'\s*\{\s*(\}|"(files|images|scores|duplicates|variants)": (\{|null))')
HEAD_BYTES = 200  # of images.json, enough to recognise it

_unusable: list[str] = []
_ignored: set[str] = set()


def usable_cache_folder(path: str) -> str:
    """Return the folder to use for the cache at `path`: itself, or a temporary one."""
    if not os.path.islink(path) or _is_usable(os.path.realpath(path)):
        return path
    return _temporary_folder(path)


def adopt_cache_folder(path: str) -> None:
    """Mark an empty folder that the link at `path` leads to as ours. Call it before writing."""
    if os.path.islink(path):
        with contextlib.suppress(OSError):
            if not os.listdir(path):
                with open(os.path.join(path, "images.json"), "xb") as file:
                    file.write(b"{}\n")


def unusable_links() -> list[str]:
    """Return the links to caches that this run did not use, since the last call."""
    links = sorted(_unusable)
    _unusable.clear()
    return links


def _is_usable(folder: str) -> bool:
    try:
        if not os.listdir(folder):
            return True
        descriptor = os.open(os.path.join(folder, "images.json"), os.O_RDONLY | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            return MADE_BY_US.match(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


@functools.cache
def _temporary_folder(path: str) -> str:
    _unusable.append(path)
    folder = tempfile.mkdtemp(prefix="no_cache_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return os.path.join(folder, "cache")


def note_ignored(paths: Iterable[str]) -> None:
    """Remember links that are no sidecars, for count_ignored."""
    _ignored.update(paths)


def count_ignored() -> int:
    """Return how many links were no sidecars, since the last call."""
    count = len(_ignored)
    _ignored.clear()
    return count
