"""Charts and sections of the summaries that the stats scripts print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from common.terminal import (
    MAX_WIDTH,
    display_width,
    escape,
    extra_columns,
    format_percent,
    format_table,
    line_columns,
    pad_cell,
    plural,
    truncate_distinct,
    truncate_middle,
    usable_columns,
)

LABEL_COLUMNS = 24  # of a bar chart


def join_wrapped(items: Iterable[str], columns: int) -> list[str]:
    """Join items with commas, in lines of `columns` plus a last comma. Breaks no item."""
    lines: list[str] = []
    for item in items:
        if not lines:
            lines.append(item)
        elif display_width(lines[-1]) + 2 + display_width(item) <= columns:
            lines[-1] += f", {item}"
        else:
            lines[-1] += ","
            lines.append(item)
    return lines


def bar_line(share: float, columns: int = 20) -> str:
    """Draw a horizontal bar for a share from 0 to 1; above zero it has at least one block."""
    min_filled = 1 if share > 0 else 0
    filled = min(columns, max(round(share * columns), min_filled))
    return "█" * filled + "░" * (columns - filled)


def range_plot(
    q1: float, median: float, q3: float, low: float, high: float, columns: int = 20
) -> str:
    """Draw a distribution between `low` and `high`: a line between quartiles, a cross as median."""

    def column_of(value: float) -> int:
        return round((value - low) / ((high - low) or 1) * (columns - 1))

    cells = ["·"] * columns
    for column in range(columns):
        if column_of(q1) <= column <= column_of(q3):
            cells[column] = "━"
    cells[column_of(median)] = "╋"
    return "".join(cells)


def bar_chart(
    counts: Mapping[str, int],
    total: int,
    notes: Mapping[str, str] | None = None,
    keep_order: bool = False,
    max_entries: int = 12,
    full: int | None = None,
) -> Iterator[str]:
    """Draw one line per entry: name, bar, count, share of the total, note.

    The largest count comes first unless `keep_order`. Entries after the first `max_entries` share
    the last line. A bar is full at `full`, or at the total. The charts of a summary line up.
    """
    names = list(counts) if keep_order else sorted(counts, key=lambda name: (-counts[name], name))
    labels = {name: escape(name) or "(no name)" for name in names[:max_entries]}
    longest = max(map(display_width, labels.values()), default=0)
    columns = max(LABEL_COLUMNS, min(longest, LABEL_COLUMNS + extra_columns()))
    truncated = truncate_distinct(labels.values(), columns)
    rows = []
    for name, label in labels.items():
        bar = bar_line(counts[name] / (full or total or 1))
        percent = format_percent(counts[name], total)
        note = notes.get(name, "") if notes else ""
        rows.append((truncated[label], bar, f"{counts[name]:,}", percent, note))
    if usable_columns() < MAX_WIDTH:
        without_bars = [(label, *figures) for label, _, *figures in rows]
        if without_bars:
            yield from format_table(without_bars, " rr ", has_heading=False)
    else:
        for label, bar, count, percent, note in rows:
            cell = pad_cell(label, columns)
            yield f"   {cell}  {bar}  {count:>9}  {percent:>6}  {note}".rstrip()
    if len(names) > max_entries:
        rest = sum(counts[name] for name in names[max_entries:])
        yield f"   … and {len(names) - max_entries:,} more with {plural(rest, 'image')}"


def warnings_section(
    warnings: Iterable[tuple[str, Sequence[tuple[str, str]], int]], max_places: int = 5
) -> Iterator[str]:
    """List what needs attention. Each warning is a title, places with reasons, and their count."""
    relevant = [warning for warning in warnings if warning[2]]
    yield "❗ Needs attention" if relevant else "✅ Nothing needs attention"
    for title, places, count in relevant:
        yield f"   {title}"
        rows = []
        for place, reason in places[:max_places]:
            rows.append((escape(place), truncate_middle(escape(reason), line_columns() // 2)))
        if rows:
            yield from format_table(rows, indent=6, has_heading=False)
        if count > len(rows):
            yield f"      … and {count - len(rows):,} more"
