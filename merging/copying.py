"""Puts files at their places in a target folder: copies, hard links or symlinks, several at once.

Knows nothing of images. A copy grows in a folder aside and is renamed into place when it is whole and on the disk, so
neither a kill nor a power cut leaves half a file at a place. Nothing that is there is overwritten, and a source is only
read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from common import durability
from common.errors import DISK_FULL, UserError, is_disk_full, os_error_to_user_error
from common.tree import Stamp

MODES = COPY, HARDLINK, SYMLINK = "copy", "hardlink", "symlink"
STAGING_FOLDER = ".merge_unfinished"  # below the target: on its file system, so that a rename is all that is left to do
CHUNK = 1 << 30  # bytes asked of the kernel at once; it may do less
# What the kernel says where a file system, or a pair of them, has no such thing; network and FUSE ones vary.
NO_KERNEL_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Copy:
    """One file to be put in place; `stamp` is what the source was when this was planned.

    `torn` is what a file was then that this one replaces; where it is None, there is none.
    """

    source: str
    target: str
    stamp: Stamp
    mode: str
    torn: Stamp | None = None


@contextlib.contextmanager
def locked_target(target: str) -> Iterator[str]:
    """The target folder, made and held against a second run; yields the folder aside, which goes at the end.

    What a killed run left aside goes at the start. Raises UserError.
    """
    aside = os.path.join(target, STAGING_FOLDER)
    make_target_folder(target)
    held = os.open(target, os.O_RDONLY)
    try:
        _hold(held, target)
        with contextlib.ExitStack() as at_end:
            at_end.callback(shutil.rmtree, aside, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)
            yield aside
    finally:
        os.close(held)


def make_target_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise os_error_to_user_error(folder, "made", error) from None


def _hold(folder: int, target: str) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{target}: another run is filling it; wait until that has ended") from None
    except OSError:  # a file system without locks
        pass


def copy_all(copies: Iterable[Copy], aside: str, done: Callable[[Copy], None]) -> None:
    """Put every file in place, telling `done` of each. The first failure ends it: what is in place stays. UserError."""
    waiting, lock, stopped = enumerate(copies), threading.Lock(), threading.Event()

    def work() -> None:
        while not stopped.is_set():
            with lock:
                number, copy = next(waiting, (0, None))
            if copy is None:
                return
            _put(copy, os.path.join(aside, str(number)))
            with lock:
                done(copy)

    with ThreadPoolExecutor(durability.SYNC_THREADS) as pool:
        try:
            running = [pool.submit(work) for _ in range(durability.SYNC_THREADS)]
            for worker in running:
                worker.result()
        finally:
            stopped.set()


def _put(copy: Copy, aside: str) -> None:
    try:
        PLACED[copy.mode](copy, aside)
        durability.note_rename(os.path.dirname(copy.target))
    except FileExistsError:
        raise UserError(f"{copy.target}: appeared since this was planned; run it again") from None
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        if error.errno in DISK_FULL:
            raise UserError(is_disk_full(copy.target, error)) from None
        remedy = "use --mode copy" if copy.mode == HARDLINK else "see to the permissions of both"
        raise UserError(
            f"{copy.source}: cannot be brought to {copy.target} ({error.strerror}); {remedy}, then run it again"
        ) from None


def _copied(copy: Copy, aside: str) -> None:
    with open(copy.source, "rb", buffering=0) as source:
        _check(os.fstat(source.fileno()), copy)
        with open(aside, "wb") as target:
            _transfer(source, target)
            target.flush()
            _check(os.fstat(source.fileno()), copy, os.fstat(target.fileno()).st_size)
            with contextlib.suppress(PermissionError):  # a file system that knows no permissions
                shutil.copystat(
                    copy.source, aside
                )  # times to the nanosecond, permissions, extended attributes
            durability.fsync_file(target)
    _move(aside, copy)


def _move(path: str, copy: Copy) -> None:
    """Rename, but never over a file that is there, which only a link can tell without a gap. Raises FileExistsError.

    A torn copy is replaced, never written into: it may be a link to its source.
    """
    target = copy.target
    if copy.torn is not None:
        status = os.stat(target)
        if (status.st_size, status.st_mtime_ns) != copy.torn:
            raise FileExistsError(errno.EEXIST, "exists", target)
        return os.rename(path, target)
    try:
        os.link(path, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "exists", target) from None
        os.rename(path, target)
    else:
        os.unlink(path)


def _transfer(source: IO[bytes], target: IO[bytes]) -> None:
    """All bytes, by the kernel where it can: it shares blocks where the file system has reflinks."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), CHUNK):
            pass
    except OSError as error:
        if error.errno not in NO_KERNEL_COPY:
            raise
    shutil.copyfileobj(source, target)  # what the kernel left: nothing, or all


def _hardlinked(copy: Copy, aside: str) -> None:
    _check(os.stat(copy.source), copy)
    _link(os.link, os.path.realpath(copy.source), copy, aside)  # of a symlink the file behind it


def _symlinked(copy: Copy, aside: str) -> None:
    _check(os.stat(copy.source), copy)
    _link(os.symlink, copy.source, copy, aside)


def _link(make: Callable[[str, str], None], path: str, copy: Copy, aside: str) -> None:
    make(path, copy.target if copy.torn is None else aside)
    if copy.torn is not None:
        _move(aside, copy)


PLACED = {COPY: _copied, HARDLINK: _hardlinked, SYMLINK: _symlinked}


def _check(status: os.stat_result, copy: Copy, copied: int | None = None) -> None:
    """Refuse a source that is not what was planned, and a copy of another size."""
    if (status.st_size, status.st_mtime_ns) != copy.stamp or copied not in (None, copy.stamp[0]):
        raise UserError(
            f"{copy.source}: changed while it was copied; run the same command again when it is at rest"
        )
