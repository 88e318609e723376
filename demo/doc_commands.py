#!/usr/bin/env python3
"""Run every command of the documentation on the sample dataset, as it stands there.

A command is a line of a code block that starts with one of the scripts. It runs in a folder with
the sample dataset under the names that the pages use, scored by the embedded model and searched.
What needs weights, Ray, another program or other folders is not run, but listed and counted.

examples:
  demo/doc_commands.py                run them, and name each that fails
  demo/doc_commands.py README.md      only those of one page
  demo/doc_commands.py --list         only list them
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = [*sorted(path.name for path in ROOT.glob("*.py")), "pipeline.sh"]
MAX_NOT_RUN = 20
BLOCK = re.compile(
    r"(?P<sample><!-- sample: [^\n]* -->\n)?^```(?P<language>\w*)\n(?P<lines>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
COMMAND = re.compile(
    rf"(?:python3? )?(?:\./)?({'|'.join(map(re.escape, SCRIPTS))}) +(?! )(?!\S+\.(?:py|sh)\b)"
)
PREPARE = (
    "pipeline.sh DataSet_1 DataSet_2 --output full_dataset --model tiny",
    "find_duplicates.py DataSet_1 DataSet_2",
)
NOT_RUN = {  # why, by what the command contains
    r"--ray\b|--ray-address": "needs Ray",
    r"aesthetic_scorer\.py (?!.*--model tiny)|pipeline\.sh (?!.*--model tiny)": "needs weights",
    r"--method clip": "needs weights",
    r"\| jq": "needs jq",
    r" ~?/\w": "names folders that only an example has",
}
# Names of datasets on the pages, and the sample dataset that takes the place of each.
NAMES = {
    "DataSet": "DataSet_1",
    "Drawings": "DataSet_2",
    "New": "DataSet_1",
    "Benchmark": "DataSet_2",
    "RO": "DataSet_1",
}


@dataclass(frozen=True)
class Command:
    page: str
    line: str  # without the comment at its end
    not_run: str = ""  # why

    @property
    def words(self) -> list[str]:
        """The script and its arguments, without what follows a pipe or a redirection."""
        words = shlex.split(re.sub(r"^python3? |(?<= )[|>].*", "", self.line), comments=True)
        return [words[0].removeprefix("./"), *words[1:]]


def find_commands() -> Iterator[Command]:
    """Yield the commands of all pages in their order."""
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text("utf-8")):
            if block["sample"] or block["language"] not in ("", "bash"):
                continue
            for line in block["lines"].splitlines():
                if COMMAND.match(line):
                    text = re.sub(r"\s{2,}(#|then:).*|\s# .*", "", line).strip()
                    reasons = [why for words, why in NOT_RUN.items() if re.search(words, text)]
                    yield Command(str(page.relative_to(ROOT)), text, ", ".join(reasons))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    pages = [str(page.relative_to(ROOT)) for page in PAGES]
    parser.add_argument("pages", metavar="PAGE", nargs="*", help="only these, such as README.md")
    parser.add_argument("--list", action="store_true", help="only list the commands")
    args = parser.parse_args()
    if unknown := set(args.pages) - set(pages):
        parser.error(f"{', '.join(sorted(unknown))}: no such page; choose from {', '.join(pages)}")
    commands = [each for each in find_commands() if each.page in (args.pages or pages)]
    skipped = [command for command in commands if command.not_run]
    for command in skipped:
        print(f"not run ({command.not_run}): {command.page}: {command.line}")
    if args.list:
        print(*(f"{command.page}: {command.line}" for command in commands), sep="\n")
        return 0
    sys.stdout.flush()
    failures = run_all([command for command in commands if not command.not_run])
    print(f"{len(commands) - len(skipped)} run, {failures} failed, {len(skipped)} not run")
    return 1 if failures or len(skipped) > MAX_NOT_RUN else 0


def run_all(commands: list[Command]) -> int:
    """Run the commands page by page, each page in a fresh folder. Returns how many failed."""
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        sample = Path(scratch, "sample")
        make = [sys.executable, str(ROOT / "demo/make_dataset.py"), str(sample)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        environment = {**os.environ, "PATH": f"{ROOT}:{os.environ['PATH']}", "HOME": scratch}
        for line in PREPARE:
            if not run_one(Command("(first)", line), sample, environment):
                return 1
        for page in dict.fromkeys(command.page for command in commands):
            folder = Path(scratch, page.replace("/", "_"))
            shutil.copytree(sample, folder)
            for name, dataset in NAMES.items():
                shutil.copytree(sample / dataset, folder / name)
            for command in commands:
                if command.page == page:
                    failures += not run_one(command, folder, environment)
    return failures


def run_one(command: Command, folder: Path, environment: dict[str, str]) -> bool:
    """Run a command by bash. Returns whether it succeeded; prints its last line if it did not."""
    line = re.sub(r"^(python3? )?(\./)?", "", command.line)
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or [""])[-1]
        message = f"❌ {command.page}: {command.line}\n   status {ended.returncode}: {last}"
        print(message, flush=True)
    return not ended.returncode


if __name__ == "__main__":
    raise SystemExit(main())
