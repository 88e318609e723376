"""What holds for the documentation: every option is told, the README is short, and every link leads
somewhere.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from test_project import PACKAGES

sys.path.insert(0, str(ROOT / "demo"))
import doc_commands
import samples

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "demo" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WORDS = 1300  # that a person reads in one sitting; counted as wc does
CODE = re.compile(r"^```.*?^```\n|`[^`\n]*`", re.DOTALL | re.MULTILINE)


def read(path: Path) -> str:
    return path.read_text("utf-8")


def options(script: str) -> set[str]:
    """Every long option, as the parser itself tells them."""
    ran = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=60
    )
    usage = ran.stdout.split("\n\n")[0]
    return set(re.findall(r"--[a-z][a-z0-9-]*", usage))


def links(path: Path) -> list[str]:
    """Where the links and pictures of a page lead, those in code left out."""
    return re.findall(r"\]\(([^)\s]+)\)", CODE.sub("", read(path)))


def anchors(path: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```\n", "", read(path), flags=re.DOTALL | re.MULTILINE), re.M
    )
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_option_is_on_the_scripts_page(script):
    page = read(ROOT / "docs" / f"{Path(script).stem}.md")
    missing = {
        option
        for option in options(script) - {"--help", "--version"}
        if not re.search(rf"{option}(?![a-z0-9-])", page)
    }
    assert not missing


@pytest.mark.parametrize("script", [*SCRIPTS, "pipeline.sh"])
def test_the_readme_leads_to_every_script(script):
    page = "pipeline.md" if script == "pipeline.sh" else f"{Path(script).stem}.md"
    assert f"### [{script}](docs/{page})\n" in read(README)


def test_the_readme_is_read_in_one_sitting():
    assert len(read(README).split()) <= WORDS


def test_a_figure_in_the_readme_is_one_of_docs():
    section = read(README).split("\n## Figures\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\|.*\|$", section, re.M)[2:]
    known = set(
        re.findall(r"\d[\d,.]*\d|\d", "".join(read(page) for page in PAGES if page != README))
    )
    assert len(rows) >= 5
    for row in rows:
        assert set(re.findall(r"\d[\d,.]*\d|\d", row)) <= known, row


def test_links_from_the_readme_lead_to_every_page_of_docs():
    reached, next_pages = {README}, [README]
    while next_pages:
        page = next_pages.pop()
        linked = {
            (page.parent / link.partition("#")[0]).resolve() for link in links(page)
        } - reached
        reached |= linked
        next_pages += [path for path in linked if path.suffix == ".md"]
    assert set((ROOT / "docs").resolve().iterdir()) <= reached


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for link in links(page):
        if re.match(r"\w+://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT.resolve()), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_ours_that_is_named_is_there(page):
    named = set(
        re.findall(r"`((?:common|tests|demo|benchmarks|docs|training)/[\w/.]+)", read(page))
    )
    assert not {
        path for path in named if not path.startswith("demo/data") and not (ROOT / path).exists()
    }


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_shows_a_sample_in_the_readme_and_on_its_page(script):
    name = Path(script).stem
    for page in (README, ROOT / "docs" / f"{name}.md"):
        shown = [match for match in samples.SAMPLE.finditer(read(page)) if match["name"] == name]
        assert shown and all(match[0].count("\n") >= 4 for match in shown), page


def test_a_sample_is_the_part_that_its_marker_asks_for():
    page = "<!-- sample: it, 2 lines from b -->\n```\nold\n```\n<!-- sample: it -->\n```\n```\n"
    assert samples.with_samples(page, {"it": "a\nb\nc\nd"}) == (
        "<!-- sample: it, 2 lines from b -->\n```\nb\nc\n```\n<!-- sample: it -->\n```\na\nb\nc\nd\n```\n"  # noqa: E501
    )


def product_files() -> list[Path]:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    folders = ("tests/", "benchmarks/", "training/", "demo/")
    return [ROOT / name for name in tracked if not name.startswith(folders)]


def test_code_page_names_only_functions_that_the_product_calls():
    page = read(ROOT / "docs" / "code.md")
    sources = {path: read(path) for path in product_files()}
    modules = {path.stem: path for path in sources}
    named = set(re.findall(r"`([a-z_]+)\.([a-z_]+)`", page)) - {("common", "clip")}
    named = {(module, name) for module, name in named if name not in ("py", "json", "md", "sh")}
    assert len(named) > 25
    for module, name in named:
        if module in PACKAGES:
            assert name in modules, f"{module}.{name}"
            continue
        assert f"def {name}(" in sources[modules[module]], f"{module}.{name}"
        calls = re.compile(rf"(?<!def )\b{name}\b")
        assert any(calls.search(text) for text in sources.values()), f"{module}.{name}"


def test_code_page_names_only_files_that_exist():
    names = re.findall(r"`([\w/]+\.(?:py|html|sh))`", read(ROOT / "docs" / "code.md"))
    tracked = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in path.parts}
    assert len(names) > 10
    assert not {name for name in names if name not in tracked and name != "__init__.py"}


DOC_COMMANDS = list(doc_commands.find_commands())


def test_the_pages_have_commands_and_few_cannot_run_on_the_sample():
    assert len(DOC_COMMANDS) > 50
    not_run = [command for command in DOC_COMMANDS if command.not_run]
    assert len(not_run) <= doc_commands.MAX_NOT_RUN, not_run


@pytest.mark.parametrize(
    "command", DOC_COMMANDS, ids=lambda command: f"{command.page}: {command.line}"
)
def test_the_parser_accepts_every_command_of_the_pages(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "splits").mkdir()
    script, *arguments = command.words
    if script == "pipeline.sh":
        known = read(ROOT / "pipeline.sh") + read(ROOT / "aesthetic_scorer.py")
        assert all(word in known for word in arguments if word == "--output")
        assert {word for word in arguments if word.startswith("--")} <= {"--output", "--model"}
        return
    module = importlib.import_module(script.removesuffix(".py"))
    if hasattr(module, "parse_args"):
        assert module.parse_args(arguments).paths
    else:
        assert module.make_parser().parse_args(arguments).paths
