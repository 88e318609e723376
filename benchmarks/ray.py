#!/usr/bin/env python3
"""What Ray costs, and what more GPUs give: the same photos with and without it, alternating, in one
run.

    start-up      seconds until the first image has its vector: Ray, the model, and its libraries
    images/s      of all photos, after that
    driver        microseconds of processor time an image that Ray adds where the run was started:
                  the process that
                  talks to it, and asking that process
    moved         images whose pixels went to another machine, and their bytes

Without a GPU there are two cases, without Ray and with it; with GPUs Ray gets 1, 2, 4 and 8 of
them, if there are that many. The last rows are for the driver alone: images of 32 pixels a side
and a model of two small layers, in batches as for a GPU, so that next to nothing is done elsewhere.
What is written is a copy of the photos in a temporary folder.

examples:
  benchmarks/ray.py --model tiny                              4,000 made photos, this machine
  benchmarks/ray.py --photos FOLDER --count 20000             ViT-L/14, photos of yours
  benchmarks/ray.py --model tiny --ray-address HOST:PORT      on more machines; --folder must be one
  that they share
"""

from __future__ import annotations

import argparse
import copy
import itertools
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # instead of this folder, whose ray.py would be taken for Ray
sys.path.insert(1, str(ROOT / "tests"))

from common import cli  # noqa: E402

cli.quiet_libraries()

import torch  # noqa: E402
from conftest import draw_image  # noqa: E402
from towers import SMALL, save_model  # noqa: E402

from common import tree  # noqa: E402
from common.clip import embed, model, options  # noqa: E402
from common.clip.ray import client  # noqa: E402
from common.reporter import Reporter  # noqa: E402

LIGHT = 16_000  # images for the driver alone


class Cost(NamedTuple):
    start: float  # seconds
    speed: float  # images a second
    driver: float  # microseconds of processor time an image
    moved: int
    size: int  # bytes moved

    def __str__(self) -> str:
        driver = f"{self.driver:10.1f}" if self.driver else f"{'':>10}"
        return (
            f"{self.start:10.1f}{self.speed:10.1f}{driver}   {self.moved:,} ({self.size:,} bytes)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--photos", type=Path, help="a folder of JPEG files (default: made ones of 640x480)"
    )
    parser.add_argument(
        "--count", type=int, default=4000, help="photos (default: %(default)s); fewer are repeated"
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--folder", help="where the dataset is made (default: the system's temporary folder)"
    )
    options.add_model_options(parser)
    args = argparse.Namespace(**vars(parser.parse_args()), quiet=True, max_pixels=cli.MAX_PIXELS)
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        folder = Path(scratch)
        print(f"{'':24}{'start-up':>10}{'images/s':>10}{'driver':>10}   moved")
        photos = sorted(args.photos.iterdir()) if args.photos else made(folder / "made", (640, 480))
        alternated("", datasets(folder / "photos", photos, args.count), args)
        light = copy.copy(args)
        light.model, light.batch_size = f"local-dir:{save_model(folder / 'model', SMALL)}", 256
        alternated(
            "light, ", datasets(folder / "light", made(folder / "small", (32, 32)), LIGHT), light
        )


def made(folder: Path, size: tuple[int, int]) -> list[Path]:
    folder.mkdir()
    for number in range(64):
        draw_image(number, size).save(folder / f"{number}.jpg", quality=90)
    return sorted(folder.iterdir())


def datasets(folder: Path, photos: Sequence[Path], count: int) -> list[Path]:
    """Datasets of one photo, of a quarter of them to warm up, and of all."""
    return [filled(folder / str(images), photos, images) for images in (1, count // 4, count)]


def filled(dataset: Path, photos: Sequence[Path], count: int) -> Path:
    folder = dataset / "C" / "S" / "T"
    folder.mkdir(parents=True)
    for number, photo in enumerate(itertools.islice(itertools.cycle(photos), count)):
        shutil.copyfile(photo, folder / f"{number:06}{photo.suffix}")
    return dataset


def alternated(kind: str, folders: Sequence[Path], args: argparse.Namespace) -> None:
    """Print each round of each case, and their medians."""
    costs: dict[str, list[Cost]] = {}
    for _ in range(args.rounds):
        for gpus in cases(args):
            name = kind + (
                "without Ray" if gpus is None else f"Ray, {gpus} GPU" + "s" * (gpus != 1)
            )
            costs.setdefault(name, []).append(measured(gpus, folders, args))
            print(f"{name:24}{costs[name][-1]}", flush=True)
    for name, rounds in costs.items():
        start, speed, driver, moved, size = map(statistics.median, zip(*rounds, strict=True))
        print(
            f"{name + ', median':24}{Cost(start, speed, driver, int(moved), int(size))}", flush=True
        )


def cases(args: argparse.Namespace) -> list[int | None]:
    """GPUs for Ray, None where it is left out."""
    there = torch.cuda.device_count() if args.device != "cpu" else 0
    return [None, *([gpus for gpus in (1, 2, 4, 8) if gpus <= there] or [0])]


def measured(gpus: int | None, folders: Sequence[Path], args: argparse.Namespace) -> Cost:
    args = copy.copy(args)
    args.ray = gpus is not None
    args.ray_address = args.ray_address if args.ray else None
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(gpus)))
    reporter, chosen = Reporter(args), model.resolve_model(args)
    times = [time.perf_counter()]
    with client.open_fleet(args, reporter) as machines:
        asking = []
        if machines:
            machines.ask, machines.begun = asking = [Timed(machines.ask), Timed(machines.begun)]  # type: ignore
        engine = client.make_engine(machines, chosen, args, reporter)
        for folder in folders:
            before = talking() + sum(one.seconds for one in asking)
            images = embedded(folder, chosen, engine, reporter)
            times.append(time.perf_counter())
            spent = talking() + sum(one.seconds for one in asking) - before
        moved = machines.state.moved if machines else 0
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    size = moved * 3 * engine.shape.size**2
    return Cost(
        times[1] - times[0], images / (times[3] - times[2]), spent / images * 1e6, moved, size
    )


class Timed:
    """A function, and the processor time that its calls have taken."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.seconds, self._function = 0.0, function

    def __call__(self, *arguments: Any) -> Any:
        begun = time.thread_time()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.thread_time() - begun


def embedded(dataset: Path, chosen: model.Model, engine: client.Engine, reporter: Reporter) -> int:
    """Embed every image again; returns how many there are."""
    topics = tree.find_topics([str(dataset)], reporter.warn)
    for topic in topics:
        shutil.rmtree(os.path.join(topic.path, ".cache"), ignore_errors=True)
    works = embed.embed_missing(topics, chosen, lambda: engine, reporter)
    return sum(work.landed for work in works)


def talking() -> float:
    """Seconds of processor time that the process has taken that talks to Ray; none without one."""
    ticks = 0
    for process in multiprocessing.active_children():
        if process.name == "ray":
            ticks += sum(
                map(
                    int,
                    Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13],
                )
            )
    return ticks / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
