#!/usr/bin/env python3
"""Measure find_duplicates.py: speed and memory on generated data, accuracy on your photos.

    benchmarks/duplicates.py                      all speeds, a few minutes
    benchmarks/duplicates.py --photos FOLDER      also recall and precision on 200 of these photos
    benchmarks/duplicates.py --only hashing search

Compares with imagehash's own loop in the same run, on the same files, and with imagededup if it is
installed (pip install -r benchmarks/requirements.txt). Hashing is measured in CPU seconds of one
process, which other load hardly changes. The rest is wall time: use a quiet machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import cli  # noqa: E402
from duplicates import hash_rows, neighbours  # noqa: E402

PEER = importlib.util.find_spec("imagededup") is not None
PARTS = ("hashing", "tiny", "search", "topics", "vectors", "copies")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", nargs="+", metavar="FOLDER", help="images to make copies of, at any depth"
    )
    parser.add_argument(
        "--originals", type=int, default=200, help="how many of them (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=100, help="which of them, in which order (default: %(default)s)"
    )
    parser.add_argument(
        "--vectors", type=int, default=100_000, help="of 768 numbers each (default: %(default)s)"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args()
    if not PEER:
        print(
            "imagededup is not installed, its lines are left out: "
            "pip install -r benchmarks/requirements.txt\n"
        )
    with tempfile.TemporaryDirectory() as folder:
        if "hashing" in args.only:
            measure_hashing(Path(folder) / "large", (1600, 1200), 40)
        if "tiny" in args.only:
            measure_hashing(Path(folder) / "tiny", (64, 48), 2000)
        if "search" in args.only:
            measure_search()
        if "topics" in args.only:
            measure_topics(Path(folder))
        if "vectors" in args.only:
            measure_vectors(args.vectors)
        if "copies" in args.only and args.photos:
            measure_copies(Path(folder), args.photos, args.originals, args.seed)


def scene(seed: int, size: tuple[int, int]) -> Image.Image:
    """An image between a photo and noise: shapes at several scales."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3), np.float32)
    for cells, weight in ((3, 1.0), (12, 0.6), (48, 0.4), (400, 0.2)):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += weight * np.asarray(layer.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray((total / 2.2).astype(np.uint8))


def measure_hashing(folder: Path, size: tuple[int, int], count: int, rounds: int = 3) -> None:
    folder.mkdir()
    paths = [str(folder / f"{number}.jpg") for number in range(count)]
    for number, path in enumerate(paths):
        scene(number, size).save(path, quality=90)
    means: dict[str, Callable[[], object]] = {
        "ours: hash, thumbnail, colours": lambda: hash_rows.read_hash_rows(paths, cli.MAX_PIXELS),
        "imagehash.phash in a loop": lambda: [imagehash.phash(Image.open(path)) for path in paths],
    }
    if PEER:
        from imagededup.methods import PHash

        peer = PHash(verbose=False)
        means["imagededup PHash.encode_image"] = lambda: [
            peer.encode_image(image_file=path) for path in paths
        ]
    best = dict.fromkeys(means, 0.0)
    for _ in range(rounds):  # in turns, so that all see the same load
        for name, read in means.items():
            started = time.process_time()
            read()
            best[name] = max(best[name], count / (time.process_time() - started))
    print(f"hashing {count:,} JPEGs of {size[0]}x{size[1]}     images/s per core   ours is")
    for name, rate in best.items():
        print(f"   {name:34} {rate:12.1f} {best['ours: hash, thumbnail, colours'] / rate:12.1f}x")
    print()


def run_in_new_process(measure: Callable[..., int], *args: object) -> tuple[int, float, float]:
    """Run in a new process. Returns its result, seconds, and the peak memory in MB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, measure, args).result()


def _measured(measure: Callable[..., int], args: tuple[object, ...]) -> tuple[int, float, float]:
    started = time.perf_counter()
    given = measure(*args)
    seconds = time.perf_counter() - started
    # getrusage would include the memory of the parent at the fork.
    status = Path("/proc/self/status")
    if status.exists():
        peak = int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return given, seconds, peak


def close_hashes(distance: int) -> int:
    hashes = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    return sum(len(first) for first, _ in neighbours.pairs_within_distance(hashes, distance))


def measure_search() -> None:
    print("all pairs of 100,000 hashes               pairs   seconds   peak MB")
    for distance in (0, 6, 12, 14):
        pairs, seconds, memory = run_in_new_process(close_hashes, distance)
        print(
            f"   within {distance:2} bits                  {pairs:12,} {seconds:9.2f} {memory:9.0f}"
        )
    print()


def measure_topics(folder: Path, count: int = 2000, images: int = 50) -> None:
    contents = []
    for number in range(images):
        scene(number, (64, 48)).save(folder / "small.jpg")
        contents.append((folder / "small.jpg").read_bytes())
    for topic in range(count):
        made = folder / f"Many/Cluster/Sub{topic % 40}/topic{topic:04}"
        made.mkdir(parents=True)
        for number, content in enumerate(contents):
            (made / f"{number:02}.jpg").write_bytes(content)
    print(f"{count:,} topics of {images} images       seconds")
    for name in ("first run", "second run", "another threshold"):
        options = ["--threshold", "10"] if name == "another threshold" else []
        started = time.perf_counter()
        command = [
            sys.executable,
            str(ROOT / "find_duplicates.py"),
            str(folder / "Many"),
            "--json",
            "--quiet",
            *options,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(f"   {name:34} {time.perf_counter() - started:7.1f}")
    print()


def close_vectors(count: int, device: str) -> int:
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, 768), dtype=np.float32)
    # Every second vector is close to the one before.
    vectors[1::2] = vectors[::2][: count // 2] + 0.1 * vectors[1::2]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = 0
    # The first comparison also starts a GPU.
    for what, rows in ((f"{device}, the first 1,000", vectors[:1000]), (device, vectors)):
        started = time.perf_counter()
        pairs = sum(
            len(first) for first, _ in neighbours.pairs_above_similarity(rows, 0.98, device)
        )
        print(f"   {what:34} {pairs:12,} {time.perf_counter() - started:9.2f}", flush=True)
    return pairs


def measure_vectors(count: int) -> None:
    print(f"cosine pairs of {count:,} x 768           pairs   seconds")
    run_in_new_process(close_vectors, count, "cpu")
    if importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            run_in_new_process(close_vectors, count, "cuda")
    print()


def make_copies(original: Image.Image) -> Iterator[tuple[str, Image.Image, dict[str, object]]]:
    """Eight kinds of copies: name, image, options for saving it."""
    width, height = original.size
    yield "jpeg 20", original, {"quality": 20}
    yield (
        "half size",
        original.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.LANCZOS),
        {},
    )
    yield "png", original, {"format": "PNG"}
    yield (
        "cropped",
        original.crop((width * 3 // 100, height * 3 // 100, width * 97 // 100, height * 97 // 100)),
        {},
    )
    yield "brighter", ImageEnhance.Brightness(original).enhance(1.25), {}
    yield "grey", ImageOps.grayscale(original), {}
    marked = original.copy()
    place, height_of_text = (width * 0.6, height * 0.9), max(12, height // 18)
    ImageDraw.Draw(marked).text(place, "(c) somebody", fill="white", font_size=height_of_text)
    yield "marked", marked, {}
    turned = Image.Exif()
    turned[0x112] = 6
    yield "rotated by EXIF", original.transpose(Image.Transpose.ROTATE_90), {"exif": turned}


def plant_copies(folder: Path, sources: list[str], count: int, seed: int) -> None:
    """Save distinct originals `0001-original.jpg` and their copies `0001-KIND`."""
    paths = sorted(
        str(path) for source in sources for path in Path(source).rglob("*") if path.is_file()
    )
    random.Random(seed).shuffle(paths)
    folder.mkdir(parents=True)
    seen: list[np.ndarray] = []
    for path in paths:
        if len(seen) == count:
            break
        try:
            original = Image.open(path).convert("RGB")
        except OSError:
            continue
        original.thumbnail((1024, 1024))
        small = np.asarray(original.convert("L").resize((32, 32)), float).ravel()
        small = (small - small.mean()) / (np.linalg.norm(small - small.mean()) + 1e-6)
        if any(small @ other > 0.95 for other in seen):
            continue
        original.save(folder / f"{len(seen):04}-original.jpg", quality=92)
        for kind, made, options in make_copies(original):
            ending = "png" if options.get("format") else "jpg"
            made.save(folder / f"{len(seen):04}-{kind}.{ending}", **{"quality": 92, **options})
        seen.append(small)


def measure_copies(folder: Path, sources: list[str], count: int, seed: int) -> None:
    topic = folder / "Planted/Cluster/Sub/Topic"
    plant_copies(topic, sources, count, seed)
    rows = {}
    for name, options in (
        ("ours", []),
        ("ours, 10 bits", ["--threshold", "10"]),
        ("ours, 14 bits", ["--threshold", "14"]),
        ("ours, 18 bits", ["--threshold", "18"]),
    ):
        command = [
            sys.executable,
            str(ROOT / "find_duplicates.py"),
            str(topic),
            "--json",
            "--quiet",
            *options,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        rows[name] = json.loads((topic.parent / "duplicates_Topic.json").read_text())
    names = sorted(path.name for path in topic.iterdir() if path.suffix in (".jpg", ".png"))
    hashes = np.array(
        [int(str(imagehash.phash(Image.open(topic / name))), 16) for name in names], dtype=np.uint64
    )
    rows["imagehash.phash, 10 bits"] = {name: [] for name in names}
    for first, second in neighbours.pairs_within_distance(hashes, 10):
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            rows["imagehash.phash, 10 bits"][names[i]].append(names[j])
    if PEER:
        from imagededup.methods import DHash, PHash

        for name, method in (("imagededup PHash", PHash), ("imagededup DHash", DHash)):
            peer = method(verbose=False)
            rows[name] = peer.find_duplicates(encoding_map=peer.encode_images(image_dir=str(topic)))
    kinds = [kind for kind, _, _ in make_copies(Image.new("RGB", (100, 100)))]
    print(f"8 copies each of {len(names) // 9} images, seed {seed}")
    print(
        f"   {'':26} recall  "
        + "  ".join(f"{kind:>7.7}" for kind in kinds)
        + "  pairs  wrong  precision"
    )
    for name, matches in rows.items():
        print_accuracy(name, matches, kinds)


def print_accuracy(name: str, matches: dict[str, list[str]], kinds: list[str]) -> None:
    pairs = {frozenset((one, other)) for one, others in matches.items() for other in others}
    hit, total = Counter[str](), Counter[str]()
    for copy in matches:
        number, kind = os.path.splitext(copy)[0].split("-")
        if kind != "original":
            total[kind] += 1
            hit[kind] += frozenset((copy, f"{number}-original.jpg")) in pairs
    wrong = [sorted(pair) for pair in pairs if len({one[:4] for one in pair}) > 1]
    shares = "  ".join(f"{hit[kind] / total[kind]:7.3f}" for kind in kinds)
    precision = 1 - len(wrong) / max(1, len(pairs))
    recall = hit.total() / total.total()
    counts = f"{len(pairs):5}  {len(wrong):5}  {precision:9.4f}"
    print(f"   {name:26} {recall:6.3f}  {shares}  {counts}")


if __name__ == "__main__":
    main()
