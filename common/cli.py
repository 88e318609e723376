"""The command line that all seven scripts share: options, talk on stderr, results on stdout, exit status, signals.

Knows nothing of images. The contract in short: stdout is the result, stderr is talk, and the exit status is 0 (done),
1 (`--strict` and an image was unreadable), 2 (nothing could be done, or the job stopped part way), 130 or 143
(interrupted, finished work kept), 141 (stdout was closed).
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import json
import logging
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, TextIO

from tqdm import tqdm

from common import text

MAX_PIXELS = 200_000_000  # a 200 megapixel photo decodes to 600 MB; more is a bomb or wants a decision
tqdm.set_lock(threading.RLock())  # its own would import multiprocessing, and no other process of ours writes
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
NOT_ASCII = re.compile("[^\0-\x7f]")


class UserError(Exception):
    """Something the person at the keyboard can mend: printed as one line, exit status 2."""


class Stopped(SystemExit):
    """SIGTERM or SIGHUP, as an exception: what is being written is tidied up on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def parser(doc: str, opens_images: bool = True, limits_pixels: bool = True) -> argparse.ArgumentParser:
    """An argument parser with the options that every script has; `doc` is the script's docstring.

    `opens_images` adds what only makes sense where image files are read, `limits_pixels` what needs their pixels.
    """
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("paths", nargs="+", metavar="PATH", help="dataset, cluster, subcluster or topic folder")
    common = made.add_argument_group("options that all scripts share")
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout instead of the summary")
    common.add_argument("--quiet", action="store_true", help="print nothing on stderr but errors")
    common.add_argument("--strict", action="store_true", help="exit with status 1 when any image is unreadable")
    if opens_images:
        common.add_argument("--bad-files", metavar="FILE", help="append unreadable images to FILE as JSON lines")
    if opens_images and limits_pixels:
        common.add_argument(
            "--max-pixels",
            type=positive,
            default=MAX_PIXELS,
            metavar="N",
            help="images with more pixels are unreadable (default: %(default)s)",
        )
    return made


def positive(value: str) -> int:
    """An argparse type: a whole number of at least 1."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


positive.__name__ = "number of at least 1"  # argparse names the type in its error


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Talk:
    """Everything a script says on stderr, and the count of unreadable images behind its exit status."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.quiet: bool = args.quiet
        self.unreadable = 0
        self._strict: bool = getattr(args, "strict", False)
        self._bad_files = _appendable(getattr(args, "bad_files", None))

    @property
    def status(self) -> int:
        """The exit status of a job that ran to its end."""
        return 1 if self._strict and self.unreadable else 0

    def say(self, message: str) -> None:
        if not self.quiet:
            self._print(message)

    def warn(self, message: str) -> None:
        self.say(f"⚠️  {message}")

    def bad(self, path: str | os.PathLike[str], reason: str) -> None:
        """Count, list and (with --bad-files) record one unreadable image."""
        self.unreadable += 1
        self._print(f"❌ {text.shown(path)}: {reason}")
        if self._bad_files:
            self._bad_files.write(dumps({"path": os.path.abspath(path), "reason": reason}, indent=None))
            self._bad_files.flush()

    def progress(self, total: int | None, unit: str = "image", **options: Any) -> tqdm:
        """A progress bar with rate and time left; silent unless stderr is a terminal."""
        hidden = self.quiet or not sys.stderr.isatty()
        options = {"unit_scale": False, "dynamic_ncols": True, "smoothing": 0.1, "leave": False} | options
        return tqdm(total=total, unit=unit, disable=hidden, **options)

    def tally(self, found: int, **parts: int) -> None:
        """The last line of talk: found = the sum of its parts. Parts that are zero stay out, but never all of them."""
        if found != sum(parts.values()):
            raise AssertionError(f"the counts do not add up: {found} != {parts}")
        named = [f"{count:,} {name.replace('_', ' ')}" for name, count in parts.items() if count]
        first = next(iter(parts)).replace("_", " ")
        self.say(f"{text.plural(found, 'image')} found = {' + '.join(named) or f'0 {first}'}")

    def _print(self, message: str) -> None:
        tqdm.write(message, file=sys.stderr)


def _appendable(path: str | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return open(path, "a", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); give --bad-files another place") from None


def dumps(value: object, indent: int | None = 2) -> str:
    """JSON as this project writes it: keys sorted, a final newline, names readable, bytes that are no UTF-8 escaped."""
    plain = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", plain) + "\n"


def show(args: argparse.Namespace, summary: Iterable[str], data: dict[str, Any]) -> None:
    """Print the result: one JSON object with --json, else the summary's lines."""
    sys.stdout.write(_encodable(dumps(data)) if args.json else "".join(f"{line}\n" for line in summary))
    sys.stdout.flush()


def _encodable(plain: str) -> str:
    """JSON that stdout can take whatever its encoding: names must not be degraded, as the lines for people are."""
    if (sys.stdout.encoding or "utf-8").lower().replace("_", "-") == "utf-8":
        return plain
    return NOT_ASCII.sub(lambda match: json.dumps(match[0])[1:-1], plain)


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Run a script's main and turn whatever ends it early into one line on stderr and an exit status."""
    if argv is None:
        _read_names_as_utf8()
    _calm()
    try:
        try:
            return main(argv)
        finally:
            sys.stdout.flush()  # here, where its failure is caught: not at exit
    except BaseException as error:
        status = _ending(_interruption(error) or error)
        if status is None:
            raise
        return status


def _interruption(error: BaseException | None) -> BaseException | None:
    """The signal behind an error: one that comes amid a library's cleaning up makes that fail in its own way."""
    while error is not None and not isinstance(error, KeyboardInterrupt | Stopped):
        error = error.__context__
    return error


def _ending(error: BaseException) -> int | None:
    """The exit status of what ended the script, after its line on stderr; None where that is ours to mend."""
    match error:
        case UserError():
            return _ended(f"error: {text.shown(error)}", 2)
        case KeyboardInterrupt():
            return _ended("interrupted; finished work is kept, the same command goes on", 128 + signal.SIGINT)
        case Stopped():
            name = signal.Signals(error.number).name
            return _ended(f"stopped by {name}; finished work is kept, the same command goes on", 128 + error.number)
        case BrokenPipeError():
            _drop(sys.stdout, sys.stderr)
            return 128 + signal.SIGPIPE
        case OSError() if error.errno in DISK_FULL:
            status = _ended(f"error: {disk_full(error.filename or 'output', error)}", 2)
            if not error.filename:
                _drop(sys.stdout)
            return status
        case OSError() if error.filename is not None:
            return _ended(f"error: {text.shown(error.filename)}: {error.strerror}; see to it, then run this again", 2)
    return None


def _ended(message: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print(f"{_script()}: {message}", file=sys.stderr)
    return status


def _drop(*streams: TextIO) -> None:
    """Lead what Python still flushes at exit to nowhere."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def disk_full(path: object, error: OSError) -> str:
    """What to say when a file could not be written to its end."""
    return (
        f"{text.shown(path)}: could not be written ({error.strerror}); finished work is kept: "
        "make room, then run the same command again"
    )


def _script() -> str:
    return os.path.basename(sys.argv[0])


def _read_names_as_utf8() -> None:
    """Start over in UTF-8 mode where the locale is another: a name has one spelling in JSON, whoever runs us."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
        os.execv(sys.executable, sys.orig_argv)


def _calm() -> None:
    """Stop on SIGTERM like on Ctrl-C, never fail on the terminal's encoding, keep libraries' chatter to ourselves."""
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    codecs.register_error("degrade", _degrade)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (None where the caller closed it: >&-)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="degrade")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch's threads leave the cores to decoding while they wait


DECODER_DIED = (
    "a decoding process died, most likely for want of memory; finished work is kept: lower --workers or --max-pixels "
    "(in a container, raise --shm-size), then run the same command again"
)


def leave_signals_to_parent() -> None:
    """For decoding processes: Ctrl-C is their parent's business, and SIGTERM ends them at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


PLAIN = {
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
PLAIN |= {"→": "->", "·": "-"}


def _degrade(error: UnicodeError) -> tuple[str, int]:
    """For terminals without emoji: block characters get an ASCII twin, symbols vanish, letters appear as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(char: str) -> str:
    if char in PLAIN:
        return PLAIN[char]
    symbol = "\U0001f000" <= char <= "\U0001ffff" or "\u2000" <= char <= "\u2bff" or char == "\ufe0f"
    return "" if symbol else char.encode("ascii", "backslashreplace").decode()
