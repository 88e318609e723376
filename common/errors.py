"""What ends a script early: one line on stderr and an exit status.

There are three kinds of errors. What the user can fix is a UserError; one unreadable image goes to
Reporter.report_unreadable; our own bugs crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from typing import TextIO

from common import start, terminal

DISK_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REMEDIES = {
    errno.EACCES: "check its permissions and its folder's",
    errno.EPERM: "check its permissions and its folder's",
    errno.EROFS: "its file system is read-only",
    errno.ENOENT: "it is gone: make it again",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOTDIR: "there is a file where a folder should be: move that away",
    errno.EEXIST: "there is a file or a broken link where a folder should be: move that away",
    errno.EISDIR: "there is a folder where a file should be: move that away",
    errno.ELOOP: "a link leads to itself: delete that",
    errno.ENAMETOOLONG: "shorten it",
    errno.EIO: "check its disk or network share",
    errno.ESTALE: "check its disk or network share",
}
# What may fail without the name of a file.
RESOURCE_REMEDIES = {
    errno.EMFILE: "raise the number of open files (ulimit -n), or lower --workers",
    errno.ENFILE: "close other programs",
    errno.EAGAIN: "raise the number of processes (ulimit -u), or lower --workers",
    errno.ENOMEM: "free some memory, or lower --workers",
    errno.EIO: "check the disk or network share",
    errno.ESTALE: "check the disk or network share",
}
NO_NEW_THREAD = "can't start new thread"  # Python's words
DECODER_DIED = (
    "a decoding process died, most likely because memory ran out; finished work is kept: "
    "lower --workers or --max-pixels (in a container, raise --shm-size), "
    "then run the same command again"
)
SIGNAL_WAIT_SECONDS = 0.5  # for our own SIGTERM to arrive, after a process of ours died


class UserError(Exception):
    """Something the user can fix: printed as one line, exit status 2."""


def disk_full_message(path: object, error: OSError) -> str:
    return (
        f"{terminal.escape(path)}: could not be written ({error.strerror}); finished work is kept: "
        "free some space, then run the same command again"
    )


def os_error_to_user_error(path: object, use: str, error: OSError) -> UserError:
    """Make the error to raise if `path` cannot be `use` ("read", "written"): reason and remedy."""
    if error.errno in DISK_FULL_ERRNOS:
        return UserError(disk_full_message(path, error))
    remedy = REMEDIES.get(error.errno or 0, "fix that")
    return UserError(f"{path}: cannot be {use} ({error.strerror}); {remedy}")


def decoder_died_error() -> UserError:
    """Make the error to raise after a decoding process died by itself."""
    # Whoever kills all our processes one by one kills this one, too. Then our own SIGTERM arrives
    # now, and is the reason to report.
    time.sleep(SIGNAL_WAIT_SECONDS)
    return UserError(DECODER_DIED)


def exit_status(error: BaseException) -> int | None:
    """Print one line about what ended a script and return its exit status; None for our bugs."""
    match error:
        case UserError():
            return _print_error(f"error: {terminal.escape(error)}", 2)
        case BrokenPipeError():
            _redirect_to_devnull(sys.stdout, sys.stderr)
            return 128 + signal.SIGPIPE
        case OSError() if error.errno in DISK_FULL_ERRNOS:
            message = disk_full_message(error.filename or "output", error)
            status = _print_error(f"error: {message}", 2)
            if not error.filename:
                _redirect_to_devnull(sys.stdout)
            return status
        case OSError() if error.filename is not None:
            path = terminal.escape(error.filename)
            return _print_error(f"error: {path}: {error.strerror}; fix that, then run again", 2)
        case ModuleNotFoundError() if not _is_ours(error.name or ""):
            problem = f"{sys.executable} has no {error.name}"
            return _print_error(f"error: {problem}; run: {start.setup_command()}", 2)
        case OSError() if error.errno in RESOURCE_REMEDIES:
            remedy = RESOURCE_REMEDIES[error.errno]
            return _print_error(f"error: {error.strerror}; {remedy}, then run again", 2)
        case RuntimeError() if str(error) == NO_NEW_THREAD:
            return _print_error(f"error: {error}; raise ulimit -u or ulimit -v, then run again", 2)
    return None


def _is_ours(module: str) -> bool:
    """Tell whether a module belongs to the scripts: if it is missing, that is a bug."""
    package = module.split(".")[0]
    return not package or os.path.exists(os.path.join(start.ROOT, package))


def _print_error(message: str, status: int) -> int:
    script = os.path.basename(sys.argv[0])
    with contextlib.suppress(OSError):
        print(f"{script}: {message}", file=sys.stderr)
    return status


def _redirect_to_devnull(*streams: TextIO) -> None:
    """Discard what Python would still flush at exit."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
