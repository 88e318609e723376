"""--html says where the page is, and --open opens it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture
def dataset(make_topic, tmp_path: Path) -> Path:
    topic = make_topic("DataSet/C/S/T", "a.jpg", "b.jpg")
    (topic / "aesthetic_data.json").write_text('{"a.jpg": 5.5, "b.jpg": 4.5}')
    matches = '{"a.jpg": ["b.jpg"], "b.jpg": ["a.jpg"]}'
    (topic.parent / "duplicates_T.json").write_text(matches)
    return tmp_path / "DataSet"


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script with a browser that only writes down what it is to open."""
    browser = folder / "browser.sh"
    browser.write_text(f"#!/bin/sh\nprintf %s \"$1\" > '{folder}/opened'\n")
    browser.chmod(0o755)
    return subprocess.run(
        [sys.executable, ROOT / str(arguments[0]), *map(str, arguments[1:])],
        cwd=folder,
        env={**os.environ, "BROWSER": f"{browser} %s"},
        capture_output=True,
        text=True,
        timeout=120,
    )


SCRIPTS = ["dataset_stats.py", "aesthetic_stats.py", "duplicates_stats.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_page_is_named_and_opened(script, dataset, tmp_path):
    ran = run(tmp_path, script, dataset, "--html", "a page.html", "--open", "--json")
    assert ran.returncode == 0, ran.stderr
    assert f"page: {tmp_path}/a page.html" in ran.stderr
    assert (tmp_path / "opened").read_text() == (tmp_path / "a page.html").as_uri()
    assert isinstance(json.loads(ran.stdout), dict)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_page_is_opened_unasked_and_none_without_html(script, dataset, tmp_path):
    assert run(tmp_path, script, dataset, "--html", "page.html").returncode == 0
    ran = run(tmp_path, script, dataset, "--open")
    assert ran.returncode == 2 and "--open needs a page: add --html FILE" in ran.stderr
    assert not (tmp_path / "opened").exists()
