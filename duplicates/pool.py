"""Processes that work on handfuls of images or of pairs. Knows nothing of either."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, TypeVar

from common import signals
from common.errors import decoder_died_error

if TYPE_CHECKING:
    from common.clip.ray.client import Fleet

AHEAD = 3  # tasks waiting per process: enough to hide one slow file

Key = TypeVar("Key")
Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Pool:
    """Starts its processes with the first task and ends them with the block, however it ends.

    With 0 or 1 workers everything is done in this process; with a fleet on its machines.
    """

    def __init__(self, workers: int, fleet: Fleet | None = None) -> None:
        self.fleet = fleet
        self._own = workers
        self._ended = multiprocessing.Event()
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._executor:
            if kind:
                self._ended.set()  # killing them amid an answer would leave its reader waiting for the rest
            self._executor.shutdown(wait=not kind, cancel_futures=True)

    @property
    def where(self) -> str:
        """To be shown with the progress: the machines, if there are more."""
        return str(self.fleet.state) if self.fleet else ""

    @property
    def _workers(self) -> int:
        return self.fleet.state.processors if self.fleet else self._own

    def run(
        self, function: Callable[[list[Item]], Answer], tasks: Iterable[tuple[Key, list[Item]]]
    ) -> Iterator[tuple[Key, Answer]]:
        """Each task's key with what `function` says of its items, in order. Raises UserError."""
        waiting: deque[tuple[Key, Future[Answer]]] = deque()
        try:
            for key, items in tasks:
                waiting.append((key, self._submit(function, items)))
                while len(waiting) > AHEAD * max(1, self._workers) or (
                    waiting and waiting[0][1].done()
                ):
                    key, future = waiting.popleft()
                    yield key, future.result()
            for key, future in waiting:
                yield key, future.result()
        except BrokenProcessPool:
            raise decoder_died_error() from None

    def _submit(
        self, function: Callable[[list[Item]], Answer], items: list[Item]
    ) -> Future[Answer]:
        if items and self.fleet:
            return self.fleet.submit(function, items)
        if not items or self._workers < 2:
            done: Future[Answer] = Future()
            done.set_result(function(items))
            return done
        if not self._executor:
            self._executor = ProcessPoolExecutor(
                self._workers, initializer=_init_worker, initargs=(self._ended,)
            )
        return self._executor.submit(_call_function, function, items)


_ended: Event | None = None  # in a process of the pool: set when nobody wants its answers any more


def _call_function(function: Callable[[list[Item]], Answer], items: list[Item]) -> Answer:
    return function([] if _ended and _ended.is_set() else items)


def _init_worker(ended: Event) -> None:
    global _ended
    _ended = ended
    signals.become_worker()
