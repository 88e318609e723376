"""Bars and sections of the stats scripts' summaries."""

import pytest
from test_terminal import HARD_NAMES
from wcwidth import wcswidth

from common import terminal
from reports import charts


def test_joined_items_are_not_broken():
    assert charts.join_wrapped(["Owls 5.1", "Great owls 4.2", "Finches 4.0"], 24) == [
        "Owls 5.1, Great owls 4.2,",
        "Finches 4.0",
    ]
    assert charts.join_wrapped(["Owls 5.1", "Great owls 4.2"], 23) == [
        "Owls 5.1,",
        "Great owls 4.2",
    ]
    assert charts.join_wrapped(["Owls 5.1", "Great owls 4.2"], 5) == [
        "Owls 5.1,",
        "Great owls 4.2",
    ]
    assert charts.join_wrapped([], 5) == []


def test_bars_on_a_narrow_terminal_are_figures(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert list(charts.bar_chart({"jpg": 90, "png": 10}, 100, {"png": "2.0 MB"})) == [
        "   jpg       90  90.0 %",
        "   png       10  10.0 %  2.0 MB",
    ]
    assert list(charts.bar_chart({}, 0)) == []


@pytest.mark.parametrize(
    ("share", "bar"),
    [
        (0, "░░░░"),
        (0.0001, "█░░░"),
        (0.5, "██░░"),
        (0.99, "████"),
        (1, "████"),
        (1.7, "████"),
        (-1, "░░░░"),
    ],
)
def test_bar_line(share, bar):
    assert charts.bar_line(share, 4) == bar


@pytest.mark.parametrize(
    ("quartiles", "plot"),
    [
        ((0, 0, 0), "╋········"),
        ((8, 8, 8), "········╋"),
        ((2, 4, 6), "··━━╋━━··"),
        ((0, 8, 8), "━━━━━━━━╋"),
    ],
)
def test_range_plot(quartiles, plot):
    assert charts.range_plot(*quartiles, 0, 8, 9) == plot


def test_range_plot_of_a_single_value():
    assert charts.range_plot(5, 5, 5, 5, 5, 5) == "╋····"


@pytest.mark.parametrize("name", HARD_NAMES)
def test_tables_and_bars_line_up_and_fit(name):
    rows = [
        ("topic", "images", "median"),
        (terminal.escape(name), "1,234", "5.31"),
        ("owls", "7", "10.02"),
    ]
    lines = terminal.format_table(rows, " rr")
    assert {wcswidth(line) for line in lines} == {wcswidth(lines[0])}
    assert wcswidth(lines[0]) <= terminal.MAX_WIDTH
    lines = list(charts.bar_chart({name: 3, "other": 1234567}, 1234570, {"other": "123.4 GB"}))
    assert all(wcswidth(line) <= terminal.MAX_WIDTH for line in lines)
    assert len({wcswidth(line[: line.index("█")]) for line in lines}) == 1


def test_bars_count_what_they_leave_out():
    lines = list(charts.bar_chart({f"{n:02}": n for n in range(20)}, 190, max_entries=3))
    assert [line.split()[0] for line in lines[:3]] == ["19", "18", "17"]
    assert lines[3] == "   … and 17 more with 136 images"


def test_warnings_section():
    assert list(charts.warnings_section([("2 empty topics", [], 0)])) == [
        "✅ Nothing needs attention"
    ]
    places = [(f"t{n}", "no images") for n in range(7)]
    lines = list(
        charts.warnings_section([("7 empty topics", places, 7), ("nothing", [], 0)], max_places=2)
    )
    assert lines == [
        "❗ Needs attention",
        "   7 empty topics",
        "      t0        no images",
        "      t1        no images",
        "      … and 5 more",
    ]
