"""Which CLIP model is meant: the options that choose it, and what identifies it and its weights.

Answers from names and files alone and imports no torch, so that a run with nothing to do stays
quick. common/clip/encoder.py loads the model.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import hashlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass

from common import atomic_files, json_files
from common.errors import UserError
from common.topic_scores import AESTHETICS, TECHNICAL, TINY_MODEL

DEFAULT_MODEL = "ViT-L-14-quickgelu"
DEFAULT_WEIGHTS = "openai"
TINY_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", TINY_MODEL)
TINY_NOTE = (
    "the embedded tiny model judges technical quality (sharpness, noise, exposure), "
    "not CLIP aesthetics"
)
LOCAL = "local-dir:"
WEIGHTS_ENDINGS = (".safetensors", ".bin", ".pth", ".pt")
# Architecture and tag of towers that were trained with the tanh form of GELU, where open_clip
# builds the exact one. They run as trained, under our own name, so that their vectors are never
# mixed with open_clip's.
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
GPU_DECODE = "gpu"


@dataclass(frozen=True)
class Model:
    """An image tower and its weights. Equal Models give equal vectors, up to `precision`."""

    name: str  # of the architecture, or of a local folder
    weights: str  # open_clip's tag, or the digest of local files
    decode: str  # EXACT_DECODE, DRAFT_DECODE (--fast-decode) or GPU_DECODE (--decode gpu)
    source: str  # for open_clip: a name, or local-dir:FOLDER
    file: str | None  # local weights for a named architecture

    @property
    def about(self) -> dict[str, str]:
        """What identifies the vectors in sidecars and provenance."""
        return {"model": self.name, "weights": self.weights, "decode": self.decode}

    @property
    def sidecar(self) -> str:
        """The sidecar with this model's vectors: one per model, weights and decode mode."""
        parts = ["clip", self.name, self.weights]
        if self.decode != EXACT_DECODE:
            parts.append(self.decode)
        return "".join(char if char.isalnum() or char in "-._" else "-" for char in "-".join(parts))

    @property
    def cli_name(self) -> str:
        """What --model calls it."""
        for name, (source, _) in TANH_GELU_MODELS.items():
            if self.name == source + TANH_MARK:
                return name
        return self.name

    @property
    def has_tanh_gelu(self) -> bool:
        return self.cli_name in TANH_GELU_MODELS

    @property
    def tag(self) -> str | None:
        """The open_clip tag that says how images are prepared; None for unknown files."""
        if not self.file and not self.source.startswith(LOCAL):
            return self.weights
        return TANH_GELU_MODELS[self.cli_name][1] if self.has_tanh_gelu else None

    @property
    def is_tiny(self) -> bool:
        return self.name == TINY_MODEL

    @property
    def score_meaning(self) -> str:
        return TECHNICAL if self.is_tiny else AESTHETICS


def resolve_model(args: argparse.Namespace, otherwise: str = DEFAULT_MODEL) -> Model:
    """The model that the options name, or else `otherwise`. Imports no torch. Raises UserError."""
    decode = _decode_mode(args)
    name = args.model or otherwise
    if name == TINY_MODEL or name.startswith(LOCAL):
        if args.pretrained:
            raise UserError(
                f"--pretrained {args.pretrained}: --model {name} has its weights in its folder; "
                "leave it out"
            )
        return _local_model(name, decode)
    if ":" in name:
        raise UserError(
            f"--model {name}: download it into a folder and pass --model local-dir:FOLDER"
        )
    return _architecture_model(name, args.pretrained, decode)


def _decode_mode(args: argparse.Namespace) -> str:
    if getattr(args, "decode", "cpu") != "gpu":
        return DRAFT_DECODE if args.fast_decode else EXACT_DECODE
    if args.fast_decode:
        raise UserError("--decode gpu: not together with --fast-decode; leave one of them out")
    if args.ray or args.ray_address is not None:
        raise UserError("--decode gpu: not together with --ray; leave one of them out")
    return GPU_DECODE


def _local_model(name: str, decode: str) -> Model:
    if name == TINY_MODEL:
        folder, shown = TINY_FOLDER, TINY_MODEL
    else:
        folder = os.path.abspath(os.path.expanduser(name.removeprefix(LOCAL)))
        shown = LOCAL + os.path.basename(folder)
    return Model(shown, _digest(_model_files(folder)), decode, LOCAL + folder, None)


def _architecture_model(name: str, pretrained: str | None, decode: str) -> Model:
    source, tag = name, DEFAULT_WEIGHTS
    if name in TANH_GELU_MODELS:
        source, tag = TANH_GELU_MODELS[name]
        name = source + TANH_MARK
    else:
        _check_architecture(name, pretrained)
    weights = pretrained or tag
    if os.path.isfile(weights):
        return Model(name, _digest([weights]), decode, source, os.path.abspath(weights))
    if os.sep in weights:
        raise UserError(f"--pretrained {weights}: no such file")
    if weights == "openai" and name in OPENAI:
        raise UserError(
            f"--model {name}: the openai weights were trained with QuickGELU and score wrongly "
            f"without it; use --model {name}-quickgelu"
        )
    return Model(name, weights, decode, source, None)


def _check_architecture(name: str, pretrained: str | None) -> None:
    """Raise UserError if open_clip has no such model; names the one that was meant."""
    known = _open_clip_names()
    if not known or name.replace("/", "-") in known:
        return
    by_lower_name = {other.lower(): other for other in (*known, *TANH_GELU_MODELS, TINY_MODEL)}
    similar = difflib.get_close_matches(name.lower(), by_lower_name, n=1)
    meant = by_lower_name[similar[0]] if similar else DEFAULT_MODEL
    if meant in OPENAI and not pretrained:
        meant += "-quickgelu"
    raise UserError(f"--model {name}: no such model; did you mean {meant}?")


def _open_clip_names() -> list[str]:
    """List open_clip's models without importing it; empty if it is not installed."""
    spec = importlib.util.find_spec("open_clip")
    folders = spec.submodule_search_locations if spec else None
    names = []
    for folder in folders or ():
        for file in sorted(os.listdir(os.path.join(folder, "model_configs"))):
            names.append(file.removesuffix(".json"))
    return names


def _model_files(folder: str) -> list[str]:
    config = os.path.join(folder, "open_clip_config.json")
    if not os.path.isfile(config):
        raise UserError(
            f"{folder}: no open_clip_config.json in it; --model local-dir:FOLDER wants one beside "
            "the weights"
        )
    weights = sorted(name for name in os.listdir(folder) if name.endswith(WEIGHTS_ENDINGS))
    if not weights:
        raise UserError(f"{folder}: no weights in it ({', '.join(WEIGHTS_ENDINGS)})")
    return [config, *(os.path.join(folder, name) for name in weights)]


def download_folder() -> str:
    """Where torch caches downloads; heads and the digests of local weights go there too."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    torch_home = os.environ.get("TORCH_HOME") or os.path.join(home, "torch")
    return os.path.join(torch_home, "hub", "checkpoints")


def _digest(paths: Sequence[str]) -> str:
    """Identify files by `sha256:` and 16 digits of their contents.

    Digests are remembered by path, size and time, so that 1.7 GB of weights are read only once.
    """
    memory = os.path.join(download_folder(), "digests.json")
    known: dict[str, str] = {}
    with contextlib.suppress(
        atomic_files.Damaged, TypeError, ValueError
    ):  # losing it costs time only
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
    if len(digests) == 1:
        together = digests[0]
    else:
        together = hashlib.sha256("".join(digests).encode()).hexdigest()
    return "sha256:" + together[:16]


def file_digest(path: str) -> str:
    """The sha256 of a file, in hexadecimal. Raises UserError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
