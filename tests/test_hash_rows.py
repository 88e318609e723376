"""The hash has exactly the bits of imagehash, and flat images match by their pixels."""

from __future__ import annotations

import os
from pathlib import Path

import imagehash
import numpy as np
import pytest
import zoo
from conftest import draw_image
from PIL import Image, ImageDraw

from common import cli
from duplicates import hash_rows
from imaging import images


def read(*paths: Path) -> hash_rows.RowArrays:
    rows, unreadable = hash_rows.read_hash_rows([str(path) for path in paths], cli.MAX_PIXELS)
    assert unreadable == {}
    return rows


def phash(path: Path) -> int:
    return int(str(imagehash.phash(images.open_image(str(path), on_white=True)[0])), 16)


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """An image with coarse shapes and fine detail, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells, weight in ((3, 1.0), (9, 0.6), (27, 0.4)):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += weight * np.asarray(layer.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray((total / 2.0).astype(np.uint8))


def save_images(folder: Path, *pictures: Image.Image, kind: str = "png", **options) -> list[Path]:
    paths = []
    for made in pictures:
        paths.append(folder / f"{len(os.listdir(folder)):03}.{kind}")
        made.save(paths[-1], **options)
    return paths


def test_hash_has_the_bits_of_imagehash(tmp_path: Path) -> None:
    """For every kind of file that a dataset can hold. None is a JPEG that decodes smaller."""
    paths = [tmp_path / name for name in zoo.write_readable_files(tmp_path)]
    rows = read(*paths)
    textured = np.flatnonzero(~rows["flat"])
    assert len(textured) > 30
    assert [int(rows["hashes"][i]) for i in textured] == [phash(paths[i]) for i in textured]


def test_extents_are_upright_and_whole(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[zoo.ORIENTATION] = 6
    (path,) = save_images(tmp_path, scene(1, (1200, 900)), kind="jpg", exif=turned)
    assert read(path)["extents"].tolist() == [[900, 1200]]


def test_large_jpegs_decode_smaller_and_hash_nearly_the_same(tmp_path: Path) -> None:
    paths = save_images(
        tmp_path, *(scene(seed, (1600, 1200)) for seed in range(6)), kind="jpg", quality=90
    )
    distances = [
        int(own ^ phash(path)).bit_count()
        for own, path in zip(read(*paths)["hashes"].tolist(), paths, strict=True)
    ]
    assert max(distances) <= 6 and distances.count(0) >= 4


def test_photos_have_nearly_the_hash_of_imagehash(photos: list[Path]) -> None:
    paths = photos[:40]
    distances = [
        int(own ^ phash(path)).bit_count()
        for own, path in zip(read(*paths)["hashes"].tolist(), paths, strict=True)
    ]
    assert max(distances) <= 6 and distances.count(0) >= 36


def test_unreadable_images_are_reported_by_position_and_have_no_row(tmp_path: Path) -> None:
    good = save_images(tmp_path, scene(1), scene(2))
    broken = tmp_path / "broken.png"
    broken.write_bytes(good[0].read_bytes()[:-200])
    (tmp_path / "empty.jpg").touch()
    paths = [broken, good[0], tmp_path / "empty.jpg", good[1]]
    rows, unreadable = hash_rows.read_hash_rows([str(path) for path in paths], cli.MAX_PIXELS)
    assert sorted(unreadable) == [0, 2] and all(unreadable.values())
    assert rows["hashes"].tolist() == read(*good)["hashes"].tolist()


def test_no_paths_give_no_rows() -> None:
    rows, unreadable = hash_rows.read_hash_rows([], cli.MAX_PIXELS)
    assert unreadable == {} and all(len(array) == 0 for array in rows.values())
    assert hash_rows.prefilter_pairs(rows, np.empty(0, int), np.empty(0, int)).shape == (0,)


FLAT_IMAGES = {
    "one colour": Image.new("RGB", (64, 64), (200, 30, 30)),
    "one pixel": Image.new("RGB", (1, 1), "white"),
    "a line": draw_image(5, (400, 2)),
    "an icon": draw_image(5, (7, 7)),
    "faint": Image.fromarray(np.random.default_rng(0).integers(100, 102, (64, 64), dtype=np.uint8)),
}


@pytest.mark.parametrize("kind", FLAT_IMAGES)
def test_plain_and_tiny_images_are_flat_and_match_by_pixels(tmp_path: Path, kind: str) -> None:
    made = FLAT_IMAGES[kind].convert("RGB")
    other = made.copy()
    colour = made.getpixel((0, 0))
    other.putpixel((0, 0), (colour[0] ^ 1, *colour[1:]))
    wider = made.resize((made.width + 1, made.height))
    png, bmp = save_images(tmp_path, made)[0], save_images(tmp_path, made, kind="bmp")[0]
    rows = read(png, bmp, *save_images(tmp_path, other, wider))
    assert rows["flat"].all()
    assert rows["hashes"][0] == rows["hashes"][1]
    assert len(set(rows["hashes"].tolist())) == 3


def test_transparent_drawings_hash_as_on_white(tmp_path: Path) -> None:
    drawn = []
    for letter in "AB":
        mask = Image.new("L", (64, 64), 0)
        ImageDraw.Draw(mask).text((32, 32), letter, fill=255, font_size=50, anchor="mm")
        drawn.append(Image.merge("RGBA", [Image.new("L", (64, 64), 0)] * 3 + [mask]))
    white = Image.composite(
        Image.new("L", (64, 64), 0), Image.new("L", (64, 64), 255), drawn[0].getchannel("A")
    )
    rows = read(*save_images(tmp_path, *drawn, white))
    assert rows["hashes"][0] == rows["hashes"][2] and rows["hashes"][0] != rows["hashes"][1]
