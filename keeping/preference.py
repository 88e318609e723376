"""Which of several copies is kept if somebody wants another one than the best: `--prefer`."""

from __future__ import annotations

import argparse
import calendar
import contextlib
import time
from enum import StrEnum

EXIF_DATE = "%Y:%m:%d %H:%M:%S"
EXIF_DATE_CHARACTERS = 19
UNITS_OF_TIME = (
    ("year", 365 * 86_400),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
)


class Preference(StrEnum):
    """What is kept first of a set. Ties go by the keeper rule."""

    BEST = "best"
    LARGEST = "largest"  # pixels, then bytes
    OLDEST = "oldest"  # EXIF date, else file time
    NEWEST = "newest"
    FIRST = "first"  # by path


def add_prefer_option(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--prefer",
        choices=[each.value for each in Preference],
        metavar="ORDER",
        default=Preference.BEST.value,
        help="which of several copies is kept: best (the original), largest (pixels, then bytes), "
        "oldest, newest (EXIF date, else file time) or first (by path) (default: %(default)s)",
    )


def date_ns(taken: str, mtime_ns: int) -> int:
    """Return when a picture was taken by its EXIF date, else the file time; in ns since 1970.

    EXIF has no time zone: its date counts as UTC, so that every machine orders images alike.
    """
    with contextlib.suppress(ValueError, OverflowError):
        date = time.strptime(taken[:EXIF_DATE_CHARACTERS], EXIF_DATE)
        return calendar.timegm(date) * 10**9
    return mtime_ns


def duration_text(duration_ns: int) -> str:
    """Return a duration in its largest whole unit: `3 days`."""
    seconds = abs(duration_ns) / 10**9
    for unit, seconds_each in UNITS_OF_TIME:
        if seconds >= seconds_each:
            count = int(seconds // seconds_each)
            return f"{count:,} {unit}" + ("s" if count > 1 else "")
    return "less than a second"
