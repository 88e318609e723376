"""The process that talks to Ray (https://docs.ray.io), and what runs for it elsewhere. common/clip/ray/client.py asks it.

Ray schedules, ships and retries. Decoding is plain tasks, which it runs again elsewhere when their machine is lost.
Encoders are actors, one a GPU (one a machine where there is none), because a process stays with the GPU that it began
on; the batch of a lost one goes to another. Pixels travel from task to encoder; outcomes and vectors come here.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import logging
import os
import pickle
import socket
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common import signals, terminal
from common.clip import encoder, model
from common.clip.engine import Engine, Part
from common.errors import DECODER_DIED, UserError
from common.reporter import Reporter

MAX_TRIES = 3  # encoders that may die over one batch, and times that a task is run again
LOOK_SECONDS = 5.0  # seconds between looks for new machines
PACKAGES = [
    os.path.join(signals.ROOT, name) for name in ("common", "duplicates")
]  # sent to every machine
# Or results would differ: Ray itself sees to its own version and Python's.
PINNED_PACKAGES = "torch torchvision open_clip_torch timm numpy pillow pillow-heif ImageHash opencv-python-headless"
QUIET_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
THREAD_WAIT_VARIABLE = "OMP_WAIT_POLICY"  # how torch's threads wait: elsewhere as they do here
RESUME_HINT = "finished work is kept, the same command goes on"


@dataclass
class ClusterState:
    """What Ray has and does, as it was last seen."""

    machines: int = 1
    processors: int = 1
    gpus: int = 0
    encoders: int = 0
    batch: int = 0  # images that the encoders take at once
    precision: str = ""  # of the vectors that came last
    moved: int = 0  # images that were encoded on another machine than they were decoded on
    notes: list[str] = field(default_factory=list)  # to be told, once

    def __str__(self) -> str:
        return f"{terminal.plural(self.machines, 'machine')}, {terminal.plural(self.gpus, 'GPU')}"


def serve(connection: Any, address: str, processors: int, folder: str) -> None:
    """Do one thing after another that is asked for, a method of the driver each, until nobody asks; then end Ray.

    What comes is the method, its arguments, and whether they wait for an answer; where they do not, a failure is the
    next answer.
    """
    signals.become_worker(leads=True)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # Ray's C++ has much to say; what matters is answered
    os.dup2(nowhere, 2)
    driver: _Driver | None = None
    failure: Exception | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            question, arguments, is_awaited = connection.recv()
            answer: Any = None
            try:
                driver = driver or _Driver(address, processors, folder)
                answer = None if failure else getattr(driver, question)(*arguments)
            except UserError as error:
                failure = error
            except Exception:
                failure = RuntimeError(
                    f"in the process that talks to Ray:\n{traceback.format_exc()}"
                )
            if is_awaited:
                connection.send((failure or answer, driver.told() if driver else ClusterState()))
                failure = None
    if driver:
        driver.ray.shutdown()
    signals.kill_process_group()  # some of Ray's processes would stay for another minute


Rows = list[
    tuple[Any, str, int, int]
]  # a chunk's pixels, the id of the machine that has them, from and up to which row


@dataclass
class _Encoder:
    actor: Any
    begun: Any  # tells that the model is loaded
    node: str
    is_ready: bool = False
    load: int = 0  # batches under way


class _Driver:
    def __init__(self, address: str, processors: int, folder: str) -> None:
        """Join the machines at `address`, or start Ray on this one if it is "local". Raises UserError."""
        os.environ.update(QUIET_ENVIRONMENT)
        alike = {name: value for name, value in os.environ.items() if name == THREAD_WAIT_VARIABLE}
        sent = {"py_modules": PACKAGES, "excludes": ["__pycache__"], "env_vars": alike}
        options: dict[str, Any] = {"runtime_env": sent}
        if address == "local":
            os.environ.update(
                RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=os.urandom(32).hex()
            )  # or it writes one at home
            os.environ["RAY_process_group_cleanup_enabled"] = "0"  # noqa: SIM112 (or its workers leave our group)
            os.environ.setdefault(
                "RAY_worker_niceness", "0"
            )  # Ray says 15: any other work would be done before ours
            options |= {"num_cpus": processors, "include_dashboard": False, "_temp_dir": folder}
        import ray

        self.ray: Any = ray
        try:
            if address not in ("local", "auto"):
                host, _, port = address.rpartition(":")
                socket.create_connection(
                    (host, int(port)), encoder.NETWORK_TIMEOUT_SECONDS
                ).close()  # Ray would try for minutes
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except (
            Exception
        ) as error:  # which is what Ray raises where its daemon does not answer within 30 s
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            if address == "local":
                raise UserError(
                    f"--ray: Ray did not start ({reason}); run the same command again"
                ) from None
            raise UserError(
                f"--ray-address {address}: no Ray there ({reason}); give HOST:PORT as `ray start --head` told it"
            ) from None
        self._lost = (ray.exceptions.RayActorError, ray.exceptions.ActorUnschedulableError)
        self._call = ray.remote(num_cpus=1, max_retries=MAX_TRIES, num_returns=2)(_call)
        self._state, self._looked = ClusterState(), -LOOK_SECONDS
        self._tasks: dict[int, Any] = {}
        self._pixels: dict[
            int, tuple[Any, str, int]
        ] = {}  # of a chunk, the machine that has them, and their rows
        self._batches: dict[int, tuple[Rows, _Encoder, Any]] = {}
        self._encoders: dict[tuple[str, int], _Encoder] = {}
        self._deaths = 0  # of encoders that were loading
        self._asked: tuple[argparse.Namespace, dict[str, str]] | None = None

    def told(self) -> ClusterState:
        state, self._state = self._state, replace(self._state, notes=[])
        return state

    def submit(self, number: int, function: bytes, items: list[Any], apart: bool) -> None:
        """Have a pickled function run on the items somewhere; `apart` means that it gives pixels, which stay there."""
        self.look()
        self._tasks[number] = self._call.remote(_versions(), function, items, apart)

    def answer(self, number: int) -> Any:
        """What a task said. Raises UserError where it was lost too often, or its machine sees other files."""
        told, pixels = self._tasks.pop(number)
        said, rows, machine, node, unseen = self._result(told)
        if unseen and os.path.exists(unseen):
            raise UserError(
                f"{unseen}: {machine} does not see it; machines must have the dataset at the same path"
            )
        if rows:
            self._pixels[number] = pixels, node, rows
        return said

    def load(self, args: argparse.Namespace, about: dict[str, str]) -> None:
        """Have encoders begin to load. Raises UserError."""
        if args.device.startswith("cuda") and not self._state.gpus:
            raise UserError(
                f"--device {args.device}: Ray knows of no machine with a GPU; try --device auto"
            )
        device = "cuda" if self._state.gpus and args.device != "cpu" else "cpu"
        self._state.batch = (
            encoder.BATCH_SIZES[device] if args.batch_size == "auto" else args.batch_size
        )
        self._asked = argparse.Namespace(**vars(args) | {"device": device}), about
        self._looked = -LOOK_SECONDS
        self.look()

    def encode(self, number: int, parts: Sequence[Part]) -> None:
        """Send a batch to an encoder, once there is one. Raises UserError."""
        rows = []
        for chunk, start, stop in parts:
            pixels, node, end = self._pixels[chunk]
            rows.append((pixels, node, start, stop))
            if stop == end:
                del self._pixels[chunk]
        self._batches[number] = rows, *self._sent(rows)

    def vectors(self, number: int) -> Any:
        """A batch's vectors. Raises UserError."""
        rows, encoder, coming = self._batches.pop(number)
        for _ in range(MAX_TRIES):
            with contextlib.suppress(*self._lost):
                vectors, self._state.precision, batch = self._result(coming)
                encoder.load -= 1
                if batch < self._state.batch:
                    self._state.notes.append(f"⚠️  out of memory: going on with batches of {batch}")
                    self._state.batch = batch
                return vectors
            self._forget(encoder)
            encoder, coming = self._sent(rows)
        raise UserError(
            f"{MAX_TRIES} encoders died over the same images; {RESUME_HINT}: try a smaller --batch-size"
        )

    def _sent(self, rows: Rows) -> tuple[_Encoder, Any]:
        """Give a batch to the encoder with the least to do; of several to one where many of its pixels are."""
        near = collections.Counter[str]()
        for _, node, start, stop in rows:
            near[node] += stop - start
        encoder = min(self._ready(), key=lambda one: (one.load, -near[one.node]))
        encoder.load += 1
        self._state.moved += near.total() - near[encoder.node]
        cuts = [(start, stop) for *_, start, stop in rows]
        return encoder, encoder.actor.encode.remote(cuts, *(pixels for pixels, *_ in rows))

    def _ready(self) -> list[_Encoder]:
        """The encoders that have loaded their model, of which there is one at least. Raises UserError."""
        while True:
            self.look()
            for one in [one for one in self._encoders.values() if not one.is_ready]:
                if self.ray.wait([one.begun], timeout=0)[0]:
                    try:
                        self._state.notes.append(self._result(one.begun))
                        one.is_ready = True
                    except self._lost:
                        self._forget(one)
                        self._deaths += 1
            if ready := [one for one in self._encoders.values() if one.is_ready]:
                return ready
            if self._deaths > MAX_TRIES:
                raise UserError(
                    f"encoders die while they load the model, most likely for want of memory; {RESUME_HINT}"
                )
            time.sleep(0.05)

    def look(self) -> None:
        """See which machines there are; have an encoder on each of their GPUs (or machines), later ones too."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        has = {node["NodeID"]: node["Resources"] for node in self.ray.nodes() if node["Alive"]}
        cpus, gpus = (sum(int(one.get(kind, 0)) for one in has.values()) for kind in ("CPU", "GPU"))
        self._state.machines, self._state.processors, self._state.gpus = (
            len(has),
            max(1, cpus),
            gpus,
        )
        self._encoders = {key: one for key, one in self._encoders.items() if key[0] in has}
        if self._asked:
            on_gpus = self._asked[0].device == "cuda"
            for node, one in has.items():
                for number in range(
                    int(one.get("GPU", 0)) if on_gpus else min(1, int(one.get("CPU", 0)))
                ):
                    if (node, number) not in self._encoders:
                        self._encoders[node, number] = self._started(node, *self._asked)
        self._state.encoders = len(self._encoders)

    def _started(self, node: str, args: argparse.Namespace, about: dict[str, str]) -> _Encoder:
        there = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        share = {
            "num_cpus": 0,
            "num_gpus": int(args.device == "cuda"),
        }  # a core of its own would be one less to decode
        actor = self.ray.remote(_Worker).options(scheduling_strategy=there, **share).remote()
        return _Encoder(actor, actor.begin.remote(_versions(), args, about), node)

    def _forget(self, encoder: _Encoder) -> None:
        """Do without a lost encoder; the next look starts another where it was."""
        left = {key: one for key, one in self._encoders.items() if one is not encoder}
        if len(left) < len(self._encoders):  # else it was told with an earlier batch
            self._state.notes.append("⚠️  an encoder was lost; its images go to another")
        self._encoders = left

    def _result(self, reference: Any) -> Any:
        gone = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except gone.RayTaskError as error:
            raise error.cause if isinstance(error.cause, UserError) else error from None
        except (gone.WorkerCrashedError, gone.OutOfMemoryError):
            raise UserError(DECODER_DIED) from None
        except self._lost:
            raise
        except gone.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"Ray failed ({type(error).__name__}: {reason}); {RESUME_HINT}"
            ) from None


@functools.cache
def _versions() -> str:
    from importlib import metadata

    found = dict.fromkeys(PINNED_PACKAGES.split(), "none")
    for name in found:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _check_versions(theirs: str) -> None:
    for here, there in zip(_versions().split(", "), theirs.split(", "), strict=True):
        if here != there:
            raise UserError(
                f"machine {socket.gethostname()} has {here}, this one {there}: install the same on both"
            )


_unpacked = functools.lru_cache(8)(pickle.loads)


def _call(versions: str, function: bytes, items: list[Any], apart: bool) -> tuple[Any, Any]:
    """On some machine: answer, rows of pixels, the machine's name and id, a path that it does not see; and pixels."""
    import ray

    _check_versions(versions)
    answer, pixels = _unpacked(function)(items), ()
    if apart:
        pixels, answer = answer[0].numpy(), answer[1]
    unseen = next(
        (item for item in items if isinstance(item, str) and not os.path.exists(item)), None
    )
    return (
        answer,
        len(pixels),
        socket.gethostname(),
        ray.get_runtime_context().get_node_id(),
        unseen,
    ), pixels


class _Worker:
    """The actor: an engine of its own that is fed with pixels."""

    def begin(self, versions: str, args: argparse.Namespace, about: dict[str, str]) -> str:
        """Load the model; returns what there is to tell. Raises UserError."""
        _check_versions(versions)
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray says 1
        name = socket.gethostname()
        try:
            self._engine = Engine(
                model.resolve_model(args), args, Reporter(argparse.Namespace(quiet=True))
            )
            precision = self._engine.precision
        except UserError as error:
            raise UserError(f"machine {name}: {error}") from None
        if self._engine.model.about != about:
            raise UserError(
                f"machine {name}: --model {args.model} has other weights there; copy them from here"
            )
        return f"🧠 {about['model']} ({about['weights']}) in {precision} on {name}, {self._engine.device}"

    def encode(self, cuts: Sequence[tuple[int, int]], *pixels: Any) -> tuple[Any, str, int]:
        """Vectors of the rows, their precision, and how many images fit into a batch."""
        import numpy as np
        import torch

        together = np.concatenate(
            [part[start:stop] for part, (start, stop) in zip(pixels, cuts, strict=True)]
        )
        coming = self._engine.encode([(torch.from_numpy(together), 0, len(together))])
        return (
            np.concatenate([part.result() for part in coming]),
            self._engine.precision,
            self._engine.batch,
        )
