"""The table of measured pairs: what was measured of two images, and what the rules answer.

tests/data/measured_pairs.jsonl starts with the names of the measurements. Each other line has the
source of a pair, whether it was aligned as a copy or as a variant, the answer, and the numbers.
make_measured_pairs.py writes it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from duplicates.aligned_pair import AlignedPair
from duplicates.classification import MAY_BE_COPY
from duplicates.comparison import Measurements
from duplicates.copy_rules import decide_copy
from duplicates.soft_detail import SoftDetail
from duplicates.surroundings import Surroundings
from duplicates.thresholds import THRESHOLDS, Thresholds
from duplicates.variant_rules import decide_variant

TABLE = Path(__file__).parent / "data" / "measured_pairs.jsonl"
SEEN_FIELDS = [field.name for field in dataclasses.fields(Measurements)]
AROUND_FIELDS = [field.name for field in dataclasses.fields(Surroundings)]
SOFT_FIELDS = [field.name for field in dataclasses.fields(SoftDetail)]
HEAD = {"seen": SEEN_FIELDS, "around": AROUND_FIELDS, "soft": SOFT_FIELDS}
SHARE_SUFFIXES = ("share", "agreement", "correlation", "cosine", "unlikeness")
THRESHOLD_NAMES = [field.name for field in dataclasses.fields(Thresholds)]


@dataclass(frozen=True)
class MeasuredPair:
    """Measurements of two images in one framing, or aligned as variants; one of the two is set."""

    source: str
    seen: Measurements
    around: Surroundings | None = None  # of images that are aligned as variants,
    soft: SoftDetail | None = None  # as is this

    def answer(self, limits: Thresholds = THRESHOLDS) -> str:
        """Return what the rules say: "may be a copy" or "no copy", or a kind of variant."""
        if self.around is not None and self.soft is not None:
            aligned = AlignedPair(self.seen, self.around, soft=self.soft)
            return decide_variant(aligned, limits).kind
        return MAY_BE_COPY if decide_copy(self.seen, limits).may_be_copy else "no copy"

    def as_row(self) -> list[Any]:
        """Return the row of the table, but for the answer."""
        seen = _values(self.seen, SEEN_FIELDS)
        around = _values(self.around, AROUND_FIELDS) if self.around else None
        soft = _values(self.soft, SOFT_FIELDS) if self.soft else None
        return [self.source, seen, around, soft]


def _values(measured: object, fields: Iterable[str]) -> list[Any]:
    return [_plain(getattr(measured, name)) for name in fields]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | tuple):
        return [_plain(part) for part in np.asarray(value).ravel().tolist()]
    return value


def pair_from_row(row: list[Any]) -> MeasuredPair:
    source, seen_values, around_values, soft_values = row
    seen = dict(zip(SEEN_FIELDS, seen_values, strict=True))
    seen["overlap"] = tuple(seen["overlap"])
    seen["affine"] = np.reshape(seen["affine"], (2, 3))
    around = Surroundings(*around_values) if around_values else None
    soft = SoftDetail(*soft_values) if soft_values else None
    return MeasuredPair(source, Measurements(**seen), around, soft)


def read_table() -> Iterator[tuple[str, MeasuredPair]]:
    """Yield the recorded answer and the pair of each row."""
    with TABLE.open(encoding="utf-8") as lines:
        assert json.loads(next(lines)) == HEAD
        for line in lines:
            answer, *row = json.loads(line)
            yield answer, pair_from_row(row)


def write_table(pairs: Iterable[MeasuredPair]) -> None:
    rows = [[pair.answer(), *pair.as_row()] for pair in pairs]
    lines = [json.dumps(line, separators=(",", ":")) for line in (HEAD, *rows)]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def move_threshold(name: str, direction: str) -> Thresholds:
    """Return the thresholds with one of them moved down or up."""
    return dataclasses.replace(THRESHOLDS, **{name: move_number(THRESHOLDS, name, direction)})


def move_number(limits: object, name: str, direction: str) -> float:
    """Return a number of a dataclass, moved down or up.

    Whole numbers move by one, shares by a quarter of the way to 0 or 1, whichever is nearer, and
    all others by -20 % or +25 %.
    """
    value: float = getattr(limits, name)
    down, up = value * 0.8, value * 1.25
    if isinstance(value, int):
        down, up = value - 1, value + 1
    elif name.endswith(SHARE_SUFFIXES):
        step = min(value, 1 - value) / 4
        down, up = value - step, value + step
    return down if direction == "down" else up
