#!/usr/bin/env python3
"""How long the search across topics takes, and in how much memory: find_duplicates.py --across on made fingerprints.

    benchmarks/across.py                                   100,000 in 1,000 topics
    benchmarks/across.py --images 1000000 --topics 5000

Makes a dataset of empty files with fingerprints in their topics' sidecars, as the search within topics leaves them; one
image in fifty is a near copy of one in another topic. Then one process reads the sidecars, compares every pair across
topics and proposes. Where imagededup is installed, its brute force runs on as many of the same hashes as --peer says,
and what it would take for all is extrapolated (it grows with the square).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import sidecar  # noqa: E402
from common.tree import Topic  # noqa: E402
from duplicates import hash_rows, hashing, options  # noqa: E402

COPIES = 50  # one image in so many is a copy of another
FLIPPED = 4  # bits in which its hash differs
LOOKS = 5003  # different thumbnails
RUN = """
import argparse, json, resource, sys, time
sys.path.insert(0, sys.argv[1])
started = time.perf_counter()
from common.dataset import tree
from common.duplicates import crossing, methods, options
from common.reporter import Talk
args = argparse.Namespace(method="phash", quiet=True, max_pixels=1)
topics = tree.topics([sys.argv[2]], print)
method = methods.chosen(options.DISTANCE, args, Talk(args))
sources = ((number, topic.label, topic.stamps(), method.load(topic)) for number, topic in enumerate(topics))
images = crossing.beside(sources, method.keys, sum(topic.found for topic in topics))
read = time.perf_counter() - started
pairs, _ = crossing.proposed(images, method, True)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([read, time.perf_counter() - started, time.process_time(), memory, len(pairs)]))
"""


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        hashes = make(Path(scratch, "DataSet"), args.images, args.topics)
        command = [sys.executable, "-c", RUN, str(ROOT), str(Path(scratch, "DataSet"))]
        read, seconds, busy, memory, pairs = json.loads(
            subprocess.run(command, check=True, capture_output=True).stdout
        )
        print(
            f"{args.images:,} images in {args.topics:,} topics: {seconds:.1f} s ({busy:.1f} s of CPU)"
        )
        print(f"    {read:.1f} s of them to read sidecars; {memory / 1e6:.2f} GB at its peak")
        print(
            f"    {pairs:,} pairs proposed; {args.images // COPIES:,} planted, some of them within a topic"
        )
    if importlib.util.find_spec("imagededup"):
        took = peer(hashes[: args.peer])
        whole = took * (args.images / args.peer) ** 2
        print(
            f"imagededup, brute force: {args.peer:,} in {took:.1f} s, so about {whole:,.0f} s for {args.images:,}"
        )
    else:
        print("imagededup is not installed: pip install -r benchmarks/requirements.txt")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--topics", type=int, default=1000, help="default: %(default)s")
    parser.add_argument(
        "--peer", type=int, default=20_000, help="hashes for imagededup (default: %(default)s)"
    )
    parser.add_argument(
        "--scratch", help="where the dataset goes (default: the system's temporary folder)"
    )
    return parser.parse_args()


def make(dataset: Path, images: int, topics: int) -> np.ndarray:
    """A dataset of empty files with fingerprints, and the hashes; copies are scattered over the topics."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, images, np.uint64)
    looks = np.arange(images) % LOOKS
    for copy in rng.choice(images, images // COPIES, replace=False).tolist():
        other = int(rng.integers(images))
        bits = rng.choice(64, FLIPPED, replace=False).astype(np.uint64)
        hashes[copy] = hashes[other] ^ np.bitwise_or.reduce(np.uint64(1) << bits)
        looks[copy] = looks[other]
    pictures = rng.integers(0, 256, (LOOKS, 1024 + 128), np.uint8)
    each = images // topics
    for number in range(topics):
        folder = dataset / f"C{number % 10}/S{number % 100}/T{number}"
        folder.mkdir(parents=True)
        for image in range(each):
            os.close(os.open(folder / f"{image:06}.jpg", os.O_CREAT))
        topic = Topic(str(folder), "", "", "", "", each)
        stamps = topic.stamps()
        prints = sidecar.load_sidecar(topic, hashing.NAME, hash_rows.LAYOUT, hash_rows.ABOUT, print)
        own = slice(number * each, (number + 1) * each)
        prints.add(
            list(stamps),
            list(stamps.values()),
            hashes=hashes[own],
            thumbnails=pictures[looks[own], :1024],
            colours=pictures[looks[own], 1024:],
            flat=np.zeros(each, bool),
            extents=np.full((each, 2), 100, np.int32),
        )
        prints.save(stamps)
    return hashes


def peer(hashes: np.ndarray) -> float:
    from imagededup.methods import PHash

    encodings = {f"{number}.jpg": f"{value:016x}" for number, value in enumerate(hashes.tolist())}
    started = time.perf_counter()
    PHash(verbose=False).find_duplicates(
        encoding_map=encodings,
        max_distance_threshold=options.DISTANCE,
        search_method="brute_force_cython",
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
