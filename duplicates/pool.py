"""Processes that apply a function to small batches of images or pairs. Knows nothing of either."""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, TypeVar

from common import signals
from common.clip import worker_limits
from common.errors import decoder_died_error

if TYPE_CHECKING:
    from common.clip.ray.client import Fleet

TASKS_AHEAD_PER_WORKER = 3  # submitted before they are needed: enough to hide one slow file

Key = TypeVar("Key")
Item = TypeVar("Item")
Answer = TypeVar("Answer")


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last one may be shorter."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


class Pool:
    """Starts its processes with the first task and stops them at the end of the block.

    With 0 or 1 workers everything runs in this process; with a fleet, on its machines.
    """

    def __init__(self, workers: int, fleet: Fleet | None = None) -> None:
        self.fleet = fleet
        self._local_workers = workers
        self._stopped: Event | None = None
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._executor is None:
            return
        if kind and self._stopped:
            # Killing a process in the middle of an answer would leave its reader waiting forever.
            self._stopped.set()
        self._executor.shutdown(wait=not kind, cancel_futures=True)

    @property
    def where(self) -> str:
        """The machines that work, for the progress bar; empty without a fleet."""
        return str(self.fleet.state) if self.fleet else ""

    @property
    def _workers(self) -> int:
        return self.fleet.state.processors if self.fleet else self._local_workers

    def run(
        self, function: Callable[[list[Item]], Answer], tasks: Iterable[tuple[Key, list[Item]]]
    ) -> Iterator[tuple[Key, Answer]]:
        """Yield the key of each task with `function(items)`, in order. Raises UserError."""
        pending: deque[tuple[Key, Future[Answer]]] = deque()
        try:
            for key, items in tasks:
                pending.append((key, self._submit(function, items)))
                while pending and (self._is_full(pending) or pending[0][1].done()):
                    done_key, future = pending.popleft()
                    yield done_key, future.result()
            for key, future in pending:
                yield key, future.result()
        except BrokenProcessPool:
            raise decoder_died_error() from None

    def _is_full(self, pending: deque[tuple[Key, Future[Answer]]]) -> bool:
        return len(pending) > TASKS_AHEAD_PER_WORKER * max(1, self._workers)

    def _submit(
        self, function: Callable[[list[Item]], Answer], items: list[Item]
    ) -> Future[Answer]:
        if items and self.fleet:
            return self.fleet.submit(function, items)
        if not items or self._workers < 2:
            done: Future[Answer] = Future()
            done.set_result(function(items))
            return done
        if self._executor is None:
            return self._start_processes(function, items)
        return self._executor.submit(_call_function, function, items)

    def _start_processes(
        self, function: Callable[[list[Item]], Answer], items: list[Item]
    ) -> Future[Answer]:
        """Submit the first task, which starts the processes. Raises UserError."""
        try:
            self._stopped = multiprocessing.Event()
            executor = ProcessPoolExecutor(
                self._workers, initializer=_init_worker, initargs=(self._stopped,)
            )
            future = executor.submit(_call_function, function, items)
        except (OSError, RuntimeError) as error:
            for process in multiprocessing.active_children():
                process.kill()  # those that did start would wait forever
            raise worker_limits.worker_start_error(error) from None
        self._executor = executor
        return future


_stopped: Event | None = None  # in a worker process: set when nobody wants its answers any more


def _call_function(function: Callable[[list[Item]], Answer], items: list[Item]) -> Answer:
    return function([] if _stopped and _stopped.is_set() else items)


def _init_worker(stopped: Event) -> None:
    global _stopped
    _stopped = stopped
    signals.become_worker()
