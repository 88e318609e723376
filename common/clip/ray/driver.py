"""The process that talks to Ray (https://docs.ray.io).

Ray schedules, ships and retries. Decoding is plain tasks, which Ray runs again elsewhere if their
machine is lost. Encoders are actors, one per GPU (one per machine if it has none), because a
process stays with the GPU that it began on; the batch of a lost encoder goes to another. Pixels
travel from task to encoder; outcomes and vectors come to this process, and from here to the client.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import logging
import os
import socket
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from common import signals, terminal
from common.clip import encoder, weights
from common.clip.engine import Part
from common.clip.ray import worker
from common.errors import DECODER_DIED, UserError

MAX_TRIES = 3  # encoders that may die over one batch, and times that a task is run again
LOOK_SECONDS = 5.0  # between two looks for new machines
PACKAGES = [  # sent along
    os.path.join(signals.ROOT, name)
    for name in ("common", "imaging", "sidecars", "keeping", "duplicates")
]
QUIET_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
THREAD_WAIT_VARIABLE = "OMP_WAIT_POLICY"  # how torch's threads wait: everywhere as on this machine
RESUME_HINT = "finished work is kept; run the same command again"


@dataclass
class ClusterState:
    """What Ray has and does, as last seen."""

    machines: int = 1
    processors: int = 1
    gpus: int = 0
    encoders: int = 0
    batch: int = 0  # images per forward pass
    precision: str = ""  # of the vectors that came last
    moved: int = 0  # images encoded on another machine than they were decoded on
    notes: list[str] = field(default_factory=list)  # to be shown once

    def __str__(self) -> str:
        return f"{terminal.plural(self.machines, 'machine')}, {terminal.plural(self.gpus, 'GPU')}"


def serve(connection: Any, address: str, processors: int, folder: str) -> None:
    """Answer the client's calls of the driver's methods until it hangs up; then end Ray.

    A call is a method, its arguments, and whether the client waits for an answer. If it does not
    wait, a failure is the next answer.
    """
    signals.become_worker(leads_group=True)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)  # Ray's C++ code prints much; what matters is in our answers
    os.dup2(devnull, 2)
    driver: _Driver | None = None
    failure: Exception | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            method, arguments, is_awaited = connection.recv()
            answer: Any = None
            try:
                driver = driver or _Driver(address, processors, folder)
                if not failure:
                    answer = getattr(driver, method)(*arguments)
            except UserError as error:
                failure = error
            except Exception:
                failure = RuntimeError(
                    f"in the process that talks to Ray:\n{traceback.format_exc()}"
                )
            if is_awaited:
                state = driver.take_state() if driver else ClusterState()
                connection.send((failure or answer, state))
                failure = None
    if driver:
        driver.ray.shutdown()
    signals.kill_process_group()  # some of Ray's processes would stay for another minute


class Rows(NamedTuple):
    """Rows of a decoded chunk, for a batch."""

    pixels: Any
    node: str  # id of the machine that has them
    start: int
    stop: int


@dataclass
class _Encoder:
    actor: Any
    loading: Any  # reference that is there when the model is loaded
    node: str
    is_ready: bool = False
    load: int = 0  # batches under way


class _Driver:
    def __init__(self, address: str, processors: int, folder: str) -> None:
        """Join the cluster at `address`, or start Ray here if it is "local". Raises UserError."""
        self.ray: Any = _start_ray(address, processors, folder)
        failures = self.ray.exceptions
        self._lost = (failures.RayActorError, failures.ActorUnschedulableError)
        run = self.ray.remote(num_cpus=1, max_retries=MAX_TRIES, num_returns=2)
        self._run_task = run(worker.run_task)
        self._state = ClusterState()
        self._looked_at = -LOOK_SECONDS
        self._tasks: dict[int, Any] = {}
        self._chunks: dict[int, Rows] = {}  # the decoded chunks that wait for a batch
        self._batches: dict[int, tuple[list[Rows], _Encoder, Any]] = {}
        self._encoders: dict[tuple[str, int], _Encoder] = {}
        self._deaths_while_loading = 0
        self._requested: tuple[argparse.Namespace, dict[str, str]] | None = None

    def take_state(self) -> ClusterState:
        """The state, with notes that are handed out only once."""
        state = self._state
        self._state = replace(state, notes=[])
        return state

    def submit(self, number: int, function: bytes, items: list[Any], has_pixels: bool) -> None:
        """Run a pickled function on the items somewhere; pixels that it returns stay there."""
        self.find_machines()
        self._tasks[number] = self._run_task.remote(worker.versions(), function, items, has_pixels)

    def answer(self, number: int) -> Any:
        """A task's answer.

        Raises UserError if it was lost too often, or if its machine sees other files.
        """
        reference, pixels = self._tasks.pop(number)
        answer, rows, machine, node, missing = self._result(reference)
        if missing and os.path.exists(missing):
            raise UserError(
                f"{missing}: {machine} does not see it; machines must have the dataset at the same "
                "path"
            )
        if rows:
            self._chunks[number] = Rows(pixels, node, 0, rows)
        return answer

    def load(self, args: argparse.Namespace, about: dict[str, str]) -> None:
        """Start loading the encoders. Raises UserError."""
        if args.device.startswith("cuda") and not self._state.gpus:
            raise UserError(
                f"--device {args.device}: Ray knows of no machine with a GPU; try --device auto"
            )
        device = "cuda" if self._state.gpus and args.device != "cpu" else "cpu"
        self._state.batch = args.batch_size
        if args.batch_size == "auto":
            self._state.batch = encoder.BATCH_SIZES[device]
        self._requested = argparse.Namespace(**vars(args) | {"device": device}), about
        self._looked_at = -LOOK_SECONDS
        self.find_machines()

    def encode(self, number: int, parts: Sequence[Part]) -> None:
        """Send a batch to an encoder as soon as there is one. Raises UserError."""
        batch = []
        for chunk, start, stop in parts:
            whole = self._chunks[chunk]
            batch.append(Rows(whole.pixels, whole.node, start, stop))
            if stop == whole.stop:
                del self._chunks[chunk]
        self._batches[number] = batch, *self._send_batch(batch)

    def vectors(self, number: int) -> Any:
        """The vectors of a batch. Raises UserError."""
        batch, encoder, reference = self._batches.pop(number)
        for _ in range(MAX_TRIES):
            with contextlib.suppress(*self._lost):
                vectors, self._state.precision, size = self._result(reference)
                encoder.load -= 1
                self._limit_batch(size)
                return vectors
            self._forget_encoder(encoder)
            encoder, reference = self._send_batch(batch)
        raise UserError(
            f"{MAX_TRIES} encoders died over the same images; {RESUME_HINT}: "
            "try a smaller --batch-size"
        )

    def _limit_batch(self, size: int) -> None:
        if size < self._state.batch:
            self._state.notes.append(f"⚠️  out of memory: going on with batches of {size}")
            self._state.batch = size

    def _send_batch(self, batch: Sequence[Rows]) -> tuple[_Encoder, Any]:
        """Send to the least busy encoder; among equals, to one where many of the pixels are."""
        images_on = collections.Counter[str]()
        for rows in batch:
            images_on[rows.node] += rows.stop - rows.start
        chosen = min(self._ready_encoders(), key=lambda one: (one.load, -images_on[one.node]))
        chosen.load += 1
        self._state.moved += images_on.total() - images_on[chosen.node]
        cuts = [(rows.start, rows.stop) for rows in batch]
        pixels = [rows.pixels for rows in batch]
        return chosen, chosen.actor.encode.remote(cuts, *pixels)

    def _ready_encoders(self) -> list[_Encoder]:
        """The encoders that have loaded their model; waits for the first. Raises UserError."""
        while True:
            self.find_machines()
            self._note_loaded_encoders()
            if ready := [one for one in self._encoders.values() if one.is_ready]:
                return ready
            if self._deaths_while_loading > MAX_TRIES:
                raise UserError(
                    "encoders die while they load the model, most likely because memory is short; "
                    f"{RESUME_HINT}"
                )
            time.sleep(0.05)

    def _note_loaded_encoders(self) -> None:
        for one in list(self._encoders.values()):
            if one.is_ready or not self.ray.wait([one.loading], timeout=0)[0]:
                continue
            try:
                self._state.notes.append(self._result(one.loading))
                one.is_ready = True
            except self._lost:
                self._forget_encoder(one)
                self._deaths_while_loading += 1

    def find_machines(self) -> None:
        """See which machines there are; start an encoder on each GPU (or machine) that has none."""
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        resources = {node["NodeID"]: node["Resources"] for node in alive}
        self._state.machines = len(resources)
        self._state.processors = max(1, _count(resources, "CPU"))
        self._state.gpus = _count(resources, "GPU")
        self._encoders = {key: one for key, one in self._encoders.items() if key[0] in resources}
        if self._requested:
            for place in _encoder_places(resources, self._requested[0].device):
                if place not in self._encoders:
                    self._encoders[place] = self._start_encoder(place[0], *self._requested)
        self._state.encoders = len(self._encoders)

    def _start_encoder(
        self, node: str, args: argparse.Namespace, about: dict[str, str]
    ) -> _Encoder:
        strategies = self.ray.util.scheduling_strategies
        there = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        share = {"num_cpus": 0, "num_gpus": int(args.device == "cuda")}  # all cores decode
        actor = self.ray.remote(worker.Worker).options(scheduling_strategy=there, **share).remote()
        return _Encoder(actor, actor.begin.remote(worker.versions(), args, about), node)

    def _forget_encoder(self, lost: _Encoder) -> None:
        """Go on without a lost encoder; the next look starts another one in its place."""
        left = {key: one for key, one in self._encoders.items() if one is not lost}
        if len(left) < len(self._encoders):  # else an earlier batch has reported it
            self._state.notes.append("⚠️  an encoder was lost; its images go to another")
        self._encoders = left

    def _result(self, reference: Any) -> Any:
        failures = self.ray.exceptions
        try:
            return self.ray.get(reference)
        except failures.RayTaskError as error:
            raise error.cause if isinstance(error.cause, UserError) else error from None
        except (failures.WorkerCrashedError, failures.OutOfMemoryError):
            raise UserError(DECODER_DIED) from None
        except self._lost:
            raise
        except failures.RayError as error:
            reason = str(error).strip().splitlines()[0]
            name = type(error).__name__
            raise UserError(f"Ray failed ({name}: {reason}); {RESUME_HINT}") from None


def _start_ray(address: str, processors: int, folder: str) -> Any:
    """Join the cluster at `address`, or start Ray here if it is "local". Raises UserError."""
    os.environ.update(QUIET_ENVIRONMENT)
    wait = {name: value for name, value in os.environ.items() if name == THREAD_WAIT_VARIABLE}
    sent = {"py_modules": PACKAGES, "excludes": ["__pycache__"], "env_vars": wait}
    options: dict[str, Any] = {"runtime_env": sent}
    if address == "local":
        token = os.urandom(32).hex()
        os.environ.update(
            RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token
        )  # else Ray writes one at home
        # Keeps Ray's workers in our process group.
        os.environ["RAY_process_group_cleanup_enabled"] = "0"  # noqa: SIM112
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets all other work go first
        options |= {"num_cpus": processors, "include_dashboard": False, "_temp_dir": folder}
    import ray

    try:
        if address not in ("local", "auto"):  # without this check Ray would try for minutes
            host, _, port = address.rpartition(":")
            timeout = weights.NETWORK_TIMEOUT_SECONDS
            socket.create_connection((host, int(port)), timeout).close()
        ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    except Exception as error:  # which Ray raises if its daemon does not answer within 30 s
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        if address == "local":
            raise UserError(
                f"--ray: Ray did not start ({reason}); run the same command again"
            ) from None
        raise UserError(
            f"--ray-address {address}: no Ray there ({reason}); "
            "give the HOST:PORT that `ray start --head` printed"
        ) from None
    return ray


def _count(resources: dict[str, dict[str, float]], kind: str) -> int:
    return sum(int(one.get(kind, 0)) for one in resources.values())


def _encoder_places(
    resources: dict[str, dict[str, float]], device: str
) -> Iterator[tuple[str, int]]:
    """Where encoders belong: (machine, number), one per GPU, or one per machine that has a CPU."""
    for node, has in resources.items():
        count = int(has.get("GPU", 0)) if device == "cuda" else min(1, int(has.get("CPU", 0)))
        for number in range(count):
            yield node, number
