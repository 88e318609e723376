#!/usr/bin/env python3
"""Measures the page to review duplicates in Chromium: how fast it opens, and answers a key.

    benchmarks/pages.py                 2,000 sets of two drawn images, below /tmp
    benchmarks/pages.py --sets 200      fewer

Opening: from the start of navigation until the first frame after the page's script has run. A key:
from sending it until the frame after it was handled; `a` accepts a set and goes to the next, a
digit chooses another keeper.
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
KEYS = ("a", "2", "a", "1", "u") * 10
NEXT_FRAME = (
    "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2_000)
    sets = parser.parse_args().sets
    if CHROMIUM is None:
        print("Chromium is missing", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        page = make_page(Path(folder), sets)
        print(f"{sets:,} sets: the page has {page.stat().st_size / 1e6:.1f} MB")
        with Browser() as browser:
            measure(browser, page)
    return 0


def make_page(folder: Path, sets: int) -> Path:
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
            copies |= {names[0]: [names[1]], names[1]: [names[0]]}
        (path.parent / f"duplicates_{path.name}.json").write_text(json.dumps(copies))
    page = folder / "review.html"
    command = [sys.executable, ROOT / "duplicates_stats.py", folder / "Set", "--html", page]
    subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL, env=os.environ)
    return page


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
    answers = []
    for key in KEYS:
        start = time.perf_counter()
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key=key)
        browser.value(NEXT_FRAME)
        answers.append(1000 * (time.perf_counter() - start))
    print(f"a key: {statistics.median(answers):.0f} ms (median), at most {max(answers):.0f} ms")


if __name__ == "__main__":
    raise SystemExit(main())
