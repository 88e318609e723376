#!/usr/bin/env python3
"""Measures pages in Chromium: how fast the review page opens and answers, and the gallery's Drop.

    benchmarks/pages.py                 2,000 sets of two drawn images, below /tmp
    benchmarks/pages.py --sets 200      fewer

Opening: from the start of navigation until the first frame after the page's script has run.
A key or click: from its event in the page until the frame that shows the answer is painted; each
kind PRESSES times, with the decisions of all earlier ones in the draft.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import CHROMIUM, Browser  # noqa: E402

SETS_PER_TOPIC = 50
PRESSES = 100
# In this order: name, what is pressed for each, and which of these keys is measured.
KEYS = {
    "next set": ("j", 0),
    "keep the second": ("j2", 1),
    "pair is different": ("jd", 1),
    "accept": ("a", 0),
    "undo": ("u", 0),
    "previous set": ("k", 0),
}
# On all sets: what is set before a click, and what is clicked. Each is undone after it.
BULK = {
    "mark all copies as done": ("at('alike').value = '0'", "at('accept-alike')"),
    "keep the image with a caption in all sets": (
        "at('rule').value = 'caption'",
        "at('apply-rule')",
    ),
}
NEXT_FRAME = (
    "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
)
# A task after the next frame starts when that frame is painted.
LISTEN = """
let answered;
const paintedSince = start => new Promise(done => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => done(performance.now() - start);
  channel.port2.postMessage(0);
}));
addEventListener("keydown", event => answered = paintedSince(event.timeStamp), {capture: true});
const click = node => {
  const start = performance.now();
  node.click();
  return paintedSince(start);
};
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2_000)
    sets = parser.parse_args().sets
    if CHROMIUM is None:
        print("Chromium is missing", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        review, gallery = make_pages(Path(folder), sets)
        print(f"{sets:,} sets: the page has {review.stat().st_size / 1e6:.1f} MB")
        with Browser() as browser:
            measure(browser, review)
            measure_gallery(browser, gallery)
    return 0


def make_pages(folder: Path, sets: int) -> tuple[Path, Path]:
    rng = np.random.default_rng(7)
    for topic in range(-(-sets // SETS_PER_TOPIC)):
        path = folder / f"Set/C/S/T{topic:03}"
        path.mkdir(parents=True)
        copies: dict[str, list[str]] = {}
        for number in range(min(SETS_PER_TOPIC, sets - topic * SETS_PER_TOPIC)):
            coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)
            names = [f"{number:02} {size}.jpg" for size in ("large", "small")]
            image.save(path / names[0], quality=90)
            image.resize((240, 180)).save(path / names[1], quality=80)
            (path / names[1]).with_suffix(".txt").write_text("the small one")
            copies |= {names[0]: [names[1]], names[1]: [names[0]]}
        (path.parent / f"duplicates_{path.name}.json").write_text(json.dumps(copies))
        scores = {name: round(rng.uniform(1, 9), 4) for name in copies}
        (path / "aesthetic_data.json").write_text(json.dumps(scores))
    review, gallery = folder / "review.html", folder / "gallery.html"
    for script, page in (("duplicates_stats.py", review), ("aesthetic_stats.py", gallery)):
        command = [sys.executable, ROOT / script, folder / "Set", "--html", page, "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    return review, gallery


def measure(browser: Browser, page: Path) -> None:
    opening = []
    for _ in range(5):
        start = time.perf_counter()
        browser.open(page, 1200)
        browser.value(NEXT_FRAME)
        opening.append(time.perf_counter() - start)
    print(
        f"opens in {statistics.median(opening):.2f} s (median of 5, at most {max(opening):.2f} s)"
    )
    print(f"elements at the start: {browser.value('document.querySelectorAll(`*`).length'):,}")
    measure_keys(browser)
    measure_clicks(browser)


def measure_keys(browser: Browser) -> None:
    browser.value(LISTEN)
    browser.call("Performance.enable", timeDomain="threadTicks")
    for name, (keys, measured) in KEYS.items():
        answers = []
        for _ in range(PRESSES):
            for number, key in enumerate(keys):
                before = cpu_seconds(browser)
                for kind in ("keyDown", "keyUp"):
                    browser.call("Input.dispatchKeyEvent", type=kind, key=key)
                answer = browser.value("answered"), 1000 * (cpu_seconds(browser) - before)
                if number == measured:
                    answers.append(answer)
        report(f"{name} ({keys[measured]})", answers)


def measure_clicks(browser: Browser) -> None:
    button = "document.querySelector('[data-filter=open]')"
    report("show only what is not done", [measure_click(browser, button) for _ in range(PRESSES)])
    for name, (setting, node) in BULK.items():
        answers = []
        for _ in range(PRESSES):
            browser.value(setting)
            answers.append(measure_click(browser, node))
            browser.value("undo()")
        report(name, answers)


def measure_gallery(browser: Browser, page: Path) -> None:
    browser.open(page, 1200)
    browser.value(LISTEN)
    drops = "document.querySelectorAll('[aria-label^=Drop]')"
    answers = [measure_click(browser, f"{drops}[{number}]") for number in range(PRESSES)]
    report("gallery of the best and worst: drop", answers)


def measure_click(browser: Browser, node: str) -> tuple[float, float]:
    before = cpu_seconds(browser)
    return browser.value(f"click({node})"), 1000 * (cpu_seconds(browser) - before)


def cpu_seconds(browser: Browser) -> float:
    """Return the CPU time of the page's main thread: other programs do not add to it."""
    metrics = browser.call("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


def report(name: str, answers: list[tuple[float, float]]) -> None:
    """Print medians and maxima of pairs of milliseconds: until the answer, and of CPU time."""
    walls, cpus = zip(*answers, strict=True)
    wall = f"{statistics.median(walls):.0f} ms (median of {PRESSES}), at most {max(walls):.0f}"
    cpu = f"{statistics.median(cpus):.0f} ms, at most {max(cpus):.0f}"
    print(f"{name}: {wall}; of CPU time {cpu}")


if __name__ == "__main__":
    raise SystemExit(main())
