"""Make tests/data/measured_pairs.jsonl and pinning_pairs.json, which test every threshold.

    make_measured_pairs.py measure OUT --tiles --drawn 0 5000 [TREE ...]   measure many pairs
    make_measured_pairs.py select OUT [OUT ...]                            choose the table's rows
    make_measured_pairs.py pin --drawn 0 5000     find pairs for the thresholds it does not cover

A TREE has truth.json ({copy: [original, change]}) with images of those names below it, or is a tree
in which all images are different. Only numbers are kept, no pixels. Run from the root of the
project; with several processes at a time, give each its own OUT and its own numbers.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import measured_pairs  # noqa: E402
import pinning_pairs  # noqa: E402
from drawn_pairs import drawn_pair  # noqa: E402
from measured_pairs import MeasuredPair  # noqa: E402
from tile_pairs import TILE_PAIRS, TilePair  # noqa: E402

from common import image_formats  # noqa: E402
from duplicates import thumbnails  # noqa: E402
from duplicates.pair_measurement import measure_as_copy, measure_as_variant  # noqa: E402
from duplicates.thumbnails import SmallImage  # noqa: E402

ROWS = 400  # of the table, about
ROWS_PER_PIN = 3  # rows whose answer changes with one threshold
RANDOM_PAIRS_PER_SET = 20  # of copies of one original, or of images of one topic
SIMILAR_PAIRS_PER_TOPIC = 120
MAX_PIXELS = 200_000_000

SourcedImages = tuple[str, SmallImage, SmallImage]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("measure")
    measure.add_argument("out", type=Path)
    measure.add_argument("trees", nargs="*", type=Path)
    measure.add_argument("--tiles", action="store_true")
    measure.add_argument("--drawn", nargs=2, type=int, default=(0, 0))
    select = commands.add_parser("select")
    select.add_argument("measured", nargs="+", type=Path)
    pin = commands.add_parser("pin")
    pin.add_argument("--drawn", nargs=2, type=int, default=(0, 1000))
    args = parser.parse_args()
    if args.command == "measure":
        tiles = TILE_PAIRS if args.tiles else ()
        sources = (tile_images(tiles), drawn_images(args.drawn), tree_images(args.trees))
        write_measurements(args.out, itertools.chain(*sources))
    elif args.command == "select":
        measured_pairs.write_table(select_rows(read_measurements(args.measured)))
    else:
        pinning_pairs.find_pins(range(*args.drawn))


def write_measurements(out: Path, images: Iterable[SourcedImages]) -> None:
    with out.open("a", encoding="utf-8") as lines:
        for source, one, other in images:
            for pair in measure_pair(source, one, other):
                lines.write(json.dumps(pair.as_row()) + "\n")


def measure_pair(source: str, one: SmallImage, other: SmallImage) -> Iterator[MeasuredPair]:
    """Yield what is measured of two images as copies, and as variants if they can be aligned."""
    yield MeasuredPair(source, measure_as_copy(one.raster, other.raster))
    aligned = measure_as_variant(one, other)
    if aligned:
        yield MeasuredPair(source, aligned.seen, aligned.around, aligned.soft)


def tile_images(pairs: Iterable[TilePair]) -> Iterator[SourcedImages]:
    for pair in pairs:
        one, other = (thumbnails.make_small_image(np.asarray(image), True) for image in pair.draw())
        yield str(pair), one, other


def drawn_images(numbers: tuple[int, int]) -> Iterator[SourcedImages]:
    for number in range(*numbers):
        description, one, other = drawn_pair(number)
        small = [thumbnails.make_small_image(np.asarray(image), True) for image in (one, other)]
        yield f"drawn {number}: {description}", *small


def tree_images(trees: Iterable[Path]) -> Iterator[SourcedImages]:
    for tree in trees:
        for one, other in tree_pairs(tree):
            first = read_image(one)
            second = read_image(other)
            if first and second:
                yield f"{tree.name}: {one.stem}, {other.stem}", first, second


@functools.lru_cache(maxsize=300)
def read_image(path: Path) -> SmallImage | None:
    return thumbnails.read_small_images([str(path)], MAX_PIXELS, hints=True)[0]


def tree_pairs(tree: Path) -> list[tuple[Path, Path]]:
    """Return pairs of images: related ones if the tree has truth.json, else unrelated ones."""
    rng = random.Random(tree.name)
    files = [path for path in sorted(tree.rglob("*.*")) if image_formats.is_image_name(path.name)]
    truth_file = tree / "truth.json"
    if not truth_file.exists():
        topics = itertools.groupby(files, key=lambda path: path.parent)
        return [pair for _, topic in topics for pair in topic_pairs(list(topic), rng)]
    by_name = {path.name: path for path in files}
    copies: dict[str, list[Path]] = {}
    pairs = []
    for name, (original, _) in json.loads(truth_file.read_text()).items():
        pairs.append((by_name[original], by_name[name]))
        copies.setdefault(original, []).append(by_name[name])
    for family in copies.values():
        related = list(itertools.combinations(family, 2))
        pairs += rng.sample(related, min(RANDOM_PAIRS_PER_SET, len(related)))
    return pairs


def topic_pairs(files: list[Path], rng: random.Random) -> list[tuple[Path, Path]]:
    """Return the pairs of a topic with the most similar thumbnails, and some others."""
    readable = [path for path in files if read_image(path)]
    rows = np.stack([read_image(path).hints.thumbnail.ravel() for path in readable])
    similarity = rows @ rows.T
    pairs = list(itertools.combinations(range(len(readable)), 2))
    pairs.sort(key=lambda pair: -similarity[pair])
    others = pairs[SIMILAR_PAIRS_PER_TOPIC:]
    chosen = pairs[:SIMILAR_PAIRS_PER_TOPIC]
    chosen += rng.sample(others, min(RANDOM_PAIRS_PER_SET, len(others)))
    return [(readable[one], readable[other]) for one, other in chosen]


def read_measurements(paths: Iterable[Path]) -> list[MeasuredPair]:
    rows = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return [measured_pairs.pair_from_row(row) for row in rows]


def select_rows(pairs: list[MeasuredPair]) -> list[MeasuredPair]:
    """Choose rows whose answers change with each threshold, then others at random up to ROWS."""
    answers = [pair.answer() for pair in pairs]
    chosen: set[int] = set()
    for name in measured_pairs.THRESHOLD_NAMES:
        for direction in ("down", "up"):
            limits = measured_pairs.move_threshold(name, direction)
            pinning = [
                number
                for number, pair in enumerate(pairs)
                if pair.answer(limits) != answers[number]
            ]
            print(f"{name} {direction}: {len(pinning)}", file=sys.stderr)
            chosen.update(pinning[:ROWS_PER_PIN])
    others = sorted(set(range(len(pairs))) - chosen)
    chosen.update(random.Random(0).sample(others, max(0, min(ROWS - len(chosen), len(others)))))
    return [pairs[number] for number in sorted(chosen)]


if __name__ == "__main__":
    main()
