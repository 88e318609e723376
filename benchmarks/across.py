#!/usr/bin/env python3
"""Measure time and memory of find_duplicates.py --across on generated hash rows.

    benchmarks/across.py                                   100,000 in 1,000 topics
    benchmarks/across.py --images 1000000 --topics 5000

Makes a dataset of empty files with hash rows in their topics' sidecars, as the search within topics
leaves them. One image in fifty is a near copy of one in another topic. Then one process reads the
sidecars, compares every pair across topics and proposes pairs. If imagededup is installed, its
brute force runs on --peer of the same hashes. Its time for all is extrapolated from that: it grows
with the square.
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

from common.clip import sidecar  # noqa: E402
from common.topics import Topic  # noqa: E402
from duplicates import hash_rows, hashing, options  # noqa: E402

IMAGES_PER_COPY = 50  # one image in so many is a copy of another
COPY_DISTANCE_BITS = 4  # by which the hash of a copy differs
DISTINCT_THUMBNAILS = 5003
RUN = """
import argparse, json, resource, sys, time
sys.path.insert(0, sys.argv[1])
start = time.perf_counter()
from common import tree
from common.reporter import Reporter
from duplicates import options, proposers
from duplicates.image_table import ImageTable
args = argparse.Namespace(method="phash", quiet=True, max_pixels=1)
topics = tree.find_topics([sys.argv[2]], print)
proposer = proposers.make_proposer(options.HASH_DISTANCE_BITS, args, Reporter(args))
table = ImageTable(proposer.arrays, sum(topic.image_count for topic in topics))
for group, topic in enumerate(topics):
    table.add(group, topic.label, topic.image_stamps(), proposer.load_rows(topic))
read_seconds = time.perf_counter() - start
pair_filter = table.pair_filter(across=True)
candidates = proposer.propose_pairs(table.names, table.rows, pair_filter)
peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pairs = len(candidates.unverified)
print(json.dumps([read_seconds, time.perf_counter() - start, time.process_time(), peak_kb, pairs]))
"""


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        hashes = make_dataset(Path(scratch, "DataSet"), args.images, args.topics)
        command = [sys.executable, "-c", RUN, str(ROOT), str(Path(scratch, "DataSet"))]
        read, seconds, cpu_seconds, memory, pairs = json.loads(
            subprocess.run(command, check=True, capture_output=True).stdout
        )
        print(
            f"{args.images:,} images in {args.topics:,} topics: {seconds:.1f} s "
            f"({cpu_seconds:.1f} s of CPU)"
        )
        print(f"    {read:.1f} s of them to read sidecars; peak memory {memory / 1e6:.2f} GB")
        print(
            f"    {pairs:,} pairs proposed; {args.images // IMAGES_PER_COPY:,} copies were made, "
            "some of them within a topic"
        )
    if importlib.util.find_spec("imagededup"):
        seconds = measure_imagededup(hashes[: args.peer])
        whole = seconds * (args.images / args.peer) ** 2
        print(
            f"imagededup, brute force: {args.peer:,} in {seconds:.1f} s, "
            f"so about {whole:,.0f} s for {args.images:,}"
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


def make_dataset(dataset: Path, images: int, topics: int) -> np.ndarray:
    """Make a dataset of empty files with hash rows; return the hashes."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, images, np.uint64)
    thumbnails_of = np.arange(images) % DISTINCT_THUMBNAILS
    for copy in rng.choice(images, images // IMAGES_PER_COPY, replace=False).tolist():
        other = int(rng.integers(images))
        bits = rng.choice(64, COPY_DISTANCE_BITS, replace=False).astype(np.uint64)
        hashes[copy] = hashes[other] ^ np.bitwise_or.reduce(np.uint64(1) << bits)
        thumbnails_of[copy] = thumbnails_of[other]
    thumbnails = rng.integers(0, 256, (DISTINCT_THUMBNAILS, 1024 + 128), np.uint8)
    each = images // topics
    for number in range(topics):
        folder = dataset / f"C{number % 10}/S{number % 100}/T{number}"
        folder.mkdir(parents=True)
        for image in range(each):
            os.close(os.open(folder / f"{image:06}.jpg", os.O_CREAT))
        topic = Topic(str(folder), "", "", "", "", each)
        stamps = topic.image_stamps()
        rows = sidecar.load_sidecar(
            topic, hashing.HASH_SIDECAR, hash_rows.HASH_LAYOUT, hash_rows.HASH_ABOUT, print
        )
        own = slice(number * each, (number + 1) * each)
        rows.add(
            list(stamps),
            list(stamps.values()),
            hashes=hashes[own],
            thumbnails=thumbnails[thumbnails_of[own], :1024],
            colours=thumbnails[thumbnails_of[own], 1024:],
            flat=np.zeros(each, bool),
            extents=np.full((each, 2), 100, np.int32),
        )
        rows.save(stamps)
    return hashes


def measure_imagededup(hashes: np.ndarray) -> float:
    from imagededup.methods import PHash

    encodings = {f"{number}.jpg": f"{value:016x}" for number, value in enumerate(hashes.tolist())}
    started = time.perf_counter()
    PHash(verbose=False).find_duplicates(
        encoding_map=encodings,
        max_distance_threshold=options.HASH_DISTANCE_BITS,
        search_method="brute_force_cython",
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
