#!/usr/bin/env python3
"""Builds a small sample of two datasets whose every secret is known: copies, name collisions, captions, bad shots.

The pictures are crops of photos that scikit-image carries in its package (demo/README.md names photographers and
licences), so nothing is downloaded. Everything goes into FOLDER (default: demo/data), with the truth beside it:

    DataSet_1/Cluster/Subcluster/Topic/image.jpg
    DataSet_2/Cluster/Subcluster/Topic/image.jpg
    truth.json       {"copies": {"DataSet_1/.../small copy.jpg": "DataSet_1/.../original.jpg"}, "split": {...}, ...}

The same library versions make the same bytes, and a file that is there already is not touched. Nothing is deleted.

    demo/make_dataset.py
    demo/make_dataset.py /tmp/sample
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import cli, records  # noqa: E402 (the project is no package)

DATASETS = ("DataSet_1", "DataSet_2")
BAD_SHOTS = "Bad shots"  # the topic of a subcluster that holds what went wrong
TRAIN, VALID = 10, 5
SMALL, LARGE = 500_000, 2_000_000  # pixels: the resolution groups' bounds
ORIENTATION = 0x0112  # the EXIF tag
TURNED_RIGHT = 6  # its value for pixels that want a quarter turn clockwise


@dataclass(frozen=True)
class Series:
    """Crops of one photo, as if each were a photo of its own: the first half for one dataset, the rest for the other.

    A crop shows `share` of the photo's width and height, enlarged by `scale`. A name may count through both datasets
    (`n`) or anew in each (`i`), as cameras do: then names collide.
    """

    topic: str
    photo: str
    columns: int
    rows: int
    share: float
    scale: float
    name: str
    caption: str = ""
    has_bad_shots: bool = False


SERIES = (
    Series("Space/Deep sky/Galaxies", "hubble_deep_field.jpg", 5, 4, 0.25, 2, "galaxy {n:02}.jpg"),
    Series("Space/Launches/Falcon", "rocket.jpg", 2, 2, 0.6, 1, "IMG_{i:04}.jpg", "rocket {n} on its pad", True),
    Series("Surfaces/Ground/Gravel", "gravel.png", 4, 4, 0.3, 2, "gravel_{n:02}.png"),
    Series("Surfaces/Walls/Brick", "brick.png", 2, 2, 0.55, 1, "brick {n}.bmp"),
    Series("People/Portraits/Astronaut", "astronaut.png", 2, 2, 0.6, 1, "astronaut-{n}.png", "an astronaut", True),
    Series("People/Street/Camera man", "camera.png", 2, 2, 0.6, 1, "street {n}.JPG", has_bad_shots=True),
    Series("Animals/Cats/チェルシー", "chelsea.png", 2, 2, 0.6, 1, "猫 {n}.webp", "チェルシー, a cat", True),
    Series("Things/Table/Coffee", "coffee.png", 2, 2, 0.6, 1, "cup of coffee {n}.jpeg", has_bad_shots=True),
    Series("Medicine/Eyes/Retina", "retina.jpg", 2, 2, 0.57, 1, "retina_{n}.jpg"),
)
# Each copy lies beside its original, in the same dataset.
COPIES = (
    ("DataSet_1/Space/Deep sky/Galaxies/galaxy 01.jpg", "resized", "galaxy 01 (small).jpg"),
    ("DataSet_2/Space/Deep sky/Galaxies/galaxy 12.jpg", "recompressed", "galaxy 12 forwarded.jpg"),
    ("DataSet_1/Space/Launches/Falcon/IMG_0002.jpg", "turned", "IMG_0002_turned.jpg"),
    ("DataSet_2/Surfaces/Ground/Gravel/gravel_09.png", "recompressed", "gravel_09.jpg"),
    ("DataSet_1/People/Portraits/Astronaut/astronaut-1.png", "watermarked", "astronaut-1 preview.jpg"),
    ("DataSet_1/People/Portraits/Astronaut/astronaut-1.png", "resized", "astronaut-1 thumbnail.webp"),
    ("DataSet_2/Animals/Cats/チェルシー/猫 3.webp", "turned", "猫 3 コピー.jpg"),
    ("DataSet_2/Things/Table/Coffee/cup of coffee 4.jpeg", "watermarked", "coffee stock.jpg"),
)
# The original is in one dataset, the copy in the other: no search of a single dataset can find these.
COPIES_ACROSS = (
    ("DataSet_1/Space/Deep sky/Galaxies/galaxy 03.jpg", "recompressed", "DataSet_2", "a galaxy from the web.jpg"),
    ("DataSet_1/People/Street/Camera man/street 2.JPG", "turned", "DataSet_2", "old print.jpg"),
    ("DataSet_2/Medicine/Eyes/Retina/retina_4.jpg", "resized", "DataSet_1", "retina small.jpg"),
)
IN_BOTH = ("Space/Deep sky/Galaxies/galaxy 05.jpg", "Animals/Cats/チェルシー/猫 1.webp")
LOGOS = "Signs/Symbols/Logos"


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    photos = bundled_photos()
    sample = Sample(args.folder)
    for series in SERIES:
        add_series(sample, series, Image.open(photos / series.photo).convert("RGB"))
    add_oddities(sample, photos)
    add_copies(sample)
    records.write_json(str(args.folder / "truth.json"), sample.truth())
    print(f"🧪 {sum(sample.images.values())} images in {' and '.join(str(args.folder / name) for name in DATASETS)}")
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=Path, default=ROOT / "demo" / "data")
    return parser.parse_args(argv)


def bundled_photos() -> Path:
    """The folder of photos inside the installed scikit-image; nothing of it is imported."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise cli.UserError("scikit-image is not installed; run: pip install -r requirements-dev.txt")
    return Path(package.origin).parent / "data"


class Sample:
    """The two datasets as they are written, and what is true of them. Paths start at the dataset's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: Counter[str] = Counter()
        self.groups = Counter(small=0, medium=0, large=0)
        self.distinct: Counter[str] = Counter()  # pictures a topic has, copies and broken files not counted
        self.known: dict[str, Any] = {
            name: {} for name in ("copies", "copies_across", "identical", "renamed", "captions", "degraded")
        }
        self.known |= {"truncated": [], "lookalikes": []}

    def add(self, path: str, picture: Image.Image, caption: str = "", **options: Any) -> str:
        """Write one picture of its own, with its caption; returns its path."""
        self._write(path, encoded(picture, path, **options), picture.size)
        dataset, topic, name = parted(path)
        self.distinct[topic] += 1
        merged = f"{topic}/{name}"
        if dataset == DATASETS[1] and (self.folder / DATASETS[0] / merged).exists():
            stem, dot, suffix = merged.rpartition(".")
            merged = self.known["renamed"][path] = f"{stem}__{dataset}{dot}{suffix}"
        if caption:
            write(self.folder / Path(path).with_suffix(".txt"), caption.encode())
            self.known["captions"][merged] = caption
        return path

    def add_copy(self, original: str, kind: str, path: str, truth: str) -> None:
        picture = COPIED[kind](Image.open(self.folder / original).convert("RGB"))
        options = {"exif": exif(TURNED_RIGHT)} if kind == "turned" else {}
        self._write(path, encoded(picture, path, quality=40, **options), picture.size)
        self.known[truth][path] = original

    def add_identical(self, path: str) -> None:
        """The same file, byte for byte, in the second dataset."""
        first, second = (f"{dataset}/{path}" for dataset in DATASETS)
        self._write(second, (self.folder / first).read_bytes(), Image.open(self.folder / first).size)
        self.known["identical"][second] = first

    def add_truncated(self, path: str, picture: Image.Image) -> None:
        whole = encoded(picture, path)
        self._write(path, whole[: len(whole) // 2], picture.size)
        self.known["truncated"].append(path)

    def _write(self, path: str, content: bytes, size: tuple[int, int]) -> None:
        write(self.folder / path, content)
        self.images[parted(path)[0]] += 1
        pixels = math.prod(size)
        self.groups["small" if pixels < SMALL else "medium" if pixels <= LARGE else "large"] += 1

    def truth(self) -> dict[str, Any]:
        split = {topic: [min(TRAIN, n), max(0, min(VALID, n - TRAIN))] for topic, n in self.distinct.items()}
        return {**self.known, "images": self.images, "resolution_groups": self.groups, "split": split}


def add_series(sample: Sample, series: Series, photo: Image.Image) -> None:
    crops = crops_of(photo, series)
    for place, crop in enumerate(crops):
        half = len(crops) // 2
        dataset, number = DATASETS[place // half], {"n": place + 1, "i": place % half + 1}
        path = f"{dataset}/{series.topic}/{series.name.format(**number)}"
        better = sample.add(path, crop, series.caption.format(**number), quality=92)
        if series.has_bad_shots:
            kind = list(DEGRADED)[len(sample.known["degraded"]) % len(DEGRADED)]
            shot = f"{dataset}/{series.topic.rpartition('/')[0]}/{BAD_SHOTS}/{kind} {place + 1}.jpg"
            sample.known["degraded"][sample.add(shot, DEGRADED[kind](crop), quality=92)] = better


def crops_of(photo: Image.Image, series: Series) -> list[Image.Image]:
    """Windows spread evenly over the photo, row by row."""
    width, height = round(photo.width * series.share), round(photo.height * series.share)
    crops = []
    for row in range(series.rows):
        for column in range(series.columns):
            left = (photo.width - width) * column // (series.columns - 1)
            top = (photo.height - height) * row // (series.rows - 1)
            crops.append(scaled(photo.crop((left, top, left + width, top + height)), series.scale))
    return crops


def add_oddities(sample: Sample, photos: Path) -> None:
    """A large picture, a download that broke off, and signs on plain ground that a 64-bit pHash cannot tell apart."""
    retina, coffee = (Image.open(photos / name).convert("RGB") for name in ("retina.jpg", "coffee.png"))
    sample.add("DataSet_1/Medicine/Eyes/Retina/whole retina, upscaled.jpg", retina.resize((1600, 1600)))
    sample.add_truncated("DataSet_1/Things/Table/Coffee/unfinished download.jpg", coffee)
    horse = Image.open(photos / "horse.png")
    sample.add(f"DataSet_1/{LOGOS}/horse.png", Image.composite(horse, Image.new("RGBA", horse.size, "white"), horse))
    ring, diamond = (sample.add(f"DataSet_1/{LOGOS}/{name}.png", logo(name)) for name in ("ring", "diamond"))
    sample.known["lookalikes"].append([ring, diamond])


def add_copies(sample: Sample) -> None:
    for original, kind, name in COPIES:
        sample.add_copy(original, kind, f"{original.rpartition('/')[0]}/{name}", "copies")
    for original, kind, dataset, name in COPIES_ACROSS:
        sample.add_copy(original, kind, f"{dataset}/{parted(original)[1]}/{name}", "copies_across")
    for path in IN_BOTH:
        sample.add_identical(path)


def scaled(picture: Image.Image, scale: float) -> Image.Image:
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.resize(size, Image.Resampling.LANCZOS)


def turned(picture: Image.Image) -> Image.Image:
    """A smaller copy as a camera held sideways stores it: upright only for who heeds the EXIF orientation."""
    return scaled(picture, 0.75).transpose(Image.Transpose.ROTATE_90)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made


def watermarked(picture: Image.Image) -> Image.Image:
    small = scaled(picture, 0.75)
    draw = ImageDraw.Draw(small, "RGBA")
    font = ImageFont.load_default(small.height / 6)
    draw.text((small.width / 2, small.height / 2), "SAMPLE", (255, 255, 255, 110), font, anchor="mm")
    return small


COPIED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized": lambda picture: scaled(picture, 0.5),
    "recompressed": lambda picture: scaled(picture, 0.8),  # and saved at low quality, as messengers do
    "turned": turned,
    "watermarked": watermarked,
}


def blurred(picture: Image.Image) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 60))


def noisy(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture, dtype=float)
    return Image.fromarray((values + np.random.default_rng(0).normal(0, 50, values.shape)).clip(0, 255).astype("uint8"))


DEGRADED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "out of focus": blurred,
    "noisy": noisy,
    "too dark": lambda picture: ImageEnhance.Brightness(picture).enhance(0.2),
    "too bright": lambda picture: ImageEnhance.Brightness(picture).enhance(3.0),
    "few pixels": lambda picture: scaled(picture, 1 / 6).resize(picture.size, Image.Resampling.BICUBIC),
}


def logo(shape: str) -> Image.Image:
    """A small blue sign in the middle of a white page."""
    page = Image.new("RGB", (512, 512), "white")
    middle, radius, blue = 256, 40, (20, 60, 160)
    low, high = middle - radius, middle + radius
    draw = ImageDraw.Draw(page)
    if shape == "ring":
        draw.ellipse((low, low, high, high), outline=blue, width=radius // 3)
    else:
        draw.polygon([(middle, low), (high, middle), (middle, high), (low, middle)], fill=blue)
    return page


def parted(path: str) -> tuple[str, str, str]:
    """Dataset, topic and name of an image's path."""
    dataset, _, rest = path.partition("/")
    topic, _, name = rest.rpartition("/")
    return dataset, topic, name


def encoded(picture: Image.Image, path: str, **options: Any) -> bytes:
    """The picture as the file that its name promises."""
    file = io.BytesIO()
    picture.save(file, Image.registered_extensions()[Path(path).suffix.lower()], **options)
    return file.getvalue()


def write(path: Path, content: bytes) -> None:
    """Write a file unless it is there already: an untouched one keeps its time, and so its scores."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
