"""Cosine similarities of many vectors on a device: proposes pairs, and leaves the decision to its caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.clip import encoder

if TYPE_CHECKING:
    import numpy as np
    import torch

    Array = np.ndarray[Any, np.dtype[Any]]


MANY = 20_000  # vectors from which on a GPU pays, even with the seconds that torch takes to load


def choose_device(count: int, name: str) -> str:
    """Where so many vectors are compared with each other: on the CPU, by numpy, unless the named device pays."""
    return (
        str(encoder.resolve_device(name)) if count >= MANY or name not in ("auto", "cpu") else "cpu"
    )


def move_to_device(vectors: Array, device: str) -> torch.Tensor:
    """The vectors (float32, unit length) where their products are to be taken. Imports torch."""
    import torch

    return torch.from_numpy(vectors).to(device)


def cosine_similarities(
    vectors: torch.Tensor, start: int, stop: int, least: float
) -> tuple[Array, Array, Array]:
    """Pairs (row, column, cosine) of rows start to stop with later rows that reach `least`; both count from `start`."""
    import torch

    cosine = vectors[start:stop] @ vectors[start:].T
    row, column = torch.nonzero(torch.triu(cosine >= least, diagonal=1), as_tuple=True)
    return row.cpu().numpy(), column.cpu().numpy(), cosine[row, column].cpu().numpy()
