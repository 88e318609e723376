#!/usr/bin/env python3
"""Build a sample of two datasets with known copies, name collisions, captions and bad shots.

The images are crops of photos from the scikit-image package (demo/README.md has authors and
licences), so nothing is downloaded. Everything is written to FOLDER (default: demo/data), together
with the expected results:

    DataSet_1/Cluster/Subcluster/Topic/image.jpg
    DataSet_2/Cluster/Subcluster/Topic/image.jpg
    truth.json       {"copies": {"DataSet_1/.../small copy.jpg": "DataSet_1/.../original.jpg"}, ...}

The same library versions make the same bytes. Files that exist already are not touched. Nothing is
deleted.

    demo/make_dataset.py
    demo/make_dataset.py /tmp/sample
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pictures
from PIL import Image

DATASETS = ("DataSet_1", "DataSet_2")
BAD_SHOTS = "Bad shots"  # the topic of a subcluster for its bad shots
LOGOS = "Signs/Symbols/Logos"
TRAIN, VALID = 10, 5
SMALL, LARGE = 500_000, 2_000_000  # pixels: the bounds of resolution groups
ORIENTATION = 0x0112  # EXIF tag
QUARTER_TURN = 6  # its value if viewers must rotate the image clockwise


@dataclass(frozen=True)
class Series:
    """Crops of one photo, used like separate photos: one half in each dataset.

    `grid` is columns, rows, the share of the photo that a crop shows, and its enlargement. A name
    may count through both datasets (`n`) or restart in each (`i`): then names collide.
    """

    topic: str
    photo: str
    grid: tuple[int, int, float, float]
    name: str
    caption: str = ""
    has_bad_shots: bool = False


SERIES = (
    Series(
        "Space/Deep sky/Galaxies", "hubble_deep_field.jpg", (5, 4, 0.25, 2), "galaxy {n:02}.jpg"
    ),
    Series(
        "Space/Launches/Falcon",
        "rocket.jpg",
        (2, 2, 0.6, 1),
        "IMG_{i:04}.jpg",
        "rocket {n} on its pad",
        True,
    ),
    Series("Surfaces/Ground/Gravel", "gravel.png", (4, 4, 0.3, 2), "gravel_{n:02}.png"),
    Series("Surfaces/Walls/Brick", "brick.png", (2, 2, 0.55, 1), "brick {n}.bmp"),
    Series(
        "People/Portraits/Astronaut",
        "astronaut.png",
        (2, 2, 0.6, 1),
        "astronaut-{n}.png",
        "an astronaut",
        True,
    ),
    Series(
        "People/Street/Camera man",
        "camera.png",
        (2, 2, 0.6, 1),
        "street {n}.JPG",
        has_bad_shots=True,
    ),
    Series(
        "Animals/Cats/チェルシー",
        "chelsea.png",
        (2, 2, 0.6, 1),
        "猫 {n}.webp",
        "チェルシー, a cat",
        True,
    ),
    Series(
        "Things/Table/Coffee",
        "coffee.png",
        (2, 2, 0.6, 1),
        "cup of coffee {n}.jpeg",
        has_bad_shots=True,
    ),
    Series("Medicine/Eyes/Retina", "retina.jpg", (2, 2, 0.57, 1), "retina_{n}.jpg"),
)
# Original, kind, and name of the copy in the same topic. Copies have fewer pixels.
COPIES = (
    ("DataSet_1/Space/Deep sky/Galaxies/galaxy 01.jpg", "resized", "galaxy 01 (small).jpg"),
    ("DataSet_2/Space/Deep sky/Galaxies/galaxy 12.jpg", "recompressed", "galaxy 12 forwarded.jpg"),
    ("DataSet_1/Space/Launches/Falcon/IMG_0002.jpg", "turned", "IMG_0002_turned.jpg"),
    ("DataSet_2/Surfaces/Ground/Gravel/gravel_09.png", "recompressed", "gravel_09.jpg"),
    (
        "DataSet_1/People/Portraits/Astronaut/astronaut-1.png",
        "resized",
        "astronaut-1 thumbnail.webp",
    ),
    ("DataSet_2/Animals/Cats/チェルシー/猫 3.webp", "turned", "猫 3 コピー.jpg"),
    ("DataSet_2/Things/Table/Coffee/cup of coffee 4.jpeg", "marked", "coffee stock.jpg"),
)
# The same for variants: made from an image, but not interchangeable with it.
VARIANTS = (
    ("DataSet_1/People/Portraits/Astronaut/astronaut-1.png", "overlaid", "astronaut-1 preview.jpg"),
)
# Original, kind, and the copy in the other dataset: a search of one dataset cannot find these.
COPIES_ACROSS = (
    (
        "DataSet_1/Space/Deep sky/Galaxies/galaxy 03.jpg",
        "recompressed",
        "DataSet_2",
        "a galaxy from the web.jpg",
    ),
    ("DataSet_1/People/Street/Camera man/street 2.JPG", "turned", "DataSet_2", "old print.jpg"),
    ("DataSet_2/Medicine/Eyes/Retina/retina_4.jpg", "resized", "DataSet_1", "retina small.jpg"),
)
IN_BOTH = ("Space/Deep sky/Galaxies/galaxy 05.jpg", "Animals/Cats/チェルシー/猫 1.webp")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    photos = bundled_photos()
    sample = Sample(args.folder)
    for series in SERIES:
        add_series(sample, series, open_image(photos / series.photo))
    add_oddities(sample, photos)
    add_copies(sample)
    sample.write_truth()
    folders = " and ".join(str(args.folder / name) for name in DATASETS)
    print(f"🧪 {len(sample.paths)} images in {folders}")
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).resolve().parent / "data"
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=default)
    return parser.parse_args(argv)


def bundled_photos() -> Path:
    """Return the folder of photos of the installed scikit-image, without importing it."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit(
            "make_dataset.py: error: scikit-image is missing; pip install -r requirements-dev.txt"
        )
    return Path(package.origin).parent / "data"


class Sample:
    """The two datasets, and the expected results. Paths start with the name of the dataset."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: set[str] = set()
        self.groups = Counter(small=0, medium=0, large=0)
        self.distinct = Counter[str]()  # images per topic, without copies and broken files
        kinds = (
            "copies",
            "variants",
            "copies_across",
            "identical",
            "renamed",
            "captions",
            "degraded",
        )
        self.known: dict[str, Any] = {kind: {} for kind in kinds} | {
            "truncated": [],
            "lookalikes": [],
        }

    def add(self, path: str, image: Image.Image, caption: str = "") -> str:
        """Write an original image with its caption. Returns its path."""
        self._write(path, encode_image(image, path, quality=92), image.size)
        dataset, topic, name = split_image_path(path)
        self.distinct[topic] += 1
        merged = f"{topic}/{name}"
        if dataset == DATASETS[1] and f"{DATASETS[0]}/{merged}" in self.paths:
            stem, dot, suffix = merged.rpartition(".")
            merged = self.known["renamed"][path] = f"{stem}__{dataset}{dot}{suffix}"
        if caption:
            write_file(self.folder / Path(path).with_suffix(".txt"), caption.encode())
            self.known["captions"][merged] = caption
        return path

    def add_copy(self, original: str, kind: str, path: str, truth: str) -> None:
        image = pictures.MADE[kind](open_image(self.folder / original))
        exif = Image.Exif()
        exif[ORIENTATION] = QUARTER_TURN if kind == "turned" else 1
        self._write(path, encode_image(image, path, quality=40, exif=exif), image.size)
        self.known[truth][path] = original

    def add_identical(self, path: str) -> None:
        """Write the same bytes to the second dataset."""
        first, second = (f"{dataset}/{path}" for dataset in DATASETS)
        self._write(
            second, (self.folder / first).read_bytes(), open_image(self.folder / first).size
        )
        self.known["identical"][second] = first

    def add_truncated(self, path: str, image: Image.Image) -> None:
        whole = encode_image(image, path)
        self._write(path, whole[: len(whole) // 2], image.size)
        self.known["truncated"].append(path)

    def _write(self, path: str, content: bytes, size: tuple[int, int]) -> None:
        write_file(self.folder / path, content)
        self.paths.add(path)
        pixels = math.prod(size)
        if pixels < SMALL:
            self.groups["small"] += 1
        elif pixels <= LARGE:
            self.groups["medium"] += 1
        else:
            self.groups["large"] += 1

    def write_truth(self) -> None:
        split = {
            topic: [min(TRAIN, n), max(0, min(VALID, n - TRAIN))]
            for topic, n in self.distinct.items()
        }
        images = Counter(split_image_path(path)[0] for path in self.paths)
        truth = {**self.known, "images": images, "resolution_groups": self.groups, "split": split}
        write_file(
            self.folder / "truth.json",
            json.dumps(truth, indent=2, sort_keys=True, ensure_ascii=False).encode(),
        )


def add_series(sample: Sample, series: Series, photo: Image.Image) -> None:
    crops = pictures.cut_crops(photo, *series.grid)
    half = len(crops) // 2
    kinds = list(pictures.BAD_SHOTS)
    for place, crop in enumerate(crops):
        dataset, number = DATASETS[place // half], {"n": place + 1, "i": place % half + 1}
        path = f"{dataset}/{series.topic}/{series.name.format(**number)}"
        better = sample.add(path, crop, series.caption.format(**number))
        if series.has_bad_shots:
            kind = kinds[len(sample.known["degraded"]) % len(kinds)]
            shot = f"{dataset}/{series.topic.rpartition('/')[0]}/{BAD_SHOTS}/{kind} {place + 1}.jpg"
            sample.known["degraded"][sample.add(shot, pictures.BAD_SHOTS[kind](crop))] = better


def add_oddities(sample: Sample, photos: Path) -> None:
    """Add a large image, an incomplete download, and two signs with the same 64-bit pHash."""
    retina, coffee = (open_image(photos / name) for name in ("retina.jpg", "coffee.png"))
    sample.add(
        "DataSet_1/Medicine/Eyes/Retina/whole retina, upscaled.jpg", retina.resize((1600, 1600))
    )
    sample.add_truncated("DataSet_1/Things/Table/Coffee/unfinished download.jpg", coffee)
    transparent = Image.open(photos / "horse.png")
    sample.add(f"DataSet_1/{LOGOS}/horse.png", transparent)
    ring, diamond = (
        sample.add(f"DataSet_1/{LOGOS}/{shape}.png", pictures.draw_sign(shape))
        for shape in ("ring", "diamond")
    )
    sample.known["lookalikes"].append([ring, diamond])


def add_copies(sample: Sample) -> None:
    for original, kind, name in COPIES:
        sample.add_copy(original, kind, f"{original.rpartition('/')[0]}/{name}", "copies")
    for original, kind, name in VARIANTS:
        folder = original.rpartition("/")[0]
        sample.add_copy(original, kind, f"{folder}/{name}", "variants")
        sample.distinct[split_image_path(original)[1]] += 1
    for original, kind, dataset, name in COPIES_ACROSS:
        sample.add_copy(
            original, kind, f"{dataset}/{split_image_path(original)[1]}/{name}", "copies_across"
        )
    for path in IN_BOTH:
        sample.add_identical(path)


def split_image_path(path: str) -> tuple[str, str, str]:
    """Split the path of an image into dataset, topic and name."""
    dataset, _, rest = path.partition("/")
    topic, _, name = rest.rpartition("/")
    return dataset, topic, name


def open_image(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def encode_image(image: Image.Image, path: str, **options: Any) -> bytes:
    """Return the image in the format that the name says."""
    file = io.BytesIO()
    image.save(file, Image.registered_extensions()[Path(path).suffix.lower()], **options)
    return file.getvalue()


def write_file(path: Path, content: bytes) -> None:
    """Write a file unless it has this content: an untouched file keeps its time and score."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    raise SystemExit(main())
