"""What a script prints: the result to stdout, everything else to stderr.

JSON survives any file name, and text survives any encoding of the terminal.
"""

from __future__ import annotations

import argparse
import codecs
import json
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from json.encoder import encode_basestring
from typing import Any, TextIO

from tqdm import tqdm

from common import atomic_files, durability, links, terminal
from common.errors import UserError
from common.said_before import SaidBefore

# tqdm's own lock would import multiprocessing, and no other process of ours prints.
tqdm.set_lock(threading.RLock())
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
NOT_ASCII = re.compile("[^\0-\x7f]")

MAX_ALIKE = 3  # warnings of one kind that are printed
PLURALS = {"duplicates", "variants", "references"}  # of what the last line counts


class Reporter:
    """Everything a script prints to stderr, and the count of unreadable images.

    What the same run of pipeline.sh has warned of before is only counted.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.quiet: bool = args.quiet
        self.unreadable = 0
        self.excluded = 0  # images in topics that --include and --exclude leave out
        self.unread_files: dict[str, int] = {}  # of formats that are not read, by ending
        self.masks = 0  # files that are sidecars of images
        self._said_once = set[str]()
        self._alike = Counter[str]()  # warnings, by what they warn of
        self._said_before = SaidBefore()
        self._strict: bool = getattr(args, "strict", False)
        self._bad_files = _open_for_append(getattr(args, "bad_files", None))

    def as_json(self) -> dict[str, Any]:
        """Return what --json of every script says of files that are no images, or not read."""
        said: dict[str, Any] = {"unread_files": self.unread_files, "masks": self.masks}
        return {key: value for key, value in said.items() if value}

    @property
    def status(self) -> int:
        """The exit status of a job that ran to its end."""
        return 1 if self._strict and self.unreadable else 0

    def say(self, message: str) -> None:
        if not self.quiet:
            self._print(message)

    def say_once(self, message: str) -> None:
        """Say this unless this run has said it before."""
        if message not in self._said_once:
            self._said_once.add(message)
            self.say(message)

    def warn(self, message: str) -> None:
        if not self.quiet and not self._said_before.holds(message, "warning"):
            self.say(f"⚠️  {message}")

    def warn_few(self, kind: str, message: str) -> None:
        """Warn of the first few things of a kind; at the end of the run, of how many more."""
        self._alike[kind] += 1
        if self._alike[kind] <= MAX_ALIKE:
            self.warn(message)

    def report_unreadable(self, path: str | os.PathLike[str], reason: str) -> None:
        """Count and print an unreadable image; with --bad-files, record it."""
        self.unreadable += 1
        message = f"{terminal.escape(path)}: {reason}"
        if not self._said_before.holds(message, "unreadable image", path):
            self._print(f"❌ {message}")
        if self._bad_files:
            entry = {"path": os.path.abspath(path), "reason": reason}
            self._bad_files.write(dump_json(entry, indent=None))
            self._bad_files.flush()

    def progress(self, total: int | None, unit: str = "image", **options: Any) -> tqdm:
        """Make a progress bar with rate and time left; it is silent unless stderr is a terminal."""
        is_hidden = self.quiet or not sys.stderr.isatty()
        defaults = {"unit_scale": False, "dynamic_ncols": True, "smoothing": 0.1, "leave": False}
        return tqdm(total=total, unit=unit, disable=is_hidden, **{**defaults, **options})

    def print_totals(self, found: int, **parts: int) -> None:
        """Print the last line: `found` images = the sum of the parts.

        Leaves out parts that are zero; if all are, prints the first.
        """
        if found != sum(parts.values()):
            raise AssertionError(f"the counts do not add up: {found} != {parts}")
        if self.excluded:
            found += self.excluded
            parts["excluded"] = self.excluded
        durability.sync_renames()
        for link in links.unusable_links():
            path = terminal.escape(link)
            self.warn(f"{path}: a link to a folder that is no cache, so nothing is cached there")
        if count := links.count_ignored():
            ignored = "1 sidecar is a link" if count == 1 else f"{count:,} sidecars are links"
            self.warn(f"{ignored} to files outside of the given folders, and not used")
        for kind, count in self._alike.items():
            if count > MAX_ALIKE:
                self.warn(f"{count - MAX_ALIKE:,} more {kind}")
        if repeated := self._said_before.counts_in_words():
            self.say(f"🔕 as said before: {repeated}")
        words = {name: name.replace("_", " ") for name in parts}
        for name in PLURALS & parts.keys():
            words[name] = words[name].removesuffix("s") if parts[name] == 1 else words[name]
        terms = [f"{count:,} {words[name]}" for name, count in parts.items() if count]
        if not terms:
            terms = [f"0 {next(iter(words.values()))}"]
        line = f"{terminal.plural(found, 'image')} found = {' + '.join(terms)}"
        self.say("\n".join(terminal.wrap_line(line)))

    def _print(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)


def _open_for_append(path: str | None) -> TextIO | None:
    if path is None:
        return None
    atomic_files.check_not_in_dataset(path, "--bad-files")
    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); give --bad-files another place"
        ) from None


def dump_json(value: object, indent: int | None = 2) -> str:
    """Format JSON as this project writes it: sorted keys, a final newline, readable names.

    Bytes that are not UTF-8 (lone surrogates) are escaped.
    """
    try:
        text = _indent_json(value, "\n") if indent == 2 else _compact_json(value)
    except TypeError:  # keys that are no text
        text = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False)
    if not text.isascii():
        text = LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return text + "\n"


def _indent_json(value: object, line_start: str) -> str:
    """Return what json.dumps does with an indent of 2, in half of the time."""
    next_start = line_start + "  "
    if isinstance(value, dict) and value:
        items = []
        for key, item in sorted(value.items()):
            items.append(f"{next_start}{encode_basestring(key)}: {_indent_json(item, next_start)}")
        return f"{{{','.join(items)}{line_start}}}"
    if isinstance(value, list | tuple) and value:
        items = [next_start + _indent_json(item, next_start) for item in value]
        return f"[{','.join(items)}{line_start}]"
    if type(value) is str:
        return encode_basestring(value)
    return str(value) if type(value) is int else _compact_json(value)


def _compact_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def section_lines(
    title: str, entries: Sequence[str], max_entries: int, rest: str = "… and {:,} more"
) -> Iterator[str]:
    """Yield a title with the number of entries, and the first few of them, if there are any.

    `rest` is the line about the others.
    """
    if not entries:
        return
    yield f"{title}: {len(entries):,}"
    for entry in entries[:max_entries]:
        yield f"   {terminal.escape(entry)}"
    if len(entries) > max_entries:
        yield "   " + rest.format(len(entries) - max_entries)


def print_result(args: argparse.Namespace, summary: Iterable[str], data: dict[str, Any]) -> None:
    """Print the result: one JSON object with --json, otherwise the lines of the summary.

    Waits until everything written is on the disk. Wraps lines on a narrow terminal.
    """
    durability.sync_renames()
    if args.json:
        text = _escape_for_stdout(dump_json(data))
    else:
        text = "".join(f"{part}\n" for line in summary for part in terminal.wrap_line(line))
    sys.stdout.write(text)
    sys.stdout.flush()


def _escape_for_stdout(text: str) -> str:
    """Escape JSON for a stdout that is not UTF-8: names must not degrade as other text does."""
    encoding = sys.stdout.encoding or "utf-8"
    if encoding.lower().replace("_", "-") == "utf-8":
        return text
    return NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], text)


def survive_any_encoding() -> None:
    """Print characters that the terminal cannot show in a plainer form, instead of failing.

    A closed stdout or stderr (`>&-`) becomes the null device.
    """
    codecs.register_error("degrade", terminal.degrade_characters)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="degrade")
