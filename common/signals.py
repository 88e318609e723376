"""Ctrl-C, SIGTERM and SIGHUP: one line, the right status and no process left, whenever they come and however many.

The one module that acts when it is imported, which is what scripts do first: importing the rest takes a while (torch
seconds), and a stop meanwhile must be one line too. Until a script's main begins there is nothing to lose, and a stop
ends the process at once. From then on the first one becomes an exception, so that what is done is saved on the way
out, and later ones change nothing. A thread holds that to PATIENCE: a forward pass or a decoder lets no exception in.
What was ignored when the script began, as under nohup, stays ignored. Needs the standard library alone.
"""

from __future__ import annotations

import _signal as signal  # the whole of it, and typing, take 10 ms to load: time enough for a Ctrl-C
import os
import sys
import time
from _thread import allocate_lock, start_new_thread

import __main__

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import NoReturn

STOPS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "stopped by SIGTERM",
    signal.SIGHUP: "stopped by SIGHUP",
}
PATIENCE_SECONDS = 2.0  # seconds that tidying up may take
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # of the scripts

_caught_by = (
    0  # the process whose signals these are; a decoding process inherits the handlers for a moment
)
_at_work = False  # whether an exception finds somebody who tidies up
_stopped_by: int | None = None  # the first stop signal that came
_last_words = allocate_lock()


class Stopped(KeyboardInterrupt):
    """A stop signal, as an exception: what is being written is tidied up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def start_job() -> None:
    """From here to `over` a stop signal is an exception."""
    global _at_work
    if _caught_by != os.getpid():
        _catch()
    _at_work = True


def finish_job() -> None:
    """The work is done, or has failed for another reason: what remains takes a moment, and nothing stops it."""
    if _at_work:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)


def stop_requested() -> bool:
    """Whether a stop signal has: whatever error there is then, that is the reason."""
    return _stopped_by is not None


def become_worker(leads: bool = False) -> None:
    """For decoding processes: stops are their parent's business, SIGTERM apart, and they do not outlive it.

    One that `leads` takes everything that it has started along when it outlives its parent, or ends by `take_along`.
    """
    import multiprocessing

    if leads:
        os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent:
        start_new_thread(_follow, (parent.sentinel, leads))


def kill_process_group() -> NoReturn:
    """End this process, which leads, and all that it has started."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _follow(parent: int, leads: bool) -> None:
    from multiprocessing import connection

    connection.wait([parent])
    kill_process_group() if leads else os._exit(1)


def _catch() -> None:
    global _caught_by
    _caught_by = os.getpid()
    sys.excepthook, sys.unraisablehook = _uncaught, _unraisable
    wakes, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(
        waker, warn_on_full_buffer=False
    )  # wakes the thread whatever the main one is held up in
    start_new_thread(_watch, (wakes,))
    for number in STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    global _stopped_by
    if os.getpid() != _caught_by:
        os._exit(128 + number)
    if _stopped_by is None:
        _stopped_by = number
        if not _at_work:
            _exit_now(number)
        _kill_workers()  # now: torch and the pool would wait for what they are decoding
        raise Stopped(number)


def _watch(wakes: int) -> None:
    while (number := os.read(wakes, 1)[0]) not in STOPS:
        pass
    time.sleep(PATIENCE_SECONDS)
    _exit_now(_stopped_by or number)


def _exit_now(number: int) -> NoReturn:
    """Say the one line and end, without all that Python, torch and pools of processes would still wait for."""
    import select

    _last_words.acquire()  # and never let go: who comes second waits for the end
    line = f"{os.path.basename(sys.argv[0])}: {STOPS[number]}; finished work is kept, the same command goes on\n"
    try:
        if select.select([], [2], [], 0)[1]:  # not into a full pipe that nobody reads
            os.write(
                2, (b"\r\33[K" if os.isatty(2) else b"") + os.fsencode(line)
            )  # over a progress bar
    except OSError:  # stderr was closed
        pass
    _kill_workers()
    os._exit(128 + number)


def _kill_workers() -> None:
    processes = sys.modules.get("multiprocessing")
    for worker in processes.active_children() if processes else ():
        worker.kill()


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt) or stop_requested():
        _exit_now(_stopped_by or signal.SIGINT)
    sys.__excepthook__(kind, error, trace)


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """An exception where none can be raised (a destructor). A stop among them comes again; its followers are silent."""
    global _stopped_by
    if isinstance(lost.exc_value, Stopped):
        _stopped_by = None
        start_new_thread(_resend_later, (lost.exc_value.number,))
    elif not stop_requested():
        sys.__unraisablehook__(lost)


def _resend_later(number: int) -> None:
    time.sleep(0.01)  # by then the main thread is out of the destructor
    os.kill(os.getpid(), number)


if (
    os.path.dirname(os.path.realpath(getattr(__main__, "__file__", ""))) == ROOT
):  # a script, and no test or worker
    _catch()
