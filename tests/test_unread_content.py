"""Sound images of kinds that are not read say what they are; JPEGs cut before their end do, too."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_image
from PIL import Image
from unread_images import GREY, RGB, SOUND_BUT_UNREAD, cut_before_end, encode_tiff
from zoo import encode

from imaging import images

JPEG_OPTIONS = (
    {},
    {"progressive": True},
    {"progressive": True, "subsampling": 0, "quality": 95},
    {"restart_marker_rows": 1},
    {"restart_marker_blocks": 3, "subsampling": 0},
    {"quality": 20, "optimize": True},
)


@pytest.mark.parametrize("name", SOUND_BUT_UNREAD)
def test_sound_file_of_an_unread_kind_says_what_it_is(tmp_path: Path, name):
    content, words = SOUND_BUT_UNREAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(images.Unreadable) as caught:
        images.open_image(str(tmp_path / name))
    reason = str(caught.value)
    assert words in reason and "not read" in reason
    assert "fetch it again" not in reason and "delete" not in reason


def test_tiffs_that_pillow_reads_right_are_read(tmp_path: Path):
    small = GREY.astype(np.uint32)
    for values, options in (
        (RGB, {}),
        (RGB, {"order": ">"}),
        ((RGB >> 8).astype(np.uint8), {"is_planar": True, "order": ">"}),
        (small, {}),
    ):
        (tmp_path / "a.tif").write_bytes(encode_tiff(values, **options))
        image, size = images.open_image(str(tmp_path / "a.tif"))
        expected = np.asarray(values).astype(float) / (65535 if values.itemsize > 1 else 255)
        if expected.ndim == 2:
            expected = np.repeat(expected[..., None], 3, axis=2)
        assert size == (40, 30)
        assert np.abs(np.asarray(image) / 255 - expected).max() < 0.005


def test_damaged_tiff_is_not_taken_for_an_unread_kind(tmp_path: Path):
    whole = encode_tiff((RGB / 65535).astype(np.float32), sample_format=3)
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(images.Unreadable, match="fetch it again"):
        images.open_image(str(tmp_path / "cut.tif"))


@pytest.mark.parametrize("draft", [None, 32])
@pytest.mark.parametrize("options", JPEG_OPTIONS, ids=str)
def test_jpeg_cut_before_its_end_marker_is_unreadable(tmp_path: Path, options, draft):
    path = tmp_path / "a.jpg"
    for seed in range(5):
        jpeg = encode(draw_image(seed, (161 + seed, 120)), "JPEG", **options)
        path.write_bytes(cut_before_end(jpeg, (1 + seed) / 8))
        with pytest.raises(images.Unreadable, match="cut short"):
            images.open_image(str(path), draft=draft)
        path.write_bytes(jpeg)
        images.open_image(str(path), draft=draft)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", JPEG_OPTIONS, ids=str)
def test_sound_jpeg_that_ends_in_grey_is_read(tmp_path: Path, options, mode):
    rng = random.Random(1)
    for _ in range(4):
        size = (rng.randrange(9, 90), rng.randrange(9, 90))
        grey = Image.new("RGB", size, (128, 128, 128))
        grey.paste(draw_image(3, (9, 9)))
        jpeg = encode(grey.convert(mode), "JPEG", **options)
        for content in (jpeg, jpeg + b"trailer \xff\xda\xff\xd9", jpeg + b"\0" * 50):
            (tmp_path / "a.jpg").write_bytes(content)
            with Image.open(io.BytesIO(jpeg)) as expected:
                opened, _ = images.open_image(str(tmp_path / "a.jpg"))
                assert np.array_equal(opened, expected.convert("RGB"))
