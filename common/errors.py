"""What ends a script early, and what it says then: one line on stderr and an exit status.

Three kinds of errors: what a person can mend is a UserError; one bad image goes to Talk.bad; our own bugs crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from types import FrameType
from typing import TextIO

from common import text

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
DECODER_DIED = (
    "a decoding process died, most likely for want of memory; finished work is kept: lower --workers or --max-pixels "
    "(in a container, raise --shm-size), then run the same command again"
)


class UserError(Exception):
    """Something the person at the keyboard can mend: printed as one line, exit status 2."""


class Stopped(SystemExit):
    """SIGTERM or SIGHUP, as an exception: what is being written is tidied up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def disk_full(path: object, error: OSError) -> str:
    """What to say when a file could not be written to its end."""
    return (
        f"{text.shown(path)}: could not be written ({error.strerror}); finished work is kept: "
        "make room, then run the same command again"
    )


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the script as Ctrl-C does, unless they were ignored when it began."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


def leave_signals_to_parent() -> None:
    """For decoding processes: Ctrl-C is their parent's business, and SIGTERM ends them at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def status_of(error: BaseException) -> int | None:
    """The exit status of what ended a script, after its line on stderr; None for a bug of ours."""
    match _interruption(error) or error:
        case UserError() as mistake:
            return _ended(f"error: {text.shown(mistake)}", 2)
        case KeyboardInterrupt():
            return _ended("interrupted; finished work is kept, the same command goes on", 128 + signal.SIGINT)
        case Stopped() as stop:
            name = signal.Signals(stop.number).name
            return _ended(f"stopped by {name}; finished work is kept, the same command goes on", 128 + stop.number)
        case BrokenPipeError():
            _drop(sys.stdout, sys.stderr)
            return 128 + signal.SIGPIPE
        case OSError() as failed if failed.errno in DISK_FULL:
            status = _ended(f"error: {disk_full(failed.filename or 'output', failed)}", 2)
            if not failed.filename:
                _drop(sys.stdout)
            return status
        case OSError() as failed if failed.filename is not None:
            return _ended(f"error: {text.shown(failed.filename)}: {failed.strerror}; see to it, then run this again", 2)
    return None


def _interruption(error: BaseException | None) -> BaseException | None:
    """The signal behind an error: one that comes amid a library's cleaning up makes that fail in its own way."""
    while error is not None and not isinstance(error, KeyboardInterrupt | Stopped):
        error = error.__context__
    return error


def _ended(message: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"{_script()}: {message}", file=sys.stderr)
    return status


def _drop(*streams: TextIO) -> None:
    """Lead what Python still flushes at exit to nowhere."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _script() -> str:
    return os.path.basename(sys.argv[0])
