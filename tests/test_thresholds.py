"""Every threshold of both looks is pinned from both sides by a measured or a drawn pair."""

from __future__ import annotations

import functools

import confirmation_pins
import measured_pairs
import pinning_pairs
import pytest
from measured_pairs import THRESHOLD_NAMES, MeasuredPair

MOVES = [f"{name} {direction}" for name in THRESHOLD_NAMES for direction in ("down", "up")]


@functools.cache
def table() -> tuple[tuple[str, MeasuredPair], ...]:
    return tuple(measured_pairs.read_table())


def test_rules_give_the_recorded_answers() -> None:
    assert len(table()) >= 300
    wrong = [pair.source for answer, pair in table() if pair.answer() != answer]
    assert wrong == []


@pytest.mark.parametrize("move", MOVES)
def test_a_moved_threshold_changes_an_answer(move: str) -> None:
    limits = measured_pairs.move_threshold(*move.split())
    if any(pair.answer(limits) != answer for answer, pair in table()):
        return
    for one, other in pinning_pairs.pinning_pairs(move):
        if pinning_pairs.answers(one, other, limits) != pinning_pairs.answers(one, other):
            return
    pytest.fail(f"{move}: no pair of the table and no drawn pair has another answer")


@pytest.mark.parametrize("move", confirmation_pins.MOVES)
def test_a_moved_limit_of_the_second_look_changes_an_answer(move: str) -> None:
    number = confirmation_pins.read_pins()[move]
    limits = confirmation_pins.move_limit(*move.split())
    assert confirmation_pins.is_copy(number, limits) != confirmation_pins.is_copy(number)
