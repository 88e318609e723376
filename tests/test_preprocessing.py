"""Decoding and resizing for a model: torch's way beside Pillow's, which is slow and obvious."""

from __future__ import annotations

import argparse
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

import imaging.pixels
from common.clip import gpu_decoding, preprocessing
from common.clip.engine import Engine
from common.clip.model import GPU_DECODE, resolve_model
from common.clip.options import add_model_options
from common.errors import UserError
from common.reporter import Reporter
from imaging import images, jpeg_stream, whole_jpegs

BICUBIC = InterpolationMode.BICUBIC
CROPPING = preprocessing.make_fit(Compose([Resize(64, BICUBIC), CenterCrop((64, 64))]))
SQUASHING = preprocessing.make_fit(Compose([Resize((64, 64), BICUBIC)]))
SIDES = st.integers(7, 400)  # no side is 64 times the other, from where images are cropped first


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """Colours that change smoothly, with noise on them."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    pixels = pixels + random.integers(-20, 21, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("fit", [CROPPING, SQUASHING], ids=["cropping", "squashing"])
@pytest.mark.parametrize(
    ("min_shrinking", "max_levels"), [(1.0, 4), (preprocessing.MIN_EXACT_SHRINKING, 2)]
)
@given(width=SIDES, height=SIDES)
def test_torch_fits_an_image_as_pillow_does_within_few_levels(
    fit, min_shrinking, max_levels, width, height
):
    image = noise(width, height)
    expected = np.asarray(fit.steps(image)).astype(int)
    fitted = preprocessing.fit_image(image, fit, min_shrinking).numpy()
    assert fitted.shape == expected.shape
    assert np.abs(fitted - expected).max() <= max_levels
    if not fit.can_shrink(height, width, min_shrinking):
        assert np.array_equal(fitted, expected)


def test_an_image_of_twice_the_size_or_more_differs_by_one_level_in_one_value_of_a_hundred():
    for width, height in ((128, 160), (300, 200), (640, 480)):
        image = noise(width, height)
        differences = np.abs(
            preprocessing.fit_image(image, CROPPING).numpy()
            - np.asarray(CROPPING.steps(image), int)
        )
        assert differences.max() <= 1
        assert 0 < (differences > 0).mean() < 0.01  # Pillow's way would leave none


@pytest.mark.parametrize("height", [1, 63, 64, 65, 200])
def test_a_pixel_array_is_what_numpy_makes_of_the_image(height):
    image = noise(37, height)
    assert np.array_equal(imaging.pixels.pixel_array(image), np.array(image))


@given(width=SIDES, height=SIDES)
def test_output_size_is_that_of_torchvision(width, height):
    if CROPPING.can_shrink(height, width):
        resize = CROPPING.steps.transforms[0]
        assert CROPPING.output_size(height, width) == resize(noise(width, height)).size[::-1]


def test_unknown_steps_are_left_to_pillow():
    for steps in (
        [Resize(64, InterpolationMode.BILINEAR)],
        [Resize(64, BICUBIC, max_size=100)],
        [CenterCrop(64)],
        [Resize(64, BICUBIC), CenterCrop((32, 64))],
    ):
        assert preprocessing.make_fit(Compose(steps)).resize is None


def save_jpeg(path, image: Image.Image, **options: object) -> str:
    image.save(path, "JPEG", **options)
    return str(path)


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}]
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_plain_jpeg_is_decoded_as_the_image_opener_does(tmp_path, options, mode, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save_jpeg(tmp_path / "a.jpg", noise(90, 61).convert(mode), exif=exif, **options)
    image, extent = images.open_image(path)
    jpeg = images.read_plain_jpeg(path)
    assert jpeg and (jpeg.width, jpeg.height) == extent
    assert jpeg.is_progressive == ("progressive" in options)
    content = torch.frombuffer(jpeg.content, dtype=torch.uint8)
    [decoded] = gpu_decoding.decode_jpegs([content], torch.device("cpu"))
    upright = preprocessing.turn_upright(decoded, jpeg.orientation)
    assert np.array_equal(upright.permute(1, 2, 0).numpy(), np.asarray(image))


def test_what_is_no_plain_jpeg_goes_the_way_of_the_image_opener(tmp_path):
    image = noise(40, 30)
    content = io.BytesIO()
    image.save(content, "JPEG")
    files = {
        "cmyk.jpg": image.convert("CMYK"),
        "a.png": image,
        "cut.jpg": content.getvalue()[:-2],
        "half.jpg": content.getvalue()[:400],
        "zeros.jpg": content.getvalue()[:400] + bytes(400),
        "text.jpg": b"hello",
        "empty.jpg": b"",
    }
    for name, what in files.items():
        path = tmp_path / name
        if isinstance(what, bytes):
            path.write_bytes(what)
        else:
            what.save(path)
        assert images.read_plain_jpeg(str(path)) is None, name


def test_a_plain_jpeg_above_the_limit_is_unreadable(tmp_path):
    path = save_jpeg(tmp_path / "a.jpg", noise(40, 30))
    with pytest.raises(images.Unreadable, match="over the limit"):
        images.read_plain_jpeg(path, max_pixels=1000)


def test_one_refused_jpeg_costs_itself_alone(tmp_path):
    good = bytearray(Path(save_jpeg(tmp_path / "a.jpg", noise(40, 30))).read_bytes())
    bad = bytearray(good)
    start = bytes(bad).index(b"\xff\xc4")  # the Huffman tables
    bad[start + 2 : start + 40] = bytes(38)
    contents = [torch.frombuffer(content, dtype=torch.uint8) for content in (good, bad, good)]
    decoded = gpu_decoding.decode_jpegs(contents, torch.device("cpu"))
    assert [image is None for image in decoded] == [False, True, False]


def test_chunks_read_for_the_gpu_come_out_as_decoded_by_the_image_opener(tmp_path):
    paths = []
    for number in range(30):
        image = noise(90 + number, 61 + 5 * number, number)
        kind = ("JPEG", "PNG", "JPEG", "cut", "tiny", "progressive")[number % 6]
        path = tmp_path / f"{number}.{'png' if kind == 'PNG' else 'jpg'}"
        if kind == "tiny":
            image = image.resize((20, 30))
        image.save(path, "PNG" if kind == "PNG" else "JPEG", progressive=kind == "progressive")
        if kind == "cut":
            path.write_bytes(path.read_bytes()[:300])
        paths.append(str(path))
    reader = gpu_decoding.JpegReader(SQUASHING, images.MAX_PIXELS)
    chunks = [reader.__getitems__(paths[start : start + 7]) for start in range(0, 30, 7)]
    assert any(len(chunk.fitted) for chunk in chunks) and any(len(c.content) for c in chunks)
    results = list(gpu_decoding.decode_chunks(iter(chunks), reader, torch.device("cpu")))
    outcomes = [outcome for _, some in results for outcome in some]
    assert len(outcomes) == 30
    pixels = iter(torch.cat([part for part, _ in results]))
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, str):
            with pytest.raises(images.Unreadable, match=outcome[:9]):
                images.open_image(path)
            continue
        image, extent = images.open_image(path)
        assert outcome[0] == extent and outcome[1]
        expected = preprocessing.fit_image(image, SQUASHING)
        assert np.abs(next(pixels).int() - expected.int()).max() <= 2
    assert next(pixels, None) is None


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(97, 64), (104, 65), (200, 150)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_without_its_last_rows_is_unreadable_beside_any_colour(
    tmp_path, mode, size, subsampling
):
    image = noise(*size).convert(mode)
    path = tmp_path / "a.jpg"
    content = Path(save_jpeg(path, image, subsampling=subsampling)).read_bytes()
    images.open_image(str(path))
    path.write_bytes(content[: len(content) * 9 // 10] + jpeg_stream.END)
    with pytest.raises(images.Unreadable, match="cut short"):
        images.open_image(str(path))


def test_a_jpeg_whose_last_pixel_alone_is_grey_is_decoded_once(tmp_path):
    image = noise(300, 200)
    image.paste((128, 128, 128), (299, 199, 300, 200))
    path = save_jpeg(tmp_path / "a.jpg", image, quality=100, subsampling=0)
    with Image.open(path) as jpeg:
        assert whole_jpegs.load_all_pixels(jpeg, path, None, "RGB") is jpeg


def test_a_cut_jpeg_with_an_end_marker_is_unreadable_and_a_grey_one_is_not(tmp_path):
    content = Path(save_jpeg(tmp_path / "whole.jpg", noise(300, 200))).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2] + jpeg_stream.END)
    Image.new("RGB", (300, 200), (128, 128, 128)).save(tmp_path / "grey.jpg")
    reader = gpu_decoding.JpegReader(SQUASHING, images.MAX_PIXELS)
    chunk = reader.__getitems__([str(tmp_path / name) for name in ("cut.jpg", "grey.jpg")])
    assert len(chunk.jpegs) == 1
    [(pixels, outcomes)] = gpu_decoding.decode_chunks([chunk], reader, torch.device("cpu"))
    assert "truncated" in outcomes[0] or "cut" in outcomes[0]
    assert outcomes[1][0] == (300, 200) and len(pixels) == 1


def test_large_jpegs_are_decoded_in_several_calls(tmp_path, monkeypatch):
    paths = [save_jpeg(tmp_path / f"{number}.jpg", noise(300, 200, number)) for number in range(9)]
    reader = gpu_decoding.JpegReader(SQUASHING, images.MAX_PIXELS)
    chunks = [reader.__getitems__(paths[:5]), reader.__getitems__(paths[5:])]
    device = torch.device("cpu")
    at_once = torch.cat([part for part, _ in gpu_decoding.decode_chunks(chunks, reader, device)])
    monkeypatch.setattr(gpu_decoding, "PIXEL_BYTES_PER_CALL", 2 * 300 * 200 * 3)
    calls = []
    decode = gpu_decoding.decode_jpegs
    monkeypatch.setattr(
        gpu_decoding,
        "decode_jpegs",
        lambda contents, device: calls.append(len(contents)) or decode(contents, device),
    )
    cut = torch.cat([part for part, _ in gpu_decoding.decode_chunks(chunks, reader, device)])
    assert calls == [2, 2, 2, 2, 1] and torch.equal(at_once, cut)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_engine_decodes_what_its_workers_read(tmp_path, workers):
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    given = ["--model", "tiny", "--device", "cpu", "--workers", str(workers)]
    args = parser.parse_args(given)
    args.max_pixels, args.quiet = images.MAX_PIXELS, True
    made = Engine(resolve_model(args), args, Reporter(args))
    paths = [save_jpeg(tmp_path / f"{number}.jpg", noise(300, 200, number)) for number in range(9)]
    [(exact, extents)] = made.decode_chunks([paths])
    made.model = dataclasses.replace(made.model, decode=GPU_DECODE)  # the CPU decodes in its place
    [(pixels, outcomes)] = made.decode_chunks([paths])
    assert outcomes == extents and [extent for extent, _ in extents] == [(300, 200)] * 9
    assert (pixels.int() - exact.int()).abs().max() <= 2


def test_decoding_on_a_gpu_without_one_is_refused():
    parser = argparse.ArgumentParser()
    add_model_options(parser)
    args = parser.parse_args(["--model", "tiny", "--device", "cpu", "--decode", "gpu"])
    args.max_pixels, args.quiet = images.MAX_PIXELS, True
    with pytest.raises(UserError, match="--decode gpu: needs an NVIDIA GPU"):
        Engine(resolve_model(args), args, Reporter(args))
    for other in (["--fast-decode"], ["--ray"]):
        args = parser.parse_args(["--model", "tiny", "--decode", "gpu", *other])
        with pytest.raises(UserError, match=f"not together with {other[0]}"):
            resolve_model(args)


def test_pixels_are_turned_on_any_device_as_pillow_does():
    image = noise(13, 7)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    for orientation, method in imaging.pixels.TRANSPOSE_TO_UPRIGHT.items():
        turned = preprocessing.turn_upright(pixels, orientation).permute(1, 2, 0)
        assert np.array_equal(turned.numpy(), np.asarray(image.transpose(method)))
