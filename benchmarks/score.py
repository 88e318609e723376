#!/usr/bin/env python3
"""How busy does the scorer keep the machine? Four speeds on the same images, in images a second:

    decoding alone     the engine's decoder, with its workers, into nothing
    model alone        the engine's encoder on pixels that are already in memory
    end to end         aesthetic_scorer.py on a dataset, model loading included
    plain loop         one image at a time, as in LAION's notebook

On a GPU decoding and the model run side by side, so end to end can reach the slower of the two; on
a CPU they share the cores, and it can reach 1 / (1/decoding + 1/model). Weights are seeded random
numbers: speed does not depend on them. Then what each precision and --fast-decode gain, and how far
they move vectors and scores.

examples:
  benchmarks/score.py --photos FOLDER          ViT-B-32 on a CPU, on photos of yours
  benchmarks/score.py                          ViT-L/14 in half precision on a CUDA GPU, on
  generated 1600x1200 JPEGs benchmarks/score.py --model siglip-v2.5 --only full effects
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
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from common import cli  # noqa: E402

cli.quiet_libraries()

import torch  # noqa: E402
from towers import save_head, save_model  # noqa: E402

import aesthetic_scorer  # noqa: E402
from common.clip import model  # noqa: E402
from common.clip.engine import ChunkDecoder, Engine  # noqa: E402
from common.clip.options import add_model_options  # noqa: E402
from common.reporter import Reporter  # noqa: E402
from imaging import images  # noqa: E402

CUDA = torch.cuda.is_available()
PARTS = ("full", "fast", "gpu", "decoding", "plain", "effects")


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        folder = Path(scratch)
        dataset = make_dataset(folder / "DataSet/C/S/T", args.photos, args.count)
        paths = sorted(map(str, dataset.glob("*.*")))
        options = weighed(args.model, args.pretrained, folder / "tower")
        made = engine(options, paths)
        head = save_head(folder / "head.pth", made.shape.dim)
        first = Image.open(paths[0])
        device = torch.cuda.get_device_name() if CUDA else "cpu"
        print(
            f"{args.model} on {device}, {cli.available_cores()} cores, {len(paths)} images like {first.size[0]}x{first.size[1]}"  # noqa: E501
        )
        modes = {"full": [], "fast": ["--fast-decode"], "gpu": ["--decode", "gpu"]}
        for part, mode in modes.items():
            if part in args.only and (CUDA or part != "gpu"):
                speeds(paths, dataset, [*options, *mode], head)
        if "decoding" in args.only:
            decoding_cost(made, paths[: args.plain])
        if "plain" in args.only:
            print(
                f"   plain loop         {plain(made.model, head, paths[: args.plain]):9.1f}",
                flush=True,
            )
        if "effects" in args.only:
            effects(options, paths[: args.plain])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, help="take JPEGs from here (default: generated ones of 1600x1200)"
    )
    parser.add_argument(
        "--model",
        default="ViT-L-14-quickgelu" if CUDA else "ViT-B-32-quickgelu",
        help="as --model of the scorer (default: %(default)s)",
    )
    parser.add_argument(
        "--pretrained", metavar="FILE", help="its weights (default: seeded random ones)"
    )
    parser.add_argument(
        "--count", type=int, default=20_000 if CUDA else 600, help="images (default: %(default)s)"
    )
    parser.add_argument(
        "--plain", type=int, default=500 if CUDA else 100, help="images for plain and effects"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--scratch", help="where the dataset goes (default: the system's temporary folder)"
    )
    return parser.parse_args()


def weighed(name: str, file: str | None, folder: Path) -> list[str]:
    """The scorer's options for a model; one that it would download gets seeded weights, or those in
    the file.
    """
    if name == model.TINY_MODEL or name.startswith(model.LOCAL):
        return ["--model", name]
    if not file:
        save_model(folder, model.TANH_GELU_MODELS.get(name, (name,))[0])
    return ["--model", name, "--pretrained", file or str(folder / "open_clip_model.safetensors")]


def make_dataset(folder: Path, photos: Path | None, count: int) -> Path:
    """A topic of `count` JPEGs: copies of the photos, or of 64 generated pictures as detailed as
    photos are.
    """
    folder.mkdir(parents=True)
    if photos:
        found = sorted(
            path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")
        )
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
        coarse = Image.fromarray(
            random.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
        )
        picture += (
            np.asarray(coarse.resize((1600, 1200), Image.Resampling.BICUBIC), dtype=float) / 4
        )
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def engine(options: list[str], paths: list[str]) -> Engine:
    parser = cli.make_parser("")
    add_model_options(parser)
    args = parser.parse_args([*options, "--quiet", paths[0]])
    return Engine(model.resolve_model(args), args, Reporter(args))


def speeds(paths: list[str], dataset: Path, options: list[str], head: Path) -> None:
    made = engine(options, paths)
    chunks = [paths[start : start + made.chunk] for start in range(0, len(paths), made.chunk)]
    warm = [
        path for path in paths if Path(path).read_bytes()
    ]  # the files are in the page cache from here on
    started = time.perf_counter()
    decoded = [pixels for pixels, _ in made.decode_chunks(chunks)]
    decoding = len(warm) / (time.perf_counter() - started)
    started = time.perf_counter()
    precision = made.encoder.precision
    loading = time.perf_counter() - started
    modelling = model_alone(made, torch.cat(decoded[:64]), len(paths))
    del decoded
    with busy_share() as busy:
        whole = end_to_end(dataset, [*options, "--head", str(head)])
    possible = (
        min(decoding, modelling)
        if made.device.type == "cuda"
        else 1 / (1 / decoding + 1 / modelling)
    )
    print(
        f"{made.model.decode} decoding ({precision}, batches of {made.batch}, the model loads in {loading:.1f} s)"  # noqa: E501
    )
    print(f"   decoding alone     {decoding:9.1f}")
    print(f"   model alone        {modelling:9.1f}")
    print(
        f"   end to end         {whole:9.1f}   {whole / possible:.0%} of what is possible ({possible:.1f})"  # noqa: E501
    )
    for line in busy:
        print(f"   {line}")


def decoding_cost(made: Engine, paths: list[str]) -> None:
    """Print what a core needs to decode and fit an image, and what it needs with Pillow alone."""
    fit = made.shape.fit
    decoder = ChunkDecoder(fit, None, images.MAX_PIXELS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    ways = {
        "one core decodes": lambda: decoder.__getitems__(paths),
        "Pillow alone": lambda: [np.array(fit.steps(Image.open(path))) for path in paths],
    }
    costs = dict.fromkeys(ways, float("inf"))
    for _ in range(3):
        for name, way in ways.items():
            started = time.process_time()
            way()
            costs[name] = min(costs[name], time.process_time() - started)
    torch.set_num_threads(threads)
    for name, cost in costs.items():
        print(f"   {name:18} {1000 * cost / len(paths):9.2f} ms of processor time an image")


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
    """The share of time that the GPU ran kernels, as nvidia-smi samples it; nothing without
    a GPU.
    """
    lines: list[str] = []
    if not CUDA:
        yield lines
        return
    command = [
        "nvidia-smi",
        "--query-gpu=utilization.gpu",
        "--format=csv,noheader,nounits",
        "-lms",
        "200",
    ]
    sampler = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    yield lines
    sampler.terminate()
    samples = [int(line) for line in sampler.communicate()[0].split()]
    half = samples[len(samples) // 2 :]
    lines.append(
        f"GPU busy           {np.mean(samples):8.0f}%   from start to end, model loading included"
    )
    lines.append(f"                   {np.mean(half):8.0f}%   in the second half of that time")


def plain(chosen: model.Model, head: Path, paths: list[str]) -> float:
    import open_clip

    device = "cuda" if CUDA else "cpu"
    whole, _, transform = open_clip.create_model_and_transforms(
        chosen.source, chosen.file, device=device
    )
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


def effects(options: list[str], paths: list[str]) -> None:
    """The model's speed, and how far --fast-decode and lower precision move vectors, and scores
    under a head as steep
    as LAION's."""
    precisions = ["fp32", "bf16", *(["fp16"] if CUDA else [])]
    cases = {name: ["--precision", name] for name in precisions} | {
        "fast decode": ["--precision", "fp32", "--fast-decode"]
    }
    vectors, speed = {}, {}
    for name, more in cases.items():
        made = engine([*options, *more], paths)
        pixels = torch.cat([part for part, _ in made.decode_chunks([paths])])
        parts = [
            made.encode([(part, 0, len(part))])[0].result() for part in pixels.split(made.batch)
        ]
        vectors[name] = np.concatenate(parts).astype(float)
        speed[name] = model_alone(made, pixels, 4 * made.batch if CUDA else len(paths))
    exact = vectors.pop("fp32")
    weight = np.random.default_rng(0).normal(size=exact.shape[1])
    weight *= 28.4 / np.linalg.norm(weight)
    print(
        f"effect on vectors and scores, against fp32 (model alone {speed['fp32']:.1f} images/s) and full decode"  # noqa: E501
    )
    for name, found in vectors.items():
        moved = np.abs((found - exact) @ weight)
        cosine = (found * exact).sum(axis=1) / np.linalg.norm(found, axis=1)
        print(
            f"   {name:12}{speed[name]:9.1f} images/s, cosine at least {cosine.min():.6f}, "
            f"scores move by {np.median(moved):.4f} (most {moved.max():.4f})"
        )


if __name__ == "__main__":
    main()
