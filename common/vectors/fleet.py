"""Decoding and encoding on many cores, graphics cards and machines, by Ray (https://docs.ray.io).

Ray schedules, ships and retries. It is asked through a process of its own, since it ends the process that loses it:
the one that was started here writes every file, handles every stop, and only learns that nobody answers any more.

Decoding is plain tasks, which Ray runs again elsewhere when their machine is lost. Encoders are actors, one a GPU (one
a machine where there is none), because a process stays with the GPU that it began on; the batch of a lost one goes to
another. Pixels travel from task to encoder; outcomes and vectors come here. Imports ray and torch inside functions.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import importlib.util
import itertools
import logging
import multiprocessing
import os
import secrets
import shutil
import socket
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any, NamedTuple

from common import signals, text
from common.cli import cores
from common.dataset.cache import Extent
from common.errors import DECODER_DIED, UserError
from common.output import Talk
from common.vectors import model, towers
from common.vectors.engine import Coming, Engine, Part

CHUNK = 32  # images a task: a task costs the driver half a millisecond
AHEAD = 3  # tasks waiting per processor
DEPTH = 3  # batches under way per encoder: one at work, one whose pixels travel, one to spare
TRIES = 3  # encoders that may die over one batch, and times that a task is run again
LOOK = 5.0  # seconds between looks for new machines
ENDING = 10.0  # seconds that Ray may take to end
CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # goes to every machine
# Or results would differ: Ray itself sees to its own version and Python's.
SAME = ("torch", "torchvision", "open_clip_torch", "timm", "pillow", "numpy", "ImageHash", "opencv-python-headless")
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
KEPT = "finished work is kept, the same command goes on"
GONE = f"Ray is gone: its head, or its daemon on this machine, has ended; {KEPT}"


@dataclass(frozen=True)
class State:
    """What Ray has and does, as it was last seen."""

    machines: int = 1
    processors: int = 1
    gpus: int = 0
    encoders: int = 0
    batch: int = 0  # images that the encoders take at once
    precision: str = ""  # of the vectors that came last
    moved: int = 0  # images that were encoded on another machine than they were decoded on
    notes: tuple[str, ...] = ()  # to be told

    def __str__(self) -> str:
        return f"{text.plural(self.machines, 'machine')}, {text.plural(self.gpus, 'GPU')}"


def chosen(args: argparse.Namespace, talk: Talk) -> contextlib.AbstractContextManager[Fleet | None]:
    """What --ray and --ray-address name; None without them. Raises UserError where Ray is not installed."""
    if not args.ray and args.ray_address is None:
        return contextlib.nullcontext()
    if not importlib.util.find_spec("ray"):
        raise UserError("--ray: Ray is not installed; pip install -r requirements-ray.txt")
    return Fleet(args, talk)


def engine(fleet: Fleet | None, chosen: model.Model, args: argparse.Namespace, talk: Talk) -> Engine:
    return FleetEngine(fleet, chosen, args, talk) if fleet else Engine(chosen, args, talk)


class Fleet:
    """Ray from the first task to the end of the block, through a process that talks to it."""

    def __init__(self, args: argparse.Namespace, talk: Talk) -> None:
        self.state = State()
        self._address = args.ray_address or os.environ.get("RAY_ADDRESS") or "local"
        self._processors, self._talk = max(1, args.workers), talk
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
        if not self._process:
            self._begin()
        try:
            self._connection.send((question, arguments))
            answer, self.state = self._connection.recv()
        except (EOFError, OSError):
            raise UserError(GONE) from None
        for note in self.state.notes:
            self._talk.say(note)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def submit(self, function: Callable[[list[Any]], Any], items: list[Any]) -> Ticket:
        """Have `function` run on the items somewhere."""
        return Ticket(self, "answer", self.ask("submit", function, items))

    def _begin(self) -> None:
        apart = multiprocessing.get_context("spawn")
        self._folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # the names of its sockets must be short
        self._connection, theirs = apart.Pipe()
        options = (self._address, self._processors, self._folder)
        self._process = apart.Process(target=_serve, args=(theirs, options), name="ray")
        self._process.start()
        theirs.close()
        self.ask("look")
        self._talk.say(f"🧩 Ray: {self.state}, {text.plural(self.state.processors, 'core')}")


class Ticket(Future[Any]):
    """What a task or an encoder will say; never said to be there before it is asked for."""

    def __init__(self, fleet: Fleet, question: str, number: int) -> None:
        super().__init__()
        self.number = number
        self._ask = functools.partial(fleet.ask, question, number)

    def result(self, timeout: float | None = None) -> Any:
        return self._ask()


class FleetEngine(Engine):
    """An engine whose two halves are at work in other processes."""

    chunk = CHUNK

    def __init__(self, fleet: Fleet, chosen: model.Model, args: argparse.Namespace, talk: Talk) -> None:
        """Have the encoders begin to load. Raises UserError."""
        super().__init__(chosen, argparse.Namespace(**{**vars(args), "device": "cpu"}), talk)
        self._fleet = fleet
        self.batch = fleet.ask(
            "load", argparse.Namespace(**{**vars(args), "model": args.model or chosen.asked}), chosen.about
        )

    @property
    def depth(self) -> int:  # type: ignore[override]
        return DEPTH * max(1, self._fleet.state.encoders)

    @property
    def precision(self) -> str:
        return self._fleet.state.precision

    @property
    def where(self) -> str:  # type: ignore[override]
        return str(self._fleet.state)

    def decoded(self, chunks: Iterable[list[str]]) -> Iterator[tuple[Any, list[Extent | str]]]:
        decode = functools.partial(_decoded, self._decoder.__getitems__)
        waiting: deque[Ticket] = deque()
        for chunk in chunks:
            waiting.append(self._fleet.submit(decode, chunk))
            if len(waiting) > AHEAD * self._fleet.state.processors:
                yield waiting[0].number, waiting.popleft().result()
        for ticket in waiting:
            yield ticket.number, ticket.result()

    def encode(self, parts: Sequence[Part]) -> Sequence[Coming]:
        ticket = Ticket(self._fleet, "vectors", self._fleet.ask("encode", parts))
        self.batch = self._fleet.state.batch
        return [ticket]


def _serve(connection: Any, options: tuple[str, int, str]) -> None:
    """The process that talks to Ray: answers one question after another until nobody asks any more."""
    signals.become_worker()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # Ray's C++ has much to say; what matters is answered
    os.dup2(nowhere, 2)
    driver: _Driver | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            question, arguments = connection.recv()
            answer: Any
            try:
                driver = driver or _Driver(*options)
                answer = getattr(driver, question)(*arguments)
            except UserError as error:
                answer = error
            except Exception:
                answer = RuntimeError(f"in the process that talks to Ray:\n{traceback.format_exc()}")
            connection.send((answer, driver.told() if driver else State()))
    if driver:
        driver.ray.shutdown()


@dataclass
class _Encoder:
    actor: Any
    begun: Any
    node: str
    is_ready: bool = False
    load: int = 0


Rows = tuple[Any, str, int, int]  # a chunk's pixels, the id of the machine that has them, from and up to which row


class _Driver:
    """Ray's driver, in the process of its own."""

    def __init__(self, address: str, processors: int, folder: str) -> None:
        """Join the machines at `address`, or start Ray on this one if it is "local". Raises UserError."""
        os.environ.update(QUIET)
        options: dict[str, Any] = {"runtime_env": {"py_modules": [CODE], "excludes": ["__pycache__"]}}
        if address == "local":
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))  # or it writes one at home
            options |= {"num_cpus": processors, "include_dashboard": False, "_temp_dir": folder}
        elif address != "auto":
            _check_answers(address)
        import ray

        self.ray: Any = ray
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
            raise UserError(f"--ray-address {address}: {str(error).strip().splitlines()[0]}") from None
        self._call = ray.remote(num_cpus=1, max_retries=TRIES, num_returns=2)(_call)
        self._state, self._looked = State(), -LOOK
        self._numbers = itertools.count()
        self._tasks: dict[int, Any] = {}
        self._pixels: dict[int, tuple[Any, str, int]] = {}  # of a chunk, the machine that has them, and their rows
        self._batches: dict[int, tuple[list[Rows], _Encoder, Any]] = {}
        self._encoders: dict[tuple[str, int], _Encoder] = {}
        self._asked: tuple[argparse.Namespace, dict[str, str]] | None = None
        self._deaths = 0  # of encoders that were loading
        self._dead = (ray.exceptions.RayActorError, ray.exceptions.ActorUnschedulableError)

    def told(self) -> State:
        """The state; notes are told once."""
        state, self._state = self._state, replace(self._state, notes=())
        return state

    def submit(self, function: Any, items: list[Any]) -> int:
        self.look()
        number = next(self._numbers)
        self._tasks[number] = self._call.remote(function, _versions(), items)
        return number

    def answer(self, number: int) -> Any:
        """What a task said. Raises UserError where it was lost too often, or its machine sees other files."""
        told, pixels = self._tasks.pop(number)
        said, rows, machine, node, unseen = self._result(told)
        if unseen and os.path.exists(unseen):
            raise UserError(f"{unseen}: {machine} does not see it; machines must have the dataset at the same path")
        if rows:
            self._pixels[number] = pixels, node, rows
        return said

    def load(self, args: argparse.Namespace, about: dict[str, str]) -> int:
        """Have encoders begin to load; returns how many images they take at once. Raises UserError."""
        self.look()
        if args.device.startswith("cuda") and not self._state.gpus:
            raise UserError(f"--device {args.device}: Ray knows of no machine with a GPU; try --device auto")
        device = "cuda" if self._state.gpus and args.device != "cpu" else "cpu"
        batch = towers.BATCH[device] if args.batch_size == "auto" else args.batch_size
        self._asked = argparse.Namespace(**{**vars(args), "device": device}), about
        self._state = replace(self._state, batch=batch)
        self._looked = -LOOK
        self.look()
        return int(batch)

    def encode(self, parts: Sequence[Part]) -> int:
        number, rows = next(self._numbers), []
        for chunk, start, stop in parts:
            pixels, node, end = self._pixels[chunk]
            rows.append((pixels, node, start, stop))
            if stop == end:
                del self._pixels[chunk]
        self._batches[number] = self._sent(rows)
        return number

    def vectors(self, number: int) -> Any:
        """A batch's vectors. Raises UserError."""
        rows, encoder, coming = self._batches.pop(number)
        for _ in range(TRIES):
            try:
                vectors, precision, batch = self._result(coming)
            except self._dead:
                self._lose(encoder)
                rows, encoder, coming = self._sent(rows)
                continue
            encoder.load -= 1
            if batch < self._state.batch:
                self._note(f"⚠️  out of memory: going on with batches of {batch}")
            self._state = replace(self._state, precision=precision, batch=min(batch, self._state.batch))
            return vectors
        raise UserError(f"{TRIES} encoders died over the same images; {KEPT}: try a smaller --batch-size")

    def _sent(self, rows: list[Rows]) -> tuple[list[Rows], _Encoder, Any]:
        """Give a batch to the encoder with the least to do; of several to one where many of its pixels are."""
        near = collections.Counter[str]()
        for _, node, start, stop in rows:
            near[node] += stop - start
        encoder = min(self._ready(), key=lambda one: (one.load, -near[one.node]))
        encoder.load += 1
        self._state = replace(self._state, moved=self._state.moved + near.total() - near[encoder.node])
        cuts = [(start, stop) for _, _, start, stop in rows]
        return rows, encoder, encoder.actor.encode.remote(cuts, *(pixels for pixels, *_ in rows))

    def _ready(self) -> list[_Encoder]:
        """The encoders that have loaded their model, of which there is one at least. Raises UserError."""
        while True:
            self.look()
            for one in list(self._encoders.values()):
                if not one.is_ready and self.ray.wait([one.begun], timeout=0)[0]:
                    try:
                        self._note(self._result(one.begun))
                        one.is_ready = True
                    except self._dead:
                        self._lose(one)
                        self._deaths += 1
            if ready := [one for one in self._encoders.values() if one.is_ready]:
                return ready
            if self._deaths > TRIES:
                raise UserError(f"encoders die while they load the model, most likely for want of memory; {KEPT}")
            time.sleep(0.05)

    def look(self) -> None:
        """See which machines there are; have an encoder on each of their GPUs (or machines), later ones too."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        has = {node["NodeID"]: node["Resources"] for node in self.ray.nodes() if node["Alive"]}
        cpus, gpus = (sum(int(one.get(kind, 0)) for one in has.values()) for kind in ("CPU", "GPU"))
        if self._asked:
            kind = "GPU" if self._asked[0].device == "cuda" else "CPU"
            for node, one in has.items():
                for number in range(min(int(one.get(kind, 0)), 1 if kind == "CPU" else 64)):
                    if (node, number) not in self._encoders:
                        self._encoders[node, number] = self._started(node, *self._asked)
            self._encoders = {key: one for key, one in self._encoders.items() if key[0] in has}
        self._state = replace(
            self._state, machines=len(has), processors=max(1, cpus), gpus=gpus, encoders=len(self._encoders)
        )

    def _started(self, node: str, args: argparse.Namespace, about: dict[str, str]) -> _Encoder:
        there = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        share = {"num_cpus": 0, "num_gpus": int(args.device == "cuda")}  # a core of its own would be one less to decode
        actor = self.ray.remote(_Worker).options(scheduling_strategy=there, **share).remote()
        return _Encoder(actor, actor.begin.remote(args, about, _versions()), node)

    def _lose(self, encoder: _Encoder) -> None:
        left = {key: one for key, one in self._encoders.items() if one is not encoder}
        if len(left) < len(self._encoders):  # else it was told with an earlier batch
            self._note("⚠️  an encoder was lost; its images go to another")
        self._encoders = left

    def _note(self, message: str) -> None:
        self._state = replace(self._state, notes=(*self._state.notes, message))

    def _result(self, reference: Any) -> Any:
        gone = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except gone.RayTaskError as error:
            raise error.cause if isinstance(error.cause, UserError) else error from None
        except (gone.WorkerCrashedError, gone.OutOfMemoryError):
            raise UserError(DECODER_DIED) from None
        except self._dead:
            raise
        except gone.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"Ray failed ({type(error).__name__}: {reason}); {KEPT}") from None


def _check_answers(address: str) -> None:
    """Ray itself would wait for minutes. Raises UserError."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), towers.NETWORK_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"--ray-address {address}: nobody answers there ({error}); give HOST:PORT as `ray start --head` told it"
        ) from None


@functools.cache
def _versions() -> frozenset[str]:
    found = {f"{name} none" for name in SAME}
    for name in SAME:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found = found - {f"{name} none"} | {f"{name} {metadata.version(name)}"}
    return frozenset(found)


def _check_versions(theirs: frozenset[str]) -> None:
    if other := " ".join(sorted(_versions() - theirs)):
        wanted = " ".join(sorted(theirs - _versions()))
        raise UserError(f"machine {socket.gethostname()} has {other}, this one {wanted}: install the same on both")


class _Decoded(NamedTuple):
    """What stays where it was decoded, and what is answered."""

    pixels: Any
    outcomes: list[Extent | str]


def _decoded(decode: Callable[[list[str]], tuple[Any, Any]], paths: list[str]) -> _Decoded:
    pixels, outcomes = decode(paths)
    return _Decoded(pixels.numpy(), outcomes)


def _call(function: Callable[[list[Any]], Any], versions: frozenset[str], items: list[Any]) -> tuple[Any, Any]:
    """On some machine: answer, rows of pixels, the machine's name and id, a path that it does not see; and pixels."""
    import ray

    _check_versions(versions)
    pixels: Any = ()
    answer = function(items)
    if isinstance(answer, _Decoded):
        pixels, answer = answer
    unseen = next((item for item in items if isinstance(item, str) and not os.path.exists(item)), None)
    return (answer, len(pixels), socket.gethostname(), ray.get_runtime_context().get_node_id(), unseen), pixels


class _Worker:
    """The actor: an engine of its own that is fed with pixels."""

    def begin(self, args: argparse.Namespace, about: dict[str, str], versions: frozenset[str]) -> str:
        """Load the model; returns what there is to tell. Raises UserError."""
        import torch

        _check_versions(versions)
        torch.set_num_threads(cores())  # Ray says 1
        name = socket.gethostname()
        try:
            self._engine = Engine(model.chosen(args), args, Talk(argparse.Namespace(quiet=True)))
            precision = self._engine.precision
        except UserError as error:
            raise UserError(f"machine {name}: {error}") from None
        if self._engine.model.about != about:
            raise UserError(f"machine {name}: --model {args.model} has other weights there; copy them from here")
        return f"🧠 {about['model']} ({about['weights']}) in {precision} on {name}, {self._engine.device}"

    def encode(self, cuts: Sequence[tuple[int, int]], *pixels: Any) -> tuple[Any, str, int]:
        """Vectors of the rows, their precision, and how many images fit into a batch."""
        import numpy as np
        import torch

        together = np.concatenate([part[start:stop] for part, (start, stop) in zip(pixels, cuts, strict=True)])
        coming = self._engine.encode([(torch.from_numpy(together), 0, len(together))])
        return np.concatenate([part.result() for part in coming]), self._engine.precision, self._engine.batch
