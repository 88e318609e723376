"""What a script prints: results on stdout, talk on stderr, JSON that survives any name, any terminal's encoding."""

from __future__ import annotations

import argparse
import codecs
import json
import os
import re
import sys
import threading
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

from common import durability, terminal
from common.errors import UserError

tqdm.set_lock(
    threading.RLock()
)  # its own would import multiprocessing, and no other process of ours writes
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
NOT_ASCII = re.compile("[^\0-\x7f]")
ASCII_TWINS = {
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
}
ASCII_TWINS |= {"→": "->", "·": "-"}


class Reporter:
    """Everything a script says on stderr, and the count of unreadable images behind its exit status."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.quiet: bool = args.quiet
        self.unreadable = 0
        self._strict: bool = getattr(args, "strict", False)
        self._bad_files = _open_for_append(getattr(args, "bad_files", None))

    @property
    def status(self) -> int:
        """The exit status of a job that ran to its end."""
        return 1 if self._strict and self.unreadable else 0

    def say(self, message: str) -> None:
        if not self.quiet:
            self._print(message)

    def warn(self, message: str) -> None:
        self.say(f"⚠️  {message}")

    def report_unreadable(self, path: str | os.PathLike[str], reason: str) -> None:
        """Count, list and (with --bad-files) record one unreadable image."""
        self.unreadable += 1
        self._print(f"❌ {terminal.escape(path)}: {reason}")
        if self._bad_files:
            self._bad_files.write(
                dump_json({"path": os.path.abspath(path), "reason": reason}, indent=None)
            )
            self._bad_files.flush()

    def progress(self, total: int | None, unit: str = "image", **options: Any) -> tqdm:
        """A progress bar with rate and time left; silent unless stderr is a terminal."""
        hidden = self.quiet or not sys.stderr.isatty()
        options = {
            "unit_scale": False,
            "dynamic_ncols": True,
            "smoothing": 0.1,
            "leave": False,
        } | options
        return tqdm(total=total, unit=unit, disable=hidden, **options)

    def print_totals(self, found: int, **parts: int) -> None:
        """The last line of talk: found = the sum of its parts. Parts that are zero stay out, but never all of them."""
        if found != sum(parts.values()):
            raise AssertionError(f"the counts do not add up: {found} != {parts}")
        durability.sync_renames()
        named = [f"{count:,} {name.replace('_', ' ')}" for name, count in parts.items() if count]
        first = next(iter(parts)).replace("_", " ")
        self.say(f"{terminal.plural(found, 'image')} found = {' + '.join(named) or f'0 {first}'}")

    def _print(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)


def _open_for_append(path: str | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); give --bad-files another place"
        ) from None


def dump_json(value: object, indent: int | None = 2) -> str:
    """JSON as this project writes it: keys sorted, a final newline, names readable, bytes that are no UTF-8 escaped."""
    plain = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", plain) + "\n"


def print_result(args: argparse.Namespace, summary: Iterable[str], data: dict[str, Any]) -> None:
    """Print the result, once it is on the disk for good: one JSON object with --json, else the summary's lines.

    Those fold on a narrow terminal.
    """
    durability.sync_renames()
    lines = () if args.json else (part for line in summary for part in terminal.wrap_line(line))
    sys.stdout.write(
        _escape_for_stdout(dump_json(data)) if args.json else "".join(f"{line}\n" for line in lines)
    )
    sys.stdout.flush()


def _escape_for_stdout(plain: str) -> str:
    """JSON that stdout can take whatever its encoding: names must not be degraded, as the lines for people are."""
    if (sys.stdout.encoding or "utf-8").lower().replace("_", "-") == "utf-8":
        return plain
    return NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], plain)


def survive_any_encoding() -> None:
    """Print what a terminal cannot show in a plainer form instead of failing, and to nowhere what was closed."""
    codecs.register_error("degrade", _degrade_characters)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (None where the caller closed it: >&-)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="degrade")


def _degrade_characters(error: UnicodeError) -> tuple[str, int]:
    """For terminals without emoji: block characters get an ASCII twin, symbols vanish, letters appear as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain_character, error.object[error.start : error.end])), error.end


def _plain_character(char: str) -> str:
    if char in ASCII_TWINS:
        return ASCII_TWINS[char]
    symbol = (
        "\U0001f000" <= char <= "\U0001ffff" or "\u2000" <= char <= "\u2bff" or char == "\ufe0f"
    )
    return "" if symbol else char.encode("ascii", "backslashreplace").decode()
