#!/usr/bin/env python3
"""Regenerate the samples of output in README.md and docs/ from a real run on the sample dataset.

A sample is the code block that follows a marker. A marker may select a number of lines, from the
start or from the first line with some words. With --pictures, also make the two images of the
README (docs/terminal.png, docs/page.png), which needs Chromium.

    <!-- sample: NAME -->
    <!-- sample: NAME, 7 lines -->
    <!-- sample: NAME, 6 lines from Clusters -->

examples:
  demo/samples.py              rewrite the samples in README.md and docs/
  demo/samples.py --pictures   and the pictures
"""

from __future__ import annotations

import argparse
import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

DATASETS = "DataSet_1 DataSet_2"
LINES = 40  # of the summary in its screenshot
COMMANDS = {  # in this order: later ones read the results of earlier ones
    "dataset_stats": f"dataset_stats.py {DATASETS}",
    "aesthetic_scorer": f"aesthetic_scorer.py {DATASETS} --model tiny",
    "aesthetic_stats": f"aesthetic_stats.py {DATASETS} --html page.html",
    "find_duplicates": f"find_duplicates.py {DATASETS}",
    "duplicates_stats": f"duplicates_stats.py {DATASETS}",
    "merge_clusters": f"merge_clusters.py {DATASETS}",
    "again": "find_duplicates.py full_dataset",
    "split_data": "split_data.py full_dataset --exclude-duplicates",
}
MARKER = r"<!-- sample: (?P<name>\w+)(?:, (?P<lines>\d+) lines(?: from (?P<words>[^\n]+))?)? -->"
SAMPLE = re.compile(rf"(?P<head>{MARKER}\n```\w*\n).*?(?P<end>^```)", re.DOTALL | re.MULTILINE)


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        subprocess.run(
            [sys.executable, ROOT / "demo/make_dataset.py", folder],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        outputs = {name: output(command, folder) for name, command in COMMANDS.items()}
        for page in PAGES:
            page.write_text(with_samples(page.read_text("utf-8"), outputs), "utf-8")
        if args.pictures:
            take_pictures(outputs["aesthetic_stats"], folder / "page.html")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", action="store_true", help="also make docs/*.png")
    return parser.parse_args()


def output(command: str, folder: Path) -> str:
    """Return what a command prints on stdout, with /data as its folder."""
    script, *arguments = command.split()
    environment = {
        **os.environ,
        "PYTHONIOENCODING": "utf-8",
        "CURATION_NO_NEXT_STEP": "1",  # it would show where this machine keeps the scripts
    }
    run = [sys.executable, str(ROOT / script), *arguments, "--quiet"]
    done = subprocess.run(
        run, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.replace(str(folder.resolve()), "/data").rstrip()


def with_samples(page: str, outputs: dict[str, str]) -> str:
    """Replace the samples of a Markdown page by what the commands printed."""
    return SAMPLE.sub(
        lambda match: match["head"] + part(outputs[match["name"]], match) + match["end"], page
    )


def part(printed: str, asked: re.Match[str]) -> str:
    """Return the lines that a marker selects."""
    lines = printed.splitlines()
    if asked["words"]:
        while lines and asked["words"] not in lines[0]:
            del lines[0]
        if not lines:
            raise SystemExit(
                f"samples.py: error: {asked['name']} prints no line with: {asked['words']}"
            )
    return "".join(f"{line}\n" for line in lines[: int(asked["lines"] or len(lines))])


def take_pictures(summary: str, page: Path) -> None:
    """Take a screenshot of a summary, as in a terminal, and one of a page."""
    from browser import Browser

    terminal = page.with_name("terminal.html")
    lines = html.escape("\n".join(summary.splitlines()[:LINES]))
    terminal.write_text(
        "<meta charset=utf-8><style>body{margin:0;background:#15161a;color:#e8e8ea;padding:18px}"
        f"pre{{font:14px/18px 'DejaVu Sans Mono',monospace;margin:0}}</style><pre>{lines}</pre>"
    )
    (ROOT / "docs").mkdir(exist_ok=True)
    with Browser() as browser:
        for name, shown, width, height in (
            ("terminal", terminal, 720, 18 * LINES + 36),
            ("page", page, 1100, 1150),
        ):
            browser.open(shown, width)
            browser.screenshot(ROOT / f"docs/{name}.png", height)


if __name__ == "__main__":
    main()
