#!/usr/bin/env python3
"""What does a topic cost besides its images? The same images in topics of three and of fifty.

    benchmarks/topics.py                          1,500 images
    benchmarks/topics.py --tree OTHER_CHECKOUT    the same with the scripts of another version

Processor time of a script and its processes, in milliseconds per additional topic: the medians of
--rounds. With several trees their runs alternate, so that other load meets all of them. Copies of
the images stay until the end: on ext4 without a journal, new files cost more after many deletions.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TOPIC_SIZES = (3, 50)
STEPS = {
    "search": ("find_duplicates.py", "--workers", "1"),
    "search again": ("find_duplicates.py", "--workers", "1"),
    "score": ("aesthetic_scorer.py", "--model", "tiny", "--workers", "1"),
    "score again": ("aesthetic_scorer.py", "--model", "tiny", "--workers", "1"),
    "split": ("split_data.py",),
}


def main() -> None:
    args = parse_args()
    trees = [ROOT, *(tree.resolve() for tree in args.tree)]
    seconds: dict[tuple[Path, str, int], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        datasets = {size: Path(scratch, f"Of{size}") for size in TOPIC_SIZES}
        for size, dataset in datasets.items():
            make_dataset(dataset, args.images, size)
        for round_number in range(args.rounds):
            for size, dataset in datasets.items():
                for number, tree in enumerate(trees):
                    copy = Path(scratch, f"{round_number}-{size}-{number}", "DataSet")
                    shutil.copytree(dataset, copy)
                    for name, command in STEPS.items():
                        seconds[tree, name, size].append(measure(tree, command, copy))
    few, many = (args.images // size for size in reversed(TOPIC_SIZES))
    print(f"ms per topic, {args.images:,} images in {many:,} topics and in {few:,}")
    for name in STEPS:
        costs = []
        for tree in trees:
            of_few, of_many = (
                statistics.median(seconds[tree, name, size]) for size in reversed(TOPIC_SIZES)
            )
            costs.append(f"{1000 * (of_many - of_few) / (many - few):8.2f} ({of_many:.2f} s)")
        print(f"{name:14}", *costs)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1500, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--tree", type=Path, action="append", default=[], help="a checkout of another version"
    )
    parser.add_argument(
        "--scratch", help="where the datasets go (default: the system's temporary folder)"
    )
    return parser.parse_args()


def make_dataset(dataset: Path, images: int, size: int) -> None:
    for number in range(images):
        folder = dataset / "C" / "S" / f"T{number // size:04}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number:06}.jpg")


def measure(tree: Path, command: tuple[str, ...], dataset: Path) -> float:
    """Processor time of one run, in seconds."""
    before = processor_seconds()
    subprocess.run(
        [sys.executable, tree / command[0], dataset, *command[1:], "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=dataset,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return processor_seconds() - before


def processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
