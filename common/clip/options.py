"""The options that choose a model and how it runs."""

from __future__ import annotations

import argparse

from common.cli import available_cores, positive_int, whole_number
from common.clip.model import DEFAULT_MODEL, DEFAULT_WEIGHTS, TANH_GELU_MODELS


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add --model, --device and the other options of a run with a model."""
    _add_model_group(parser)
    _add_ray_group(parser)


def _add_model_group(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        help=f"an open_clip name, {', '.join(TANH_GELU_MODELS)}, local-dir:FOLDER "
        "(open_clip_config.json and weights), or tiny: embedded, needs no download, judges "
        f"technical quality only (default: the --head's own, or {DEFAULT_MODEL})",
    )
    group.add_argument(
        "--pretrained",
        metavar="TAG|FILE",
        help="open_clip tag or local weights file for a named model "
        f"(default: {DEFAULT_WEIGHTS}, or the model's own)",
    )
    group.add_argument(
        "--device", default="auto", help="cuda, mps or cpu (default: the first that is available)"
    )
    group.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16", "fp16"),
        default="auto",
        help="arithmetic of the model (default: fp16 on cuda, bf16 there for SigLIP; else fp32)",
    )
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        default="auto",
        metavar="N",
        help="images per forward pass; halved when memory runs out (default: by device)",
    )
    group.add_argument(
        "--workers",
        type=whole_number,
        default=available_cores(),
        metavar="N",
        help="processes that decode images; 0 decodes in the main process "
        "(default: %(default)s, one per core)",
    )
    group.add_argument(
        "--decode",
        choices=("cpu", "gpu"),
        default="cpu",
        help="gpu: decode JPEGs on an NVIDIA GPU, for large photos and few cores; scores differ "
        "slightly and are kept apart from exact ones",
    )
    group.add_argument(
        "--fast-decode",
        action="store_true",
        help="decode JPEG at reduced size: faster on large photos; scores differ slightly and are "
        "kept apart from exact ones",
    )


def _add_ray_group(parser: argparse.ArgumentParser) -> None:
    spread = parser.add_argument_group("more GPUs and machines")
    spread.add_argument(
        "--ray",
        action="store_true",
        help="spread the work with Ray: over the machines at RAY_ADDRESS if that is set, else over "
        "the GPUs and cores of this one",
    )
    spread.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="spread the work over the machines of the Ray cluster there; auto: the cluster that "
        "this machine belongs to",
    )


def _batch_size(value: str) -> int | str:
    return value if value == "auto" else positive_int(value)


_batch_size.__name__ = positive_int.__name__
