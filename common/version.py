"""`--version`: which version of the scripts this is."""

from __future__ import annotations

import argparse
import contextlib
import os

from common import start


class PrintVersion(argparse.Action):
    """Prints the version of the scripts, and git's description of it if they are in a clone."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"{parser.prog} {version()}")
        parser.exit()


def version() -> str:
    """Return the latest version in the changelog, and what git calls the present state."""
    with open(os.path.join(start.ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
        headings = [line[3:].strip() for line in file if line.startswith("## ")]
    number = next(heading for heading in headings if heading[0].isdigit())
    if headings[0] != number:
        number += " and later changes"
    if not os.path.exists(os.path.join(start.ROOT, ".git")):
        return number
    import subprocess

    command = ["git", "-C", start.ROOT, "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):  # no git
        described = subprocess.run(command, capture_output=True, text=True)
        if described.returncode == 0:
            return f"{number} ({described.stdout.strip()})"
    return number
