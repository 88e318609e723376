#!/usr/bin/env python3
"""Is half precision safe for a tower? Seeded weights, made larger step by step, in fp32, bf16 and
fp16.

Trained weights are larger than random ones. The columns: by how much the matrices of the blocks
were multiplied, the largest value in the tower, images without a finite vector, and how far scores
move from fp32 (median and most) under a head as steep as LAION's. The model alone is timed before
that.

examples:
  benchmarks/half.py --photos FOLDER                       siglip-v2.5 on a CUDA GPU
  benchmarks/half.py --model ViT-B-32-quickgelu --count 8
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from score import CUDA, engine, make_dataset, model_alone, weighed

GROWTH = (1, 2, 4, 8, 16, 32, 64)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, help="take JPEGs from here (default: generated ones of 1600x1200)"
    )
    parser.add_argument(
        "--model", default="siglip-v2.5", help="as --model of the scorer (default: %(default)s)"
    )
    parser.add_argument(
        "--pretrained", metavar="FILE", help="its weights (default: seeded random ones)"
    )
    parser.add_argument("--count", type=int, default=64, help="images (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        topic = make_dataset(Path(scratch) / "DS/C/S/T", args.photos, args.count)
        paths = sorted(map(str, topic.iterdir()))
        options = weighed(args.model, args.pretrained, Path(scratch) / "tower")
        made = {
            name: engine([*options, "--precision", name], paths)
            for name in ("fp32", "bf16", "fp16")
        }
        pixels = torch.cat([part for part, _ in made["fp32"].decode_chunks([paths])])
        print(
            f"{args.model} on {torch.cuda.get_device_name() if CUDA else 'cpu'}, {len(paths)} images"  # noqa: E501
        )
        for name, one in made.items():
            print(
                f"   {name} alone {model_alone(one, pixels, 4 * len(pixels)):12.1f} images/s",
                flush=True,
            )
        print("   weights     largest   no vector      bf16: scores move      fp16: scores move")
        weight = np.random.default_rng(0).normal(size=made["fp32"].shape.dim)
        weight *= 28.4 / np.linalg.norm(weight)
        before = 1
        for growth in GROWTH:
            for one in made.values():
                grow(one.encoder.visual, growth / before)
            before = growth
            print(f"   {growth:6}x {compared(made, pixels, weight)}", flush=True)


def grow(visual: torch.nn.Module, factor: float) -> None:
    """Multiply the matrices of the blocks; powers of two are exact in every precision."""
    for name, value in visual.named_parameters():
        if value.ndim == 2 and "block" in name:
            value.mul_(factor)


def compared(made: dict[str, Any], pixels: torch.Tensor, weight: np.ndarray) -> str:
    scores, largest = {}, 0.0

    def look(_module: object, _inputs: object, output: Any) -> None:
        nonlocal largest
        if isinstance(output, torch.Tensor):
            largest = max(largest, output.abs().max().item())

    for name, one in made.items():
        looking = [
            module.register_forward_hook(look)
            for module in one.encoder.visual.modules()
            if name == "fp32"
        ]
        found = [one.encode([(part, 0, len(part))]) for part in pixels.split(16)]
        scores[name] = (
            np.concatenate([part.result() for parts in found for part in parts]).astype(float)
            @ weight
        )
        for hook in looking:
            hook.remove()
    exact = scores.pop("fp32")
    told = [
        f"{largest:11.1f}",
        ", ".join(f"{name} {np.isnan(found).sum()}" for name, found in scores.items()),
    ]
    for found in scores.values():
        moved = np.abs(found - exact)[np.isfinite(found)]
        told.append(
            f"{np.median(moved):.4f} (most {moved.max():.4f})" if len(moved) else "none is finite"
        )
    return "  ".join(told)


if __name__ == "__main__":
    main()
