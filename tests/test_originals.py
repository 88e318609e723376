"""Of an original and its copy the original is kept, and what was measured for that is kept too."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED, draw_image
from PIL import Image, ImageFilter

import aesthetic_scorer
import duplicates_stats
import find_duplicates
import merge_clusters
from common import cli
from common.reporter import dump_json
from duplicates import originality
from imaging import images
from imaging.images import StoredImage
from keeping import enlargements
from keeping.copy_traits import ImageTraits

QUIET = ["--quiet", "--workers", "0"]
PHOTOS = 6
SIDE = 1200  # pixels of an original


def save_copies(folder: Path, photo: Image.Image, number: int) -> None:
    """Save one photo and a copy of it, in a topic for each kind of copy."""
    half = photo.resize((photo.width // 2, photo.height // 2))
    double = photo.resize((photo.width * 2, photo.height * 2), Image.Resampling.BICUBIC)
    copies = {
        "q35": (photo, f"b{number}.jpg", {"quality": 35}),
        "double": (double, f"a{number}_big.jpg", {"quality": 60}),
        "webp": (photo, f"b{number}.webp", {"quality": 70}),
        "half": (half, f"a{number}.jpg", {"quality": 95}),
    }
    for kind in (*copies, "same"):
        topic = folder / f"{kind}{number}"
        topic.mkdir(parents=True)
        original = topic / f"photo {number}.jpg"
        photo.save(original, quality=95)
        if kind == "same":
            shutil.copyfile(original, topic / f"photo {number} - Copy.jpg")
        else:
            image, name, options = copies[kind]
            image.save(topic / name, **options)


@pytest.mark.skipif(not (SHARED / "photos").is_dir(), reason="needs real photos")
def test_of_thirty_sets_the_original_stays(tmp_path: Path) -> None:
    photos = sorted((SHARED / "photos" / "wallpapers").rglob("*.jp*g"))[::7][:PHOTOS]
    assert len(photos) == PHOTOS
    dataset = tmp_path / "Photos"
    for number, path in enumerate(photos):
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        save_copies(dataset / "C" / "S", photo, number)
    target = tmp_path / "full"
    scored = [str(dataset), "--model", "tiny", *QUIET]
    assert cli.run_script(aesthetic_scorer.main, scored) == 0
    assert cli.run_script(find_duplicates.main, [str(dataset), *QUIET]) == 0
    merged = [str(dataset), "--output", str(target), "--quiet"]
    assert cli.run_script(merge_clusters.main, merged) == 0
    dropped = []
    for line in (target / "merge_manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["action"] == "duplicate":
            name = Path(entry["source"]).name
            dropped.append((Path(entry["source"]).parent.name, name, entry["reason"]))
    wrong = [each for each in dropped if each[1].startswith("photo") and "Copy" not in each[1]]
    assert len(dropped) == 5 * PHOTOS
    assert len(wrong) <= 1, wrong
    assert not [each for each in wrong if each[0].startswith(("same", "double"))]


def measure(image: Image.Image, quality: int) -> ImageTraits:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    picture = Image.open(file)
    table = tuple(picture.quantization[0])
    stored = StoredImage(picture.convert("RGB"), "JPEG", False, False, table, "", 1)
    return originality.measure_image(stored)


@pytest.mark.skipif(not (SHARED / "photos").is_dir(), reason="needs real photos")
@pytest.mark.parametrize("blur", [0, 0.5, 0.8, 1.2])  # pixels
def test_a_soft_photo_is_no_enlargement_of_its_reduced_copy(blur: float) -> None:
    taken_for_one, told = 0, 0
    paths = sorted((SHARED / "photos" / "wallpapers").rglob("*.jp*g"))[3::9]
    for path in paths:
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        half = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)
        double = half.resize(photo.size, Image.Resampling.BICUBIC)
        told += enlargements.is_upscale(measure(double, 85), measure(half, 90))
        soft = photo.filter(ImageFilter.GaussianBlur(blur))
        small = soft.resize(half.size, Image.Resampling.LANCZOS)
        taken_for_one += enlargements.is_upscale(measure(soft, 95), measure(small, 85))
    assert told >= 0.9 * len(paths)
    assert taken_for_one <= 0.1 * len(paths)


def draw_photo(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Draw an image with fine detail, which shrinking and compression lose."""
    noise = np.random.default_rng(seed).normal(0, 25, (240, 320, 1))
    pixels = np.asarray(draw_image(seed, (320, 240)), float) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize(size)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Two topics: three copies of an image, and two of another beside an image alone."""
    for topic, names in {"T": ("a.png", "b.jpg", "c.webp"), "U": ("d.png", "e.jpg")}.items():
        folder = tmp_path / "Set/C/S" / topic
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            draw_photo(ord(topic), (320 - 40 * number, 240 - 30 * number)).save(folder / name)
    draw_image(7, (200, 150)).save(tmp_path / "Set/C/S/U/alone.png")
    return tmp_path / "Set"


def search(dataset: Path, *options: str) -> None:
    arguments = [str(dataset), *QUIET, *options]
    assert cli.run_script(find_duplicates.main, arguments) == 0


def merge(dataset: Path, target: Path, *options: str, capsys) -> dict:
    capsys.readouterr()
    arguments = [str(dataset), "--output", str(target), "--json", "--quiet", *options]
    assert cli.run_script(merge_clusters.main, arguments) == 0
    return json.loads(capsys.readouterr().out)


def read_caches(folder: Path) -> dict[str, bytes]:
    paths = [*folder.rglob(".cache/images.json"), *folder.rglob(".cache/pairs.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def measured_images(images_json: Path) -> set[str]:
    return set(json.loads(images_json.read_text()).get("originality", {}).get("images", ()))


def forbid(monkeypatch: pytest.MonkeyPatch, *functions: str) -> None:
    for name in functions:
        monkeypatch.setattr(f"imaging.images.{name}", lambda *_, **__: pytest.fail("opened"))


def test_only_images_with_copies_are_measured_and_only_once(sets: Path, monkeypatch) -> None:
    search(sets)
    assert measured_images(sets / "C/S/T/.cache/images.json") == {"a.png", "b.jpg", "c.webp"}
    assert measured_images(sets / "C/S/U/.cache/images.json") == {"d.png", "e.jpg"}
    before = read_caches(sets)
    forbid(monkeypatch, "open_stored", "open_image")
    search(sets)
    assert read_caches(sets) == before


def strip_originality(dataset: Path) -> None:
    """Leave the caches as a version without these numbers writes them."""
    for path in dataset.rglob(".cache/images.json"):
        content = json.loads(path.read_text())
        content.pop("originality", None)
        path.write_text(dump_json(content))
    for path in dataset.rglob(".cache/pairs.json"):
        content = json.loads(path.read_text())
        content.pop("/terms", None)
        path.write_text(dump_json(content))


def test_a_tree_of_the_version_before_is_measured_without_looking_at_pairs_again(
    sets: Path, monkeypatch
) -> None:
    search(sets)
    before = read_caches(sets)
    strip_originality(sets)
    forbid(monkeypatch, "open_image")
    monkeypatch.setattr(
        "duplicates.classification.decide_pair", lambda *_: pytest.fail("looked again")
    )
    search(sets)
    assert read_caches(sets) == before


def test_a_set_with_an_image_that_was_not_measured_goes_by_size_as_a_whole(
    sets: Path, tmp_path: Path, capsys
) -> None:
    draw_photo(84, (640, 480)).save(sets / "C/S/T/b.jpg", quality=30)  # large and poor
    search(sets)
    by_worth = merge(sets, tmp_path / "by worth", capsys=capsys)
    assert (by_worth["sets_by_size"], by_worth["duplicates"]) == (0, 3)
    assert (tmp_path / "by worth/C/S/T/a.png").exists()
    images_json = sets / "C/S/T/.cache/images.json"
    content = json.loads(images_json.read_text())
    del content["originality"]["images"]["c.webp"]
    images_json.write_text(dump_json(content))
    assert merge(sets, tmp_path / "by size", capsys=capsys)["sets_by_size"] == 1
    assert (tmp_path / "by size/C/S/T/b.jpg").exists()
    assert cli.run_script(duplicates_stats.main, [str(sets)]) == 0
    assert "1 set by size alone: run find_duplicates.py" in capsys.readouterr().out


def test_changed_bytes_are_measured_again_and_copied_trees_are_not(
    sets: Path, tmp_path: Path, monkeypatch
) -> None:
    search(sets)
    draw_photo(84, (300, 220)).save(sets / "C/S/T/c.webp")
    shutil.copytree(sets, tmp_path / "Copy", copy_function=shutil.copyfile)  # other times
    opened = []
    open_stored = images.open_stored

    def watch(path: str, max_pixels: int) -> images.StoredImage:
        opened.append(Path(path).name)
        return open_stored(path, max_pixels)

    monkeypatch.setattr("imaging.images.open_stored", watch)
    search(tmp_path / "Copy")
    assert opened == ["c.webp"]


def test_what_was_measured_travels_with_a_merge(
    sets: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    search(sets)
    merge(sets, tmp_path / "full", "--keep-duplicates", capsys=capsys)
    target, source = tmp_path / "full/C/S", sets / "C/S"
    assert measured_images(target / "T/.cache/images.json") == {"a.png", "b.jpg", "c.webp"}
    before = read_caches(tmp_path / "full")
    merge(sets, tmp_path / "full", "--keep-duplicates", capsys=capsys)
    assert read_caches(tmp_path / "full") == before
    forbid(monkeypatch, "open_stored")
    search(tmp_path / "full")
    pairs = [json.loads((path / "T/.cache/pairs.json").read_text()) for path in (target, source)]
    assert pairs[0]["/terms"].keys() == pairs[1]["/terms"].keys() != set()


def test_copies_in_other_topics_are_measured_once_and_ranked_together(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    for topic, quality in (("T", 95), ("U", 30)):
        folder = tmp_path / "Set/C/S" / topic
        folder.mkdir(parents=True)
        draw_photo(3).save(folder / f"{topic}.jpg", quality=quality)
        draw_image(ord(topic), (200, 150)).save(folder / "alone.png")
    search(tmp_path / "Set", "--across")
    assert measured_images(tmp_path / "Set/C/S/T/.cache/images.json") == {"T.jpg"}
    before = read_caches(tmp_path / "Set")
    forbid(monkeypatch, "open_stored", "open_image")
    search(tmp_path / "Set", "--across")
    assert read_caches(tmp_path / "Set") == before
    merge(tmp_path / "Set", tmp_path / "full", "--drop-across", capsys=capsys)
    lines = (tmp_path / "full/merge_manifest.jsonl").read_text().splitlines()
    dropped = [line for line in map(json.loads, lines) if line["action"] == "duplicate"]
    assert [line["reason"] for line in dropped] == [
        "a copy of C/S/T/T.jpg, which stays: less compressed"
    ]


def test_what_an_earlier_merge_brought_stays_the_keeper(sets: Path, tmp_path: Path, capsys) -> None:
    """The target of a merge by size alone: the large and poor copy is in it."""
    draw_photo(84, (640, 480)).save(sets / "C/S/T/b.jpg", quality=30)
    search(sets)
    strip_originality(sets)
    merge(sets, tmp_path / "full", capsys=capsys)
    search(sets)
    again = merge(sets, tmp_path / "full", capsys=capsys)
    assert (again["better_left_out"], again["copied"]) == (1, 0)
    assert sorted(path.name for path in (tmp_path / "full/C/S/T").glob("[a-z]*")) == ["b.jpg"]
    state = (tmp_path / "full/merge_manifest.jsonl").read_bytes(), read_caches(tmp_path / "full")
    merge(sets, tmp_path / "full", capsys=capsys)
    after = (tmp_path / "full/merge_manifest.jsonl").read_bytes(), read_caches(tmp_path / "full")
    assert after == state
    assert cli.run_script(merge_clusters.main, [str(sets), "--output", str(tmp_path / "full")]) == 0
    assert "1 better copy left out" in capsys.readouterr().out
