#!/usr/bin/env python3
"""Measures a topic of many equal images (placeholders of a scrape) in all scripts that read pairs.

    benchmarks/equal_images.py                    20,000 copies of one picture, below /tmp
    benchmarks/equal_images.py --other-bytes      the same pixels in files of other bytes
    benchmarks/equal_images.py --images 2000

Prints seconds and peak memory of each script, and the size of the files that it wrote.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("--other-bytes", action="store_true", help="each file has a comment")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        dataset = make_dataset(base, args.images, args.other_bytes)
        print(f"{'what':28} {'seconds':>8} {'peak MB':>8} {'written MB':>11}")
        measure("search", base, "find_duplicates.py", dataset)
        measure("search again", base, "find_duplicates.py", dataset)
        measure("statistics", base, "duplicates_stats.py", dataset)
        measure("page", base, "duplicates_stats.py", dataset, "--html", base / "page.html")
        target = base / "merged"
        measure("merge", base, "merge_clusters.py", dataset, "--output", target)
        topic = dataset / "C/S/T"
        scores = {path.name: 5.0 for path in topic.glob("*.jpg")}
        (topic / "aesthetic_data.json").write_text(json.dumps(scores))
        options = ("--exclude-duplicates", "--output-dir", base)
        measure("split", base, "split_data.py", dataset, *options)
        measure("split with duplicates", base, "split_data.py", dataset, "--output-dir", base)


def make_dataset(base: Path, images: int, other_bytes: bool) -> Path:
    topic = base / "DS/C/S/T"
    topic.mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
    for number in range(images):
        path = topic / f"{number:06}.jpg"
        if other_bytes:
            picture.save(path, comment=f"{number:06}".encode())
        elif number == 0:
            picture.save(path)
            content = path.read_bytes()
        else:
            path.write_bytes(content)
    picture.resize((640, 480)).save(topic / "larger.jpg")
    return base / "DS"


def measure(what: str, base: Path, script: str, *args: object) -> None:
    """Run a script in a process of its own."""
    before = time.time()
    start = time.perf_counter()
    command = [sys.executable, str(ROOT / script), *map(str, args), "--quiet", "--json"]
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(sys.executable, command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{script} failed")
    seconds = time.perf_counter() - start
    written = 0
    for path in base.rglob("*"):
        if path.is_file() and path.stat().st_mtime >= before - 0.01:
            written += path.stat().st_size
    print(
        f"{what:28} {seconds:8.1f} {usage.ru_maxrss / 1000:8.0f} {written / 1e6:11.1f}", flush=True
    )


if __name__ == "__main__":
    main()
