"""Linear heads: the one layer that turns a CLIP vector into a score.

Which head is meant is answered without torch; loading one needs it. Every head, a stack of layers included, is reduced
to one weight vector and a bias in float64. The heads that have a name stand in common/clip/scorers.py.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from common import json_files
from common.clip import scorers, tensors
from common.clip.encoder import is_reachable
from common.clip.model import DEFAULT_MODEL, TINY, TINY_FOLDER, Model, cache_folder, file_digest
from common.errors import UserError

if TYPE_CHECKING:
    import numpy as np

DEFAULT_HEAD = scorers.SCORERS[0].head


@dataclass(frozen=True)
class HeadChoice:
    """The head that is meant: `name` identifies it in provenance."""

    name: str
    path: str
    address: str | None  # where to download it from when it is not at `path`
    digest: str | None  # what its content must be


def head_model(head: str | None) -> str:
    """The model that a head brings along: its own where it has a name, else the default one."""
    return next((row.model for row in scorers.find_scorer(head)), DEFAULT_MODEL)


def resolve_head(head: str | None, model: Model) -> HeadChoice:
    """The head that --head names, or the model's own. Imports no torch. Raises UserError."""
    if head is None and model.is_tiny:
        return HeadChoice(TINY, os.path.join(TINY_FOLDER, "head.safetensors"), None, None)
    fitting = [
        row for row in scorers.SCORERS if (row.model, row.weights) == (model.asked, model.weights)
    ]
    head = head or next((row.head for row in fitting), DEFAULT_HEAD)
    if rows := scorers.find_scorer(head):
        row = next((row for row in fitting if row.head == head), None)
        if not row:
            raise UserError(
                f"--head {head}: trained for {' and '.join(row.model for row in rows)} with the {rows[0].weights} "
                f"weights, not for {model.asked} ({model.weights}); leave --model out, or pass --head FILE with a head "
                "for this model"
            )
        return HeadChoice(
            head,
            os.path.join(cache_folder(), os.path.basename(row.address)),
            row.address,
            row.digest,
        )
    if not os.path.isfile(head):
        raise UserError(
            f"--head {head}: no such file, nor one of {', '.join(scorers.scorer_names())}"
        )
    return HeadChoice(f"sha256:{file_digest(head)[:16]}", os.path.abspath(head), None, None)


class Head:
    """score = weight . vector + bias, in float64: the same vector gives the same score in any batch."""

    def __init__(self, weight: np.ndarray[Any, Any], bias: float, path: str) -> None:
        self.weight, self.bias, self.path = weight, bias, path  # weight of shape (dim,), float64

    def check(self, dim: int) -> None:
        """Raise UserError unless the head takes vectors of `dim` numbers."""
        if len(self.weight) != dim:
            raise UserError(
                f"{self.path}: this head takes vectors of {len(self.weight)} numbers, but the model gives {dim}; "
                "pass the --head that belongs to the --model"
            )

    def __call__(self, vectors: np.ndarray[Any, Any]) -> list[float]:
        """Scores of unit vectors of shape (n, dim), rounded to 4 decimals, not clipped. Raises UserError."""
        self.check(vectors.shape[1])
        scores = (vectors.astype("float64") * self.weight).sum(
            axis=1
        ) + self.bias  # row by row, unlike a BLAS product
        return [round(score, 4) for score in scores.tolist()]


def load_head(choice: HeadChoice) -> Head:
    """The head, downloaded if need be. Imports torch. Raises UserError."""
    if choice.address and not os.path.isfile(choice.path):
        _download(choice, choice.address)
    digest = file_digest(choice.path)
    if choice.digest and digest != choice.digest:
        raise UserError(
            f"{choice.path}: not the published head (its sha256 differs); delete it and run again"
        )
    return _fold_layers(
        tensors.load_tensors(choice.path),
        choice.path,
        any(row.digest == digest for row in scorers.SCORERS),
    )


def _download(choice: HeadChoice, address: str) -> None:
    """Fetch the head; what broke off or has another digest is not kept."""
    remedy = f"download {address} elsewhere and put it at {choice.path}"
    if not is_reachable(address):
        raise UserError(
            f"head {choice.name} is not on this machine and there is no network: {remedy}"
        )
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            content = answer.read()
        os.makedirs(os.path.dirname(choice.path), exist_ok=True)
    except (OSError, HTTPException) as error:
        raise UserError(
            f"head {choice.name} could not be downloaded ({error}): run again, or {remedy}"
        ) from None
    if hashlib.sha256(content).hexdigest() != choice.digest:
        raise UserError(
            f"{address}: not the published head (its sha256 differs), and not kept: run again, or {remedy}"
        )
    with json_files.atomic_write(choice.path) as file:
        file.write(content)


def _fold_layers(
    layered: Mapping[str, np.ndarray[Any, Any]], path: str, is_published: bool
) -> Head:
    """One layer from a published stack of them: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2).

    Any other file may hold a single layer: tensors do not show whether an activation stood between two.
    """
    layers = {key.rpartition(".")[0] for key in layered if key.endswith(".weight")}
    if not is_published and len(layers) > 1:
        raise UserError(
            f"{path}: {len(layers)} layers, and no published head (its sha256 is unknown): whether activations stand "
            "between them cannot be seen; fold layers without any into one, saved as weight and bias"
        )
    if not is_published and set(layered) != {"weight", "bias"}:
        raise UserError(f"{path}: not a linear head (tensors {', '.join(sorted(layered))})")
    first, *others = sorted((key for key in layered if key.endswith("weight")), key=_layer_number)
    weight, bias = layered[first], layered[_bias(first)]
    for name in others:
        weight, bias = layered[name] @ weight, layered[name] @ bias + layered[_bias(name)]
    if weight.ndim != 2 or weight.shape[0] != 1 or bias.shape != (1,):
        raise UserError(
            f"{path}: not a head for one score (weight {weight.shape}, bias {bias.shape})"
        )
    return Head(weight[0], float(bias[0]), path)


def _layer_number(key: str) -> int:
    """The 4 of layers.4.weight: where in its stack a layer stands; 0 for a single one."""
    return int(key.split(".")[-2]) if "." in key else 0


def _bias(key: str) -> str:
    return key.removesuffix("weight") + "bias"
