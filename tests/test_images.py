"""The image opener: what it reads, how exactly, and its reasons for what it cannot read."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zoo
from conftest import ROOT, draw_image
from PIL import Image, ImageOps

from imaging import images

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

TURNED = ["orientation_6.png", "orientation_6.tif", "orientation_6.webp", "orientation_6.avif"]
CUT = {  # every format and compression: (format, options for saving)
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "restarts": ("JPEG", {"restart_marker_rows": 1}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "webp lossless": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", {"compression": "tiff_deflate"}),
    "tiff jpeg": ("TIFF", {"compression": "jpeg"}),
    "tiff packbits": ("TIFF", {"compression": "packbits"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def readable(folder) -> list[str]:
    return zoo.write_readable_files(folder)


@pytest.fixture(scope="module")
def unreadable(folder) -> dict[str, str]:
    return zoo.write_unreadable_files(folder)


def read_pixels(path: Path | str, **options) -> np.ndarray:
    return np.asarray(images.open_image(str(path), **options)[0])


def test_readable_files_become_rgb_of_the_size_in_their_header(folder, readable):
    for name in readable:
        image, extent = images.open_image(str(folder / name))
        header = images.read_header(str(folder / name))
        assert (image.mode, image.size, extent) == ("RGB", extent, (header.width, header.height)), (
            name
        )


def test_unreadable_files_have_a_reason_and_a_remedy(folder, unreadable):
    Path("/tmp/postscript-was-run").unlink(missing_ok=True)
    for name, part in unreadable.items():
        with pytest.raises(images.Unreadable) as error:
            images.open_image(str(folder / name))
        assert part in str(error.value), name
        assert "\n" not in str(error.value), name
        assert any(
            remedy in str(error.value) for remedy in ("fetch it again", "chmod", "--max-pixels")
        ), name
    assert not Path("/tmp/postscript-was-run").exists()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_other_modes_equal_pillows_conversion(folder, readable, mode):
    for name in ("plain.jpg", "rgba.png", "palette_alphas.png", "la.png"):
        with Image.open(folder / name) as image:
            assert np.array_equal(
                read_pixels(folder / name, mode=mode), np.asarray(image.convert(mode))
            ), name


@pytest.mark.parametrize("name", [f"orientation_{number}.jpg" for number in range(1, 9)] + TURNED)
def test_every_orientation_comes_out_upright(folder, readable, name):
    if name not in readable:
        pytest.skip("Pillow cannot write this format here")
    got, right = read_pixels(folder / name), np.asarray(zoo.upright_image())
    assert got.shape == right.shape
    assert (
        np.abs(got.astype(int) - right)[4:-4, 4:-4].mean() < 12
    )  # lossy: the borders of the quarters ring
    with Image.open(folder / name) as image:
        judge = ImageOps.exif_transpose(image).convert("RGB")
    assert np.array_equal(got, np.asarray(judge))


def test_a_corrupt_exif_block_is_ignored(folder, readable):
    plain = read_pixels(folder / "plain.jpg")
    for name in ("corrupt_exif.jpg", "corrupt_exif_offset.jpg"):
        assert np.array_equal(read_pixels(folder / name), plain), name


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    deep = np.random.default_rng(5).integers(0, 65536, (100, 70)).astype(np.uint16)
    deep[0, :2] = 0, 65535
    right = np.rint(deep / 257)
    for name in ("deep.png", "deep.tif"):
        Image.fromarray(deep).save(tmp_path / name)
        assert np.array_equal(read_pixels(tmp_path / name)[..., 0], right), name
    big_endian = Image.frombytes("I;16B", (70, 100), deep.astype(">u2").tobytes())
    big_endian.save(tmp_path / "big_endian.tif")
    assert np.array_equal(read_pixels(tmp_path / "big_endian.tif")[..., 0], right)


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ([[0.0, 0.5, 1.0]], [0, 128, 255]),
        ([[0.0, 0.25, 0.5]], [0, 64, 128]),
        ([[0.0, 51.0, 200.0]], [0, 51, 200]),
        ([[0.0, 257.0, 60000.0]], [0, 1, 233]),
        ([[-1.0, 0.0, 1.0]], [0, 128, 255]),
        ([[0.0, 1e6, 1e7]], [0, 26, 255]),
        ([[7.0, 7.0, 7.0]], [7, 7, 7]),
        ([[-7.0, -7.0, -7.0]], [0, 0, 0]),
        ([[np.nan, np.inf, 1.0]], [0, 0, 255]),
    ],
)
def test_float_images_are_scaled_by_the_range_that_holds_them(tmp_path, values, right):
    Image.fromarray(np.array(values, dtype=np.float32)).save(tmp_path / "float.tiff")
    assert read_pixels(tmp_path / "float.tiff")[0, :, 0].tolist() == right


def test_32_bit_integers_are_scaled(tmp_path):
    for values, right in (([[0, 257, 65535]], [0, 1, 255]), ([[-100, 20, 100]], [0, 153, 255])):
        Image.fromarray(np.array(values, dtype=np.int32)).save(tmp_path / "whole.tif")
        assert read_pixels(tmp_path / "whole.tif")[0, :, 0].tolist() == right


def test_alpha_is_dropped_and_the_first_frame_taken(folder, readable):
    for name in ("rgba.png", "animated.png"):
        first = draw_image(1) if name == "rgba.png" else draw_image(20)
        assert np.array_equal(read_pixels(folder / name), np.asarray(first)), name
    for name in ("animated.gif", "animated.webp"):
        got = read_pixels(folder / name).astype(int)
        near, far = (np.abs(got - np.asarray(draw_image(seed))).mean() for seed in (20, 21))
        assert near < 12 < far, name


def test_cmyk_is_the_same_image_whether_adobe_inverted_it_or_not(folder, readable):
    right = np.asarray(draw_image(1)).astype(int)
    assert np.abs(read_pixels(folder / "cmyk_adobe.jpg") - right).mean() < 8
    plain = 255 - read_pixels(folder / "cmyk_plain.jpg").astype(
        int
    )  # its samples are the inverted ones, taken as they are
    assert abs(np.corrcoef(plain.ravel(), right.ravel())[0, 1]) > 0.5


def test_a_jpeg_without_its_end_has_all_its_pixels(folder, readable):
    for draft in (None, 16):
        right = read_pixels(folder / "plain.jpg", draft=draft)
        for name in ("no_end.jpg", "half_an_end.jpg", "more_after_end.jpg", "two_pictures.jpg"):
            assert np.array_equal(read_pixels(folder / name, draft=draft), right), name
    assert np.array_equal(
        read_pixels(folder / "no_end_progressive.jpg"), read_pixels(folder / "progressive.jpg")
    )


@pytest.mark.parametrize("case", CUT)
def test_a_cut_file_is_unreadable_or_lost_no_pixel(tmp_path, case):
    kind, options = CUT[case]
    content = zoo.encode(draw_image(7, (120, 90)), kind, **options)
    path = tmp_path / "picture"
    path.write_bytes(content)
    whole = read_pixels(path)
    cuts = {len(content) - 1 - n for n in range(12)} | set(
        np.linspace(0, len(content) - 1, 25, dtype=int).tolist()
    )
    passed = 0
    for end in cuts:
        path.write_bytes(content[:end])
        try:
            assert np.array_equal(read_pixels(path), whole), end
            passed += 1
        except images.Unreadable:
            continue
    assert passed <= 14  # cuts behind the pixels


def test_a_cut_avif_or_heic_is_unreadable(folder, readable, tmp_path):
    for name in {"plain.avif", "plain.heic"} & set(readable):
        content = (folder / name).read_bytes()
        for end in np.linspace(0, len(content) - 1, 12, dtype=int):
            (tmp_path / name).write_bytes(content[:end])
            with pytest.raises(images.Unreadable):
                images.open_image(str(tmp_path / name))


@pytest.mark.parametrize("case", ["jpeg", "progressive", "restarts"])
def test_zeros_instead_of_a_jpegs_pixels_are_noticed(tmp_path, case):
    kind, options = CUT[case]
    content = zoo.encode(draw_image(7, (120, 90)), kind, **options)
    for lost in (40, 400, len(content) // 3, len(content) // 2):
        (tmp_path / "picture.jpg").write_bytes(content[:-lost] + b"\0" * lost)
        with pytest.raises(images.Unreadable, match=r"cut short|damaged"):
            images.open_image(str(tmp_path / "picture.jpg"))


@pytest.mark.parametrize("case", CUT)
def test_any_damage_gives_a_reason_and_never_another_error(tmp_path, capfd, case):
    kind, options = CUT[case]
    content = zoo.encode(draw_image(7), kind, **options)
    random = np.random.default_rng(len(content))
    for _ in range(40):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] = random.integers(256)
        damaged[random.integers(min(64, len(content)))] = random.integers(256)
        (tmp_path / "picture").write_bytes(damaged)
        for read in (images.open_image, images.read_header):
            try:
                read(str(tmp_path / "picture"))
            except images.Unreadable as error:
                assert str(error) and "\n" not in str(error)
    assert capfd.readouterr().err == ""  # libtiff prints nothing


def test_the_pixel_limit_counts_whole_images(tmp_path):
    path = str(tmp_path / "picture.png")
    draw_image(1, (50, 40)).save(path)
    assert images.open_image(path, max_pixels=2000)[1] == (50, 40)
    with pytest.raises(images.Unreadable, match=r"50x40 is 0 megapixels.*raise --max-pixels"):
        images.open_image(path, max_pixels=1999)
    assert images.read_header(path).width == 50


def test_a_missing_file_and_a_folder_have_a_reason(tmp_path):
    with pytest.raises(images.Unreadable, match="deleted since the folder was listed"):
        images.open_image(str(tmp_path / "gone.jpg"))
    with pytest.raises(images.Unreadable, match=r"cannot be read \(Is a directory\)"):
        images.open_image(str(tmp_path))


@zoo.needs_permissions
def test_a_file_without_read_permission_says_how_to_fix_it(tmp_path):
    zoo.write_unreadable_files(tmp_path, locked=True)
    code = f"from imaging import images; images.open_image({str(tmp_path / 'locked.jpg')!r})"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        preexec_fn=zoo.drop_privileges,
        capture_output=True,
        text=True,
    )
    assert "permission denied; make it readable (chmod +r)" in ran.stderr


def test_drafts_keep_both_sides_as_large_as_requested(tmp_path):
    draw_image(4, (1600, 1000)).save(tmp_path / "large.jpg", quality=95)
    whole = images.open_image(str(tmp_path / "large.jpg"))[0]
    for draft, size in ((448, (800, 500)), (200, (400, 250)), (1001, (1600, 1000))):
        image, extent = images.open_image(str(tmp_path / "large.jpg"), draft=draft)
        assert (image.size, extent) == (size, (1600, 1000))
        near = np.asarray(whole.resize(size, Image.Resampling.BOX)).astype(int)
        assert np.abs(np.asarray(image) - near).mean() < 2


def test_a_gigabyte_of_zeros_behind_a_jpeg_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "padded.jpg"
    draw_image(1).save(path)
    expected, _ = images.open_image(str(path))
    os.truncate(path, 1 << 30)  # sparse: takes no room on the disk
    tracemalloc.start()
    try:
        found, _ = images.open_image(str(path))
        assert images.read_plain_jpeg(str(path)) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.tobytes() == expected.tobytes() and peak < 20_000_000
