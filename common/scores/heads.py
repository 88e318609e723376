"""Linear heads: the one layer that turns a CLIP vector into a score.

Which head is meant is answered without torch; loading one needs it. Every head, LAION's five stacked layers included,
is reduced to one weight vector and a bias in float64.
"""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.dataset import records
from common.errors import UserError
from common.vectors import tensors
from common.vectors.model import TINY, TINY_FOLDER, Model, cache_folder, file_digest
from common.vectors.towers import reachable

if TYPE_CHECKING:
    import numpy as np

V1, V2 = "laion-v1", "laion-v2"
LAION = "https://github.com/LAION-AI/aesthetic-predictor/raw/main/"
IMPROVED = "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/"

# By head and architecture (with the openai weights): where LAION published it (MIT; v2 Apache-2.0), and its sha256.
PUBLISHED = {
    (V1, "ViT-L-14-quickgelu"): (
        LAION + "sa_0_4_vit_l_14_linear.pth",
        "2cd4e60f4f24ae3bcd57b847b13c1f3ba27edc28cc1a7f9ce74ee9f421243cba",
    ),
    (V1, "ViT-B-32-quickgelu"): (
        LAION + "sa_0_4_vit_b_32_linear.pth",
        "c7b14cead230694acc7b9447974d3cad78003c72da032e402a303b6c2429e85f",
    ),
    (V1, "ViT-B-16-quickgelu"): (
        LAION + "sa_0_4_vit_b_16_linear.pth",
        "8ad3923d7ecf019df20ecd2ab5542a3075fbba0278d239c0371345f3d7fcbde0",
    ),
    (V2, "ViT-L-14-quickgelu"): (
        IMPROVED + "sac+logos+ava1-l14-linearMSE.pth",
        "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
    ),
}
STACKED = [0, 2, 4, 6, 7]  # the layers of laion-v2: dropout between them, no activation


@dataclass(frozen=True)
class Choice:
    """The head that is meant: `name` identifies it in provenance."""

    name: str
    path: str
    address: str | None  # where to download it from when it is not at `path`
    digest: str | None  # what its content must be


def chosen(head: str | None, model: Model) -> Choice:
    """The head that --head names, or the model's own. Imports no torch. Raises UserError."""
    if head is None and model.is_tiny:
        return Choice(TINY, os.path.join(TINY_FOLDER, "head.safetensors"), None, None)
    head = head or V1
    if head in (V1, V2):
        published = PUBLISHED.get((head, model.source)) if model.weights == "openai" else None
        if not published:
            fitting = " and ".join(f"{name}" for known, name in PUBLISHED if known == head)
            raise UserError(
                f"--head {head}: trained for {fitting} with the openai weights, not for {model.name} "
                f"({model.weights}); pass --head FILE with a head for this model"
            )
        address, digest = published
        return Choice(head, os.path.join(cache_folder(), os.path.basename(address)), address, digest)
    if not os.path.isfile(head):
        raise UserError(f"--head {head}: no such file, nor {V1} or {V2}")
    return Choice(f"sha256:{file_digest(head)[:16]}", os.path.abspath(head), None, None)


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
        scores = (vectors.astype("float64") * self.weight).sum(axis=1) + self.bias  # row by row, unlike a BLAS product
        return [round(score, 4) for score in scores.tolist()]


def load(choice: Choice) -> Head:
    """The head, downloaded if need be. Imports torch. Raises UserError."""
    if choice.address and not os.path.isfile(choice.path):
        _download(choice)
    if choice.digest and file_digest(choice.path) != choice.digest:
        raise UserError(f"{choice.path}: not the published head (its sha256 differs); delete it and run again")
    return _folded(tensors.load(choice.path), choice.path)


def _download(choice: Choice) -> None:
    remedy = f"download {choice.address} elsewhere and put it at {choice.path}"
    if not reachable(str(choice.address)):
        raise UserError(f"head {choice.name} is not on this machine and there is no network: {remedy}")
    try:
        with urllib.request.urlopen(str(choice.address), timeout=30) as answer:
            content = answer.read()
        os.makedirs(os.path.dirname(choice.path), exist_ok=True)
    except OSError as error:
        raise UserError(f"head {choice.name} could not be downloaded ({error}): {remedy}") from None
    with records.replacing(choice.path) as file:
        file.write(content)


def _folded(layered: Mapping[str, np.ndarray[Any, Any]], path: str) -> Head:
    """One layer from a single one or from laion-v2's stack: W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2)."""
    layers = sorted({int(number) for key in layered for number in re.findall(r"^layers\.(\d+)\.", key)})
    names = [f"layers.{number}." for number in layers] if layers else [""]
    if layers not in ([], STACKED) or set(layered) != {
        f"{name}{part}" for name in names for part in ("weight", "bias")
    }:
        raise UserError(f"{path}: not a linear head (tensors {', '.join(sorted(layered))})")
    weight, bias = layered[names[0] + "weight"], layered[names[0] + "bias"]
    try:
        for name in names[1:]:
            following = layered[name + "weight"]
            weight, bias = following @ weight, following @ bias + layered[name + "bias"]
    except ValueError:
        raise UserError(f"{path}: not a linear head (its layers do not fit together)") from None
    if weight.ndim != 2 or weight.shape[0] != 1 or bias.shape != (1,):
        raise UserError(f"{path}: not a head for one score (weight {weight.shape}, bias {bias.shape})")
    return Head(weight[0], float(bias[0]), path)
