"""Linear heads: the one layer that turns a CLIP vector into a score.

Resolving a head needs no torch; loading one does. Every head, a stack of layers included, is
reduced to one weight vector and a bias in float64. common/clip/scorers.py lists the named heads.
"""

from __future__ import annotations

import hashlib
import math
import os
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from common import atomic_files
from common.clip import scorers, tensors
from common.clip.model import DEFAULT_MODEL, TINY_FOLDER, Model, download_folder, file_digest
from common.clip.weights import is_reachable
from common.errors import UserError
from common.topic_scores import MAX_SCORE, TINY_MODEL

if TYPE_CHECKING:
    import numpy as np

DEFAULT_HEAD = scorers.SCORERS[0].head


@dataclass(frozen=True)
class HeadChoice:
    """The head to load; `name` identifies it in provenance."""

    name: str
    path: str
    address: str | None  # where to download it from if it is not at `path`
    digest: str | None  # what its content must be


def head_model(head: str | None) -> str:
    """The model that a head brings along: its own if the head has a name, else the default one."""
    rows = scorers.find_scorers(head)
    return rows[0].model if rows else DEFAULT_MODEL


def resolve_head(head: str | None, model: Model) -> HeadChoice:
    """The head that --head names, or the model's own. Imports no torch. Raises UserError."""
    if head is None and model.is_tiny:
        return HeadChoice(TINY_MODEL, os.path.join(TINY_FOLDER, "head.safetensors"), None, None)
    wanted = (model.cli_name, model.weights)
    fitting = [row for row in scorers.SCORERS if (row.model, row.weights) == wanted]
    if head is None:
        head = fitting[0].head if fitting else DEFAULT_HEAD
    if scorers.find_scorers(head):
        return _find_published_head(head, fitting, model)
    if not os.path.isfile(head):
        names = ", ".join(scorers.scorer_names())
        raise UserError(f"--head {head}: no such file, nor one of {names}")
    return HeadChoice(f"sha256:{file_digest(head)[:16]}", os.path.abspath(head), None, None)


def _find_published_head(head: str, fitting: Sequence[scorers.Scorer], model: Model) -> HeadChoice:
    """The published head of that name for the model. Raises UserError if there is none."""
    for row in fitting:
        if row.head == head:
            path = os.path.join(download_folder(), os.path.basename(row.address))
            return HeadChoice(head, path, row.address, row.digest)
    rows = scorers.find_scorers(head)
    models = " and ".join(row.model for row in rows)
    raise UserError(
        f"--head {head}: trained for {models} with the {rows[0].weights} weights, not for "
        f"{model.cli_name} ({model.weights}); leave --model out, or pass --head FILE with a head "
        "for this model"
    )


class Head:
    """score = weight . vector + bias, in float64: a vector has the same score in any batch."""

    def __init__(self, weight: np.ndarray[Any, Any], bias: float, path: str) -> None:
        self.weight = weight  # shape (dim,), float64
        self.bias = bias
        self.path = path

    def check(self, dim: int) -> None:
        """Raise UserError unless the head takes vectors of `dim` numbers."""
        if len(self.weight) != dim:
            raise UserError(
                f"{self.path}: this head takes vectors of {len(self.weight)} numbers, but the "
                f"model gives {dim}; pass the --head that belongs to the --model"
            )

    def __call__(self, vectors: np.ndarray[Any, Any]) -> list[float]:
        """Scores of unit vectors of shape (n, dim), rounded to 4 decimals. Raises UserError."""
        self.check(vectors.shape[1])
        # Row by row: a BLAS product would depend on the number of rows.
        scores = (vectors.astype("float64") * self.weight).sum(axis=1) + self.bias
        if not (abs(scores) <= MAX_SCORE).all():
            raise UserError(
                f"{self.path}: gives scores beyond {MAX_SCORE:,.0f}; pass another --head"
            )
        return [round(score, 4) for score in scores.tolist()]


def load_head(choice: HeadChoice) -> Head:
    """Load the head, downloaded if need be. Imports torch. Raises UserError."""
    if choice.address and not os.path.isfile(choice.path):
        _download(choice, choice.address)
    digest = file_digest(choice.path)
    if choice.digest and digest != choice.digest:
        raise UserError(
            f"{choice.path}: not the published head (its sha256 differs); delete it and run again"
        )
    is_published = any(row.digest == digest for row in scorers.SCORERS)
    return _fold_layers(tensors.load_tensors(choice.path), choice.path, is_published)


def _download(choice: HeadChoice, address: str) -> None:
    """Download the head; an incomplete file, or one with another digest, is not kept."""
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
            f"{address}: not the published head (its sha256 differs), and not kept: "
            f"run again, or {remedy}"
        )
    with atomic_files.atomic_write(choice.path) as file:
        file.write(content)


def _fold_layers(layers: Mapping[str, np.ndarray[Any, Any]], path: str, is_published: bool) -> Head:
    """Fold a published stack of layers into one: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2).

    Any other file may hold a single layer only: tensors do not show whether an activation was
    between two layers.
    """
    if not is_published:
        _check_single_layer(layers, path)
    weights = [key for key in layers if key.endswith("weight")]
    first, *others = sorted(weights, key=_layer_number)
    weight = layers[first]
    bias = layers[_bias_key(first)]
    for name in others:
        weight = layers[name] @ weight
        bias = layers[name] @ bias + layers[_bias_key(name)]
    if weight.ndim != 2 or weight.shape[0] != 1 or bias.shape != (1,):
        raise UserError(
            f"{path}: not a head for one score (weight {weight.shape}, bias {bias.shape})"
        )
    if not all(map(math.isfinite, [*weight[0], *bias])):
        raise UserError(f"{path}: not a head (some of its numbers are NaN or infinite)")
    return Head(weight[0], float(bias[0]), path)


def _check_single_layer(layers: Mapping[str, Any], path: str) -> None:
    """Raise UserError unless the tensors are one weight and one bias."""
    names = {key.rpartition(".")[0] for key in layers if key.endswith(".weight")}
    if len(names) > 1:
        raise UserError(
            f"{path}: {len(names)} layers, and no published head (its sha256 is unknown): whether "
            "activations are between them cannot be seen; fold layers without any into one, saved "
            "as weight and bias"
        )
    if set(layers) != {"weight", "bias"}:
        raise UserError(f"{path}: not a linear head (tensors {', '.join(sorted(layers))})")


def _layer_number(key: str) -> int:
    """The 4 of layers.4.weight; 0 for a single layer."""
    return int(key.split(".")[-2]) if "." in key else 0


def _bias_key(key: str) -> str:
    return key.removesuffix("weight") + "bias"
