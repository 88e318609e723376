"""How text looks on a terminal: escapes, widths, wrapping, tables, and numbers for people.

Knows nothing about datasets. Widths are terminal columns, measured by wcwidth: emoji and Japanese
characters take two.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from wcwidth import wcswidth, wcwidth

# Every summary fits a plain terminal and a cron mail. On a narrower terminal lines are wrapped, and
# bars are left out.
MAX_WIDTH = 80
HANGING_INDENT = 3  # columns by which the rest of a wrapped line is indented
# Where to wrap a line, best first. A mark stays at the end of its line.
BREAK_MARKS = ("  ", " · ", ", ", " ", "/")
COLUMN_GAP = re.compile(r"(?<=\S) {3,}")  # between the columns of a line
EMOJI_COLUMNS = 5  # at the start of a line: its emoji must not be alone on it
MIN_NAME_COLUMNS = 8  # of a table's first column
ASCII_SUBSTITUTES = {
    "⚠": "!",
    "❌": "x",
    "█": "#",
    "░": ".",
    "━": "=",
    "╋": "|",
    "…": "...",
    "×": "x",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "–": "-",
    "→": "->",
    "·": "-",
}


def escape(name: object) -> str:
    """Make a path or name safe to print: escape control characters and bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))


def list_few(names: Iterable[str], count: int = 3) -> str:
    """Name the first few for a message: `a.jpg, b.jpg, c.jpg and 97 more`."""
    names = list(names)
    text = ", ".join(map(escape, names[:count]))
    if len(names) > count:
        text += f" and {len(names) - count:,} more"
    return text


def list_counted(parts: Iterable[tuple[Sequence[str], str]]) -> str:
    """Describe names by what is wrong with them: `2 gone (a.jpg, b.jpg); 1 changed (c.jpg)`."""
    listed = [f"{len(names):,} {matter} ({list_few(names)})" for names, matter in parts if names]
    return "; ".join(listed)


def display_width(text: str) -> int:
    """Return how many terminal columns `text` takes."""
    columns = wcswidth(text)
    return columns if columns >= 0 else len(text)


def terminal_columns() -> int:
    """Return the terminal's width, or MAX_WIDTH without a terminal. $COLUMNS overrides both."""
    return shutil.get_terminal_size((MAX_WIDTH, 24)).columns


def usable_columns() -> int:
    """Return how wide a line of a summary may be: MAX_WIDTH, or a narrower terminal's width."""
    return min(MAX_WIDTH, terminal_columns())


def extra_columns() -> int:
    """Return how many columns the terminal has beyond MAX_WIDTH: room for longer names."""
    return max(0, terminal_columns() - MAX_WIDTH)


def line_columns() -> int:
    """Return how long a line with names may be: as wide as the terminal, and at least MAX_WIDTH."""
    return MAX_WIDTH + extra_columns()


def wrap_line(line: str) -> Iterator[str]:
    """Wrap the line if the terminal is narrower than it and than MAX_WIDTH. Drops only spaces."""
    width = usable_columns()
    line = line.rstrip()
    if width == MAX_WIDTH:
        yield line
        return
    indent = _indent_of(line)
    excess = display_width(line) - width
    if excess > 0:
        line = COLUMN_GAP.sub(lambda gap: " " * max(2, len(gap[0]) - excess), line, count=1)
    while display_width(line) > width:
        end = _break_position(line, width)
        yield line[:end].rstrip()
        rest_indent = min(indent + HANGING_INDENT, width // 2)
        line = " " * rest_indent + line[end:].lstrip(" ")
    yield line


def _break_position(line: str, width: int) -> int:
    """Return how many characters to keep on the first line of `width` columns; at least one."""
    start = _indent_of(line)
    end = width
    # A combining mark stays with its letter.
    while display_width(line[:end]) > width or wcwidth(line[end]) == 0:
        end -= 1
    for mark in BREAK_MARKS:
        kept = len(mark.rstrip())
        position = line.rfind(mark, start + EMOJI_COLUMNS, end - kept + len(mark))
        if position > 0:
            return position + kept
    return max(end, start + 1)


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def truncate_middle(text: str, columns: int, head_columns: int | None = None) -> str:
    """Replace the middle of `text` by an ellipsis if it is wider than `columns`.

    Keeps both ends, since names differ at both. `head_columns` is the width before the ellipsis.
    """
    if display_width(text) <= columns:
        return text
    if head_columns is None:
        head_columns = (columns - 1) // 2
    if text.isascii():
        tail_columns = columns - 1 - head_columns
        return f"{text[:head_columns]}…{text[len(text) - tail_columns :]}"
    # With more than four characters a column, most of them marks, nobody reads the text.
    head = text[: 4 * columns]
    tail = text[-4 * columns :]
    while display_width(head) > head_columns:
        head = head[:-1]
    tail_columns = columns - 1 - display_width(head)
    while display_width(tail) > tail_columns or (tail and wcwidth(tail[0]) == 0):
        tail = tail[1:]
    return f"{head}…{tail}"


def shortest_unique_names(paths: Iterable[str]) -> dict[str, str]:
    """Name each path by its last part, or by all of it if another path ends in the same."""
    last_parts = {path: path.rpartition("/")[2] or path for path in paths}
    uses = Counter(last_parts.values())
    return {path: escape(path if uses[name] > 1 else name) for path, name in last_parts.items()}


def truncate_distinct(names: Iterable[str], columns: int) -> dict[str, str]:
    """Truncate each name to `columns` so that all stay distinct.

    The ellipsis moves until it hides no difference; if that is impossible, names get numbers.
    """
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(truncate_middle(name, columns), []).append(name)
    name_of: dict[str, str] = {}  # by truncated name
    for group in sorted(alike.values(), key=len):
        name_of |= _truncate_group(group, columns, name_of)
    return {name: truncated for truncated, name in name_of.items()}


def _truncate_group(group: Sequence[str], columns: int, used: dict[str, str]) -> dict[str, str]:
    """Truncate names that are alike in the middle; return name by truncated name, none `used`."""
    middle = (columns - 1) // 2
    for head_columns in sorted(range(columns), key=lambda position: abs(position - middle)):
        name_of = {truncate_middle(name, columns, head_columns): name for name in group}
        if len(name_of) == len(group) and used.keys().isdisjoint(name_of):
            return name_of
    name_of = {}
    for number, name in enumerate(group, len(used) + 1):
        tag = f"~{number}"
        name_of[truncate_middle(name, columns - len(tag)) + tag] = name
    return name_of


def pad_cell(text: str, columns: int, align_right: bool = False) -> str:
    """Pad `text` with spaces to `columns`, or truncate it to them."""
    text = truncate_middle(text, columns)
    space = " " * (columns - display_width(text))
    return space + text if align_right else text + space


def format_table(
    rows: Sequence[Sequence[str]], align: str = "", indent: int = 3, has_heading: bool = True
) -> list[str]:
    """Format rows as aligned lines; the first row is the heading if `has_heading`.

    `align` has one letter per column: "r" aligns it to the right. If the lines do not fit, names in
    the first column are truncated. On a terminal narrower than MAX_WIDTH each row lists its figures
    with their titles instead, and can be wrapped.
    """
    widths = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
    gaps = 2 * (len(widths) - 1)
    name_columns = terminal_columns() - indent - sum(widths[1:]) - gaps
    if usable_columns() < MAX_WIDTH and widths[0] > name_columns:
        heading, *entries = rows if has_heading else ([""] * len(widths), *rows)
        return [" " * indent + line for line in _rows_as_text(heading, entries)]
    widths[0] = max(MIN_NAME_COLUMNS, min(widths[0], name_columns))
    names = truncate_distinct((row[0] for row in rows), widths[0])
    lines = []
    for row in rows:
        cells = [names[row[0]], *row[1:]]
        padded = []
        for cell, width, side in zip(cells, widths, align.ljust(len(widths)), strict=True):
            padded.append(pad_cell(cell, width, side == "r"))
        lines.append(" " * indent + "  ".join(padded).rstrip())
    return lines


def _rows_as_text(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield one line per row: its name, and its figures with their titles. Leaves out bars."""
    if titles[0]:
        yield titles[0]
    for name, *cells in rows:
        figures = []
        for title, cell in zip(titles[1:], cells, strict=True):
            if any(map(str.isalnum, cell)):
                figures.append(f"{title} {cell}".strip())
        yield f"{name.rstrip()}  {' · '.join(figures)}".rstrip()


def thousands(value: int) -> str:
    return f"{value:,}"


def format_percent(count: float, total: float) -> str:
    """Format a share as `12.5 %`. Only nothing is 0 %, and only everything is 100 %."""
    percent = 100 * count / total if total else 0.0
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def plural(count: int, noun: str) -> str:
    """Format `1 image`, `2,000 images`, `3 matches`."""
    if count == 1:
        return f"1 {noun}"
    ending = "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{ending}"


def format_bytes(count: float) -> str:
    """Format bytes in powers of 1000: `1.2 GB`."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def format_duration(seconds: float) -> str:
    """Format `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def degrade_characters(error: UnicodeError) -> tuple[str, int]:
    """Substitute block characters, drop other symbols, escape letters; a codec error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(map(_plain_character, characters)), error.end


def _plain_character(char: str) -> str:
    if char in ASCII_SUBSTITUTES:
        return ASCII_SUBSTITUTES[char]
    is_emoji = "\U0001f000" <= char <= "\U0001ffff" or char == "\ufe0f"
    is_symbol = "\u2000" <= char <= "\u2bff"
    if is_emoji or is_symbol:
        return ""
    return char.encode("ascii", "backslashreplace").decode()
