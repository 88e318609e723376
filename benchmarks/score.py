#!/usr/bin/env python3
"""How busy does the scorer keep the machine? Four speeds on the same images, in images a second:

    decoding alone     the engine's decoder, with its workers, into nothing
    model alone        the engine's encoder on pixels that are already in memory
    end to end         aesthetic_scorer.py on a dataset, model loading included
    plain loop         one image at a time, as in LAION's notebook

On a GPU decoding and the model run side by side, so end to end can reach the slower of the two; on a CPU they share
the cores, and it can reach 1 / (1/decoding + 1/model). Weights are seeded random numbers: speed does not depend on
them. Then the effect of --fast-decode and of bf16 on vectors and scores.

examples:
  benchmarks/score.py --photos FOLDER          ViT-B-32 on a CPU, on photos of yours
  benchmarks/score.py                          ViT-L/14 in half precision on a CUDA GPU, on generated 1600x1200 JPEGs
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from towers import save_head, save_model  # noqa: E402

import aesthetic_scorer  # noqa: E402
from common import cli  # noqa: E402
from common.output import Talk  # noqa: E402
from common.vectors import model  # noqa: E402
from common.vectors.engine import CHUNK, Engine  # noqa: E402

CUDA = torch.cuda.is_available()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        folder = Path(scratch)
        dataset = make_dataset(folder / "DataSet/C/S/T", args.photos, args.count)
        tower = save_model(folder / "tower", args.model)
        head = save_head(
            folder / "head.pth", json.loads((tower / "open_clip_config.json").read_text())["model_cfg"]["embed_dim"]
        )
        paths = sorted(map(str, dataset.glob("*.*")))
        first = Image.open(paths[0])
        device = torch.cuda.get_device_name() if CUDA else "cpu"
        print(
            f"{args.model} on {device}, {cli.cores()} cores, {len(paths)} images like {first.size[0]}x{first.size[1]}"
        )
        for fast in ([], ["--fast-decode"]):
            options = ["--model", f"local-dir:{tower}", *fast]
            speeds(paths, dataset, options, head, fast)
        print(f"   plain loop         {plain(tower, head, paths[: args.plain]):9.1f}")
        effects(tower, paths[: args.plain])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="take JPEGs from here (default: generated ones of 1600x1200)")
    parser.add_argument("--model", default="ViT-L-14-quickgelu" if CUDA else "ViT-B-32-quickgelu")
    parser.add_argument("--count", type=int, default=20_000 if CUDA else 600, help="images (default: %(default)s)")
    parser.add_argument("--plain", type=int, default=500 if CUDA else 100, help="images for the plain loop")
    parser.add_argument("--scratch", help="where the dataset goes (default: the system's temporary folder)")
    return parser.parse_args()


def make_dataset(folder: Path, photos: Path | None, count: int) -> Path:
    """A topic of `count` JPEGs: copies of the photos, or of 64 generated pictures as detailed as photos are."""
    folder.mkdir(parents=True)
    if photos:
        found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
        contents = [path.read_bytes() for path in found[:count]]
    else:
        contents = [generated(seed) for seed in range(64)]
    for number in range(count):
        (folder / f"{number:06}.jpg").write_bytes(contents[number % len(contents)])
    return folder


def generated(seed: int) -> bytes:
    """A JPEG of 1600x1200 with detail at every scale, about 500 kB."""
    random = np.random.default_rng(seed)
    picture = np.zeros((1200, 1600, 3))
    for cells in (4, 16, 64, 256):
        coarse = Image.fromarray(random.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8))
        picture += np.asarray(coarse.resize((1600, 1200), Image.Resampling.BICUBIC), dtype=float) / 4
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def engine(options: list[str], paths: list[str]) -> Engine:
    parser = cli.parser("")
    model.add_options(parser)
    args = parser.parse_args([*options, "--quiet", paths[0]])
    return Engine(model.chosen(args), args, Talk(args))


def speeds(paths: list[str], dataset: Path, options: list[str], head: Path, fast: list[str]) -> None:
    made = engine(options, paths)
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    warm = [path for path in paths if Path(path).read_bytes()]  # the files are in the page cache from here on
    started = time.perf_counter()
    decoded = [pixels for pixels, _ in made.decoded(chunks)]
    decoding = len(warm) / (time.perf_counter() - started)
    modelling = model_alone(made, torch.cat(decoded[:64]), len(paths))
    del decoded
    with busy_share() as busy:
        whole = end_to_end(dataset, [*options, "--head", str(head)])
    possible = min(decoding, modelling) if made.device.type == "cuda" else 1 / (1 / decoding + 1 / modelling)
    print(f"{' '.join(fast) or 'full decode'} ({made.encoder.precision}, batches of {made.batch})")
    print(f"   decoding alone     {decoding:9.1f}")
    print(f"   model alone        {modelling:9.1f}")
    print(f"   end to end         {whole:9.1f}   {whole / possible:.0%} of what is possible ({possible:.1f})")
    for line in busy:
        print(f"   {line}")


def model_alone(made: Engine, pixels: torch.Tensor, count: int) -> float:
    batch = pixels[: made.batch].cpu()
    if made.device.type == "cuda":
        batch = batch.pin_memory()
    parts = [(batch, 0, len(batch))]
    [pending.result() for pending in made.encode(parts)]
    started, done, flying = time.perf_counter(), 0, []
    while done < count:
        flying.append(made.encode(parts))
        if len(flying) > 1:
            [pending.result() for pending in flying.pop(0)]
        done += len(batch)
    [pending.result() for pending in flying[0]]
    return done / (time.perf_counter() - started)


def end_to_end(dataset: Path, options: list[str]) -> float:
    shutil.rmtree(dataset / ".cache", ignore_errors=True)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        aesthetic_scorer.main([str(dataset), *options, "--rescore", "--json", "--quiet"])
    return json.loads(output.getvalue())["images_per_second"]


@contextlib.contextmanager
def busy_share() -> Iterator[list[str]]:
    """The share of time that the GPU ran kernels, as nvidia-smi samples it; nothing without a GPU."""
    lines: list[str] = []
    if not CUDA:
        yield lines
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
    sampler = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield lines
    sampler.terminate()
    samples = [int(line) for line in sampler.communicate()[0].split()]
    lines.append(f"GPU busy           {np.mean(samples):8.0f}%   from start to end, model loading included")


def plain(folder: Path, head: Path, paths: list[str]) -> float:
    import open_clip

    device = "cuda" if CUDA else "cpu"
    whole, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}", device=device)
    weights = torch.load(head, weights_only=True)
    linear = torch.nn.Linear(weights["weight"].shape[1], 1).to(device)
    linear.load_state_dict(weights)
    whole.eval()
    started = time.perf_counter()
    for path in paths:
        image = transform(Image.open(path)).unsqueeze(0).to(device)
        with torch.no_grad():
            features = whole.encode_image(image)
            features /= features.norm(dim=-1, keepdim=True)
            linear(features).item()
    return len(paths) / (time.perf_counter() - started)


def effects(folder: Path, paths: list[str]) -> None:
    """How far --fast-decode and lower precision move vectors, and scores under a head as steep as LAION's."""
    precisions = ["fp32", "bf16", *(["fp16"] if CUDA else [])]
    cases = {name: ["--precision", name] for name in precisions} | {
        "fast decode": ["--precision", "fp32", "--fast-decode"]
    }
    vectors = {}
    for name, options in cases.items():
        made = engine(["--model", f"local-dir:{folder}", *options], paths)
        pixels = torch.cat([part for part, _ in made.decoded([paths])])
        parts = [made.encode([(part, 0, len(part))])[0].result() for part in pixels.split(made.batch)]
        vectors[name] = np.concatenate(parts).astype(float)
    exact = vectors.pop("fp32")
    weight = np.random.default_rng(0).normal(size=exact.shape[1])
    weight *= 28.4 / np.linalg.norm(weight)
    print("effect on vectors and scores, against fp32 and full decode")
    for name, found in vectors.items():
        moved = np.abs((found - exact) @ weight)
        cosine = (found * exact).sum(axis=1) / np.linalg.norm(found, axis=1)
        middle, most = np.median(moved), moved.max()
        print(f"   {name:12} cosine at least {cosine.min():.6f}, scores move by {middle:.4f} (most {most:.4f})")


if __name__ == "__main__":
    main()
