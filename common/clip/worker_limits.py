"""What a container or shell may limit so far that worker processes hang: checked at the start.

Needs the standard library only.
"""

from __future__ import annotations

import errno
import os
import resource

from common.errors import UserError
from common.terminal import format_bytes

SHARED_MEMORY_FOLDER = "/dev/shm"
LOCK_ERRNOS = {errno.ENOENT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.ENOSYS}


def free_shared_memory_bytes() -> int:
    """Return how many bytes worker processes can share; 0 if there is no shared memory."""
    try:
        status = os.statvfs(SHARED_MEMORY_FOLDER)
    except OSError:
        return 0
    return status.f_bavail * status.f_frsize


def check_memory_limit(min_bytes: int) -> None:
    """Raise UserError if `ulimit -v` allows fewer bytes.

    Beyond the limit, libraries for linear algebra try for memory without end.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < min_bytes:
        raise UserError(
            f"memory is limited to {format_bytes(limit)} (ulimit -v); this needs "
            f"{format_bytes(min_bytes)}: raise the limit, then run again"
        )


def check_locks() -> None:
    """Raise UserError if processes cannot have a lock in common, as queues between them need."""
    import multiprocessing

    try:
        multiprocessing.Lock()
    except OSError as error:
        raise worker_start_error(error) from None


def worker_start_error(error: OSError | RuntimeError) -> UserError:
    """Make the error to raise if worker processes could not be started."""
    reason: object = error
    remedy = "pass --workers 0, or raise the limits (ulimit -n, ulimit -u)"
    if isinstance(error, OSError):
        reason = error.strerror
        if error.errno in LOCK_ERRNOS:
            reason = f"no locks in {SHARED_MEMORY_FOLDER}: {reason}"
            remedy = "pass --workers 0, or give the container some (--shm-size 1g)"
    return UserError(f"worker processes cannot be started ({reason}); {remedy}")
