"""Single files: read only if they are regular, replaced as a whole, set aside if they are damaged.

A kill at any moment leaves the old file or the new one. Knows bytes, not what they mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from typing import IO

from common import durability, terminal
from common.errors import UserError, os_error_to_user_error
from common.image_formats import dataset_file_kind
from common.target_folder import TargetFolder, temporary_name

MIN_SIZE_LIMIT_BYTES = 64_000_000  # a file up to this size is read, whatever it is
MAX_KEPT_NAME_BYTES = 240  # of a damaged file's name; a name has at most 255 bytes
FILE_TYPES = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
GIVEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC
PIPE_BYTES = 4096  # read at a time from what has no size
DIGEST_PART_BYTES = 1 << 18  # read at a time
STREAM_FOLDERS = ("/dev", "/dev/fd", "/proc/self/fd")  # nothing in them is ours to replace


class FolderGone(UserError):
    """The folder of a file was deleted while the file was written."""


class Damaged(UserError):
    """A file that cannot be used.

    A script that acts on the file stops. One that only makes it again sets it aside.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: damaged ({reason}); restore it, or delete it and make it again")
        self.path, self.reason = path, reason


def read_bytes(
    path: str, max_bytes: Callable[[], int] | None = None, is_given: bool = False
) -> bytes | None:
    """Read the file at `path`. Returns None if there is none.

    `max_bytes` is called for a large file only, and returns the size that it can have.
    A file that `is_given` by an option may be a pipe.
    Raises Damaged, or UserError if the file may be sound but cannot be read.
    """
    try:
        descriptor = os.open(path, GIVEN_FLAGS) if is_given else _open_descriptor(path)
        return _read_descriptor(path, descriptor, max_bytes)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):  # too long: there can be no such file
            return None
        raise os_error_to_user_error(path, "read", error) from None


def open_regular(path: str) -> IO[bytes]:
    """Open a file, and no pipe: that could wait forever. Raises Damaged and OSError."""
    return open(_open_descriptor(path), "rb")


def _open_descriptor(path: str) -> int:
    _check_regular(path, os.stat(path))
    descriptor = os.open(path, GIVEN_FLAGS | os.O_NONBLOCK)  # so that a pipe does not wait either
    try:
        _check_regular(path, os.fstat(descriptor))
    except Damaged:
        os.close(descriptor)
        raise
    return descriptor


def _read_descriptor(path: str, descriptor: int, max_bytes: Callable[[], int] | None) -> bytes:
    """Read and close an open file, with half of the system calls of a file object."""
    try:
        size = os.fstat(descriptor).st_size
        if max_bytes:
            check_size(path, size, max_bytes)
        parts = []
        while part := os.read(descriptor, size + PIPE_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _check_regular(path: str, status: os.stat_result) -> None:
    file_type = stat.S_IFMT(status.st_mode)
    if file_type != stat.S_IFREG:
        raise Damaged(path, f"{FILE_TYPES.get(file_type, 'a device')}, not a file")


def check_size(path: str, size: int, max_bytes: Callable[[], int]) -> None:
    """Raise Damaged if a file is larger than what its topic's images explain."""
    if size > MIN_SIZE_LIMIT_BYTES and size > max_bytes():
        explained = "far more than the images of its topic explain"
        raise Damaged(path, f"{terminal.format_bytes(size)}, {explained}")


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file's bytes; empty if there is no file that can be read."""
    try:
        return read_digest(path)[0]
    except (OSError, Damaged):
        return ""


def read_digest(path: str) -> tuple[str, os.stat_result]:
    """Return the SHA-256 of a regular file, and its status then. Raises Damaged and OSError."""
    digest = hashlib.sha256()
    with open(_open_descriptor(path), "rb", buffering=0) as file:
        while part := file.read(DIGEST_PART_BYTES):
            digest.update(part)
        return digest.hexdigest(), os.fstat(file.fileno())


def bytes_digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def write_bytes(path: str, content: bytes, target_folder: TargetFolder | None = None) -> None:
    """Write `content` as atomic_write does. Leaves a file alone that holds it already.

    Raises UserError.
    """
    with contextlib.suppress(OSError, UserError):
        if os.stat(path).st_size == len(content) and read_bytes(path) == content:
            return
    with atomic_write(path, target_folder) as file:
        file.write(content)


@contextlib.contextmanager
def atomic_write(
    path: str, target_folder: TargetFolder | None = None, survives_power_cut: bool = True
) -> Iterator[IO[bytes]]:
    """Open a binary file that replaces `path` when the block ends well, and vanishes otherwise.

    A kill leaves the old file or the new one. So does a power cut, with `survives_power_cut`.
    The new file grows beside `path`. In the `target_folder` of a merge or export it grows in the
    staging folder, and no link is followed. If `path` is a device, or a pipe with a reader, the
    block writes into it. Raises UserError if the file cannot be written.
    """
    if target_folder:
        with target_folder.replace_file(path) as file:
            yield file
        return
    if stream := _open_stream(path):
        with stream:
            yield stream
        return
    temporary = os.path.join(os.path.dirname(path), temporary_name())
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(OSError):  # there is no old file, or no permissions
                os.fchmod(file.fileno(), os.stat(path).st_mode & 0o777)
            yield file
            if survives_power_cut:
                durability.fsync_file(file)
        os.replace(temporary, path)
        durability.note_rename(os.path.dirname(path) or ".")
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, FileNotFoundError):
            gone = "cannot be written, its folder is gone; make it, then run this again"
            raise FolderGone(f"{path}: {gone}") from None
        if isinstance(error, OSError):
            raise os_error_to_user_error(path, "written", error) from None
        raise


def _open_stream(path: str) -> IO[bytes] | None:
    """Open the device at `path`, or the pipe if somebody reads it. Returns None for others."""
    if not _is_stream(path):
        return None
    try:
        number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:
        return None
    os.set_blocking(number, True)
    return open(number, "wb")


def _is_stream(path: str) -> bool:
    """Tell whether `path` must not be replaced: /dev/null, /dev/stdout, >(gzip > it)."""
    try:
        file_type = stat.S_IFMT(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
    if file_type in (stat.S_IFIFO, stat.S_IFCHR):
        return True
    return os.path.dirname(os.path.abspath(path)) in STREAM_FOLDERS


def quarantine(path: str, reason: str, warn: Callable[[str], None]) -> None:
    """Rename a damaged file to `NAME.corrupt`, and warn about it.

    If there is such a file already, to `NAME.corrupt.2` and so on: nothing is overwritten.
    Raises UserError.
    """
    folder, name = os.path.split(os.fsencode(path))
    start = os.fsdecode(os.path.join(folder, name[:MAX_KEPT_NAME_BYTES]))
    number, new_path = 1, f"{start}.corrupt"
    while os.path.lexists(new_path):
        number += 1
        new_path = f"{start}.corrupt.{number}"
    try:
        os.rename(path, new_path)
    except OSError as error:
        why = f"damaged ({reason}) and cannot be set aside ({error.strerror})"
        raise UserError(f"{path}: {why}") from None
    new_name = terminal.escape(os.path.basename(new_path))
    warn(f"{terminal.escape(path)}: damaged ({reason}); set aside as {new_name}")


def check_writable(folder: str) -> None:
    """Raise UserError unless files can be made in `folder`. Call it before expensive work."""
    if os.access(folder, os.W_OK | os.X_OK):
        return
    remedy = "check its permissions"
    with contextlib.suppress(OSError):
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            remedy = "its file system is read-only"
    raise UserError(f"{folder}: not writable; {remedy}")


def check_not_in_dataset(path: str, option: str) -> None:
    """Raise UserError if an output would replace an image, a caption or a record of ours."""
    if kind := dataset_file_kind(path):
        raise UserError(f"{path}: {kind}, not to be replaced; give {option} another name")


def check_output(path: str, option: str = "--output") -> None:
    """Raise UserError unless a file can be written at `path`. Call it before expensive work."""
    if _is_stream(path):
        return
    check_not_in_dataset(path, option)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: no such folder; make it, or give {option} another place")
    if os.path.isdir(path):
        raise UserError(f"{path}: is a folder; {option} needs the name of a file")
    check_writable(folder)
