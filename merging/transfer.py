"""Puts one file in its place: as a copy, a hard link or a symlink.

A copy is written to the staging folder and moved into place once it is whole and on disk, so
neither a kill nor a power cut leaves half a file at its target. Existing files are never
overwritten, and sources are only read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO

from common import durability
from common.errors import DISK_FULL_ERRNOS, REMEDIES, UserError, disk_full_message
from common.target_folder import NO_LINK_ERRNOS, TargetFolder, set_times
from common.topics import Stamp, stamp_from_status


class TransferMode(StrEnum):
    """How a file comes to its target."""

    COPY = "copy"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    LINK = "link"  # a hard link, or where that cannot be a symlink
    LINK_OR_COPY = "link or copy"  # a hard link, or where that cannot be a copy


# What people can choose.
TRANSFER_MODES = [TransferMode.COPY.value, TransferMode.HARDLINK.value, TransferMode.SYMLINK.value]
FALLBACK_MODES = {
    TransferMode.LINK: TransferMode.SYMLINK,
    TransferMode.LINK_OR_COPY: TransferMode.COPY,
}
NO_HARD_LINK_ERRNOS = {errno.EXDEV, errno.EACCES, *NO_LINK_ERRNOS}
KERNEL_COPY_BYTES = 1 << 30  # asked of the kernel at once; it may copy fewer
# Errors of pairs of file systems that lack a feature; network and FUSE ones vary.
NO_KERNEL_COPY_ERRNOS = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


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
    content: bytes | None = None  # that is written in place of the source's


def sidecar_mode(mode: str) -> TransferMode:
    """Return how sidecars come to the target when images come in this mode."""
    return TransferMode.LINK_OR_COPY if mode == TransferMode.LINK else TransferMode.COPY


def transfer_file(transfer: Transfer, folder: TargetFolder) -> None:
    """Put one file in its place in the target folder. Raises UserError."""
    place = folder.place_of(transfer.target)
    try:
        if transfer.mode in FALLBACK_MODES:
            _link_or_fall_back(transfer, place, folder)
        elif transfer.mode == TransferMode.COPY:
            _copy_file(transfer, place, folder)
        else:
            _link_file(transfer, place, folder)
    except FileExistsError:
        raise UserError(
            f"{transfer.target}: something created it during this run; run it again"
        ) from None
    except OSError as error:
        raise _transfer_error(transfer, error) from None


def _link_or_fall_back(transfer: Transfer, place: str, folder: TargetFolder) -> None:
    try:
        _link_file(replace(transfer, mode=TransferMode.HARDLINK), place, folder)
    except OSError as error:
        if error.errno not in NO_HARD_LINK_ERRNOS:
            raise
        fallback = replace(transfer, mode=FALLBACK_MODES[TransferMode(transfer.mode)])
        transfer_file(fallback, folder)


def _transfer_error(transfer: Transfer, error: OSError) -> UserError:
    """Make the error to raise if a file cannot be put in its place: reason and remedy."""
    if error.errno in DISK_FULL_ERRNOS:
        return UserError(disk_full_message(transfer.target, error))
    remedy = REMEDIES.get(error.errno or 0, "fix that")
    if transfer.mode == TransferMode.HARDLINK and error.errno in {errno.EXDEV, *NO_LINK_ERRNOS}:
        remedy = "use --mode copy"
    elif error.errno in (errno.EACCES, errno.EPERM):
        remedy = "check the permissions of both"
    return UserError(
        f"{transfer.source}: cannot be placed at {transfer.target} ({error.strerror}); "
        f"{remedy}, then run it again"
    )


def _copy_file(transfer: Transfer, place: str, folder: TargetFolder) -> None:
    with open_source(transfer.source) as source:
        _check_unchanged(transfer, os.fstat(source.fileno()))
        name, target = folder.create_temporary()
        try:
            with target:
                copied_bytes = None
                if transfer.content is None:
                    _copy_bytes(source, target)
                    target.flush()
                    copied_bytes = os.fstat(target.fileno()).st_size
                else:
                    target.write(transfer.content)
                status = os.fstat(source.fileno())
                _check_unchanged(transfer, status, copied_bytes)
                _copy_attributes(source, target, status)
                durability.fsync_file(target)
            folder.move_into_place(name, place, transfer.torn)
        except BaseException:
            folder.discard_temporary(name)
            raise


def open_source(path: str) -> IO[bytes]:
    """Open a source for reading; a pipe in its place never blocks."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return open(number, "rb", buffering=0)


def _copy_bytes(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy by the kernel if it can: it shares blocks on file systems with reflinks."""
    try:
        while os.copy_file_range(source.fileno(), target.fileno(), KERNEL_COPY_BYTES):
            pass
    except OSError as error:
        if error.errno not in NO_KERNEL_COPY_ERRNOS:
            raise
    shutil.copyfileobj(source, target)  # what the kernel did not copy: nothing, or everything


def _copy_attributes(source: IO[bytes], target: IO[bytes], status: os.stat_result) -> None:
    """Copy times, extended attributes and permissions, where the file system can keep them."""
    with contextlib.suppress(OSError):
        for attribute in os.listxattr(source.fileno()):
            with contextlib.suppress(OSError):
                value = os.getxattr(source.fileno(), attribute)
                os.setxattr(target.fileno(), attribute, value)
    with contextlib.suppress(OSError):
        os.fchmod(target.fileno(), stat.S_IMODE(status.st_mode))
    set_times(target, status.st_atime_ns, status.st_mtime_ns)


def _link_file(transfer: Transfer, place: str, folder: TargetFolder) -> None:
    _check_unchanged(transfer, os.stat(transfer.source))
    is_hard = transfer.mode == TransferMode.HARDLINK
    # Of a symlink the file behind it gets the hard link.
    source = os.path.realpath(transfer.source) if is_hard else transfer.source
    if transfer.torn is not None:
        name = folder.stage_link(source, is_hard)
        try:
            folder.move_into_place(name, place, transfer.torn)
        finally:
            folder.discard_temporary(name)
    elif is_hard:
        folder.add_hard_link(source, place)
    else:
        folder.add_symlink(source, place)


def _check_unchanged(
    transfer: Transfer, source: os.stat_result, copied_bytes: int | None = None
) -> None:
    """Raise UserError if the source differs from the plan, or the copy has another size."""
    is_as_planned = stamp_from_status(source) == transfer.stamp
    is_whole = copied_bytes in (None, transfer.stamp[0])
    if not is_as_planned or not is_whole or not stat.S_ISREG(source.st_mode):
        raise UserError(
            f"{transfer.source}: changed while it was copied; "
            "wait until nothing writes to it, then run the same command again"
        )
