#!/usr/bin/env python3
"""Does the scorer stay small and quick when datasets grow? Every run is a process of its own, as
people start it.

    memory      the largest process (resident, at its peak) at 1,000 and at 20,000 small images, and
                with a
                100-megapixel photo among 100 small ones
    nothing     a second run over the 20,000 images in 200 topics, all of them scored already

Uses the embedded tiny model; made data, no options needed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RUN = """
import json, resource, sys, time
started = time.perf_counter()
sys.path.insert(0, sys.argv[1])
import aesthetic_scorer
aesthetic_scorer.main([*sys.argv[2:], "--model", "tiny", "--quiet", "--json"])
whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
usage = [resource.getrusage(who).ru_maxrss for who in whose]
seconds = time.perf_counter() - started
print(json.dumps([seconds, *usage, "torch" in sys.modules]), file=sys.stderr)
"""


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        small, large = Path(scratch, "Small"), Path(scratch, "Large")
        make(small, topics=args.large // 2000, images=100)
        make(large, topics=args.large // 100, images=100)
        for dataset in (small, large):
            report(f"{images(dataset):,} images", dataset)
        report("the same again", large)
        huge = Path(scratch, "Huge")
        make(huge, topics=1, images=100)
        picture(0).resize((12_500, 8_000)).save(huge / "C/S/T000/huge.jpg")
        report("with a 100 MP photo", huge)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--large",
        type=int,
        default=20_000,
        help="images of the large dataset (default: %(default)s)",
    )
    parser.add_argument(
        "--scratch", help="where the datasets go (default: the system's temporary folder)"
    )
    return parser.parse_args()


def picture(seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC)


def make(dataset: Path, topics: int, images: int) -> None:
    for topic in range(topics):
        folder = dataset / "C" / "S" / f"T{topic:03}"
        folder.mkdir(parents=True)
        for image in range(images):
            picture(topic * images + image).save(folder / f"{image:04}.jpg")


def images(dataset: Path) -> int:
    return sum(1 for _ in dataset.rglob("*.jpg"))


def report(what: str, dataset: Path) -> None:
    command = [sys.executable, "-c", RUN, str(ROOT), str(dataset)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, parent, workers, torch = json.loads(done.stderr.splitlines()[-1])
    told = json.loads(done.stdout)
    print(
        f"{what:22} {seconds:7.1f} s  scored {told['scored']:6,}  main process {parent / 1e3:6.0f} MB  "  # noqa: E501
        f"largest worker {workers / 1e3:6.0f} MB  torch {'loaded' if torch else 'not loaded'}",
        flush=True,
    )


if __name__ == "__main__":
    main()
