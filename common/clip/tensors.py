"""Reads a file of tensors, and nothing else that such a file may hold. Knows no models and no heads."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from common.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def load_tensors(path: str) -> dict[str, np.ndarray[Any, Any]]:
    """A state dict (safetensors, or a pickle of plain tensors) as float64 arrays. Imports torch. Raises UserError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = (
            load_file(path)
            if path.endswith(".safetensors")
            else torch.load(path, "cpu", weights_only=True)
        )
        return {key: value.double().numpy() for key, value in found.items()}
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: refused, it holds more than plain tensors and could run code"
        ) from None
    except (
        SafetensorError,
        RuntimeError,
        OSError,
        ValueError,
        EOFError,
        AttributeError,
        TypeError,
        KeyError,
    ):
        raise UserError(f"{path}: not a head (expected the tensors of one linear layer)") from None
