"""The command line that all seven scripts share: their options, and how a run begins and ends.

Knows nothing of images. The contract in short: stdout is the result, stderr is talk (common/reporter.py), and the exit
status is 0 (done), 1 (`--strict` and an image was unreadable), 2 (nothing could be done, or the job stopped part way),
130 or 143 (interrupted, finished work kept), 141 (stdout was closed).
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from common import errors, reporter, signals

MAX_PIXELS = (
    200_000_000  # a 200 megapixel photo decodes to 600 MB; more is a bomb or wants a decision
)


def make_parser(
    doc: str, opens_images: bool = True, limits_pixels: bool = True
) -> argparse.ArgumentParser:
    """An argument parser with the options that every script has; `doc` is the script's docstring.

    `opens_images` adds what only makes sense where image files are read, `limits_pixels` what needs their pixels.
    """
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "paths", nargs="+", metavar="PATH", help="dataset, cluster, subcluster or topic folder"
    )
    common = made.add_argument_group("options that all scripts share")
    common.add_argument(
        "--json", action="store_true", help="print one JSON object on stdout instead of the summary"
    )
    common.add_argument("--quiet", action="store_true", help="print nothing on stderr but errors")
    common.add_argument(
        "--strict", action="store_true", help="exit with status 1 when any image is unreadable"
    )
    if opens_images:
        common.add_argument(
            "--bad-files", metavar="FILE", help="append unreadable images to FILE as JSON lines"
        )
    if opens_images and limits_pixels:
        common.add_argument(
            "--max-pixels",
            type=positive_int,
            default=MAX_PIXELS,
            metavar="N",
            help="images with more pixels are unreadable (default: %(default)s)",
        )
    return made


def positive_int(value: str) -> int:
    """An argparse type: a whole number of at least 1."""
    number = int(value)
    if number < 1:
        raise ValueError
    return number


positive_int.__name__ = "number of at least 1"  # argparse names the type in its error


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_script(
    main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None
) -> int:
    """Run a script's main and turn whatever ends it early into one line on stderr and an exit status.

    With `argv` it is another program that runs it, and signals are that one's business.
    """
    if argv is None:
        _read_names_as_utf8()
        signals.start_job()
    reporter.survive_any_encoding()
    quiet_libraries()
    try:
        try:
            return main(argv)
        finally:
            sys.stdout.flush()  # here, where its failure is caught: not at exit
    except BaseException as error:
        status = None if signals.stop_requested() else errors.exit_status(error)
        if status is None:
            raise
        return status
    finally:
        signals.finish_job()


def _read_names_as_utf8() -> None:
    """Start over in UTF-8 mode where the locale is another: a name has one spelling in JSON, whoever runs us."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
        os.execv(sys.executable, sys.orig_argv)


def quiet_libraries() -> None:
    """Keep libraries' chatter to ourselves, and torch's threads, not loaded yet, off the cores of decoding."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # they would spin while they wait
