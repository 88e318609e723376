"""The page to review duplicates: what it shows, and that a merge follows its decisions."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from conftest import draw_image
from PIL import Image
from result_files import write_copies, write_variants
from test_project import HEAVY_PACKAGES, run_and_list_modules

import duplicates_stats
import find_duplicates
import merge_clusters
from common import cache, cli, tree
from common.reporter import dump_json
from common.topics import Topic
from keeping import keeper_order, keepers
from keeping.equal_images import EqualSets
from keeping.keeper_order import Candidate
from reports import review_page, review_sets

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "\"'</script><script>alert(2)</script>.jpg".replace("/", "∕"),
    "フクロウ 🦉.jpg",
]
HOSTILE += ["a\nb.jpg", "\udcff.jpg", "50%41#?;&.jpg", "{{ 7 * 7 }}.jpg"]


def searched(
    topic: Topic,
    copies: dict[str, dict[str, float]],
    variants: dict[str, dict[str, str]] | None = None,
) -> None:
    """Leave what a search would that found these pairs, with their figures."""
    stamps = topic.image_stamps()
    matches: dict[str, set[str]] = {name: set() for name in stamps}
    for one, others in copies.items():
        for other in others:
            matches[one].add(other)
            matches[other].add(one)
    write_copies(topic, matches)
    write_variants(topic, variants or {})
    made = cache.Provenance({}, stamps)
    sizes = {name: (stamp, Image.open(topic.path_of(name)).size) for name, stamp in stamps.items()}
    cache.update_cache(topic, extents=sizes, duplicates=made, variants=made)
    figures = {
        one: {other: ["copy", alike] for other, alike in others.items()}
        for one, others in copies.items()
    }
    (Path(topic.path) / ".cache/pairs.json").write_bytes(dump_json(figures).encode())


def topic_of(folder: Path) -> Topic:
    return tree.find_topics([str(folder)], print)[0]


def written(dataset: Path, *more: str) -> Path:
    target = dataset.parent / "review.html"
    assert (
        cli.run_script(
            duplicates_stats.main, [str(dataset), "--html", str(target), "--quiet", *more]
        )
        == 0
    )
    return target


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two topics: a chain of copies with hostile names; one copy, variants and a doubtful pair."""
    first, second = (tmp_path / "Set" / "C" / "<b>S" / name for name in ("T", "U"))
    for folder, names in ((first, HOSTILE), (second, [f"{letter}.jpg" for letter in "abcdef"])):
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            quality = (
                95 if name == "b.jpg" else 80 - 5 * number
            )  # b is smaller than a, but not in bytes
            draw_image(number, (300 - 10 * number, 200)).save(folder / name, quality=quality)
    chain = dict(itertools.pairwise(HOSTILE))
    searched(topic_of(first), {one: {other: 0.99} for one, other in chain.items()})
    searched(
        topic_of(second),
        {"a.jpg": {"b.jpg": 0.91}},
        {"c.jpg": {"d.jpg": "mirrored"}, "e.jpg": {"f.jpg": "doubtful"}},
    )
    return tmp_path / "Set"


def embedded(page: Path) -> dict[str, Any]:
    (found,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text()
    )
    return json.loads(found)


def test_a_page_holds_every_set_and_hostile_names_are_text(dataset):
    page = written(dataset)
    source, data = page.read_text(), embedded(page)
    assert source.isascii() or not re.search("[\ud800-\udfff]", source)
    assert (
        source.count("<script") == 2 and "<b>S" not in source
    )  # the page's own script, and its data
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        "default-src 'none'; img-src data: file: 'self'; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'" in source
    )
    assert [
        (each["section"], len(each["images"]), len(each["pairs"])) for each in data["sets"]
    ] == [
        ("copies", 2, 1),  # the least alike first
        ("copies", 7, 6),
        ("variants", 2, 1),
        ("doubtful", 2, 1),
    ]
    names = [*HOSTILE, *(f"{letter}.jpg" for letter in "abcdef")]
    assert [os.path.basename(image["path"]) for image in data["images"]] == names
    assert all(image["thumbnail"].startswith("data:image/webp") for image in data["images"])
    assert [each["pairs"] for each in data["sets"][::2]] == [
        [[7, 8, "copy", 0.91, "more pixels"]],
        [[9, 10, "mirrored", None, "more pixels"]],
    ]
    assert written(dataset).read_text() == source


def test_a_page_is_bounded_and_the_most_doubtful_sets_come_first(tmp_path, monkeypatch):
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    copies = {}
    for number in range(40):
        for side in "ab":
            draw_image(number, (300, 200)).save(folder / f"{number:02}{side}.jpg")
        copies[f"{number:02}a.jpg"] = {f"{number:02}b.jpg": 0.9 + (number * 7 % 40) / 1000}
    searched(topic_of(folder), copies)
    many = tmp_path / "Set/C/S/Many"
    many.mkdir()
    for number in range(
        90
    ):  # all match all: more than there is room for, and not at the cost of the others
        (many / f"{number}.jpg").write_bytes((folder / "00a.jpg").read_bytes())
    searched(
        topic_of(many),
        {f"{one}.jpg": {f"{two}.jpg": 0.5 for two in range(one)} for one in range(90)},
    )
    whole = written(tmp_path / "Set")
    monkeypatch.setattr(review_page, "MAX_PAGE_BYTES", whole.stat().st_size * 3 // 5)
    page = written(tmp_path / "Set")
    data = embedded(page)
    kept = len(data["sets"])
    assert 5 < kept < 40 and page.stat().st_size < review_page.MAX_PAGE_BYTES + 300
    assert f"{41 - kept} sets left out" in page.read_text()
    assert [each["pairs"][0][3] for each in data["sets"]] == sorted(
        a for x in copies.values() for a in x.values()
    )[:kept]
    assert data["dropped_elsewhere"] == 40 - kept + 89


def test_a_page_shows_the_most_similar_doubtful_pairs_and_counts_the_others(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawings of one style are doubtful by hundreds."""
    assert review_sets.MAX_DOUBTFUL_PAIRS <= 200
    monkeypatch.setattr(review_sets, "MAX_DOUBTFUL_PAIRS", 4)
    folder = dataset / "C/S/Drawn"
    folder.mkdir(parents=True)
    doubtful, figures = {}, {}
    for number in range(10):
        one, other = f"{number}a.png", f"{number}b.png"
        for name in (one, other):
            draw_image(number, (60, 40)).save(folder / name)
        doubtful[one] = {other: "doubtful"}
        figures[one] = {other: ["doubtful", (60 + number * 3 % 10) / 100]}
    searched(topic_of(folder), {}, doubtful)
    (folder / ".cache/pairs.json").write_text(json.dumps(figures))
    page = written(dataset)
    sets = embedded(page)["sets"]
    likeness = [each["pairs"][0][3] for each in sets if each["section"] == "doubtful"]
    assert likeness == [0.69, 0.68, 0.67, 0.66]
    assert [each["section"] for each in sets if each["section"] != "doubtful"] == [
        "copies",
        "copies",
        "variants",
    ]
    # Also one of another topic, whose likeness is not known.
    assert "7 doubtful pairs left out; the most similar 4 are here" in page.read_text()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "[1]",
        '{"a.jpg": 1}',
        '{"a.jpg": {"b.jpg": ["copy"]}}',
        '{"a.jpg": {"b.jpg": [0, NaN]}}',
    ],
)
def test_without_figures_a_page_shows_none(dataset, content):
    (dataset / "C/<b>S/U/.cache/pairs.json").write_text(content)
    assert embedded(written(dataset))["sets"][1]["pairs"] == [[7, 8, "copy", None, "more pixels"]]


def test_only_a_page_needs_more_than_the_standard_library(dataset):
    status, loaded, _ = run_and_list_modules("duplicates_stats.py", dataset)
    assert status == 0 and not loaded & {"jinja2", "PIL", *HEAVY_PACKAGES}
    status, loaded, _ = run_and_list_modules(
        "duplicates_stats.py", dataset, "--html", dataset.parent / "x.html"
    )
    assert status == 0 and loaded >= {"jinja2", "PIL"} and not loaded & HEAVY_PACKAGES


def test_a_page_in_a_folder_that_is_not_there(dataset, capsys):
    assert (
        cli.run_script(
            duplicates_stats.main, [str(dataset), "--html", str(dataset / "no/review.html")]
        )
        == 2
    )
    assert "no such folder" in capsys.readouterr().err


@pytest.fixture
def press(browser) -> Callable[[str], None]:
    def call(keys: str) -> None:
        for key in keys.split():
            browser.call("Input.dispatchKeyEvent", type="keyDown", key=key)
            browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    return call


def count(browser: Browser) -> str:
    return browser.value("document.getElementById('count').textContent")


def saved(browser: Browser, folder: Path, press: Callable[[str], None]) -> Path:
    """The file that a press on Save downloads."""
    folder.mkdir(exist_ok=True)
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    before = set(folder.iterdir())
    press("w")
    return until(
        lambda: next((p for p in set(folder.glob("*.json")) - before if p.stat().st_size), None)
    )


def until(found: Callable[[], Any]) -> Any:
    """What `found` gives, as soon as it is anything."""
    for _ in range(600):
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_without_a_complaint(browser, press, dataset, width, dark):
    browser.open(written(dataset), width, dark)
    assert count(browser) == "A merge would now drop 4 images · 0 decisions to save"
    for _ in range(4):  # every set
        press("j Enter")
        assert browser.value(
            "Promise.all([...document.images].map(i => i.decode())).then(() => true)"
        )
        assert browser.value(
            "[...document.querySelectorAll('#panes img')].every(i => i.src.startsWith('file:'))"
        )
        sizes = browser.value(
            "[...document.querySelectorAll('#panes img')]"
            ".map(i => [i.naturalWidth, i.naturalHeight])"
        )
        assert all(
            height == 200 and width > 230 for width, height in sizes
        )  # from disk, not thumbnails
        press("f f b z z Escape ? Escape")
        assert browser.value("document.querySelectorAll('dialog[open]').length") == 0
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelectorAll('[onerror], img[src=x], b b').length") == 0
    assert browser.value("document.body.textContent.includes('<img src=x onerror=alert(1)>')")
    assert browser.value(r"document.body.textContent.includes('\\udcff.jpg')")
    assert browser.errors == []


def test_mark_undo_reload_save_and_load(browser, press, dataset, tmp_path):
    page = written(dataset)
    browser.open(page, 1200)
    press(
        "j d j 2 j s j d"
    )  # a and b differ; the chain's second stays; the variant is the same, the doubtful is not
    assert count(browser) == "A merge would now drop 5 images · 4 decisions to save"
    press("u u")
    browser.open(page, 1200)  # a draft has the rest
    assert count(browser) == "A merge would now drop 4 images · 2 decisions to save"
    press("j j j s")
    assert count(browser) == "A merge would now drop 5 images · 3 decisions to save"
    path = saved(browser, tmp_path / "down", press)
    told = json.loads(path.read_text())
    prefix = "C/<b>S"
    assert path.name == "decisions.json"
    assert {key: told[key] for key in ("different", "same", "keep")} == {
        "different": [[f"{prefix}/U/a.jpg", f"{prefix}/U/b.jpg"]],
        "same": [[f"{prefix}/U/c.jpg", f"{prefix}/U/d.jpg"]],
        "keep": [f"{prefix}/T/{HOSTILE[1]}"],
    }
    stamps = {
        f"{prefix}/U/{name}": stamp
        for name, stamp in topic_of(dataset / prefix / "U").image_stamps().items()
    }
    assert {
        name: (size, int(mtime)) for name, (size, mtime) in told["files"].items() if "/U/" in name
    } == {name: stamp for name, stamp in stamps.items() if name[-5] in "abcd"}
    press("u u u")
    assert count(browser).endswith("0 decisions to save")
    root = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=root, selector="#files")["nodeId"]
    browser.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])
    until(lambda: count(browser).endswith("3 decisions to save"))
    assert count(browser) == "A merge would now drop 5 images · 3 decisions to save"
    assert json.loads(saved(browser, tmp_path / "down2", press).read_text()) == told
    assert browser.errors == []


@pytest.fixture
def far(dataset: Path) -> Path:
    """Matches beyond the topics: a copy in a third, and one in a reference folder."""
    for path in (dataset / "C/X/Y/q.jpg", dataset.parent / "Refs/deep/\udcff r.jpg"):
        path.parent.mkdir(parents=True)
        draw_image(2, (90, 60)).save(path)
    searched(topic_of(dataset / "C/X/Y"), {})
    found = {
        "C/<b>S/U/c.jpg": {
            "C/X/Y/q.jpg": "copy",
            str(dataset.parent / "Refs/deep/\udcff r.jpg"): "copy",
        }
    }
    (dataset / "duplicates_across.json").write_bytes(dump_json(found).encode())
    (dataset / ".cache").mkdir()
    figures = {"C/<b>S/U/c.jpg": {"C/X/Y/q.jpg": ["copy", 0.97]}}
    (dataset / ".cache/pairs.json").write_text(json.dumps(figures))
    return dataset


def test_pairs_across_topics_and_with_references(browser, press, far, tmp_path):
    reference = str(tmp_path / "Refs/deep/\udcff r.jpg")
    assert [each["section"] for each in embedded(written(far / "C/X"))["sets"]] == [
        "across"
    ]  # q's pair alone
    page = written(far)
    across, references = embedded(page)["sets"][-2:]
    assert (across["section"], [pair[2:] for pair in across["pairs"]]) == (
        "across",
        [["copy", 0.97, ""]],
    )
    assert (references["section"], [pair[2:] for pair in references["pairs"]]) == (
        "references",
        [["copy", None, ""]],
    )
    browser.open(page, 1200)
    assert (
        count(browser) == "A merge would now drop 5 images · 0 decisions to save"
    )  # c, for the reference; not q
    browser.value("document.querySelector('[data-filter=across]').click()")
    press("j j j Enter")
    assert browser.value("document.querySelectorAll('.set:not([hidden])').length") == 1
    assert browser.value(
        "Promise.all([...document.querySelectorAll('#panes img')].map(i => i.decode()))"
        ".then(() => true)"
    )
    browser.value("document.querySelector('[data-filter=across]').click()")
    press("Escape j Enter d 1")  # to the references; a reference itself cannot be decided to stay
    assert browser.value(
        "Promise.all([...document.querySelectorAll('#panes img')].map(i => i.decode()))"
        ".then(() => true)"
    )
    assert count(browser) == "A merge would now drop 4 images · 2 decisions to save"
    told = json.loads(saved(browser, tmp_path / "down", press).read_text())
    assert told["different"] == [sorted(["C/<b>S/U/c.jpg", reference])]
    assert told["keep"] == ["C/<b>S/U/c.jpg"]
    assert browser.errors == []


def test_one_file_a_dataset(browser, press, dataset, tmp_path):
    other = tmp_path / "Other"
    shutil.copytree(dataset, other)  # the same paths in both
    target = tmp_path / "both.html"
    assert (
        cli.run_script(
            duplicates_stats.main, [str(dataset), str(other), "--html", str(target), "--quiet"]
        )
        == 0
    )
    browser.open(target, 1200)
    browser.value(
        "sets.filter(set => set.images[0].dataset === 1).slice(0, 1).forEach(set => go(set))"
    )
    press("1")
    assert saved(browser, tmp_path / "one", press).name == "decisions_Other.json"
    browser.value("go(sets.find(set => set.images[0].dataset === 0))")
    press("d")
    first = saved(browser, tmp_path / "two", press)
    until(lambda: len(list(first.parent.glob("*.json"))) == 2)
    told = {path.name: json.loads(path.read_text()) for path in first.parent.iterdir()}
    assert {name: (len(each["different"]), len(each["keep"])) for name, each in told.items()} == {
        "decisions_Set.json": (1, 0),
        "decisions_Other.json": (0, 1),
    }
    press("u u")
    node = browser.call(
        "DOM.querySelector",
        nodeId=browser.call("DOM.getDocument")["root"]["nodeId"],
        selector="#files",
    )
    browser.call("DOM.setFileInputFiles", files=[str(first.parent / name) for name in told], **node)
    until(lambda: count(browser).endswith("2 decisions to save"))
    assert browser.value("decided.map(({pairs, keep}) => [pairs.size, keep.size])") == [
        [1, 0],
        [0, 1],
    ]


def test_search_and_filters(browser, dataset):
    browser.open(written(dataset), 1200)

    def found() -> int:
        return browser.value("document.querySelectorAll('.set:not([hidden])').length")

    for typed, fits in (("フクロウ", 1), ("/u/ jpg", 3), ("/u/ mirrored", 0), ("", 4)):
        browser.value(
            f"at('find').value = {json.dumps(typed)}; at('find').dispatchEvent(new Event('input'))"
        )
        assert found() == fits
    for name, fits in (("borderline", 2), ("across", 0), ("smaller", 1)):
        browser.value(f"document.querySelector('[data-filter={name}]').click()")
        assert found() == fits
        browser.value(f"document.querySelector('[data-filter={name}]').click()")
    assert browser.errors == []


def test_the_rule_in_the_page_is_the_rule(browser, dataset):
    """On random images, matches and decisions, the script drops what select_redundant drops."""
    browser.open(written(dataset), 1200)
    rng, cases, expected = random.Random(5), [], []
    for _ in range(1_000):
        names = [f"{number}.jpg" for number in range(rng.randint(1, 12))]
        scores = rng.choice([[None, 1.0, 2.0], [1.0, 2.0]])
        images = [
            Candidate(name, rng.randint(1, 3), rng.randint(1, 3), rng.choice(scores))
            for name in names
        ]
        matches: dict[str, set[str]] = {name: set() for name in names}
        for one, other in itertools.combinations(names, 2):
            if rng.random() < 0.25:
                matches[one].add(other)
                matches[other].add(one)
        keep = {name for name in names if rng.random() < 0.2}
        digests = {name: rng.choice("12") for name in names if rng.random() < 0.3}
        pairs = list(itertools.combinations(sorted(digests), 2))
        different = {pair for pair in pairs if rng.random() < 0.2}
        equals = EqualSets(digests, names, different, share_matches=rng.random() < 0.7)
        order = []
        for image in keeper_order.rank_candidates(images).order:
            name, first = image.name, equals.set_of(image.name)
            photo = {"path": name, "dataset": 0}
            if first in equals.members:
                photo["equal"] = first
            if equals.node(name) in equals.members:
                photo["node"] = first
            order.append(photo)
        listed = [[name, sorted(others)] for name, others in matches.items()]
        cases.append([order, listed, sorted(keep), sorted(different)])
        kept = [dataclasses.replace(image, keep=image.name in keep) for image in images]
        expected.append(keepers.select_redundant(kept, matches, equals=equals).keepers)
    script = """([order, matches, keep, different]) => {
        const image = name => order.find(({path}) => path === name);
        decided = [{pairs: new Map(different.map(pair => [JSON.stringify(pair), "different"]))}];
        const listed = matches.map(([name, others]) => [image(name), new Set(others.map(image))]);
        const dropped = selectRedundant(order, new Map(listed), new Set(keep.map(image)));
        return Object.fromEntries([...dropped].map(([one, keeper]) => [one.path, keeper.path]));
    }"""
    assert browser.value(f"{json.dumps(cases)}.map({script})") == expected


def test_what_is_decided_on_the_page_is_done_by_a_merge(browser, press, tmp_path):
    """Search, page, decisions, search with them, merge: the chosen images are in the target."""
    folder = tmp_path / "Set/C/S/T"
    folder.mkdir(parents=True)
    for number in range(3):
        for name, width in (("large", 320), ("small", 240)):
            draw_image(number, (width, width * 3 // 4)).save(folder / f"{name}{number}.png")
    assert cli.run_script(find_duplicates.main, [str(tmp_path / "Set"), "--quiet"]) == 0
    page = written(tmp_path / "Set")
    data = embedded(page)
    assert all(
        0.9 <= pair[3] <= 1 for each in data["sets"] for pair in each["pairs"]
    )  # what the search measured
    _, second, third = (
        [data["images"][number]["name"] for number in each["images"]] for each in data["sets"]
    )
    browser.open(page, 1200)
    assert count(browser) == "A merge would now drop 3 images · 0 decisions to save"
    press("j d j 2")  # the first pair is different; of the second pair the second stays
    assert count(browser) == "A merge would now drop 2 images · 2 decisions to save"
    decided = saved(browser, tmp_path / "down", press)
    assert (
        cli.run_script(
            find_duplicates.main, [str(tmp_path / "Set"), "--decisions", str(decided), "--quiet"]
        )
        == 0
    )
    target = tmp_path / "target"
    assert (
        cli.run_script(
            merge_clusters.main, [str(tmp_path / "Set"), "--output", str(target), "--quiet"]
        )
        == 0
    )
    assert {path.name for path in folder.glob("*.png")} - {
        path.name for path in target.rglob("*.png")
    } == {
        second[0],
        third[1],
    }
    browser.open(written(tmp_path / "Set"), 1200)  # what the dataset holds is no draft any more
    assert count(browser) == "A merge would now drop 2 images · 0 decisions to save"
    assert [image["kept"] for image in embedded(tmp_path / "review.html")["images"]].count(
        True
    ) == 1
    assert browser.errors == []
