"""Widths, wrapping and tables: what a terminal shows in 80 columns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from common import terminal

HARD_NAMES = [
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


@pytest.mark.parametrize("name", HARD_NAMES)
@pytest.mark.parametrize("columns", [1, 2, 3, 8, 24])
def test_padded_cell_takes_exactly_its_columns(name, columns):
    assert wcswidth(terminal.pad_cell(terminal.escape(name), columns)) == columns
    assert wcswidth(terminal.pad_cell(terminal.escape(name), columns, align_right=True)) == columns


@given(st.text(), st.integers(1, 40))
def test_truncated_text_is_never_wider(name, columns):
    escaped = terminal.escape(name)
    truncated = terminal.truncate_middle(escaped, columns)
    assert terminal.display_width(truncated) <= columns
    assert truncated == escaped or "…" in truncated


@given(st.lists(st.text(alphabet="ab/フ🦉e\u0301"), max_size=12), st.integers(4, 12))
def test_truncated_names_stay_distinct(names, columns):
    truncated = terminal.truncate_distinct(names, columns)
    assert truncated.keys() == set(names)
    assert len(set(truncated.values())) == len(truncated)
    assert all(terminal.display_width(cut) <= columns for cut in truncated.values())
    assert all(truncated[name] == name for name in names if terminal.display_width(name) <= columns)


def test_truncation_shows_where_names_differ():
    assert terminal.truncate_distinct(
        ["Set_1/Things/Table", "Set_2/Things/Table", "Set_1/Animals/Owls"], 9
    ) == {
        "Set_1/Things/Table": "Set_1…ble",
        "Set_2/Things/Table": "Set_2…ble",
        "Set_1/Animals/Owls": "Set_…Owls",
    }
    deep = [f"{'a' * 20}{number}{'b' * 20}" for number in (1, 2)]
    assert list(terminal.truncate_distinct(deep, 9).values()) == ["aaa…bbb~1", "aaa…bbb~2"]


def test_paths_are_named_by_their_last_part_if_it_is_unique():
    paths = ["One/Things/Table", "Two/Things/Table", "Two/Owls", "Signs", "/"]
    assert terminal.shortest_unique_names(paths) == {path: path for path in paths} | {
        "Two/Owls": "Owls"
    }


@pytest.mark.parametrize("columns", [12, 40, 80])
@given(st.lists(st.sampled_from([*" ab/·,フ🦉", "e\u0301", "✂\ufe0f"]), max_size=120).map("".join))
def test_wrapped_line_fits_and_loses_nothing(columns, line):
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
    ("line", "parts"),
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
def test_lines_wrap_between_columns_figures_words_and_folders(monkeypatch, line, parts):
    monkeypatch.setenv("COLUMNS", "20")
    assert list(terminal.wrap_line(line)) == parts


def test_a_table_too_wide_for_a_narrow_terminal_lists_its_figures(monkeypatch):
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


def test_truncation_keeps_both_ends():
    assert terminal.truncate_middle("a long name with a number 0017.jpg", 15) == "a long …017.jpg"


def test_truncation_leaves_no_mark_without_its_letter():
    assert terminal.truncate_middle("e\u0301" * 20, 5) == "e\u0301e\u0301…e\u0301e\u0301"
    assert terminal.truncate_middle("🦉e\u0301🦉e\u0301🦉e\u0301🦉", 6) == "🦉…e\u0301🦉"


@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x10FFFF)))
def test_escaped_text_is_one_printable_line_of_utf8(name):
    escaped = terminal.escape(name)
    assert escaped.isprintable()
    escaped.encode()


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
def test_percent_never_rounds_to_nothing_or_everything(count, total, share):
    assert terminal.format_percent(count, total) == share


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "image", "1 image"),
        (2000, "image", "2,000 images"),
        (0, "topic", "0 topics"),
        (2, "match", "2 matches"),
    ],
)
def test_plural(count, noun, text):
    assert terminal.plural(count, noun) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5e15, "5000.0 TB")],
)
def test_format_bytes(count, text):
    assert terminal.format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.44, "0.4 s"),
        (12, "12 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (59.7, "1 min 00 s"),
    ],
)
def test_format_duration(seconds, text):
    assert terminal.format_duration(seconds) == text


def test_list_few():
    assert terminal.list_few(["a"]) == "a"
    assert terminal.list_few("abcde") == "a, b, c and 2 more"
