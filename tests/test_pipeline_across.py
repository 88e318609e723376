"""pipeline.sh on two datasets that share copies and hold damaged files; a target of before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, draw_image
from PIL import Image, ImageOps
from test_merge_safety import manifest_lines

import find_duplicates
import merge_clusters

TOPIC = Path("C/S/T")
COPIES = {
    "q35.jpg": lambda image, path: image.save(path, quality=35),
    "half.png": lambda image, path: image.resize((160, 120)).save(path),
    "twice.jpg": lambda image, path: image.resize((640, 480)).save(path, quality=90),
    "other.webp": lambda image, path: image.save(path, quality=70),
    "grey.jpg": lambda image, path: ImageOps.grayscale(image).save(path),
    "old.bmp": lambda image, path: image.save(path),
}
DAMAGED = {"cut.jpg": None, "empty.jpg": b"", "page.png": b"<html>"}


def draw(seed: int) -> Image.Image:
    grain = Image.effect_noise((320, 240), 90).convert("RGB")
    return Image.blend(draw_image(seed, (320, 240)), grain, 0.3)


def plant(folder: Path) -> tuple[dict[str, str], set[str]]:
    """Make datasets A and B. Returns the original of each copy, and the damaged files."""
    originals, damaged = {}, set()
    for number, (name, save) in enumerate(COPIES.items()):
        with_original, with_copy = ("A", "B") if number % 2 else ("B", "A")
        original = folder / with_original / TOPIC / f"{number}.png"
        copy = folder / with_copy / TOPIC / name
        for path in (original, copy):
            path.parent.mkdir(parents=True, exist_ok=True)
        image = draw(number)
        image.save(original)
        save(image, copy)
        originals[str(copy)] = str(original)
    for number, (name, content) in enumerate(DAMAGED.items()):
        path = folder / "AB"[number % 2] / TOPIC / name
        if content is None:
            draw(99).save(path)
            content = path.read_bytes()[:2000]
        path.write_bytes(content)
        damaged.add(str(path))
    return originals, damaged


def run_pipeline(folder: Path) -> None:
    command = [ROOT / "pipeline.sh", folder / "A", folder / "B", "--output", folder / "full"]
    environment = {**os.environ, "PYTHON": sys.executable}
    ran = subprocess.run(
        [*command, "--model", "tiny", "--workers", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("has_target", [False, True])
def test_no_copy_and_nothing_damaged_is_in_the_result(run, tmp_path, has_target):
    """With a target of before, from dataset A alone, what is in it stays and comes once."""
    originals, damaged = plant(tmp_path)
    target = tmp_path / "full"
    if has_target:
        assert run(find_duplicates, tmp_path / "A")[0] == 0
        assert run(merge_clusters, tmp_path / "A", "--output", target)[0] == 0
    before = {path.name for path in (target / TOPIC).glob("*.*")}
    run_pipeline(tmp_path)
    lines = {line["source"]: line for line in manifest_lines(target)}
    sources = {
        str(path)
        for name in "AB"
        for path in (tmp_path / name / TOPIC).iterdir()
        if path.name not in (".cache", "aesthetic_data.json")
    }
    assert lines.keys() == sources
    assert {path for path, line in lines.items() if line["action"] == "unreadable"} == damaged
    for copy, original in originals.items():
        pair = {copy: lines[copy]["target"], original: lines[original]["target"]}
        assert sum(map(bool, pair.values())) == 1, pair
        assert pair[original] or os.path.basename(pair[copy]) in before, pair
    status, told, _ = run(find_duplicates, target)
    assert (status, told["matches"], told["unreadable"]) == (0, 0, 0)
    assert before <= {path.name for path in (target / TOPIC).iterdir()}
