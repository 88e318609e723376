#!/usr/bin/env python3
"""Write the table in docs/scorers.md from that in common/clip/scorers.py.

A test compares the two.

example:
  demo/scorers_table.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common.clip.scorers import SCORERS, Scorer  # noqa: E402

PAGE = ROOT / "docs/scorers.md"
COLUMNS = (
    "`--head`",
    "model (`--model`, weights)",
    "input",
    "weights",
    "head",
    "what scores mean",
    "published",
)
TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)


def main() -> None:
    PAGE.write_text(page(), "utf-8")


def page() -> str:
    """Return the page with the current table."""
    rule = ["---" for _ in COLUMNS]
    table = "".join(f"| {' | '.join(row)} |\n" for row in (COLUMNS, rule, *map(cells, SCORERS)))
    return TABLE.sub(lambda _: table, PAGE.read_text("utf-8"))


def cells(row: Scorer) -> tuple[str, ...]:
    megabytes = row.size / 1e6
    head = f"{megabytes:.1f} MB" if megabytes >= 1 else f"{row.size / 1e3:.0f} kB"
    name = row.page.removeprefix("https://github.com/")
    return (
        f"`{row.head}`",
        f"`{row.model}`, {row.weights}",
        f"{row.pixels}x{row.pixels}",
        f"{row.gigabytes:.2f} GB",
        f"{head}, {row.licence}",
        row.means,
        f"[{name}]({row.page})",
    )


if __name__ == "__main__":
    main()
