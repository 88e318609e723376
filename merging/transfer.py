"""Puts one file in its place: as a copy, a hard link or a symlink.

A copy is written to a temporary path and renamed into place once it is whole and on disk, so
neither a kill nor a power cut leaves half a file at its target. Existing files are never
overwritten, and sources are only read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import IO

from common import durability
from common.errors import DISK_FULL_ERRNOS, UserError, disk_full_message
from common.topics import Stamp, stamp_from_status


class TransferMode(StrEnum):
    """How a file comes to its target."""

    COPY = "copy"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"


TRANSFER_MODES = [mode.value for mode in TransferMode]
KERNEL_COPY_BYTES = 1 << 30  # asked of the kernel at once; it may copy fewer
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


def transfer_file(transfer: Transfer, temporary: str) -> None:
    """Put one file in its place. `temporary` is a free path on the target's file system.

    Raises UserError.
    """
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
        if stamp_from_status(status) != transfer.torn:
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
    is_as_planned = stamp_from_status(source) == transfer.stamp
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
