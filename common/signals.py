"""Ctrl-C, SIGTERM and SIGHUP: one line, the right exit status and no process left behind.

Scripts import this module first, and it is the only one that acts when imported: importing the rest
takes a while (torch takes seconds), and a stop signal during that time must print one line, too.
Before a script's main starts there is nothing to lose, and a stop signal ends the process at once.
From then on the first stop signal becomes an exception, so that finished work is saved, and later
ones are ignored. A forward pass or a decoder may hold the exception back, so a thread ends the
process after GRACE_SECONDS. Signals that were ignored at the start (nohup) stay ignored. Needs the
standard library only.
"""

from __future__ import annotations

import _signal as signal  # the module signal and typing take 10 ms to load: time for a Ctrl-C
import os
import sys
import time
from _thread import allocate_lock, start_new_thread

import __main__

TYPE_CHECKING = False  # type checkers take this for typing.TYPE_CHECKING
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import NoReturn

STOP_SIGNALS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP",
}
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
GRACE_SECONDS = 2.0  # from the stop signal to the end, for saving finished work
RESEND_SECONDS = 0.01  # until the main thread has left a destructor
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # folder of the scripts

# The process that handles these signals: a new decoding process inherits the handlers for a moment.
_handling_pid = 0
_job_has_started = False  # from then on a stop signal is an exception
_stopped_by: int | None = None  # the first stop signal that came
_exit_lock = allocate_lock()


class Stopped(KeyboardInterrupt):
    """A stop signal as an exception: what is being written is cleaned up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def start_job() -> None:
    """Turn stop signals into exceptions from here on."""
    global _job_has_started
    if _handling_pid != os.getpid():
        _install_handlers()
    _job_has_started = True


def finish_job() -> None:
    """Ignore stop signals from here on: the job has ended, and the rest takes a moment."""
    if _job_has_started:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def stop_requested() -> bool:
    """Tell whether a stop signal came: it is then the reason for any error that follows."""
    return _stopped_by is not None


def become_worker(leads_group: bool = False) -> None:
    """Make this process a worker: it ends with its parent, and ignores SIGINT and SIGHUP.

    With `leads_group` it takes all processes that it has started along when its parent ends, and
    can end itself and them by kill_process_group.
    """
    import multiprocessing

    if leads_group:
        os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in STOP_SIGNALS:
        handler = signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN
        signal.signal(number, handler)
    parent = multiprocessing.parent_process()
    if parent and not leads_group and _die_with_parent(parent.pid):
        return
    if parent:
        start_new_thread(_end_with_parent, (parent.sentinel, leads_group))


def _die_with_parent(parent: int | None) -> bool:
    """Have the kernel kill this process when its parent ends; False where the kernel cannot.

    Needs no thread, which a library could keep from running. The kernel means the thread that
    started this process: only the main thread may start such workers.
    """
    import ctypes

    try:
        failed = ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):  # not Linux
        return False
    if not failed and os.getppid() != parent:  # it has ended just now
        os._exit(1)
    return not failed


def kill_process_group() -> NoReturn:
    """End this process, which leads its group, and all processes that it has started."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _end_with_parent(parent: int, leads_group: bool) -> None:
    from multiprocessing import connection

    connection.wait([parent])
    if leads_group:
        kill_process_group()
    os._exit(1)


def _install_handlers() -> None:
    global _handling_pid
    _handling_pid = os.getpid()
    sys.excepthook = _handle_uncaught
    sys.unraisablehook = _handle_unraisable
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Python writes each signal's number here at once, even if the main thread is held up.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    start_new_thread(_exit_after_grace, (reader,))
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle_stop)


def _handle_stop(number: int, _frame: FrameType | None) -> None:
    global _stopped_by
    if os.getpid() != _handling_pid:
        os._exit(128 + number)
    if _stopped_by is None:
        _stopped_by = number
        if not _job_has_started:
            _exit_now(number)
        _kill_workers()  # at once: torch and the pool would wait for what they are decoding
        raise Stopped(number)


def _exit_after_grace(reader: int) -> None:
    number = 0
    while number not in STOP_SIGNALS:
        number = os.read(reader, 1)[0]
    time.sleep(GRACE_SECONDS)
    _exit_now(_stopped_by or number)


def _exit_now(number: int) -> NoReturn:
    """Print the line and end, without waiting for Python, torch or pools of processes."""
    import select

    _exit_lock.acquire()  # never released: a second thread waits here for the end
    script = os.path.basename(sys.argv[0])
    line = f"{script}: {STOP_SIGNALS[number]}; finished work is kept; run the same command again\n"
    try:
        if select.select([], [2], [], 0)[1]:  # skip a full pipe that nobody reads
            clear_line = b"\r\33[K" if os.isatty(2) else b""  # a progress bar may be there
            os.write(2, clear_line + os.fsencode(line))
    except OSError:  # stderr is closed
        pass
    _kill_workers()
    os._exit(128 + number)


def _kill_workers() -> None:
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing:
        for worker in multiprocessing.active_children():
            worker.kill()


def _handle_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if isinstance(error, KeyboardInterrupt) or stop_requested():
        _exit_now(_stopped_by or signal.SIGINT)
    sys.__excepthook__(kind, error, trace)


def _handle_unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Handle an exception in a destructor: send a stop signal again, drop errors that follow it."""
    global _stopped_by
    if isinstance(lost.exc_value, Stopped):
        _stopped_by = None
        start_new_thread(_resend_later, (lost.exc_value.number,))
    elif not stop_requested():
        sys.__unraisablehook__(lost)


def _resend_later(number: int) -> None:
    time.sleep(RESEND_SECONDS)
    os.kill(os.getpid(), number)


# True in a script; false in tests and workers.
if os.path.dirname(os.path.realpath(getattr(__main__, "__file__", ""))) == ROOT:
    _install_handlers()
