"""What ends a script early, and what it says then: one line on stderr and an exit status.

Three kinds of errors: what a person can mend is a UserError; one bad image goes to Reporter.report_unreadable; our own bugs crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from typing import TextIO

from common import terminal

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REMEDIES = {
    errno.EACCES: "see to its permissions and its folder's",
    errno.EPERM: "see to its permissions and its folder's",
    errno.EROFS: "its file system lets nobody write",
    errno.ENOTDIR: "a file lies where a folder belongs: move that away",
    errno.EEXIST: "a file, or a link that leads nowhere, lies where a folder belongs: move that away",
    errno.EISDIR: "a folder lies where a file belongs: move that away",
    errno.ELOOP: "a link leads to itself: delete that",
    errno.ENAMETOOLONG: "shorten it",
    errno.EIO: "see to its disk or network share",
    errno.ESTALE: "see to its disk or network share",
}
DECODER_DIED = (
    "a decoding process died, most likely for want of memory; finished work is kept: lower --workers or --max-pixels "
    "(in a container, raise --shm-size), then run the same command again"
)


PATIENCE_SECONDS = 0.5  # seconds


class UserError(Exception):
    """Something the person at the keyboard can mend: printed as one line, exit status 2."""


def is_disk_full(path: object, error: OSError) -> str:
    """What to say when a file could not be written to its end."""
    return (
        f"{terminal.escape(path)}: could not be written ({error.strerror}); finished work is kept: "
        "make room, then run the same command again"
    )


def os_error_to_user_error(path: object, use: str, error: OSError) -> UserError:
    """What to raise where a path cannot be `use`, "read" or "written" say: the reason, and what mends that."""
    if error.errno in DISK_FULL:
        return UserError(is_disk_full(path, error))
    return UserError(
        f"{path}: cannot be {use} ({error.strerror}); {REMEDIES.get(error.errno or 0, 'see to it')}"
    )


def decoder_died_error() -> UserError:
    """What to raise where a decoding process ended by itself."""
    time.sleep(
        PATIENCE_SECONDS
    )  # who ends all our processes one by one means this one too: that is the reason then
    return UserError(DECODER_DIED)


def exit_status(error: BaseException) -> int | None:
    """The exit status of what ended a script, after its line on stderr; None for a bug of ours."""
    match error:
        case UserError() as mistake:
            return _print_error(f"error: {terminal.escape(mistake)}", 2)
        case BrokenPipeError():
            _redirect_to_devnull(sys.stdout, sys.stderr)
            return 128 + signal.SIGPIPE
        case OSError() as failed if failed.errno in DISK_FULL:
            status = _print_error(f"error: {is_disk_full(failed.filename or 'output', failed)}", 2)
            if not failed.filename:
                _redirect_to_devnull(sys.stdout)
            return status
        case OSError() as failed if failed.filename is not None:
            return _print_error(
                f"error: {terminal.escape(failed.filename)}: {failed.strerror}; see to it, then run this again",
                2,
            )
    return None


def _print_error(message: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"{_script_name()}: {message}", file=sys.stderr)
    return status


def _redirect_to_devnull(*streams: TextIO) -> None:
    """Lead what Python still flushes at exit to nowhere."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _script_name() -> str:
    return os.path.basename(sys.argv[0])
