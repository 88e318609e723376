#!/usr/bin/env python3
"""Measures dataset_stats.py and aesthetic_stats.py: speed, and memory against the number of images.

    benchmarks/stats.py                     makes its own data below /tmp (1,000,000 names, about 5
                                            minutes)
    benchmarks/stats.py --photos FOLDER     takes the pictures of FOLDER for the headers
    benchmarks/stats.py --topics 1000       a tenth of the names

CPU seconds say what a busy machine hides.

Headers: 20,000 photos, each read twice, the second time from a warm cache. Tree: topics of 100
sparse PNG files with scores; memory is that of the whole process at its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
HEADERS = 20_000
IMAGES = 100  # a topic
HEADER = 60  # bytes of a PNG up to its pixels
LINKS = 20_000  # names a file may have: file systems have a limit


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, help="folder of photos (default: noise of 500x375)")
    parser.add_argument(
        "--topics", type=int, default=10_000, help="topics of 100 images (default: %(default)s)"
    )
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of each measurement, the best counts (default: 3)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        print(
            f"{'what':44} {'images':>10} {'seconds':>8} {'CPU':>6} {'a second':>9} {'peak MB':>8}"
        )
        measure(
            "headers, warm cache",
            "dataset_stats.py",
            photos(base, args.photos),
            HEADERS,
            args.runs + 1,
        )
        for topics in (args.topics // 10, args.topics):
            made = tree(base / f"Tree{topics}", topics)
            images = topics * IMAGES
            measure(
                f"headers of a sparse tree, {topics:,} topics", "dataset_stats.py", made, images, 1
            )
            measure(f"scores, {topics:,} topics", "aesthetic_stats.py", made, images, args.runs)


def photos(base: Path, source: Path | None) -> Path:
    """A dataset of HEADERS names for the photos of `source`, or for 60 pictures of noise."""
    given = (
        [path for path in source.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg")]
        if source
        else []
    )
    contents = [path.read_bytes() for path in given]
    for seed in range(0 if contents else 60):
        noise = np.random.default_rng(seed).integers(0, 256, (375, 500, 3), dtype=np.uint8)
        Image.fromarray(noise).save(base / "noise.jpg", quality=80)
        contents.append((base / "noise.jpg").read_bytes())
    for number in range(HEADERS):
        folder = base / f"Photos/C/S/T{number // IMAGES:04}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06}.jpg").write_bytes(contents[number % len(contents)])
    return base / "Photos"


def tree(base: Path, topics: int) -> Path:
    """Topics of scored images: names for a few sparse PNG files of 10 MB with a true header and
    nothing behind it.
    """
    chance = random.Random(topics)
    files: list[Path] = []
    for number in range(topics):
        folder = base / f"C{number % 10}/S{number % 100:02}/T{number:05}"
        folder.mkdir(parents=True)
        if number * IMAGES >= len(files) * LINKS:
            files.append(base.parent / f"{base.name}_{len(files)}.png")
            Image.new("L", (500 + 8 * len(files), 375)).save(files[-1])
            os.truncate(files[-1], HEADER)
            os.truncate(files[-1], 10_000_000)
        names = [f"{image:03}.png" for image in range(IMAGES)]
        for name in names:
            os.link(files[-1], folder / name)
        middle = chance.gauss(5, 0.5)
        scores = {name: round(chance.gauss(middle, 0.8), 4) for name in names}
        (folder / "aesthetic_data.json").write_text(json.dumps(scores, indent=2))
        stamps = {name: [10_000_000, files[-1].stat().st_mtime_ns] for name in names}
        made_by = {"model": "ViT-L-14-quickgelu", "weights": "openai", "head": "laion-v1"}
        (folder / ".cache").mkdir()
        cached = {"images": {}, "scores": {"made_by": made_by, "images": stamps}}
        (folder / ".cache/images.json").write_text(json.dumps(cached))
    return base


def measure(what: str, script: str, dataset: Path, images: int, runs: int) -> None:
    """Run a script in a process of its own; print the best time, the least processor time and the
    highest memory.
    """
    output = str(dataset.parent / "stats.json")
    seconds, busy, memory = [], [], 0
    for _ in range(runs):
        start = time.perf_counter()
        child = os.posix_spawn(
            sys.executable,
            [sys.executable, str(ROOT / script), str(dataset), "--output", output, "--quiet"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        _, status, usage = os.wait4(child, 0)
        if status:
            raise SystemExit(f"{script} failed")
        seconds.append(time.perf_counter() - start)
        busy.append(usage.ru_utime + usage.ru_stime)
        memory = max(memory, usage.ru_maxrss)
    rate = images / min(seconds)
    print(
        f"{what:44} {images:10,} {min(seconds):8.1f} {min(busy):6.1f} {rate:9,.0f} {memory / 1000:8.0f}",  # noqa: E501
        flush=True,
    )


if __name__ == "__main__":
    main()
