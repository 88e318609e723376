"""Puts files in their places in a target folder: copies, hard links or symlinks, several at once.

Knows nothing of images. A copy is written in a staging folder and renamed into place once it is
whole and on disk, so neither a kill nor a power cut leaves half a file at its target. Existing
files are never overwritten, and sources are only read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from common import durability
from common.errors import DISK_FULL_ERRNOS, UserError, disk_full_message, os_error_to_user_error
from common.terminal import format_bytes
from common.topics import Stamp, Topic


class TransferMode(StrEnum):
    """How a file comes to its target."""

    COPY = "copy"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"


TRANSFER_MODES = [mode.value for mode in TransferMode]
STAGING_FOLDER = ".merge_unfinished"  # in the target: on its file system, so a rename is enough
KERNEL_COPY_BYTES = 1 << 30  # asked of the kernel at once; it may copy fewer
BLOCK_BYTES = 4096  # on disk, even for a smaller file
# Errors of file systems (or pairs of them) that lack a feature; network and FUSE ones vary.
NO_KERNEL_COPY_ERRNOS = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
NO_LINK_ERRNOS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file to put in its place.

    `stamp` is the size and time of the source when this was planned. `torn` is that of a damaged
    earlier copy at the target, which this one replaces; None if nothing is there.
    """

    source: str
    target: str
    stamp: Stamp
    mode: str  # a TransferMode
    torn: Stamp | None = None


# Checks before anything is written


def folders_between(topics: Iterable[Topic], paths: Iterable[str]) -> list[str]:
    """List the topics' folders and their parents up to `paths`: each may be a link elsewhere."""
    given = set(map(os.path.abspath, paths))
    folders: dict[str, None] = {}
    for topic in topics:
        folder = topic.path
        while folder not in folders:
            folders[folder] = None
            if folder not in given:
                folder = os.path.dirname(folder)
    return list(folders)


def check_not_nested(folders: Iterable[str], target: str, option: str = "--output") -> None:
    """Raise UserError if the target (given by `option`) is inside a folder or contains one."""
    inner = os.path.join(os.path.realpath(target), "")
    for folder in folders:
        outer = os.path.join(os.path.realpath(folder), "")
        if inner.startswith(outer) or outer.startswith(inner):
            raise UserError(
                f"{target}: overlaps the source {folder} (one contains the other); "
                f"give {option} another place"
            )


def nearest_existing_folder(folder: str) -> str:
    """Return the folder, or its nearest parent that exists."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def check_same_file_system(topics: Sequence[Topic], root: str) -> None:
    """Raise UserError if a topic is on another file system than `root`: hard links need one."""
    device = os.stat(root).st_dev
    for topic in topics:
        if os.stat(topic.path).st_dev != device:
            raise UserError(
                f"{topic.path}: on another file system than the target; use --mode copy or symlink"
            )


def check_free_space(target: str, transfers: Iterable[Transfer], free_bytes: int) -> None:
    """Raise UserError if the copies do not fit."""
    needed_bytes = 0
    for transfer in transfers:
        if transfer.mode == TransferMode.COPY:
            blocks = -(-transfer.stamp[0] // BLOCK_BYTES)
            needed_bytes += blocks * BLOCK_BYTES
    if needed_bytes > free_bytes:
        raise UserError(
            f"{target}: {format_bytes(needed_bytes)} needed, {format_bytes(free_bytes)} free; "
            "make room, or use --mode hardlink"
        )


# Writing into the target


@contextlib.contextmanager
def lock_target(target: str) -> Iterator[str]:
    """Make the target folder, lock out other runs, and yield the path of its staging folder.

    The staging folder is not created here. It is deleted at the end, and at the start if a killed
    run left one. Raises UserError.
    """
    staging = os.path.join(target, STAGING_FOLDER)
    make_target_folder(target)
    folder = os.open(target, os.O_RDONLY)
    try:
        _lock_folder(folder, target)
        shutil.rmtree(staging, ignore_errors=True)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    finally:
        os.close(folder)


def make_target_folder(folder: str) -> None:
    """Create a folder and its parents. Raises UserError."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise os_error_to_user_error(folder, "made", error) from None


def _lock_folder(folder: int, path: str) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"{path}: another run is writing to it; wait until that run has ended"
        ) from None
    except OSError:  # a file system without locks
        pass


def transfer_files(
    transfers: Iterable[Transfer], staging: str, on_done: Callable[[Transfer], object]
) -> None:
    """Put every file in its place, and call `on_done` after each.

    The first failure stops the run; files that are in place stay. Raises UserError.
    """
    numbered = enumerate(transfers)
    lock = threading.Lock()
    stopped = threading.Event()

    def work() -> None:
        while not stopped.is_set():
            with lock:
                number, transfer = next(numbered, (0, None))
            if transfer is None:
                return
            _transfer_file(transfer, os.path.join(staging, str(number)))
            with lock:
                on_done(transfer)

    with ThreadPoolExecutor(durability.SYNC_THREADS) as pool:
        try:
            workers = [pool.submit(work) for _ in range(durability.SYNC_THREADS)]
            for worker in workers:
                worker.result()
        finally:
            stopped.set()


def _transfer_file(transfer: Transfer, temporary: str) -> None:
    source, target = transfer.source, transfer.target
    try:
        TRANSFER_FUNCTIONS[transfer.mode](transfer, temporary)
        durability.note_rename(os.path.dirname(target))
    except FileExistsError:
        raise UserError(f"{target}: something created it during this run; run it again") from None
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if error.errno in DISK_FULL_ERRNOS:
            raise UserError(disk_full_message(target, error)) from None
        remedy = "check the permissions of both"
        if transfer.mode == TransferMode.HARDLINK:
            remedy = "use --mode copy"
        raise UserError(
            f"{source}: cannot be placed at {target} ({error.strerror}); "
            f"{remedy}, then run it again"
        ) from None


def _copy_file(transfer: Transfer, temporary: str) -> None:
    with open(transfer.source, "rb", buffering=0) as source:
        _check_unchanged(transfer, os.fstat(source.fileno()))
        with open(temporary, "wb") as target:
            _copy_bytes(source, target)
            target.flush()
            copied_bytes = os.fstat(target.fileno()).st_size
            _check_unchanged(transfer, os.fstat(source.fileno()), copied_bytes)
            with contextlib.suppress(PermissionError):  # a file system without permissions
                # times to the nanosecond, permissions, extended attributes
                shutil.copystat(transfer.source, temporary)
            durability.fsync_file(target)
    _move_into_place(temporary, transfer)


def _copy_bytes(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy by the kernel if it can: it shares blocks on file systems with reflinks."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), KERNEL_COPY_BYTES):
            pass
    except OSError as error:
        if error.errno not in NO_KERNEL_COPY_ERRNOS:
            raise
    shutil.copyfileobj(source, target)  # what the kernel did not copy: nothing, or everything


def _move_into_place(path: str, transfer: Transfer) -> None:
    """Rename, but never over an existing file. Raises FileExistsError.

    Only a link checks for one and creates the name in one step. A torn copy is replaced, never
    written into: it may be a link to its source.
    """
    target = transfer.target
    if transfer.torn is not None:
        status = os.stat(target)
        if (status.st_size, status.st_mtime_ns) != transfer.torn:
            raise FileExistsError(errno.EEXIST, "exists", target)
        os.rename(path, target)
        return
    try:
        os.link(path, target)
    except OSError as error:
        if error.errno not in NO_LINK_ERRNOS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "exists", target) from None
        os.rename(path, target)
    else:
        os.unlink(path)


def _hardlink_file(transfer: Transfer, temporary: str) -> None:
    _check_unchanged(transfer, os.stat(transfer.source))
    real_source = os.path.realpath(transfer.source)  # of a symlink the file behind it
    _make_link(os.link, real_source, transfer, temporary)


def _symlink_file(transfer: Transfer, temporary: str) -> None:
    _check_unchanged(transfer, os.stat(transfer.source))
    _make_link(os.symlink, transfer.source, transfer, temporary)


def _make_link(
    make: Callable[[str, str], None], source: str, transfer: Transfer, temporary: str
) -> None:
    if transfer.torn is None:
        make(source, transfer.target)
    else:
        make(source, temporary)
        _move_into_place(temporary, transfer)


def _check_unchanged(
    transfer: Transfer, source: os.stat_result, copied_bytes: int | None = None
) -> None:
    """Raise UserError if the source differs from the plan, or the copy has another size."""
    is_as_planned = (source.st_size, source.st_mtime_ns) == transfer.stamp
    is_whole = copied_bytes in (None, transfer.stamp[0])
    if not is_as_planned or not is_whole:
        raise UserError(
            f"{transfer.source}: changed while it was copied; "
            "wait until nothing writes to it, then run the same command again"
        )


TRANSFER_FUNCTIONS: dict[str, Callable[[Transfer, str], None]] = {
    TransferMode.COPY: _copy_file,
    TransferMode.HARDLINK: _hardlink_file,
    TransferMode.SYMLINK: _symlink_file,
}
