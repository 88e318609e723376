"""Which CLIP model is meant: the options that choose it, and what identifies it and its weights.

Answers from names and files alone and imports no torch, so that a run with nothing to do stays quick. Loading is the
business of common/clip/encoder.py.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from common import json_files
from common.cli import available_cores, positive_int
from common.errors import UserError

DEFAULT_MODEL = "ViT-L-14-quickgelu"
DEFAULT_WEIGHTS = "openai"
TINY = "tiny"
TINY_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", TINY)
AESTHETICS, TECHNICAL = "aesthetics", "technical quality"  # what scores judge
TINY_NOTE = "the embedded tiny model judges technical quality (sharpness, noise, exposure), not CLIP aesthetics"
LOCAL = "local-dir:"
WEIGHTS_ENDINGS = (".safetensors", ".bin", ".pth", ".pt")
# Towers that were trained with the tanh form of GELU, where open_clip builds the exact one: architecture and tag. They
# run as trained under a name of ours, so that their vectors are never taken for open_clip's.
TANH_GELU_MODELS = {"siglip-v2.5": ("ViT-SO400M-14-SigLIP-384", "webli")}
TANH_MARK = "-tanh-gelu"
OPENAI = (
    "ViT-B-32",
    "ViT-B-16",
    "ViT-L-14",
    "ViT-L-14-336",
    "RN50",
    "RN101",
    "RN50x4",
    "RN50x16",
    "RN50x64",
)
DRAFT_DECODE = "draft"  # decode modes, part of what identifies a vector
EXACT_DECODE = "exact"


@dataclass(frozen=True)
class Model:
    """An image tower and its weights. Two Models that are equal give the same vectors, up to `precision`."""

    name: str  # of the architecture, or of a local folder
    weights: str  # open_clip's tag, or the digest of local files
    decode: str  # EXACT, or DRAFT with --fast-decode
    source: str  # for open_clip: a name, or local-dir:FOLDER
    file: str | None  # local weights for a named architecture

    @property
    def about(self) -> dict[str, str]:
        """What identifies the vectors, as it stands in sidecars and provenance."""
        return {"model": self.name, "weights": self.weights, "decode": self.decode}

    @property
    def sidecar(self) -> str:
        """The name of the sidecar file that holds this model's vectors: one a model, weights and decode mode."""
        plain = "-".join(
            (
                "clip",
                self.name,
                self.weights,
                *([DRAFT_DECODE] if self.decode == DRAFT_DECODE else []),
            )
        )
        return "".join(char if char.isalnum() or char in "-._" else "-" for char in plain)

    @property
    def asked(self) -> str:
        """What --model calls it."""
        return next(
            (
                ours
                for ours, (source, _) in TANH_GELU_MODELS.items()
                if self.name == source + TANH_MARK
            ),
            self.name,
        )

    @property
    def has_tanh_gelu(self) -> bool:
        return self.asked in TANH_GELU_MODELS

    @property
    def tag(self) -> str | None:
        """The tag by which open_clip knows how pictures are prepared; None for files that it does not know."""
        if self.file or self.source.startswith(LOCAL):
            return TANH_GELU_MODELS[self.asked][1] if self.has_tanh_gelu else None
        return self.weights

    @property
    def is_tiny(self) -> bool:
        return self.name == TINY

    @property
    def judges(self) -> str:
        return TECHNICAL if self.is_tiny else AESTHETICS


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose a model and how it runs."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        help=f"an open_clip name, {', '.join(TANH_GELU_MODELS)}, local-dir:FOLDER (open_clip_config.json and weights), or tiny: "
        f"embedded, needs no download, judges technical quality only (default: the --head's own, or {DEFAULT_MODEL})",
    )
    group.add_argument(
        "--pretrained",
        metavar="TAG|FILE",
        help=f"open_clip tag or local weights file for a named model (default: {DEFAULT_WEIGHTS}, or the model's own)",
    )
    group.add_argument(
        "--device", default="auto", help="cuda, mps, cpu (default: the first of them that there is)"
    )
    group.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="arithmetic of the model (default: on cuda fp16, for SigLIP bf16; fp32 elsewhere)",
    )
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        default="auto",
        metavar="N",
        help="images a forward pass; halved by itself when memory runs out (default: by device)",
    )
    group.add_argument(
        "--workers",
        type=int,
        default=available_cores(),
        metavar="N",
        help="processes that decode images; 0 decodes in this one (default: %(default)s, one a core)",
    )
    group.add_argument(
        "--fast-decode",
        action="store_true",
        help="let JPEG decode at reduced size: faster on large photos, slightly other vectors, kept apart",
    )

    spread = parser.add_argument_group("more GPUs and machines")
    spread.add_argument(
        "--ray",
        action="store_true",
        help="spread the work with Ray: over the machines at RAY_ADDRESS, if that is set, or of this one",
    )
    spread.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="spread it over the machines of the Ray that runs there, or auto: the one that runs on this machine",
    )


def _batch_size(value: str) -> int | str:
    return value if value == "auto" else positive_int(value)


_batch_size.__name__ = positive_int.__name__


def resolve_model(args: argparse.Namespace, otherwise: str = DEFAULT_MODEL) -> Model:
    """The model that the options name, or else `otherwise`. Imports no torch. Raises UserError."""
    decode = DRAFT_DECODE if args.fast_decode else EXACT_DECODE
    name, pretrained = args.model or otherwise, args.pretrained
    if name == TINY or name.startswith(LOCAL):
        if pretrained:
            raise UserError(
                f"--pretrained {pretrained}: --model {name} has its weights in its folder; leave it out"
            )
        folder = (
            TINY_FOLDER
            if name == TINY
            else os.path.abspath(os.path.expanduser(name.removeprefix(LOCAL)))
        )
        shown = TINY if name == TINY else f"local-dir:{os.path.basename(folder)}"
        return Model(shown, _digest(_model_files(folder)), decode, LOCAL + folder, None)
    if ":" in name:
        raise UserError(
            f"--model {name}: download it into a folder and pass --model local-dir:FOLDER"
        )
    source, tag = TANH_GELU_MODELS.get(name, (name, DEFAULT_WEIGHTS))
    name, weights = source + TANH_MARK if name in TANH_GELU_MODELS else name, pretrained or tag
    if os.path.isfile(weights) or os.sep in weights:
        if not os.path.isfile(weights):
            raise UserError(f"--pretrained {weights}: no such file")
        return Model(name, _digest([weights]), decode, source, os.path.abspath(weights))
    if weights == "openai" and name in OPENAI:
        raise UserError(
            f"--model {name}: the openai weights were trained with QuickGELU and score wrongly without it; "
            f"use --model {name}-quickgelu"
        )
    return Model(name, weights, decode, source, None)


def _model_files(folder: str) -> list[str]:
    config = os.path.join(folder, "open_clip_config.json")
    if not os.path.isfile(config):
        raise UserError(
            f"{folder}: no open_clip_config.json in it; --model local-dir:FOLDER wants one beside the weights"
        )
    weights = sorted(name for name in os.listdir(folder) if name.endswith(WEIGHTS_ENDINGS))
    if not weights:
        raise UserError(f"{folder}: no weights in it ({', '.join(WEIGHTS_ENDINGS)})")
    return [config, *(os.path.join(folder, name) for name in weights)]


def cache_folder() -> str:
    """Where torch caches what it downloads: heads and the digests of local weights live there too."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(
        os.environ.get("TORCH_HOME") or os.path.join(home, "torch"), "hub", "checkpoints"
    )


def _digest(paths: Sequence[str]) -> str:
    """`sha256:` and 16 digits that stand for the files' contents.

    Remembered by path, size and time, so that 1.7 GB of weights are read once and not on every run.
    """
    memory = os.path.join(cache_folder(), "digests.json")
    known: dict[str, str] = {}
    with contextlib.suppress(
        json_files.Damaged, TypeError, ValueError
    ):  # a lost memory costs time only
        known = dict(json_files.read_json(memory, {}))
    digests = []
    for path in paths:
        status = os.stat(path)
        key = f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}"
        if key not in known:
            known[key] = file_digest(path)
            with contextlib.suppress(OSError, UserError):
                os.makedirs(os.path.dirname(memory), exist_ok=True)
                json_files.write_json(memory, known)
        digests.append(known[key])
    together = (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )
    return "sha256:" + together[:16]


def file_digest(path: str) -> str:
    """The sha256 of a file, in hexadecimal. Raises UserError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
