"""An engine, and any function, at work on many cores, graphics cards and machines, by Ray.

Ray is asked through a process of its own (common/clip/ray/driver.py), since it ends the process that loses it: the one
that was started here writes every file, handles every stop, and only learns that nobody answers any more.
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
from common.cache import Extent
from common.clip import model
from common.clip.engine import PendingVectors, Engine, Part
from common.clip.ray import driver
from common.errors import UserError
from common.reporter import Reporter

CHUNK_IMAGES = 64  # images a task: a task costs the driver one to two milliseconds
TASKS_AHEAD_PER_CORE = 2  # tasks waiting per processor
DEPTH = 3  # batches under way per encoder: one at work, one whose pixels travel, one to spare
ENDING = 10.0  # seconds that Ray may take to end
LEADER_GONE = (
    f"Ray is gone: its head, or its daemon on this machine, has ended; {driver.RESUME_HINT}"
)


def open_fleet(
    args: argparse.Namespace, talk: Reporter
) -> contextlib.AbstractContextManager[Fleet | None]:
    """What --ray and --ray-address name; None without them. Raises UserError where Ray is not installed."""
    if not args.ray and args.ray_address is None:
        return contextlib.nullcontext()
    if not importlib.util.find_spec("ray"):
        raise UserError("--ray: Ray is not installed; pip install -r requirements-ray.txt")
    return Fleet(args, talk)


def make_engine(
    fleet: Fleet | None, chosen: model.Model, args: argparse.Namespace, talk: Reporter
) -> Engine:
    return FleetEngine(fleet, chosen, args, talk) if fleet else Engine(chosen, args, talk)


class Fleet:
    """Ray from the first task to the end of the block."""

    def __init__(self, args: argparse.Namespace, talk: Reporter) -> None:
        self.state = driver.ClusterState()
        self._address = args.ray_address or os.environ.get("RAY_ADDRESS") or "local"
        self._processors, self._talk = max(1, args.workers), talk
        self._packed = functools.lru_cache(8)(pickle.dumps)
        self._numbers = itertools.count()
        self._process: Any = None

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._connection.close()  # upon which it ends Ray, and itself
            self._process.join(ENDING)
            self._process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, question: str, *arguments: Any) -> Any:
        """What the driver's method of that name says. Raises UserError, also when Ray is gone."""
        self._send(question, arguments, True)
        try:
            answer, self.state = self._connection.recv()
        except (EOFError, OSError):
            raise UserError(LEADER_GONE) from None
        for note in self.state.notes:
            self._talk.say(note)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def submit(
        self, function: Callable[[list[Any]], Any], items: list[Any], apart: bool = False
    ) -> RemoteFuture:
        """Have `function` run on the items somewhere; with `apart` it gives pixels, which stay there, and an answer."""
        return self.begun("submit", "answer", self._packed(function), items, apart)

    def begun(self, question: str, then: str, *arguments: Any) -> RemoteFuture:
        """Have the driver begin something; its method `then` tells the outcome, or the next answer what failed."""
        number = next(self._numbers)
        self._send(question, (number, *arguments), False)
        return RemoteFuture(self, then, number)

    def _send(self, question: str, arguments: tuple[Any, ...], is_awaited: bool) -> None:
        if not self._process:
            self._begin()
        try:
            self._connection.send((question, arguments, is_awaited))
        except OSError:
            raise UserError(LEADER_GONE) from None

    def _begin(self) -> None:
        self._folder = tempfile.mkdtemp(
            prefix="ray-", dir="/tmp"
        )  # the names of its sockets must be short
        self._connection, theirs = multiprocessing.Pipe()
        options = (theirs, self._address, self._processors, self._folder)
        self._process = _Leader(target=driver.serve, args=options, name="ray")
        self._process.start()
        theirs.close()
        self.ask("look")
        self._talk.say(f"🧩 Ray: {self.state}, {terminal.plural(self.state.processors, 'core')}")


class _Leader(SpawnProcess):
    """A process that is killed with all that it has started."""

    def kill(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)  # type: ignore[arg-type]  # it was started
        except ProcessLookupError:  # it does not lead yet
            super().kill()


class RemoteFuture(Future[Any]):
    """What a task or an encoder will say; never said to be there before it is asked for."""

    def __init__(self, fleet: Fleet, question: str, number: int) -> None:
        super().__init__()
        self.number = number
        self._ask = functools.partial(fleet.ask, question, number)

    def result(self, timeout: float | None = None) -> Any:
        return self._ask()


class FleetEngine(Engine):
    """An engine whose two halves are at work in other processes."""

    chunk = CHUNK_IMAGES

    def __init__(
        self, fleet: Fleet, chosen: model.Model, args: argparse.Namespace, talk: Reporter
    ) -> None:
        """Have the encoders begin to load. Raises UserError."""
        super().__init__(chosen, argparse.Namespace(**vars(args) | {"device": "cpu"}), talk)
        self._fleet = fleet
        fleet.ask(
            "load",
            argparse.Namespace(**vars(args) | {"model": args.model or chosen.asked}),
            chosen.about,
        )
        self._see()

    def _see(self) -> None:
        state = self._fleet.state
        self.batch, self.depth, self.where = state.batch, DEPTH * max(1, state.encoders), str(state)

    @property
    def precision(self) -> str:
        return self._fleet.state.precision

    def decoded(self, chunks: Iterable[list[str]]) -> Iterator[tuple[Any, list[Extent | str]]]:
        decode = self._decoder.__getitems__
        waiting: deque[RemoteFuture] = deque()
        for chunk in chunks:
            waiting.append(self._fleet.submit(decode, chunk, apart=True))
            if len(waiting) > TASKS_AHEAD_PER_CORE * self._fleet.state.processors:
                yield waiting[0].number, waiting.popleft().result()
        for ticket in waiting:
            yield ticket.number, ticket.result()

    def encode(self, parts: Sequence[Part]) -> Sequence[PendingVectors]:
        self._see()
        return [self._fleet.begun("encode", "vectors", parts)]
