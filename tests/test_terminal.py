"""Widths, bars and tables: what a terminal shows in 80 columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from common import terminal
from reports import charts

HARD = [
    "plain",
    "フクロウ",
    "🦉🦉🦉",
    "e\u0301te\u0301",
    "⚠️ careful",
    "👩\u200d👩\u200d👧",
    "\udcff\udcfe",
    "a\nb",
    "",
    "x" * 300,
]


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("columns", [1, 2, 3, 8, 24])
def test_padded_takes_exactly_its_columns(name, columns):
    assert wcswidth(terminal.pad_cell(terminal.escape(name), columns)) == columns
    assert wcswidth(terminal.pad_cell(terminal.escape(name), columns, align_right=True)) == columns


@given(st.text(), st.integers(1, 40))
def test_clipped_never_takes_more(name, columns):
    shown = terminal.escape(name)
    clipped = terminal.truncate_middle(shown, columns)
    assert terminal.display_width(clipped) <= columns
    assert clipped == shown or "…" in clipped


@given(st.lists(st.text(alphabet="ab/フ🦉e\u0301"), max_size=12), st.integers(4, 12))
def test_fitted_keeps_what_is_not_alike_apart(names, columns):
    fitted = terminal.truncate_distinct(names, columns)
    assert fitted.keys() == set(names)
    assert len(set(fitted.values())) == len(fitted)
    assert all(terminal.display_width(cut) <= columns for cut in fitted.values())
    assert all(fitted[name] == name for name in names if terminal.display_width(name) <= columns)


def test_fitted_shows_where_names_differ():
    assert terminal.truncate_distinct(
        ["Set_1/Things/Table", "Set_2/Things/Table", "Set_1/Animals/Owls"], 9
    ) == {
        "Set_1/Things/Table": "Set_1…ble",
        "Set_2/Things/Table": "Set_2…ble",
        "Set_1/Animals/Owls": "Set_…Owls",
    }
    deep = [f"{'a' * 20}{number}{'b' * 20}" for number in (1, 2)]
    assert list(terminal.truncate_distinct(deep, 9).values()) == ["aaa…bbb~1", "aaa…bbb~2"]


def test_named_by_the_last_part_where_that_is_enough():
    paths = ["One/Things/Table", "Two/Things/Table", "Two/Owls", "Signs", "/"]
    assert terminal.shortest_unique_names(paths) == {path: path for path in paths} | {
        "Two/Owls": "Owls"
    }


def test_flowed_breaks_no_item():
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


@pytest.mark.parametrize("columns", [12, 40, 80])
@given(st.lists(st.sampled_from([*" ab/·,フ🦉", "e\u0301", "✂\ufe0f"]), max_size=120).map("".join))
def test_folded_fits_and_loses_nothing(columns, line):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        lines = list(terminal.wrap_line(line))
    if columns == 80:
        assert lines == [line.rstrip()]
    else:
        assert max(map(terminal.display_width, lines)) <= columns
        assert "".join(lines).replace(" ", "") == line.replace(" ", "")
        assert not any(wcwidth(part.lstrip()[0]) == 0 for part in lines[1:])


@pytest.mark.parametrize(
    ("line", "folds"),
    [
        ("   🔗 matches           12", ["   🔗 matches     12"]),
        (
            "   🔗 many more matches  12  50 %",
            ["   🔗 many more", "      matches  12", "      50 %"],
        ),
        ("   half 2 to 6 · all 1 to 8", ["   half 2 to 6 ·", "      all 1 to 8"]),
        ("📄 /data/full/of/manifests.jsonl", ["📄 /data/full/of/", "   manifests.jsonl"]),
        ("x" * 45, ["x" * 20, "   " + "x" * 17, "   " + "x" * 8]),
    ],
)
def test_folded_between_columns_figures_words_and_folders(monkeypatch, line, folds):
    monkeypatch.setenv("COLUMNS", "20")
    assert list(terminal.wrap_line(line)) == folds


def test_a_table_that_does_not_fit_a_narrow_terminal_says_its_figures(monkeypatch):
    rows = [
        ("topic", "images", "spread", ""),
        ("Great horned owls", "1,234", "··╋··", "few"),
        ("Ara", "7", "╋····", ""),
    ]
    monkeypatch.setenv("COLUMNS", "38")
    assert terminal.format_table(rows, " r") == [
        "   topic",
        "   Great horned owls  images 1,234 · few",
        "   Ara  images 7",
    ]
    monkeypatch.setenv("COLUMNS", "60")
    assert terminal.format_table(rows, " r")[2] == "   Ara                     7  ╋····"


def test_bars_on_a_narrow_terminal_are_figures(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert list(charts.bar_chart({"jpg": 90, "png": 10}, 100, {"png": "2.0 MB"})) == [
        "   jpg       90  90.0 %",
        "   png       10  10.0 %  2.0 MB",
    ]
    assert list(charts.bar_chart({}, 0)) == []


def test_clipped_keeps_both_ends():
    assert terminal.truncate_middle("a long name with a number 0017.jpg", 15) == "a long …017.jpg"


def test_clipped_leaves_no_mark_without_its_letter():
    assert terminal.truncate_middle("e\u0301" * 20, 5) == "e\u0301e\u0301…e\u0301e\u0301"
    assert terminal.truncate_middle("🦉e\u0301🦉e\u0301🦉e\u0301🦉", 6) == "🦉…e\u0301🦉"


@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x10FFFF)))
def test_shown_is_one_printable_line_of_utf8(name):
    shown = terminal.escape(name)
    assert shown.isprintable()
    shown.encode()


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
def test_bar(share, bar):
    assert charts.bar_line(share, 4) == bar


@pytest.mark.parametrize(
    ("count", "total", "share"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 8, "12.5 %"),
        (1, 10**6, "< 0.1 %"),
        (10**6 - 1, 10**6, "> 99.9 %"),
        (0, 0, "0 %"),
    ],
)
def test_share_never_rounds_to_nothing_or_everything(count, total, share):
    assert terminal.format_percent(count, total) == share


@pytest.mark.parametrize(
    ("place", "strip"),
    [
        ((0, 0, 0), "╋········"),
        ((8, 8, 8), "········╋"),
        ((2, 4, 6), "··━━╋━━··"),
        ((0, 8, 8), "━━━━━━━━╋"),
    ],
)
def test_strip(place, strip):
    assert charts.range_plot(*place, 0, 8, 9) == strip


def test_strip_of_a_single_value():
    assert charts.range_plot(5, 5, 5, 5, 5, 5) == "╋····"


@pytest.mark.parametrize("name", HARD)
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


def test_attention():
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


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [
        (1, "image", "1 image"),
        (2000, "image", "2,000 images"),
        (0, "topic", "0 topics"),
        (2, "match", "2 matches"),
    ],
)
def test_plural(count, noun, said):
    assert terminal.plural(count, noun) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e15, "5000.0 TB")],
)
def test_size(count, said):
    assert terminal.format_bytes(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.44, "0.4 s"),
        (12, "12 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (59.7, "1 min 00 s"),
    ],
)
def test_duration(seconds, said):
    assert terminal.format_duration(seconds) == said


def test_sampled():
    assert terminal.list_few(["a"]) == "a"
    assert terminal.list_few("abcde") == "a, b, c and 2 more"
