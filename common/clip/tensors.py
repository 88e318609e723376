"""Reads a file of tensors and refuses anything else that such a file may hold."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from common.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def load_tensors(path: str) -> dict[str, np.ndarray[Any, Any]]:
    """Load a state dict (safetensors, or a pickle of plain tensors) as float64 arrays.

    Imports torch. Raises UserError.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.endswith(".safetensors"):
            state = load_file(path)
        else:
            state = torch.load(path, "cpu", weights_only=True)
        arrays = {}
        for key, value in state.items():
            if not isinstance(key, str):
                raise TypeError(key)
            arrays[key] = value.double().numpy()
        return arrays
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
