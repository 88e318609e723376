"""Keeps two runs apart where they meet: a lock that is held for moments, on which what they write depends.

The kernel lets go of it when its holder dies. It is of the kind that works over NFS too, and that decoding processes do
not inherit. A file system that knows no locks is used without.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator

POLL_SECONDS = 0.005  # seconds between two looks; the kernel's own waiting takes two threads of two runs for a deadlock
HELD_BY_ANOTHER = {errno.EACCES, errno.EAGAIN}

_holders: dict[str, int] = {}  # by path: the thread of this process that holds it, or waits for it


@contextlib.contextmanager
def file_lock(path: str) -> Iterator[None]:
    """Hold the file at `path` while the block runs; its folder is made if need be. A thread may hold it again."""
    thread = threading.get_ident()
    if _holders.get(path) == thread:
        yield
        return
    while _holders.setdefault(path, thread) != thread:
        time.sleep(POLL_SECONDS)
    try:
        while (file := try_lock(path)) is None:
            time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            unlock(path, file)
    finally:
        del _holders[path]


def try_lock(path: str) -> int | None:
    """The open file, locked, for `let_go`; None while another process holds it, or deletes it just now."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except FileNotFoundError:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(file)
        if os.path.samestat(status, os.stat(path)):
            if status.st_nlink == 1:
                return file
            os.unlink(
                path
            )  # by another name it may be somebody's: a tree that was copied by hard links
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in HELD_BY_ANOTHER:
            return file
    os.close(file)
    return None


def unlock(path: str, file: int) -> None:
    """Delete the file, then open it to others."""
    with contextlib.suppress(OSError):  # its folder was deleted meanwhile
        os.unlink(path)
    os.close(file)
