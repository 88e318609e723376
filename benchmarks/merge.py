#!/usr/bin/env python3
"""Measure merge_clusters.py and split_data.py.

Compares a merge with `cp -r` plus `sync`, and measures a merge by hard links, the plan for very
many images, and split_data.py --export. Makes its own data in a temporary folder (about 7 GB of
disk with the defaults) and prints a table.

    benchmarks/merge.py
    benchmarks/merge.py --files 5000 --planned 100000 --folder /mnt/scratch
    benchmarks/merge.py --files 9000 --per-topic 3 --copying-only
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MIN_TOPICS = 20
MAX_IMAGES_PER_TOPIC = 5000
FILE_BYTES = 100_000
COPY_AND_SYNC = 'cp -r "$0" "$1" && sync -f "$1"'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--files",
        type=int,
        default=20_000,
        help="files to merge and to split (default: %(default)s)",
    )
    parser.add_argument(
        "--planned", type=int, default=1_000_000, help="images to plan for (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="runs of each kind; the median is shown"
    )
    parser.add_argument("--per-topic", type=int, help="files in each topic (default: many)")
    parser.add_argument("--copying-only", action="store_true", help="measure merges alone")
    parser.add_argument("--folder", help="where the data is made (default: the temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = Path(folder)
        measure_copying(root, args.files, args.rounds, args.per_topic)
        if not args.copying_only:
            measure_splitting(root, args.files)
            measure_planning(root, args.planned)


def measure_copying(root: Path, count: int, rounds: int, per_topic: int | None) -> None:
    dataset = root / "DataSet"
    content = random.Random(1).randbytes(FILE_BYTES)
    for number in range(count):
        path = make_place(dataset, number, count, per_topic)
        path.write_bytes(number.to_bytes(8, "big") + content[8:])
    target = root / "full"
    seconds = {"cp -r, sync": [], "merge": [], "hardlink": []}
    ways: dict[str, Callable[[], object]] = {
        "cp -r, sync": lambda: subprocess.run(
            ["sh", "-c", COPY_AND_SYNC, dataset, target], check=True
        ),
        "merge": lambda: run_script("merge_clusters.py", dataset, "--output", target),
        "hardlink": lambda: run_script(
            "merge_clusters.py", dataset, "--output", target, "--mode", "hardlink"
        ),
    }
    for _ in range(rounds):
        for name, way in ways.items():
            os.sync()
            seconds[name].append(seconds_of(way))
            if name == "merge":
                print_row("the same again", seconds_of(way), "nothing to do")
            shutil.rmtree(target)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    for name in ways:
        note = ""
        if name == "merge":
            note = f"{median[name] / median['cp -r, sync']:.2f}x the time of cp -r plus sync"
        print_row(f"{count:,} files of 100 kB: {name}", median[name], note)
    shutil.rmtree(dataset)


def measure_splitting(root: Path, count: int) -> None:
    from PIL import Image

    dataset = root / "Scored"
    rng = random.Random(2)
    scores: dict[Path, dict[str, float]] = {}
    Image.new("RGB", (64, 48)).save(root / "one.jpg")
    content = (root / "one.jpg").read_bytes()
    for number in range(count):
        path = make_place(dataset, number, count)
        path.write_bytes(content)
        scores.setdefault(path.parent, {})[path.name] = round(rng.uniform(3, 8), 4)
    for folder, made in scores.items():
        (folder / "aesthetic_data.json").write_text(json.dumps(made))
    print_row(
        f"{count:,} scored images: split",
        seconds_of(lambda: run_script("split_data.py", dataset, "--output-dir", root)),
        "",
    )
    export = ["--train", str(count), "--output-dir", str(root), "--export", str(root / "ready")]
    for note in ("", "nothing to do"):
        seconds = seconds_of(lambda: run_script("split_data.py", dataset, *export))
        print_row(f"{count:,} chosen images: export by hard link", seconds, note)
    shutil.rmtree(root / "ready")
    shutil.rmtree(dataset)


def measure_planning(root: Path, count: int) -> None:
    """Plan for files that have a size and no content."""
    dataset = root / "Large"
    for number in range(count):
        path = make_place(dataset, number, 1_000_000)
        with open(path, "wb") as file:
            file.truncate(FILE_BYTES)
    for run in ("plan", "link", "plan again"):
        options = ["--mode", "hardlink", *([] if run == "link" else ["--dry-run"])]
        seconds = seconds_of(
            lambda options=options: run_script(
                "merge_clusters.py", dataset, "--output", root / "full", *options
            )
        )
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
        print_row(f"{count:,} images: {run}", seconds, f"peak of all so far {peak:.2f} GB")


def make_place(dataset: Path, number: int, count: int, per_topic: int | None = None) -> Path:
    topics = max(MIN_TOPICS, count // MAX_IMAGES_PER_TOPIC)
    if per_topic:
        topics = count // per_topic
    folder = dataset / f"Cluster{number % topics % 4}" / "Sub" / f"Topic{number % topics}"
    if number < topics:
        folder.mkdir(parents=True)
    return folder / f"image_{number:07}.jpg"


def run_script(name: str, *args: object) -> None:
    command = [sys.executable, str(ROOT / name), *map(str, args), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def seconds_of(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def print_row(what: str, seconds: float, note: str) -> None:
    print(f"{what:<42} {seconds:9.2f} s   {note}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
