"""The options --html and --open of the scripts that write a page."""

from __future__ import annotations

import argparse
import os
import webbrowser
from pathlib import Path

from common import atomic_files, terminal
from common.errors import UserError
from common.reporter import Reporter


def add_html_options(parser: argparse.ArgumentParser, content: str) -> None:
    parser.add_argument("--html", metavar="FILE", help=f"also write a page {content}")
    parser.add_argument("--open", action="store_true", help="open that page in a browser")


def check_html_options(args: argparse.Namespace) -> None:
    """Raise UserError if no page can be written to --html, or --open has none to open."""
    if args.html is not None:
        atomic_files.check_output(args.html, "--html")
    elif args.open:
        raise UserError("--open needs a page: add --html FILE")


def announce_page(args: argparse.Namespace, reporter: Reporter) -> None:
    """Say where the page is, and open it if wanted."""
    path = os.path.abspath(args.html)
    reporter.say(f"📄 page: {terminal.escape(path)}")
    if args.open and not webbrowser.open(Path(path).as_uri()):
        reporter.warn("found no browser to open it with")
