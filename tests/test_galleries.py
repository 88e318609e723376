"""The best and worst images on the page of a ranking, and what a person drops there."""

from __future__ import annotations

import json
import os
import random
import shlex
from pathlib import Path

import pytest
from browser import Browser
from conftest import draw_image
from result_files import write_scores
from test_review import until

import aesthetic_stats
import merge_clusters
import split_data
from common import cli, tree
from reports import galleries

HOSTILE = "</script><img src=x onerror=alert(1)> 🦉".replace("/", "∕")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two clusters of one topic with 10 images each, scored 0 to 9 and 5 to 9.5."""
    for cluster, step in (("A", 1.0), ("B", 0.5)):
        folder = tmp_path / "It's" / cluster / "S" / "T"
        folder.mkdir(parents=True)
        scores = {}
        for number in range(10):
            name = f"{number}{HOSTILE if number == 9 else ''}.jpg"
            draw_image(number, (60, 45)).save(folder / name)
            scores[name] = number * step + (5 if cluster == "B" else 0)
        (topic,) = tree.find_topics([str(folder)], print)
        write_scores(topic, scores)
    return tmp_path / "It's"


def write_page(dataset: Path, *options: object) -> Path:
    page = dataset.parent / "scores.html"
    arguments = [str(dataset), "--html", str(page), "--quiet", *map(str, options)]
    assert cli.run_script(aesthetic_stats.main, arguments) == 0
    return page


def click(browser: Browser, selector: str) -> None:
    browser.value(f"document.querySelector({json.dumps(selector)}).click()")


def shown(browser: Browser) -> list[str]:
    return browser.value(
        "[...document.querySelectorAll('.piece figcaption')].map(e => e.textContent)"
    )


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_gallery_has_the_best_and_the_worst_and_none_twice(tmp_path, size):
    rng = random.Random(size)
    for total in (1, 2, 5, 13, 40):
        images = []
        for number in range(total):
            images.append(galleries.ScoredImage(rng.randint(0, 9), f"/{number:03}", "/"))
        gallery = galleries.Gallery("", size)
        for start in range(0, total, 4):
            gallery.add(images[start : start + 4])
        best, worst = gallery.parts().values()
        ranked = sorted(images, key=lambda image: (-image.score, image.path))
        assert best == ranked[: min(size, total - min(size, total // 2))]
        assert worst == ranked[::-1][: min(size, total // 2)]
        assert {*best}.isdisjoint(worst)


def test_what_is_dropped_in_a_gallery_is_in_no_merge_and_no_split(browser, dataset, tmp_path, run):
    browser.open(write_page(dataset, "--gallery", 3), 1200)
    assert shown(browser)[:3] == [f"9.50 9{HOSTILE}.jpg", f"9.00 9{HOSTILE}.jpg", "9.00 8.jpg"]
    assert [text[:4] for text in shown(browser)[3:]] == ["0.00", "1.00", "2.00"]
    assert browser.value("at('bar').hidden")
    browser.value("document.querySelectorAll('.piece .shot')[3].click()")
    assert browser.value(
        "document.querySelector('#full img').decode().then(() =>"
        " document.querySelector('#full img').src.startsWith('file:'))"
    )
    for key in ("d", "ArrowRight", "ArrowRight", "d", "ArrowLeft", "d", "d"):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key=key)
    assert browser.value("at('which').textContent").startswith("5 of 6 · 1.00 · It's/A/S/T/1.jpg")
    click(browser, "#close")
    assert browser.value("at('count').textContent") == "2 images to drop"
    browser.open(dataset.parent / "scores.html", 1200)  # a draft has them
    assert browser.value("at('count').textContent") == "2 images to drop"
    folder = tmp_path / "down"
    folder.mkdir()
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    click(browser, "#save")
    path = until(lambda: next((p for p in folder.glob("*.json") if p.stat().st_size), None))
    script, *arguments = shlex.split(browser.value("at('commands').textContent"))
    assert script == aesthetic_stats.__file__
    assert arguments == [str(dataset), "--decisions", "~/Downloads/decisions.json"]
    assert json.loads(path.read_text())["drop"] == ["A/S/T/0.jpg", "A/S/T/2.jpg"]
    assert run(aesthetic_stats, dataset, "--decisions", path)[0] == 0
    assert run(merge_clusters, dataset, "--output", tmp_path / "full")[1]["dropped"] == 2
    merged = {path.name for path in (tmp_path / "full/A").rglob("*.jpg")}
    assert merged.isdisjoint({"0.jpg", "2.jpg"}) and len(merged) == 8
    split = run(split_data, dataset, "--output-dir", tmp_path)[1]
    assert split["counts"]["dropped"] == 2
    assert browser.errors == []
    # now that the dataset has the decisions, they are no draft; a press takes one back
    browser.open(write_page(dataset, "--gallery", 3), 390, dark=True)
    assert browser.value("at('bar').hidden")
    assert browser.value("document.querySelectorAll('.piece.out').length") == 2
    click(browser, ".piece.out button:last-child")
    assert browser.value("at('count').textContent") == "1 image no longer dropped"
    path.unlink()
    click(browser, "#save")
    path = until(lambda: next((p for p in folder.glob("*.json") if p.stat().st_size), None))
    assert "drop" not in json.loads(path.read_text())
    assert run(aesthetic_stats, dataset, "--decisions", path)[0] == 0
    assert json.loads((dataset / "decisions.json").read_text())["drop"] == ["A/S/T/2.jpg"]
    assert browser.value("document.documentElement.scrollWidth") <= 390
    assert browser.value("document.querySelectorAll('[onerror], img[src=x]').length") == 0
    assert browser.errors == []


def test_a_cluster_and_a_bar_of_the_histogram_lead_to_their_images(browser, dataset):
    browser.open(write_page(dataset, "--gallery", 3), 1200)
    options = "[...at('which-gallery').options].map(option => option.textContent)"
    assert browser.value(options) == ["All images", "It's/A", "It's/B"]
    browser.value("at('which-gallery').value = 2; at('which-gallery').onchange")
    browser.value("at('which-gallery').dispatchEvent(new Event('change'))")
    assert [text[:4] for text in shown(browser)] == ["9.50", "9.00", "8.50", "5.00", "5.50", "6.00"]
    bars = browser.value("[...document.querySelectorAll('[data-bar]')].map(bar => bar.ariaLabel)")
    assert "5 to 6: show some of 3 images" in bars or "5.0 to 6.0: show some of 3 images" in bars
    for number in range(len(bars)):
        browser.value(f"document.querySelectorAll('[data-bar]')[{number}].click()")
        low, high = (float(part) for part in bars[number].split(":")[0].split(" to "))
        scores = [float(text.split()[0]) for text in shown(browser)]
        assert scores and all(low <= score <= high for score in scores)
    assert browser.errors == []


def test_a_page_without_galleries_has_none(dataset):
    source = write_page(dataset, "--gallery", 0).read_text()
    assert "Best and worst" not in source and "data-bar=" not in source
    assert os.path.getsize(dataset.parent / "scores.html") < 400_000
