"""The command line that all seven scripts share: their options, and how a run starts and ends.

Knows nothing about images. The contract in short: stdout has the result, stderr has progress,
warnings and errors (common/reporter.py), and the exit status is 0 (done), 1 (`--strict`, and an
image was unreadable), 2 (nothing could be done, or the job stopped part way), 130 or 143
(interrupted, finished work kept), 141 (stdout was closed).
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from common import errors, reporter, signals, start, terminal

# A 200 megapixel photo decodes to 600 MB. Anything larger is a bomb, or meant: then say so.
MAX_PIXELS = 200_000_000
EXCLUDE_DUPLICATES = "--exclude-duplicates"  # before --exclude came, this was short for it
NO_NEXT_STEP = "CURATION_NO_NEXT_STEP"  # in the environment: what comes next is known


class Parser(argparse.ArgumentParser):
    """An argument parser that takes full option names only, and names the one that was meant."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        self._given: list[str] = []

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = sys.argv[1:] if args is None else list(args)
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._suggest(unknown)}")
        for name, value in vars(parsed).items():
            if value == "":  # most likely a shell variable that is not set
                self.error(f"--{name.replace('_', '-')}: the value is empty")
        return parsed

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line."""
        advice = "see --help"
        if "required: PATH" in message:
            for action in self._actions:
                is_greedy = action.nargs == "+" and action.option_strings
                if is_greedy and set(action.option_strings) & set(self._given):
                    advice = f"put them before {action.option_strings[0]}"
        elif message == "argument --exclude: expected one argument":
            advice = "give a PATTERN of paths below the dataset"
            if EXCLUDE_DUPLICATES in self._option_string_actions:
                advice = f"did you mean {EXCLUDE_DUPLICATES}?"
        is_clear = "did you mean" in message or ";" in message
        self.exit(2, f"{self.prog}: error: {message}{'' if is_clear else f'; {advice}'}\n")

    def _suggest(self, unknown: Sequence[str]) -> str:
        """Say which option the first unknown one was meant to be, if there is a similar one."""
        for argument in unknown:
            if not argument.startswith("--"):
                continue
            name = argument.split("=")[0]
            options = [option for option in self._option_string_actions if option[:2] == "--"]
            completions = [option for option in options if option.startswith(name)]
            similar = completions or difflib.get_close_matches(name, options, n=1)
            if similar:
                return f"; did you mean {' or '.join(similar)}?"
        return ""


class PrintVersion(argparse.Action):
    """Prints the version of the scripts, and git's description of it if they are in a clone."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{parser.prog} {start.suite_version()}")
        parser.exit()


def make_parser(
    doc: str, opens_images: bool = True, limits_pixels: bool = True
) -> argparse.ArgumentParser:
    """Make an argument parser with the options of every script; `doc` is the script's docstring.

    `opens_images` adds what only makes sense for scripts that read image files, `limits_pixels`
    what only makes sense for those that need the pixels.
    """
    parser = Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--version",
        action=PrintVersion,
        nargs=0,
        default=argparse.SUPPRESS,
        help="print the version and exit",
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="dataset, cluster, subcluster or topic folder"
    )
    shared = parser.add_argument_group("options that all scripts share")
    shared.add_argument(
        "--levels",
        type=int,
        choices=range(1, 4),
        help="each PATH is a dataset with so many levels above its images: 1 is DataSet/Topic, "
        "2 DataSet/Cluster/Topic, 3 has subclusters too (default: look where the images are)",
    )
    for option, what in (("--include", "work only on"), ("--exclude", "leave out")):
        shared.add_argument(
            option,
            action="append",
            default=[],
            metavar="PATTERN",
            help=f"{what} images whose path below the dataset matches, or that of their topic or a "
            "folder above it; may be given several times",
        )
    shared.add_argument(
        "--no-masks",
        action="store_true",
        help="take x_mask.png, x-masklabel.png and x-condlabel.png beside x.jpg for images",
    )
    shared.add_argument(
        "--json", action="store_true", help="print one JSON object to stdout, not the summary"
    )
    shared.add_argument("--quiet", action="store_true", help="print only errors to stderr")
    shared.add_argument(
        "--strict", action="store_true", help="exit with status 1 if any image is unreadable"
    )
    if opens_images:
        shared.add_argument(
            "--bad-files", metavar="FILE", help="append unreadable images to FILE as JSON lines"
        )
    if opens_images and limits_pixels:
        shared.add_argument(
            "--max-pixels",
            type=positive_int,
            default=MAX_PIXELS,
            metavar="N",
            help="treat images with more pixels as unreadable (default: %(default)s)",
        )
    return parser


def next_step(args: argparse.Namespace, script: str, *arguments: str) -> list[str]:
    """Return the line that says what to type next; none in a script that runs all of them.

    The command works where this script was started: it is called in the same way. It looks at the
    same levels, and if it works on the same folders at the same topics.
    """
    if os.environ.get(NO_NEXT_STEP):
        return []
    path = os.path.join(os.path.dirname(sys.argv[0]) or ".", script)
    shared = ["--levels", str(args.levels)] if args.levels else []
    if set(args.paths) & set(arguments):  # on the same dataset
        shared += [f"--include={pattern}" for pattern in args.include]
        shared += [f"--exclude={pattern}" for pattern in args.exclude]
    if args.no_masks:
        shared.append("--no-masks")
    return [f"👉 next: {terminal.escape(shlex.join([path, *arguments, *shared]))}"]


def positive_int(value: str) -> int:
    """Parse a whole number of at least 1; an argparse type."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


positive_int.__name__ = "number of at least 1"  # argparse names the type in its error


def whole_number(value: str) -> int:
    """Parse a whole number of at least 0; an argparse type."""
    return positive_int(value) if int(value) else 0


whole_number.__name__ = "whole number"


def available_cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_script(
    main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None
) -> int:
    """Run a script's main; if it ends early, print one line to stderr and return the exit status.

    If `argv` is given, another program calls it, and that program handles signals.
    """
    if argv is None:
        _restart_in_utf8_mode()
        signals.start_job()
    reporter.survive_any_encoding()
    quiet_libraries()
    try:
        try:
            return main(argv)
        finally:
            sys.stdout.flush()  # a failure is caught here; at exit it would not be
    except BaseException as error:
        status = None if signals.stop_requested() else errors.exit_status(error)
        if status is None:
            raise
        return status
    finally:
        signals.finish_job()


def _restart_in_utf8_mode() -> None:
    """Start this process again in UTF-8 mode if the locale has another encoding.

    So a file name has the same spelling in JSON, whoever runs the script.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
        os.execv(sys.executable, sys.orig_argv)


def quiet_libraries() -> None:
    """Silence libraries' warnings and logs, and make torch's threads wait without using a core.

    Works for torch only before it is loaded.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning would slow down decoding
