"""What runs on Ray's machines: tasks that decode, and the actor that encodes."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import pickle
import socket
from collections.abc import Sequence
from typing import Any

from common.clip import model
from common.clip.engine import Engine
from common.errors import UserError
from common.reporter import Reporter

# Packages whose versions must be equal everywhere, or results would differ. Ray checks its own
# version and Python's.
PINNED_PACKAGES = (
    "torch torchvision open_clip_torch timm numpy pillow pillow-heif ImageHash "
    "opencv-python-headless"
)


@functools.cache
def versions() -> str:
    from importlib import metadata

    versions = dict.fromkeys(PINNED_PACKAGES.split(), "none")
    for name in versions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _check_versions(expected: str) -> None:
    for here, there in zip(versions().split(", "), expected.split(", "), strict=True):
        if here != there:
            raise UserError(
                f"machine {socket.gethostname()} has {here}, this one {there}: "
                "install the same on both"
            )


_unpickle = functools.lru_cache(8)(pickle.loads)


def run_task(versions: str, function: bytes, items: list[Any], has_pixels: bool) -> tuple[Any, Any]:
    """On some machine: run the function on the items.

    Returns (answer, rows of pixels, the machine's name and id, a path that it does not see), and
    the pixels.
    """
    import ray

    _check_versions(versions)
    answer = _unpickle(function)(items)
    pixels: Any = ()
    if has_pixels:
        tensor, answer = answer
        pixels = tensor.numpy()
    paths = (item for item in items if isinstance(item, str))
    missing = next((path for path in paths if not os.path.exists(path)), None)
    node = ray.get_runtime_context().get_node_id()
    return (answer, len(pixels), socket.gethostname(), node, missing), pixels


class Worker:
    """The actor: an engine of its own that is fed with pixels."""

    def begin(self, versions: str, args: argparse.Namespace, about: dict[str, str]) -> str:
        """Load the model; returns a line for people. Raises UserError."""
        _check_versions(versions)
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray sets it to 1
        name = socket.gethostname()
        try:
            quiet = Reporter(argparse.Namespace(quiet=True))
            self._engine = Engine(model.resolve_model(args), args, quiet)
            precision = self._engine.precision
        except UserError as error:
            raise UserError(f"machine {name}: {error}") from None
        if self._engine.model.about != about:
            raise UserError(
                f"machine {name}: --model {args.model} has other weights there; copy them from here"
            )
        device = self._engine.device
        return f"🧠 {about['model']} ({about['weights']}) in {precision} on {name}, {device}"

    def encode(self, cuts: Sequence[tuple[int, int]], *pixels: Any) -> tuple[Any, str, int]:
        """The vectors of the rows, their precision, and how many images fit into a batch."""
        import numpy as np
        import torch

        parts = [part[start:stop] for part, (start, stop) in zip(pixels, cuts, strict=True)]
        together = np.concatenate(parts)
        pending = self._engine.encode([(torch.from_numpy(together), 0, len(together))])
        vectors = np.concatenate([part.result() for part in pending])
        return vectors, self._engine.precision, self._engine.batch
