"""Runs an engine, or any function, on many cores, GPUs and machines through Ray.

Ray ends the process that loses it, so a process of its own (common/clip/ray/driver.py) talks to it.
The process that was started here writes every file, handles every stop signal, and learns of a lost
Ray only as an answer that does not come.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import itertools
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from multiprocessing.context import SpawnProcess
from typing import Any

from common import terminal
from common.clip import model
from common.clip.engine import Engine, Outcome, Part, PendingVectors
from common.clip.ray import driver
from common.errors import UserError
from common.reporter import Reporter

CHUNK_IMAGES = 64  # per task: a task costs the driver one to two milliseconds
TASKS_AHEAD_PER_CORE = 2  # waiting
BATCHES_PER_ENCODER = 3  # one at work, one whose pixels travel, one to spare
SHUTDOWN_SECONDS = 10.0  # that Ray may take to end
LEADER_GONE = (
    f"Ray is gone: its head, or its daemon on this machine, has ended; {driver.RESUME_HINT}"
)


def open_fleet(
    args: argparse.Namespace, reporter: Reporter
) -> contextlib.AbstractContextManager[Fleet | None]:
    """The cluster that --ray and --ray-address name; None without them.

    Raises UserError if Ray is not installed.
    """
    if not args.ray and args.ray_address is None:
        return contextlib.nullcontext()
    if not importlib.util.find_spec("ray"):
        raise UserError("--ray: Ray is not installed; pip install -r requirements-ray.txt")
    return Fleet(args, reporter)


def make_engine(
    fleet: Fleet | None, chosen: model.Model, args: argparse.Namespace, reporter: Reporter
) -> Engine:
    if fleet:
        return FleetEngine(fleet, chosen, args, reporter)
    return Engine(chosen, args, reporter)


class Fleet:
    """Ray, from the first task to the end of the block."""

    def __init__(self, args: argparse.Namespace, reporter: Reporter) -> None:
        self.state = driver.ClusterState()
        self._address = args.ray_address or os.environ.get("RAY_ADDRESS") or "local"
        self._processors = max(1, args.workers)
        self._reporter = reporter
        self._pickle = functools.lru_cache(8)(pickle.dumps)
        self._numbers = itertools.count()
        self._process: Any = None

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._connection.close()  # the driver then ends Ray, and itself
            self._process.join(SHUTDOWN_SECONDS)
            self._process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the driver and return its answer. Raises UserError if Ray is gone."""
        self._send(method, arguments, is_awaited=True)
        try:
            answer, self.state = self._connection.recv()
        except (EOFError, OSError):
            raise UserError(LEADER_GONE) from None
        for note in self.state.notes:
            self._reporter.say(note)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def submit(
        self,
        function: Callable[[list[Any]], Any],
        items: list[Any],
        keep_pixels_remote: bool = False,
    ) -> RemoteFuture:
        """Run `function` on the items somewhere.

        With `keep_pixels_remote` it returns pixels, which stay where they are, and an answer.
        """
        packed = self._pickle(function)
        return self.call_async("submit", "answer", packed, items, keep_pixels_remote)

    def call_async(self, method: str, then: str, *arguments: Any) -> RemoteFuture:
        """Have the driver begin something; its method `then` returns the outcome.

        A failure to begin is the next answer of the driver.
        """
        number = next(self._numbers)
        self._send(method, (number, *arguments), is_awaited=False)
        return RemoteFuture(self, then, number)

    def _send(self, method: str, arguments: tuple[Any, ...], is_awaited: bool) -> None:
        if not self._process:
            self._start_driver()
        try:
            self._connection.send((method, arguments, is_awaited))
        except OSError:
            raise UserError(LEADER_GONE) from None

    def _start_driver(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # socket names must be short
        self._connection, remote_end = multiprocessing.Pipe()
        options = (remote_end, self._address, self._processors, self._folder)
        self._process = _LeaderProcess(target=driver.serve, args=options, name="ray")
        self._process.start()
        remote_end.close()
        self.call("find_machines")
        cores = terminal.plural(self.state.processors, "core")
        self._reporter.say(f"🧩 Ray: {self.state}, {cores}")


class _LeaderProcess(SpawnProcess):
    """A process that is killed together with everything it has started."""

    def kill(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)  # type: ignore[arg-type]  # it was started
        except ProcessLookupError:  # it does not lead a group yet
            super().kill()


class RemoteFuture(Future[Any]):
    """The outcome of a task or an encoder; never reported as done before it is asked for."""

    def __init__(self, fleet: Fleet, method: str, number: int) -> None:
        super().__init__()
        self.number = number
        self._call = functools.partial(fleet.call, method, number)

    def result(self, timeout: float | None = None) -> Any:
        return self._call()


class FleetEngine(Engine):
    """An engine whose decoding and encoding run in other processes."""

    chunk = CHUNK_IMAGES

    def __init__(
        self, fleet: Fleet, chosen: model.Model, args: argparse.Namespace, reporter: Reporter
    ) -> None:
        """Start loading the encoders. Raises UserError."""
        super().__init__(chosen, argparse.Namespace(**vars(args) | {"device": "cpu"}), reporter)
        self._fleet = fleet
        named = argparse.Namespace(**vars(args) | {"model": args.model or chosen.cli_name})
        fleet.call("load", named, chosen.about)
        self._update_limits()

    def _update_limits(self) -> None:
        state = self._fleet.state
        self.batch = state.batch
        self.depth = BATCHES_PER_ENCODER * max(1, state.encoders)
        self.where = str(state)

    @property
    def precision(self) -> str:
        return self._fleet.state.precision

    def decode_chunks(self, chunks: Iterable[list[str]]) -> Iterator[tuple[Any, list[Outcome]]]:
        decode = self._make_decoder().__getitems__
        waiting: deque[RemoteFuture] = deque()
        for chunk in chunks:
            waiting.append(self._fleet.submit(decode, chunk, keep_pixels_remote=True))
            if len(waiting) > TASKS_AHEAD_PER_CORE * self._fleet.state.processors:
                first = waiting.popleft()
                yield first.number, first.result()
        for future in waiting:
            yield future.number, future.result()

    def encode(self, parts: Sequence[Part]) -> Sequence[PendingVectors]:
        self._update_limits()
        return [self._fleet.call_async("encode", "vectors", parts)]
