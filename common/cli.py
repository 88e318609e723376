"""The command line that all seven scripts share: their options, and how a run starts and ends.

Knows nothing about images. The contract in short: stdout has the result, stderr has progress,
warnings and errors (common/reporter.py), and the exit status is 0 (done), 1 (`--strict`, and an
image was unreadable), 2 (nothing could be done, or the job stopped part way), 130 or 143
(interrupted, finished work kept), 141 (stdout was closed).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from common import errors, reporter, signals

# A 200 megapixel photo decodes to 600 MB. Anything larger is a bomb, or meant: then say so.
MAX_PIXELS = 200_000_000


def make_parser(
    doc: str, opens_images: bool = True, limits_pixels: bool = True
) -> argparse.ArgumentParser:
    """Make an argument parser with the options of every script; `doc` is the script's docstring.

    `opens_images` adds what only makes sense for scripts that read image files, `limits_pixels`
    what only makes sense for those that need the pixels.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="dataset, cluster, subcluster or topic folder"
    )
    shared = parser.add_argument_group("options that all scripts share")
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


def positive_int(value: str) -> int:
    """Parse a whole number of at least 1; an argparse type."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


positive_int.__name__ = "number of at least 1"  # argparse names the type in its error


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
