"""The hash is imagehash's to the bit, and the second look knows copies from strangers."""

from __future__ import annotations

import os
import string
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
import zoo
from conftest import picture
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from common import cli
from common.dataset import images
from common.duplicates import fingerprints, neighbours


def read(*paths: Path) -> fingerprints.Rows:
    rows, unreadable = fingerprints.read([str(path) for path in paths], cli.MAX_PIXELS)
    assert unreadable == {}
    return rows


def phash(path: Path) -> int:
    return int(str(imagehash.phash(images.open_image(str(path))[0])), 16)


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture with coarse shapes and fine detail, unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells, weight in ((3, 1.0), (9, 0.6), (27, 0.4)):
        layer = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += weight * np.asarray(layer.resize(size, Image.Resampling.BICUBIC))
    return Image.fromarray((total / 2.0).astype(np.uint8))


def saved(folder: Path, *pictures: Image.Image, kind: str = "png", **options) -> list[Path]:
    paths = []
    for made in pictures:
        paths.append(folder / f"{len(os.listdir(folder)):03}.{kind}")
        made.save(paths[-1], **options)
    return paths


def matches(folder: Path, *pictures: Image.Image) -> bool:
    rows = read(*saved(folder, *pictures))
    assert not rows["flat"].any()
    near = bool(np.bitwise_count(rows["hashes"][0] ^ rows["hashes"][1]) <= 14)
    return near and bool(fingerprints.confirmed(rows, np.array([0]), np.array([1]))[0])


def test_the_hash_has_the_bits_of_imagehash(tmp_path: Path) -> None:
    """On every kind of file that a dataset can hold; none of these is a JPEG that decodes smaller."""
    paths = [tmp_path / name for name in zoo.readable(tmp_path)]
    rows = read(*paths)
    lively = np.flatnonzero(~rows["flat"])
    assert len(lively) > 30
    assert [int(rows["hashes"][i]) for i in lively] == [phash(paths[i]) for i in lively]


def test_extents_are_upright_and_whole(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[zoo.ORIENTATION] = 6
    (path,) = saved(tmp_path, scene(1, (1200, 900)), kind="jpg", exif=turned)
    assert read(path)["extents"].tolist() == [[900, 1200]]


def test_large_jpegs_decode_smaller_and_hash_nearly_the_same(tmp_path: Path) -> None:
    paths = saved(tmp_path, *(scene(seed, (1600, 1200)) for seed in range(6)), kind="jpg", quality=90)
    apart = [
        int(own ^ phash(path)).bit_count() for own, path in zip(read(*paths)["hashes"].tolist(), paths, strict=True)
    ]
    assert max(apart) <= 6 and apart.count(0) >= 4


def test_photos_hash_as_imagehash_hashes_them(photos: list[Path]) -> None:
    paths = photos[:40]
    apart = [
        int(own ^ phash(path)).bit_count() for own, path in zip(read(*paths)["hashes"].tolist(), paths, strict=True)
    ]
    assert max(apart) <= 6 and apart.count(0) >= 36


def test_unreadable_images_are_told_by_position_and_take_no_row(tmp_path: Path) -> None:
    good = saved(tmp_path, scene(1), scene(2))
    broken = tmp_path / "broken.png"
    broken.write_bytes(good[0].read_bytes()[:-200])
    (tmp_path / "empty.jpg").touch()
    paths = [broken, good[0], tmp_path / "empty.jpg", good[1]]
    rows, unreadable = fingerprints.read([str(path) for path in paths], cli.MAX_PIXELS)
    assert sorted(unreadable) == [0, 2] and all(unreadable.values())
    assert rows["hashes"].tolist() == read(*good)["hashes"].tolist()


def test_none_is_none() -> None:
    rows, unreadable = fingerprints.read([], cli.MAX_PIXELS)
    assert unreadable == {} and all(len(array) == 0 for array in rows.values())
    assert fingerprints.confirmed(rows, np.empty(0, int), np.empty(0, int)).shape == (0,)


def marked(made: Image.Image) -> Image.Image:
    marked = made.copy()
    ImageDraw.Draw(marked).text((180, 210), "(c) someone", fill="white", font_size=16)
    return marked


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "the same": lambda made: made,
    "half": lambda made: made.resize((160, 120), Image.Resampling.LANCZOS),
    "thrice": lambda made: made.resize((960, 720), Image.Resampling.BICUBIC),
    "squeezed": lambda made: made.resize((240, 240), Image.Resampling.LANCZOS),
    "grey": lambda made: ImageOps.grayscale(made).convert("RGB"),
    "brighter": lambda made: ImageEnhance.Brightness(made).enhance(1.2),
    "darker": lambda made: ImageEnhance.Brightness(made).enhance(0.7),
    "less contrast": lambda made: ImageEnhance.Contrast(made).enhance(0.7),
    "less colour": lambda made: ImageEnhance.Color(made).enhance(0.5),
    "cropped 1 %": lambda made: made.crop((3, 2, 317, 238)),
    "cropped 3 %": lambda made: made.crop((10, 7, 310, 233)),
    "marked": marked,
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_match(tmp_path: Path, kind: str) -> None:
    found = [matches(tmp_path, scene(seed), COPIES[kind](scene(seed))) for seed in range(5)]
    assert found.count(True) >= 4


def turned_hue(made: Image.Image, share: float) -> Image.Image:
    hue, saturation, value = made.convert("HSV").split()
    turned = hue.point([int(level + share * 256) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def test_strangers_do_not_match(tmp_path: Path) -> None:
    rows = read(*saved(tmp_path, *(scene(seed) for seed in range(25))))
    first, second = np.triu_indices(25, 1)
    assert not fingerprints.confirmed(rows, first, second).any()


def test_a_recoloured_picture_is_another_one_and_its_grey_copy_is_not(tmp_path: Path) -> None:
    ground = Image.new("RGB", (320, 240), (40, 90, 200))
    shirt = Image.blend(scene(3), ground, 0.7)
    assert not matches(tmp_path, shirt, turned_hue(shirt, 0.4))
    assert matches(tmp_path, shirt, shirt.convert("L").convert("RGB"))


def test_small_objects_on_a_plain_ground_differ_though_their_hashes_do_not(tmp_path: Path) -> None:
    """Letters in the middle of one ground: the hash takes most of them for each other, the second look very few."""
    drawn = []
    for letter in string.ascii_uppercase:
        made = Image.new("RGB", (512, 384), (30, 30, 46))
        ImageDraw.Draw(made).text((256, 192), letter, fill=(250, 180, 140), font_size=130, anchor="mm")
        drawn.append(made)
    rows = read(*saved(tmp_path, *drawn))
    first, second = map(np.concatenate, zip(*neighbours.within(rows["hashes"], 14), strict=True))
    assert len(first) > 40
    assert fingerprints.confirmed(rows, first, second).sum() <= 2


def test_smooth_pictures_match_only_themselves(tmp_path: Path) -> None:
    """Skies: correlation alone is near 1 between any two of them."""
    drawn = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        column = np.linspace(0, 1, 120)[:, None, None] ** rng.uniform(0.8, 1.25)
        sky = np.array([90, 140, 210]) + column * np.array([110, 80, 30]) + rng.normal(0, 2, (120, 160, 3))
        drawn.append(Image.fromarray(sky.clip(0, 255).astype(np.uint8)))
    rows = read(*saved(tmp_path, *drawn, drawn[0]))
    first, second = np.triu_indices(11, 1)
    found = fingerprints.confirmed(rows, first, second)
    assert list(zip(first[found].tolist(), second[found].tolist(), strict=True)) == [(0, 10)]


FLAT = {
    "one colour": Image.new("RGB", (64, 64), (200, 30, 30)),
    "one pixel": Image.new("RGB", (1, 1), "white"),
    "a line": picture(5, (400, 2)),
    "an icon": picture(5, (7, 7)),
    "faint": Image.fromarray(np.random.default_rng(0).integers(100, 102, (64, 64), dtype=np.uint8)),
}


@pytest.mark.parametrize("kind", FLAT)
def test_what_has_no_look_is_flat_and_known_by_its_pixels(tmp_path: Path, kind: str) -> None:
    made = FLAT[kind].convert("RGB")
    other = made.copy()
    colour = made.getpixel((0, 0))
    other.putpixel((0, 0), (colour[0] ^ 1, *colour[1:]))
    wider = made.resize((made.width + 1, made.height))
    png, bmp = saved(tmp_path, made)[0], saved(tmp_path, made, kind="bmp")[0]
    rows = read(png, bmp, *saved(tmp_path, other, wider))
    assert rows["flat"].all()
    assert rows["hashes"][0] == rows["hashes"][1]
    assert len(set(rows["hashes"].tolist())) == 3


def test_black_drawings_on_nothing_are_not_all_one_black(tmp_path: Path) -> None:
    drawn = []
    for letter in "AB":
        mask = Image.new("L", (64, 64), 0)
        ImageDraw.Draw(mask).text((32, 32), letter, fill=255, font_size=50, anchor="mm")
        drawn.append(Image.merge("RGBA", [Image.new("L", (64, 64), 0)] * 3 + [mask]))
    rows = read(*saved(tmp_path, *drawn))
    assert rows["flat"].all() and rows["hashes"][0] != rows["hashes"][1]
