"""The pages: self-contained, small, safe from hostile names, working in a real browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_image
from PIL import Image

import aesthetic_stats
import dataset_stats
from common import cli
from common.reporter import dump_json
from reports import page

HOSTILE = "<img src=x onerror=alert(1)>"
QUOTES = "\"' onload='alert(2)' x=\"</script><script>alert(3)</script>{{ 7 * 7 }}"
NAMES = [HOSTILE, QUOTES.replace("/", "∕"), "フクロウ 🦉", "a\nb", "\udcff", "plain"]
PAGES = {"dataset": dataset_stats, "aesthetic": aesthetic_stats}


def build(folder: Path, subclusters: int = 2, topics: int = 8, images: int = 4) -> Path:
    """A dataset with scores, hostile names at every level, and every kind of fault."""
    for number in range(subclusters):
        for topic in range(topics):
            name = NAMES[topic % len(NAMES)] + (str(topic) if topic >= len(NAMES) else "")
            path = folder / HOSTILE / "C" / f"S{number}{HOSTILE}" / name
            path.mkdir(parents=True)
            scores = {}
            for image in range(images):
                file = f"{NAMES[image % len(NAMES)]}{image}.jpg"
                draw_image(number * 1000 + topic * 50 + image, (200 + 9 * image, 150)).save(
                    path / file, quality=40
                )
                scores[file] = 4 + topic / 10 + image / 100
            (path / "aesthetic_data.json").write_bytes(
                dump_json({**scores, f"gone{HOSTILE}": 1.0}).encode()
            )
    (path / f"{HOSTILE}.png").write_bytes((path / file).read_bytes())  # misnamed
    (path / f"{QUOTES.replace('/', '')}.png").touch()  # unreadable
    (path.parent / f"Empty{HOSTILE}").mkdir()
    return folder / HOSTILE


def written(kind: str, dataset: Path, folder: Path, *options: str) -> Path:
    target = folder / f"{kind}.html"
    arguments = [
        str(dataset),
        "--html",
        str(target),
        "--output",
        str(folder / "x.json"),
        "--quiet",
        *options,
    ]
    assert cli.run_script(PAGES[kind].main, arguments) == 0
    return target


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    dataset = build(folder / "data")
    return {kind: written(kind, dataset, folder) for kind in PAGES}


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_needs_nothing_else_and_hostile_names_are_text(pages, kind):
    source = pages[kind].read_text()
    elements = Elements(source).found
    scripts = [attributes for tag, attributes in elements if tag == "script"]
    assert [kind for kind in scripts if kind != {"type": "application/json", **kind}] == [{}]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    embedded, links = [], []
    for tag, attributes in elements:
        for key in attributes.keys() & {"src", "href"}:
            (links if tag == "a" else embedded).append(attributes[key])
    assert len(embedded) > 3
    assert all(value.startswith("data:") for value in embedded)
    # To images below the page: relative, with each special character quoted.
    assert len(links) > 3
    assert all(re.fullmatch(r"data/[\w%./-]+\.(jpg|png)", link, re.ASCII) for link in links)
    assert {tag for tag, _ in elements}.isdisjoint({"iframe", "object", "embed", "form", "base"})
    assert html.escape(HOSTILE) in source
    assert "{{ 7 * 7 }}" in source
    assert r"\udcff" in source


@pytest.mark.parametrize("kind", PAGES)
def test_the_policy_allows_the_one_script(pages, kind):
    source = pages[kind].read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(
        a["content"]
        for _, a in Elements(source).found
        if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def noise(path: Path, seed: int) -> None:
    """A picture that hardly compresses."""
    pixels = np.random.default_rng(seed).integers(0, 256, (160, 240, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, quality=90)


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_stays_small_and_says_what_it_leaves_out(tmp_path, kind, monkeypatch):
    dataset = build(tmp_path / "data", subclusters=3, topics=40, images=3)
    for number, path in enumerate(sorted(dataset.rglob("*.jpg"))):
        noise(path, number)
        Image.open(path).resize((100 + number, 100)).save(path)
    monkeypatch.setattr(page, "MAX_PAGE_BYTES", 230_000)
    monkeypatch.setattr(page, "MIN_THUMBNAIL_BYTES", 100_000)
    monkeypatch.setattr(page, "MAX_ROWS", 80)
    target = written(kind, dataset, tmp_path)
    source = target.read_text()
    assert 120_000 < target.stat().st_size <= page.MAX_PAGE_BYTES
    assert re.search(r"[\d,]+ thumbnails left out", source)
    assert re.search(r"\d+ (smaller )?topics? left out", source)
    assert source.count("data:image/webp") >= 5


def test_thumbnails_go_to_the_most_telling_topics(tmp_path, monkeypatch):
    """With room for half: the best and worst of every subcluster before any second best."""
    for sub, scores in (("A", (0, 1, 5, 5, 9, 10)), ("B", (4.8, 4.9, 5, 5, 5.1, 5.2))):
        for topic, score in enumerate(scores):
            folder = tmp_path / f"Set/C/{sub}/{sub}{topic}"
            folder.mkdir(parents=True)
            noise(folder / "a.jpg", topic)
            (folder / "aesthetic_data.json").write_text(json.dumps({"a.jpg": score}))
    whole = written(
        "aesthetic", tmp_path / "Set", tmp_path, "--top", "2", "--gallery", "0"
    ).read_text()
    pictures = [len(uri) for uri in re.findall(r"data:image/webp[^\"]*", whole)]
    assert len(pictures) == 8
    monkeypatch.setattr(page, "MAX_PAGE_BYTES", len(whole.encode()) - int(3.5 * sum(pictures) / 8))
    monkeypatch.setattr(page, "MIN_THUMBNAIL_BYTES", 0)
    source = written(
        "aesthetic", tmp_path / "Set", tmp_path, "--top", "2", "--gallery", "0"
    ).read_text()
    assert sorted(re.findall(r'alt="a.jpg: [\d.]+, the best of (..)"', source)) == [
        "A0",
        "A5",
        "B0",
        "B5",
    ]
    assert "4 thumbnails left out" in source


@pytest.mark.parametrize("kind", PAGES)
def test_the_same_dataset_gives_the_same_page(pages, kind):
    before = pages[kind].read_bytes()
    dataset = pages[kind].parent / "data" / HOSTILE
    assert written(kind, dataset, pages[kind].parent).read_bytes() == before


def test_a_page_without_a_readable_image(tmp_path):
    topic = tmp_path / "Set/C/S/T"
    topic.mkdir(parents=True)
    (topic / "a.jpg").touch()
    (topic / "aesthetic_data.json").write_text('{"a.jpg": 5}')
    assert "No readable image" in written("dataset", tmp_path / "Set", tmp_path).read_text()
    assert "unreadable</div>" in written("aesthetic", tmp_path / "Set", tmp_path).read_text()


def scored(folder: Path, *topics: str) -> None:
    """Topics of one image with a score each, the first topic's the highest."""
    for number, topic in enumerate(topics):
        (folder / topic).mkdir(parents=True)
        draw_image(number).save(folder / topic / "a.jpg")
        (folder / topic / "aesthetic_data.json").write_text(json.dumps({"a.jpg": 9 - number / 10}))


def test_a_name_is_like_no_other_on_the_page_folded_ones_included(tmp_path):
    others = [f"Set/C/Sub {number:02}/T" for number in range(14)]
    scored(tmp_path, "Set/Things/Table/T", *others[:7], "Set/Kitchen/Table/T", *others[7:])
    source = written("aesthetic", tmp_path / "Set", tmp_path).read_text()
    names = re.findall(r'<td title="(.*?)">(.*?)</td>', source)
    subclusters = {
        label: name.replace("<wbr>", "") for label, name in names if label.count("/") == 2
    }
    tables = [label for label in subclusters if label.endswith("Table")]
    assert "6 between them" in source and len(subclusters) == len(set(subclusters.values())) == 16
    assert (
        [subclusters[label] for label in tables]
        == tables
        == ["Set/Things/Table", "Set/Kitchen/Table"]
    )
    assert subclusters["Set/C/Sub 03"] == "Sub 03"


@pytest.mark.parametrize(("topics", "is_open"), [(5, True), (6, False)])
def test_a_long_list_of_what_wants_attention_starts_folded(tmp_path, topics, is_open):
    scored(tmp_path, *[f"Set/C/S/T{number}" for number in range(topics)])
    source = written("dataset", tmp_path / "Set", tmp_path).read_text()
    (attention,) = re.findall(r'<section class="attention">.*?</section>', source, re.DOTALL)
    assert f"<details{' open' if is_open else ''}><summary>{topics} topics too small" in attention


VISIBLE = (
    "[...document.querySelectorAll('[data-topic]')]"
    ".filter(e => e.getClientRects().length).map(e => e.dataset.topic)"
)


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_without_a_complaint(browser, pages, kind, width, dark):
    browser.open(pages[kind], width, dark)
    browser.value("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert browser.value(
        "Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode())))"
        ".then(() => true)"
    )
    assert browser.errors == []
    assert (
        browser.value("document.documentElement.scrollWidth") <= width
    )  # nothing to scroll to the side
    dim = browser.value(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part < 60)"
    )
    assert dim == dark
    assert browser.value(f"document.body.textContent.includes({json.dumps(HOSTILE)})")
    assert browser.value("document.querySelectorAll('[onerror], img[src=x]').length") == 0
    assert len(browser.value(VISIBLE)) >= 12


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("sides", [(130, 1600), (14, 66000)])
def test_the_scale_of_the_scatter_is_whole(browser, tmp_path, width, sides):
    """No tick is cut off by an edge of the drawing, and none lies on another."""
    topic = tmp_path / "Set/C/S/T"
    topic.mkdir(parents=True)
    for number, side in enumerate(sides):
        Image.new("L", (side, 14 if side > 9000 else side)).save(topic / f"{number}.png")
    browser.open(written("dataset", tmp_path / "Set", tmp_path), width)
    box = (
        "(e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] })"
    )
    left, top, right, bottom = browser.value(f"{box}(document.querySelector('svg'))")
    texts = browser.value(f"[...document.querySelectorAll('svg[aria-label] text')].map({box})")
    assert len(texts) >= 8
    for one, text in enumerate(texts):
        assert left <= text[0] and top <= text[1] and text[2] <= right and text[3] <= bottom
        for other in texts[:one]:
            assert (
                text[0] >= other[2]
                or other[0] >= text[2]
                or text[1] >= other[3]
                or other[1] >= text[3]
            )


@pytest.mark.parametrize("kind", PAGES)
def test_the_search_filters(browser, pages, kind):
    browser.open(pages[kind], 1200)
    assert browser.value("document.querySelector('label.find').getClientRects().length") == 1
    for typed, fits in (
        ("フクロウ", 2),
        ("s1 plain", 1),
        ("ONERROR フクロウ s0", 1),
        ("nothing like it", 0),
    ):
        browser.value(f"box.value = {json.dumps(typed)}; box.dispatchEvent(new Event('input'))")
        shown = browser.value(VISIBLE)
        assert len(shown) == fits
        assert all(word in topic for topic in shown for word in typed.lower().split())
        assert browser.value("document.getElementById('found').textContent") == f"{fits} found"
        assert (
            browser.value(
                "[...document.querySelectorAll('details.group')].filter(e => !e.hidden).length"
            )
            <= fits
        )
    browser.value("box.value = ''; box.dispatchEvent(new Event('input'))")
    assert browser.value("document.querySelectorAll('[data-topic][hidden]').length") == 0
    assert browser.errors == []


@pytest.mark.parametrize("kind", PAGES)
def test_a_search_in_the_address(browser, pages, kind):
    browser.open(pages[kind], 390, find="plain%20s0")
    assert len(browser.value(VISIBLE)) == 1
    browser.open(pages[kind], 390, find="%E0%A4%A")  # half an escape
    assert browser.errors == []


def test_a_planted_script_does_not_run(browser, pages, tmp_path):
    """Were a name ever to slip through unescaped, the page's policy would still stop it."""
    planted = tmp_path / "planted.html"
    source = pages["dataset"].read_text()
    planted.write_text(
        source.replace(
            "</main>", "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'></main>"
        )
    )
    browser.open(planted, 1200)
    assert browser.value("window.ran ?? 'blocked'") == "blocked"
    assert browser.errors
