"""The table of image formats: names, openers and checks follow from its rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, draw_image
from PIL import features

from common import image_formats
from imaging import images

ENDINGS = [(row, ending) for row in image_formats.FORMATS for ending in row.endings]
# Runs a script with one more row in the table.
WITH_A_ROW = """
import sys, types
path, script = sys.argv[1:3]
source = open(path).read()
table = types.ModuleType("common.image_formats")
sys.modules["common.image_formats"] = table
row = 'KNOWN_FORMATS = (ImageFormat("PPM", (".ppm",)),'
exec(source.replace("KNOWN_FORMATS = (", row, 1), table.__dict__)
sys.path.insert(0, path.rpartition("/common/")[0])
raise SystemExit(__import__(script).main(sys.argv[3:]))
"""


@pytest.mark.parametrize(("row", "ending"), ENDINGS, ids=[ending for _, ending in ENDINGS])
def test_files_of_every_row_count_open_and_fit_their_name(tmp_path, row, ending):
    if row.name == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow cannot write this format here")
    for name in (f"a{ending}", f"b{ending.upper()}"):
        draw_image(1).save(tmp_path / name, row.name)
        assert image_formats.is_image_name(name)
        assert images.open_image(str(tmp_path / name))[0].size == (64, 48)
        header = images.read_header(str(tmp_path / name))
        assert image_formats.format_of_content(header.format) == row


@pytest.mark.parametrize("name", [".jpg", "._a.jpg", "jpg", "a.jpg.txt", "a.", "a", "a.svg"])
def test_other_names_are_not_images(name):
    assert not image_formats.is_image_name(name)


def test_a_new_format_is_one_row(tmp_path: Path, make_topic) -> None:
    topic = make_topic("D/C/S/T", "a.ppm", "b.PPM")
    draw_image(3).save(topic / "c.png", "PPM")
    arguments = [tmp_path / "D", "--json", "--output", tmp_path / "out.json"]
    table = ROOT / "common" / "image_formats.py"
    process = subprocess.run(
        [sys.executable, "-c", WITH_A_ROW, table, "dataset_stats", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    result = json.loads(process.stdout)
    assert result["total_files"] == 3 and result["unreadable"] == 0
    assert result["format_counts"] == {"PPM": 3}
    assert [entry["path"] for entry in result["misnamed_files"]] == ["D/C/S/T/c.png"]
