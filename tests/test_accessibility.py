"""axe-core finds nothing serious on any page, in light and dark, on a phone and a wide screen."""

from __future__ import annotations

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
    "aesthetic": "document.querySelector('.piece .shot').click()",
    "review": "next(1); keep(here.images[1]); accept(); go(sets[0]); look(here, here.pairs[0])",
}


@pytest.fixture(scope="module", autouse=True)
def axe() -> None:
    if not AXE.exists():
        pytest.skip("no axe-core here: type make axe, which needs npm and a network")


def serious_faults(browser: Browser) -> list[str]:
    browser.value(AXE.read_text() + "\n;1")
    script = """axe.run({resultTypes: ['violations']}).then(({violations}) => violations.map(
        ({id, impact, nodes}) => [impact, id, nodes.slice(0, 3).map(({html}) => html)]))"""
    found = browser.value(script)
    return [f"{fault}: {nodes}" for impact, fault, nodes in found if impact in SERIOUS]


@pytest.mark.parametrize("kind", PAGES)
def test_nothing_serious_is_found(
    browser,
    kind,
    tmp_path: Path,
    run: Callable,
    monkeypatch,
):
    monkeypatch.chdir(tmp_path)
    dataset = make_dataset(tmp_path)
    script, options = PAGES[kind]
    page = tmp_path / "page.html"
    assert run(script, dataset, *options, "--html", page)[0] == 0
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


def test_a_serious_fault_would_be_found(browser, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<html lang=en><title>a</title><main><h1>a</h1><input><img src='data:,'></main>"
    )
    browser.open(page, 1200)
    assert len(serious_faults(browser)) == 2
