"""Makes files survive a power cut.

File contents reach the disk before their names, and names before a script reports success.

Many files are synced by threads side by side: a disk syncs a dozen in the time of one.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Generic, ParamSpec

from common.errors import UserError

SYNC_THREADS = 16  # wait for the disk: copying took 20 to 33 % less time than with 4
# File systems that do not support syncing; there is nothing to wait for.
SYNC_UNSUPPORTED_ERRNOS = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EROFS}

Arguments = ParamSpec("Arguments")

# By device: a folder on it in which names have changed since the last sync_renames().
_renamed_in: dict[int, str] = {}


def fsync_file(file: IO[bytes]) -> None:
    """Bring what was written to the disk. Raises OSError."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in SYNC_UNSUPPORTED_ERRNOS:
            raise


def note_rename(folder: str) -> None:
    """Remember that a name in `folder` is new, or that it has new content."""
    with contextlib.suppress(OSError):
        _renamed_in.setdefault(os.stat(folder).st_dev, folder)


def sync_renames() -> None:
    """Bring every noted name to the disk, by syncing its whole file system. Raises UserError."""
    while _renamed_in:
        _, folder = _renamed_in.popitem()
        try:
            _sync_file_system(folder)
        except OSError as error:
            raise UserError(
                f"{folder}: its disk fails ({error.strerror}); fix that, then run again"
            ) from None


def _sync_file_system(folder: str) -> None:
    """Sync the folder's file system, or all of them if the system cannot sync one alone."""
    import ctypes  # only for scripts that have written something

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None or not os.path.isdir(folder):
        return os.sync()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        has_failed = syncfs(descriptor) != 0
        number = ctypes.get_errno()
        if has_failed and number not in SYNC_UNSUPPORTED_ERRNOS:
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


class BackgroundWriter(Generic[Arguments]):
    """Calls a function in threads, so that waiting for the disk does not hold up decoding.

    Leaving the block waits for all calls. The first error is raised by a later call, or on leaving
    the block.
    """

    def __init__(self, function: Callable[Arguments, None]) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(SYNC_THREADS)
        self._pending: deque[Future[None]] = deque()

    def __enter__(self) -> BackgroundWriter[Arguments]:
        return self

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        self._pending.append(self._pool.submit(self._function, *args, **kwargs))
        while len(self._pending) > SYNC_THREADS or (self._pending and self._pending[0].done()):
            self._pending.popleft().result()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        while self._pending and kind is None:
            self._pending.popleft().result()
