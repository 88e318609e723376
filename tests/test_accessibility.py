"""axe-core finds nothing serious on any page, in light and dark, on a phone and a wide screen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from fetch_axe import AXE
from test_outcome_pages import make_dataset

import aesthetic_stats
import dataset_stats
import duplicates_stats
import merge_clusters
import split_data

PAGES: dict[str, tuple[Any, list[str]]] = {
    "dataset": (dataset_stats, ["--output", "x.json"]),
    "aesthetic": (aesthetic_stats, []),
    "review": (duplicates_stats, []),
    "merge": (merge_clusters, ["--output", "full", "--dry-run"]),
    "split": (split_data, ["--train", "3", "--valid", "1"]),
}
SERIOUS = ("serious", "critical")
OPENERS = {  # what shows more of a page
    "aesthetic": "document.querySelector('.piece .shot').click(), at('drop').click()",
    "review": "next(1); keep(here.images[1]); accept(); go(sets[0]); look(here, here.pairs[0])",
}


@pytest.fixture
def axe() -> None:
    if not AXE.exists():
        pytest.skip("no axe-core here: type make axe, which needs npm and a network")


def serious_faults(browser: Browser) -> list[str]:
    browser.value(AXE.read_text() + "\n;1")
    script = """axe.run({resultTypes: ['violations']}).then(({violations}) => violations.map(
        ({id, impact, nodes}) => [impact, id, nodes.slice(0, 3).map(({html}) => html)]))"""
    found = browser.value(script)
    return [f"{fault}: {nodes}" for impact, fault, nodes in found if impact in SERIOUS]


@pytest.fixture
def write_page(tmp_path: Path, run: Callable, monkeypatch) -> Callable[[str], Path]:
    monkeypatch.chdir(tmp_path)
    dataset = make_dataset(tmp_path)

    def write(kind: str) -> Path:
        script, options = PAGES[kind]
        page = tmp_path / "page.html"
        assert run(script, dataset, *options, "--html", page)[0] == 0
        return page

    return write


@pytest.mark.parametrize("kind", PAGES)
def test_nothing_serious_is_found(axe, browser, kind, write_page: Callable[[str], Path]):
    page = write_page(kind)
    for width in (390, 1200):
        for dark in (False, True):
            browser.open(page, width, dark)
            browser.value("localStorage.clear()")
            browser.open(page, width, dark)
            browser.value("document.querySelectorAll('details').forEach(e => e.open = true)")
            assert serious_faults(browser) == []
            if kind in OPENERS:
                browser.value(OPENERS[kind] + ", 1")
                assert serious_faults(browser) == []


def test_a_serious_fault_would_be_found(axe, browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<html lang=en><title>a</title><main><h1>a</h1><input><img src='data:,'></main>"
    )
    browser.open(page, 1200)
    assert len(serious_faults(browser)) == 2


MAX_STOPS = 80
DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
FOCUS = """(() => {
    const node = document.activeElement, style = getComputedStyle(node);
    if (node === document.body || node === window.firstFocus) return null;  // once around
    window.firstFocus ??= node;
    const box = node.getBoundingClientRect(), before = window.lastFocus;
    window.lastFocus = node;
    const bar = node.closest("#bar, dialog") ? null : document.getElementById("bar");
    return {
        name: node.outerHTML.slice(0, 120),
        follows: !before || Boolean(before.compareDocumentPosition(node) & 4),
        outlined: [style, getComputedStyle(node.closest("label") ?? node)].some(
            ({outlineStyle, outlineWidth}) => outlineStyle !== "none" && outlineWidth !== "0px"),
        onScreen: box.bottom > 0 && box.top < (bar?.getBoundingClientRect().top || innerHeight),
        left: box.left + scrollX,
        top: box.top + (node.closest("#bar") ? 1e6 : scrollY),
    };
})()"""


def press_key(browser: Browser, key: str, code: int, text: str = "") -> None:
    browser.call(
        "Input.dispatchKeyEvent",
        type="keyDown" if text else "rawKeyDown",
        key=key,
        windowsVirtualKeyCode=code,
        text=text,
    )
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)


@pytest.mark.parametrize("width", [390, 1200])
@pytest.mark.parametrize("kind", PAGES)
def test_the_focus_is_seen_and_follows_the_reading_order(browser, kind, width, write_page):
    browser.open(write_page(kind), width)
    browser.value("localStorage.clear()")
    browser.value(DRAWN)
    stops = []
    for _ in range(MAX_STOPS):
        press_key(browser, "Tab", 9)
        focus = browser.value(FOCUS)
        if focus is None:
            break
        stops.append(focus)
    assert len(stops) >= 4
    assert [stop["name"] for stop in stops if not stop["follows"]] == []
    assert [stop["name"] for stop in stops if not stop["outlined"]] == []
    assert [stop["name"] for stop in stops if not stop["onScreen"]] == []
    for before, after in itertools.pairwise(stops):
        assert after["top"] >= before["top"] - 30 or after["left"] > before["left"], after["name"]


@pytest.mark.parametrize(
    ("kind", "opener"),
    [("review", ".shot"), ("aesthetic", ".piece .shot"), ("review", "[data-key='?']")],
)
def test_a_dialog_returns_the_focus(browser, kind, opener, write_page):
    browser.open(write_page(kind), 1200)
    browser.value("localStorage.clear()")
    browser.value(DRAWN)
    browser.value(f"document.querySelector({json.dumps(opener)}).focus()")
    press_key(browser, "Enter", 13, "\r")
    in_dialog = "Boolean(document.activeElement.closest('dialog[open]'))"
    assert browser.value(in_dialog)
    press_key(browser, "Escape", 27)
    browser.value("new Promise(done => setTimeout(done))")  # after the event of closing
    assert browser.value("document.querySelectorAll('dialog[open]').length") == 0
    assert browser.value(f"document.activeElement.matches({json.dumps(opener)})")


def test_the_focus_follows_to_another_set(browser, write_page):
    browser.open(write_page("review"), 1200)
    browser.value("localStorage.clear()")
    browser.value(DRAWN)
    browser.value("document.querySelector('.shot').focus()")
    press_key(browser, "Enter", 13, "\r")
    press_key(browser, "j", 74)
    press_key(browser, "Escape", 27)
    browser.value("new Promise(done => setTimeout(done))")
    assert browser.value("document.activeElement.ariaLabel") == "Set 2 of 2"
    press_key(browser, "k", 75)
    assert browser.value("document.activeElement.ariaLabel") == "Set 1 of 2"
    press_key(browser, "Tab", 9)
    assert browser.value("document.activeElement.closest('.set').ariaLabel") == "Set 1 of 2"


@pytest.mark.parametrize("kind", PAGES)
def test_every_image_has_a_text_or_is_decoration_of_a_named_button(browser, kind, write_page):
    browser.open(write_page(kind), 1200)
    unnamed = """[...document.images].filter(image => !image.alt
        && !image.closest("button[aria-label]")).map(image => image.outerHTML.slice(0, 80))"""
    assert browser.value(unnamed) == []
