#!/usr/bin/env python3
"""What Ray costs, and what more GPUs give: the same photos with and without it, alternating, in one run.

    start-up      seconds until the first image has its vector: Ray, the model, and its libraries
    images/s      of all photos, after that
    driver        microseconds of processor time an image, of the process that was started and of the one that asks Ray:
                  what all photos took beyond a quarter of them, so that what a run costs by itself is not in it
    moved         images whose pixels went to another machine, and their bytes

Without a GPU there are two cases, without Ray and with it; with GPUs Ray gets 1, 2, 4 and 8 of them, as far as there
are some. What is written is a copy of the photos in a temporary folder.

examples:
  benchmarks/ray.py --model tiny                              4,000 made photos, this machine
  benchmarks/ray.py --photos FOLDER --count 20000             ViT-L/14, photos of yours
  benchmarks/ray.py --model tiny --ray-address HOST:PORT      on more machines; --folder must be one that they share
"""

from __future__ import annotations

import argparse
import copy
import itertools
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # instead of this folder, whose ray.py would be taken for Ray
sys.path.insert(1, str(ROOT / "tests"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from conftest import picture  # noqa: E402

from common.cli import MAX_PIXELS  # noqa: E402
from common.dataset import tree  # noqa: E402
from common.output import Talk  # noqa: E402
from common.vectors import embed, fleet, model  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of JPEG files (default: made ones of 640x480)")
    parser.add_argument("--count", type=int, default=4000, help="photos (default: %(default)s); fewer are repeated")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--folder", help="where the dataset is made (default: the system's temporary folder)")
    model.add_options(parser)
    args = argparse.Namespace(**vars(parser.parse_args()), quiet=True, max_pixels=MAX_PIXELS)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        photos = sorted(args.photos.iterdir()) if args.photos else made(Path(folder) / "made")
        datasets = [filled(Path(folder) / f"DS{count}", photos, count) for count in (1, args.count // 4, args.count)]
        print(f"{'':12}{'start-up':>10}{'images/s':>10}{'driver':>10}   moved")
        for _ in range(args.rounds):
            for gpus in cases(args):
                print(measured(gpus, datasets, args), flush=True)


def made(folder: Path) -> list[Path]:
    folder.mkdir()
    for number in range(64):
        picture(number, (640, 480)).save(folder / f"{number}.jpg", quality=90)
    return sorted(folder.iterdir())


def filled(dataset: Path, photos: Sequence[Path], count: int) -> Path:
    folder = dataset / "C" / "S" / "T"
    folder.mkdir(parents=True)
    for number, photo in enumerate(itertools.islice(itertools.cycle(photos), count)):
        shutil.copyfile(photo, folder / f"{number:06}{photo.suffix}")
    return dataset


def cases(args: argparse.Namespace) -> list[int | None]:
    """GPUs for Ray, None where it is left out."""
    there = torch.cuda.device_count() if args.device != "cpu" else 0
    return [None, *([gpus for gpus in (1, 2, 4, 8) if gpus <= there] or [0])]


def measured(gpus: int | None, datasets: Sequence[Path], args: argparse.Namespace) -> str:
    args = copy.copy(args)
    args.ray = gpus is not None
    args.ray_address = args.ray_address if args.ray else None
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(gpus)))
    talk, chosen = Talk(args), model.chosen(args)
    counts, times, spent = [], [time.perf_counter()], [0.0]
    with fleet.chosen(args, talk) as machines:
        engine = fleet.engine(machines, chosen, args, talk)
        for dataset in datasets:
            counts.append(embedded(dataset, chosen, engine, talk))
            times.append(time.perf_counter())
            spent.append(processor_time())
        moved = machines.state.moved if machines else 0
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    name = "without Ray" if gpus is None else f"Ray, {gpus} GPU" + "s" * (gpus != 1)
    start, _, seconds = np.diff(times)
    _, some, whole = np.diff(spent)
    driver = f"{(whole - some) / (counts[2] - counts[1]) * 1e6:10.1f}" if machines else f"{'':>10}"
    size = moved * 3 * engine.tower.size**2
    return f"{name:12}{start:10.1f}{counts[2] / seconds:10.1f}{driver}   {moved:,} ({size:,} bytes)"


def embedded(dataset: Path, chosen: model.Model, engine: fleet.Engine, talk: Talk) -> int:
    """Give every image a vector anew; returns how many there are."""
    topics = tree.topics([str(dataset)], talk.warn)
    for topic in topics:
        shutil.rmtree(os.path.join(topic.path, ".cache"), ignore_errors=True)
    works = embed.embedded(topics, chosen, lambda: engine, talk)
    return sum(work.landed for work in works)


def processor_time() -> float:
    """Seconds that this process has taken, and the one that talks to Ray."""
    ticks = 0
    for process in multiprocessing.active_children():
        if process.name == "ray":
            ticks += sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
