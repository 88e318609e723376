"""How things look on a terminal: widths, bars, tables, numbers.

Knows nothing of datasets. Widths are terminal columns (emoji and Japanese take two), measured by wcwidth.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from wcwidth import wcswidth, wcwidth

MAX_WIDTH = 80  # every summary fits a plain terminal and a cron mail; below it lines are folded, and pictures give way
HANGING_INDENT = 3  # columns by which the rest of a folded line is set in
FOLDS = (
    "  ",
    " · ",
    ", ",
    " ",
    "/",
)  # where a line is folded, the best first; marks stay at the end of the line
GAP = re.compile(r"(?<=\S) {3,}")  # between the columns of a line
MARK = 5  # columns at the start of a line that hold its emoji, which does not stand alone


def escape(name: object) -> str:
    """A path or name that is safe to print: control characters and bytes that are not UTF-8 appear as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))


def list_few(names: Iterable[str], count: int = 3) -> str:
    """The first few of many names, for a message: `a.jpg, b.jpg, c.jpg and 97 more`."""
    listed = list(names)
    more = f" and {len(listed) - count:,} more" if len(listed) > count else ""
    return ", ".join(map(escape, listed[:count])) + more


def display_width(text: str) -> int:
    """Terminal columns that `text` takes."""
    columns = wcswidth(text)
    return columns if columns >= 0 else len(text)


def terminal_columns() -> int:
    """Columns of the terminal; WIDTH where there is none. COLUMNS in the environment overrides both."""
    return shutil.get_terminal_size((MAX_WIDTH, 24)).columns


def usable_columns() -> int:
    """What a line of a summary may take: WIDTH, or less on a narrower terminal."""
    return min(MAX_WIDTH, terminal_columns())


def wrap_line(line: str) -> Iterator[str]:
    """The line; on a terminal that is narrower than it and than WIDTH, in several. Nothing of it is lost but spaces."""
    room, line = usable_columns(), line.rstrip()
    indent, over = _indent(line), display_width(line) - room
    if room < MAX_WIDTH and over > 0:
        line = GAP.sub(lambda gap: " " * max(2, len(gap[0]) - over), line, count=1)
    while room < MAX_WIDTH and display_width(line) > room:
        end = _fold(line, room)
        yield line[:end].rstrip()
        line = " " * min(indent + HANGING_INDENT, room // 2) + line[end:].lstrip(" ")
    yield line


def _fold(line: str, room: int) -> int:
    """Where to fold a line that is wider than `room`: how many characters come before, one at least."""
    start, end = _indent(line), room
    while (
        display_width(line[:end]) > room or wcwidth(line[end]) == 0
    ):  # a mark stays with its letter
        end -= 1
    for mark in FOLDS:
        kept = len(mark.rstrip())
        place = line.rfind(mark, start + MARK, end - kept + len(mark))
        if place > 0:
            return place + kept
    return max(end, start + 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def truncate_middle(text: str, columns: int, ahead: int | None = None) -> str:
    """`text`, cut with an ellipsis where it is wider than `columns`: in its middle, for names differ at both ends.

    `ahead` is how many columns to keep before the ellipsis.
    """
    if display_width(text) <= columns:
        return text
    ahead = (columns - 1) // 2 if ahead is None else ahead
    if text.isascii():
        return f"{text[:ahead]}…{text[len(text) - (columns - 1 - ahead) :]}"
    left, right = (
        text[: 4 * columns],
        text[-4 * columns :],
    )  # more marks than that on a letter are not for reading
    while display_width(left) > ahead:
        left = left[:-1]
    while display_width(right) > columns - 1 - display_width(left) or (
        right and wcwidth(right[0]) == 0
    ):
        right = right[1:]
    return f"{left}…{right}"


def shortest_unique_names(paths: Iterable[str]) -> dict[str, str]:
    """Each path by its last part, or whole where another one of `paths` ends alike."""
    last = {path: path.rpartition("/")[2] or path for path in paths}
    shared = Counter(last.values())
    return {path: escape(path if shared[name] > 1 else name) for path, name in last.items()}


def truncate_distinct(names: Iterable[str], columns: int) -> dict[str, str]:
    """Each name cut to `columns`, no two alike: the cut moves to where it hides no difference, or they get numbers."""
    middle = (columns - 1) // 2
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(truncate_middle(name, columns), []).append(name)
    taken: dict[str, str] = {}  # names by what became of them
    for group in sorted(groups.values(), key=len):
        for ahead in sorted(range(columns), key=lambda place: abs(place - middle)):
            cut = {truncate_middle(name, columns, ahead): name for name in group}
            if len(cut) == len(group) and taken.keys().isdisjoint(cut):
                break
        else:
            tags = {name: f"~{number}" for number, name in enumerate(group, len(taken) + 1)}
            cut = {
                truncate_middle(name, columns - len(tag)) + tag: name for name, tag in tags.items()
            }
        taken |= cut
    return {name: cut for cut, name in taken.items()}


def pad_cell(text: str, columns: int, right: bool = False) -> str:
    """`text` filled with spaces to `columns`, or cut to them; `right` aligns to the right, as numbers want."""
    text = truncate_middle(text, columns)
    space = " " * (columns - display_width(text))
    return space + text if right else text + space


def join_wrapped(items: Iterable[str], columns: int) -> list[str]:
    """Items with commas between them, in lines of `columns` and a last comma; none is broken."""
    lines: list[str] = []
    for item in items:
        if lines and display_width(lines[-1]) + 2 + display_width(item) <= columns:
            lines[-1] += f", {item}"
        else:
            lines = [*lines[:-1], lines[-1] + ",", item] if lines else [item]
    return lines


def bar_line(share: float, columns: int = 20) -> str:
    """A horizontal bar for a share of 0 to 1; anything above zero shows at least one block."""
    filled = min(columns, max(round(share * columns), 1 if share > 0 else 0))
    return "█" * filled + "░" * (columns - filled)


def format_table(
    rows: Sequence[Sequence[str]], right: str = "", indent: int = 3, headed: bool = True
) -> list[str]:
    """Rows as aligned lines, the first row being the heading if they are `headed`.

    `right` has a letter a column: "r" aligns it to the right. Where the lines would not fit, the first column is cut;
    on a terminal of less than WIDTH columns each row says its figures instead, to be folded.
    """
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    room = usable_columns() - indent - sum(widths[1:]) - 2 * (len(widths) - 1)
    if usable_columns() < MAX_WIDTH and widths[0] > room:
        heading, *entries = rows if headed else ([""] * len(widths), *rows)
        return [" " * indent + line for line in _told(heading, entries)]
    widths[0] = max(8, min(widths[0], room))
    align = right.ljust(len(widths))
    first = truncate_distinct((row[0] for row in rows), widths[0])
    lines = []
    for row in ((first[row[0]], *row[1:]) for row in rows):
        cells = [
            pad_cell(cell, wide, side == "r")
            for cell, wide, side in zip(row, widths, align, strict=True)
        ]
        lines.append(" " * indent + "  ".join(cells).rstrip())
    return lines


def _told(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line a row: its name, and its figures with their titles. Cells that are pictures (bars, strips) stay out."""
    if titles[0]:
        yield titles[0]
    for name, *cells in rows:
        told = (
            (title, cell)
            for title, cell in zip(titles[1:], cells, strict=True)
            if any(map(str.isalnum, cell))
        )
        said = [f"{title} {cell}".strip() for title, cell in told]
        yield f"{name.rstrip()}  {' · '.join(said)}".rstrip()


def range_plot(
    q1: float, median: float, q3: float, low: float, high: float, columns: int = 20
) -> str:
    """Where a distribution lies between `low` and `high`: a line from quartile to quartile, a cross at the median."""

    def column(value: float) -> int:
        return round((value - low) / ((high - low) or 1) * (columns - 1))

    cells = ["━" if column(q1) <= place <= column(q3) else "·" for place in range(columns)]
    cells[column(median)] = "╋"
    return "".join(cells)


def bar_chart(
    counts: Mapping[str, int],
    total: int,
    notes: Mapping[str, str] | None = None,
    ordered: bool = False,
    most: int = 12,
    full: int | None = None,
) -> Iterator[str]:
    """A line an entry: name, bar, count, share of the total, note; most first unless they have an order of their own.

    Sections of one summary line up with each other. What is beyond the `most` first entries shares the last line. A
    bar is full at the total, or at `full`.
    """
    names = list(counts) if ordered else sorted(counts, key=lambda name: (-counts[name], name))
    cut = truncate_distinct((escape(name) or "(no name)" for name in names[:most]), 24)
    rows = []
    for name in names[:most]:
        figures = (
            f"{counts[name]:,}",
            format_percent(counts[name], total),
            (notes or {}).get(name, ""),
        )
        rows.append(
            (
                cut[escape(name) or "(no name)"],
                bar_line(counts[name] / (full or total or 1)),
                *figures,
            )
        )
    if usable_columns() < MAX_WIDTH:
        yield from (
            format_table([(label, *figures) for label, _, *figures in rows], " rr ", headed=False)
            if rows
            else ()
        )
    else:
        for label, shape, count, part, note in rows:
            yield f"   {pad_cell(label, 24)}  {shape}  {count:>9}  {part:>6}  {note}".rstrip()
    if len(names) > most:
        rest = sum(counts[name] for name in names[most:])
        yield f"   … and {len(names) - most:,} more with {plural(rest, 'image')}"


def warnings_section(
    found: Iterable[tuple[str, Sequence[tuple[str, str]], int]], most: int = 5
) -> Iterator[str]:
    """What somebody should look at. `found` has a title, places with a word each, and how many places there are."""
    wanted = [entry for entry in found if entry[2]]
    yield "❗ Wants attention" if wanted else "✅ Nothing wants attention"
    for title, places, count in wanted:
        yield f"   {title}"
        rows = [
            (escape(place), truncate_middle(escape(why), MAX_WIDTH // 2))
            for place, why in places[:most]
        ]
        yield from format_table(rows, indent=6, headed=False) if rows else ()
        if count > len(places[:most]):
            yield f"      … and {count - len(places[:most]):,} more"


def thousands(value: int) -> str:
    return f"{value:,}"


def format_percent(count: float, total: float) -> str:
    """`12.5 %`; what is neither nothing nor everything is never shown as 0 % or 100 %."""
    percent = 100 * count / total if total else 0.0
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.0f} %" if percent in (0, 100) else f"{percent:.1f} %"


def plural(count: int, noun: str) -> str:
    """`1 image`, `2,000 images`, `3 topics`; words that end in -ch take -es."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count:,} {noun}{ending}"


def format_bytes(count: float) -> str:
    """Bytes for people, in powers of 1000: `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def format_duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
