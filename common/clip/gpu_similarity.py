"""Cosine similarities of many vectors on a device: proposes pairs, its caller decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.clip import encoder

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, np.dtype[Any]]


MIN_GPU_VECTORS = 20_000  # from here on a GPU pays off, though torch takes seconds to load


def choose_device(count: int, name: str) -> str:
    """Where to compare `count` vectors: on the CPU, unless the named device pays off."""
    if count >= MIN_GPU_VECTORS or name not in ("auto", "cpu"):
        return str(encoder.resolve_device(name))
    return "cpu"


def move_to_device(vectors: Array, device: str) -> torch.Tensor:
    """Copy vectors (float32, unit length) to the device. Imports torch."""
    import torch

    return torch.from_numpy(vectors).to(device)


def cosine_similarities(
    vectors: torch.Tensor, start: int, stop: int, least: float
) -> tuple[Array, Array, Array]:
    """Pairs of rows start to stop with later rows whose cosine is at least `least`.

    Returns rows, columns (both counted from `start`) and cosines.
    """
    import torch

    cosines = vectors[start:stop] @ vectors[start:].T
    pairs = torch.triu(cosines >= least, diagonal=1)
    row, column = torch.nonzero(pairs, as_tuple=True)
    return row.cpu().numpy(), column.cpu().numpy(), cosines[row, column].cpu().numpy()
