"""The pages of a merge and of a split: what goes in, what is left out and why, leaks."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from conftest import draw_image
from result_files import write_copies, write_scores, write_variants
from test_page import noise
from test_project import HEAVY_PACKAGES, run_and_list_modules

import merge_clusters
import split_data
from common import tree
from reports import outcome_page

HOSTILE = "</script><img src=x onerror=alert(1)> 🦉.png".replace("/", "∕")
NAMES = ["a.png", "b.png", "c.png", "d.png", "e.png", HOSTILE]


def make_dataset(tmp_path: Path) -> Path:
    """Make a topic: b is a copy of a better one; c and d are variants; e is dropped by a person."""
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        draw_image(number, (90 - 5 * number, 60)).save(folder / name)
    (topic,) = tree.find_topics([str(tmp_path / "Set")], print)
    copies = {name: [] for name in NAMES} | {"a.png": ["b.png"], "b.png": ["a.png"]}
    write_copies(topic, copies)
    write_variants(topic, {"c.png": {"d.png": "mirrored"}, "d.png": {"c.png": "mirrored"}})
    write_scores(topic, dict.fromkeys(NAMES[:5], 5.0))
    (tmp_path / "Set/decisions.json").write_text(json.dumps({"drop": ["C/S/T/e.png"]}))
    return tmp_path / "Set"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path)


def parts(page: Path) -> dict[str, list[str]]:
    """The captions of the figures below each heading."""
    source = page.read_text().split("<main>")[1]
    found = {}
    for section in source.split("<h3>")[1:]:
        heading, _, rest = section.partition("</h3>")
        title = re.sub("<.*?>", "", heading)
        captions = re.findall(r"<figcaption>(.*?)</figcaption>", rest.split("<h3>")[0])
        found[title] = [html.unescape(caption) for caption in captions]
    return found


def test_a_dry_run_shows_what_would_go_in_and_why_the_rest_would_not(dataset, tmp_path, run):
    page, target = tmp_path / "merge.html", tmp_path / "full"
    options = ("--output", target, "--dry-run", "--html", page)
    result = run(merge_clusters, dataset, *options)[1]
    assert not target.exists()
    assert parts(page) == {
        "Kept (outlined), beside the copies that are left out": ["a.png", "b.png"],
        "Without copies 3 images": [HOSTILE, "c.png", "d.png"],
        "Left out 1 image": ["e.png"],
    }
    text = html.unescape(page.read_text())
    for action in result["actions"]:
        assert not action["reason"] or action["reason"] in text
    assert "you decided to drop it" in text and "4 in · 2 left out" in text
    assert run(merge_clusters, dataset, "--output", target, "--html", page)[0] == 0
    assert parts(page)["Kept (outlined), beside the copies that are left out"] == ["a.png", "b.png"]
    assert "What went into each topic" in page.read_text()
    run(merge_clusters, dataset, "--output", target, "--html", page)  # again: nothing to copy
    assert parts(page)["Without copies 3 images"] == [HOSTILE, "c.png", "d.png"]


def test_a_split_shows_both_sets_with_leaks_side_by_side(dataset, tmp_path, run):
    page = tmp_path / "split.html"
    counts = ("--train", 3, "--valid", 1, "--output-dir", tmp_path)
    result = run(split_data, dataset, *counts, "--html", page)[1]
    assert [leak["kind"] for leak in result["leaks"]] == ["mirrored"]
    shown = parts(page)
    leak = "Leaks: a validation image beside the training image that it matches"
    assert shown[leak] == ["c.png", "d.png"]
    assert shown["Training 3 images"] == ["a.png", "b.png"]  # c is shown as a leak
    assert shown["Dropped by you 1 image"] == ["e.png"] and shown["Without a score 1 image"] == [
        HOSTILE
    ]
    run(split_data, dataset, *counts, "--exclude-duplicates", "--html", page)
    shown = parts(page)
    assert shown["Copies of better ones 1 image"] == ["b.png"] and leak not in shown
    assert "keep a.png" in page.read_text()


def test_such_a_page_stays_below_its_bound_and_says_what_it_leaves_out(tmp_path, run, monkeypatch):
    for topic in range(6):
        folder = tmp_path / f"Set/C/S/T{topic}"
        folder.mkdir(parents=True)
        for number in range(30):
            noise(folder / f"{number:02}.jpg", 100 * topic + number)
    page = tmp_path / "merge.html"
    monkeypatch.setattr(outcome_page, "MAX_PAGE_BYTES", 300_000)
    options = ("--output", tmp_path / "full", "--dry-run", "--html", page)
    run(merge_clusters, tmp_path / "Set", *options)
    source = page.read_text()
    assert 200_000 < page.stat().st_size <= 300_000
    assert re.search(r"[\d,]+ thumbnails left out", source) and "and 6 more" in source


def test_only_the_page_needs_more_than_the_script_itself(dataset, tmp_path):
    options = (dataset, "--output", tmp_path / "full", "--dry-run")
    status, loaded, _ = run_and_list_modules("merge_clusters.py", *options)
    assert status == 0 and not loaded & {"jinja2", *HEAVY_PACKAGES}
    page = ("--html", tmp_path / "x.html")
    status, loaded, _ = run_and_list_modules("merge_clusters.py", *options, *page)
    assert status == 0 and "jinja2" in loaded and not loaded & HEAVY_PACKAGES


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("script", [merge_clusters, split_data])
def test_in_a_browser_without_a_complaint(browser, dataset, tmp_path, run, script, width):
    page = tmp_path / "page.html"
    options = ("--output", tmp_path / "full", "--dry-run")
    if script is split_data:
        options = ("--output-dir", tmp_path)
    run(script, dataset, *options, "--html", page)
    browser.open(page, width, dark=width == 390, find="c%20t")
    assert browser.value("document.querySelectorAll('[data-topic]:not([hidden])').length") == 1
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelectorAll('[onerror], img[src=x]').length") == 0
    assert browser.value(f"document.body.textContent.includes({json.dumps(HOSTILE)})")
    assert browser.errors == []
