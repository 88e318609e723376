"""Edited pairs whose answer changes if one limit of the second look is moved.

`confirmation_pins.py FIRST LAST` looks for them and adds them to tests/data/confirmation_pins.json.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from edited_pairs import edited_pair  # noqa: E402
from measured_pairs import move_number  # noqa: E402

from duplicates.confirmation import confirm  # noqa: E402
from duplicates.confirmation_limits import LIMITS, ConfirmationLimits  # noqa: E402
from duplicates.geometry import IDENTITY  # noqa: E402

PINS = Path(__file__).parent / "data" / "confirmation_pins.json"
LIMIT_NAMES = [field.name for field in dataclasses.fields(ConfirmationLimits)]
MOVES = [f"{name} {direction}" for name in LIMIT_NAMES for direction in ("down", "up")]


def read_pins() -> dict[str, int]:
    """Return the number of the edited pair, by "limit direction"."""
    pins: dict[str, int] = json.loads(PINS.read_text(encoding="utf-8"))
    return pins


def move_limit(name: str, direction: str) -> ConfirmationLimits:
    """Return the limits with one of them moved, as measured_pairs.move_number does."""
    return dataclasses.replace(LIMITS, **{name: move_number(LIMITS, name, direction)})


def is_copy(number: int, limits: ConfirmationLimits = LIMITS) -> bool:
    """Whether the second look takes the pair for copies; with a palette for some numbers."""
    _, one, other = edited_pair(number)
    few_colours = number % 3 == 0
    return confirm(np.asarray(one), np.asarray(other), IDENTITY, few_colours, limits).is_copy


def find_pins(numbers: Iterable[int]) -> None:
    pins = read_pins() if PINS.exists() else {}
    for number in numbers:
        usual = is_copy(number)
        for move in MOVES:
            if move not in pins and is_copy(number, move_limit(*move.split())) != usual:
                pins[move] = number
                print(number, move, file=sys.stderr)
                PINS.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n", "utf-8")
    print("without a pair:", *(move for move in MOVES if move not in pins), sep="\n  ")


if __name__ == "__main__":
    find_pins(range(int(sys.argv[1]), int(sys.argv[2])))
