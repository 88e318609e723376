"""Which Python runs a script: the one that was called, the `.venv` beside it, or none."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
# Prints how it was called, and ends with a status of its own.
STAND_IN = """#!/bin/sh
printf '%s|' "$@"
cat
exit 7
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> str:
    """A Python of the right version that has no packages."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


@pytest.fixture
def suite(tmp_path) -> Path:
    """A copy of the scripts, in a folder without a `.venv`."""
    folder = tmp_path / "the suite"
    shutil.copytree(ROOT / "common", folder / "common", ignore=shutil.ignore_patterns("clip"))
    for script in SCRIPTS:
        shutil.copy(ROOT / script, folder)
    for package in ("imaging", "sidecars", "keeping", "merging", "reports"):
        shutil.copytree(ROOT / package, folder / package)
    return folder


def make_python(suite: Path, content: str = STAND_IN) -> None:
    python = suite / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(content)
    python.chmod(0o755)


def run_python(python: str, *args: object, **options) -> subprocess.CompletedProcess:
    command = [python, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_its_packages_it_continues_in_the_venv(suite, bare_python, script, tmp_path):
    make_python(suite)
    link = tmp_path / "link.py"
    link.symlink_to(suite / script)
    ran = run_python(bare_python, "-B", "-X", "utf8", link, "a b", "--json", input="stdin")
    assert ran.stdout == f"-B|-X|utf8|{link}|a b|--json|stdin", ran.stderr
    assert (ran.returncode, ran.stderr) == (7, "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_packages_and_venv_one_line_says_what_to_type(suite, bare_python, script):
    ran = run_python(bare_python, suite / script, "DataSet")
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"{script}: error: {bare_python} has no tqdm, wcwidth")
    assert ran.stderr.endswith(f"; run: make -C '{suite}' setup\n")
    assert ran.stderr.count("\n") == 1


def test_a_venv_that_lacks_packages_ends_in_one_line_not_in_a_loop(suite):
    venv.create(suite / ".venv", with_pip=False)
    for python in (suite / ".venv/bin/python", sys.executable):
        source = "import sys; sys.path = [p for p in sys.path if 'site-packages' not in p]\n"
        source += f"import runpy; sys.argv = [{str(suite / 'split_data.py')!r}]\n"
        source += (
            f"sys.path.insert(0, {str(suite)!r}); runpy.run_path(sys.argv[0], None, '__main__')"
        )
        command = ("-c", source) if python == sys.executable else (suite / "split_data.py",)
        ran = run_python(python, *command)
        assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
        assert f"'{suite}/.venv/bin/python' -m pip install -r" in ran.stderr


def test_a_python_that_has_everything_is_never_left(suite, tmp_path):
    make_python(suite)
    ran = run_python(sys.executable, suite / "merge_clusters.py", tmp_path / "missing")
    assert ran.returncode == 2 and "no such folder" in ran.stderr


def test_an_old_python_continues_in_the_venv_or_is_named(suite):
    source = f"""
import sys
sys.version_info = (3, 9, 2)
sys.path.insert(0, {str(suite)!r})
sys.argv = ["split_data.py", "DataSet"]
from common import start
start.check()
"""
    ran = run_python(sys.executable, "-c", source)
    assert ran.returncode == 2
    assert "needs Python 3.11 or newer" in ran.stderr and "is 3.9" in ran.stderr
    assert f"make -C '{suite}' setup" in ran.stderr
    make_python(suite)
    assert run_python(sys.executable, "-c", source, input="").returncode == 7


@pytest.mark.parametrize("script", SCRIPTS)
def test_importing_a_script_checks_and_restarts_nothing(suite, script):
    make_python(suite)
    source = f"import sys; sys.path.insert(0, {str(suite)!r}); sys.version_info = (3, 9)\n"
    source += f"compile(open({str(suite / script)!r}).read(), 'x', 'exec')\n"
    source += "import common; print('common.start' in sys.modules)"
    assert run_python(sys.executable, "-c", source).stdout == "False\n"
    tree = ast.parse((ROOT / script).read_text("utf-8"))
    assert [type(node) for node in tree.body[:3]] == [ast.Expr, ast.If, ast.Import]


@pytest.mark.parametrize("path", [*SCRIPTS, "common/__init__.py", "common/start.py"])
def test_python_3_6_can_parse_what_runs_before_the_check(path):
    content = (ROOT / path).read_text("utf-8")
    ast.parse(content, feature_version=(3, 6))
    assert "from __future__ import annotations" not in content


def test_only_the_page_needs_the_packages_of_the_page(suite, bare_python):
    for args, names in (
        (["D"], "tqdm, wcwidth"),
        (["D", "--html=x"], "jinja2, markupsafe, pillow"),
    ):
        ran = run_python(bare_python, suite / "aesthetic_stats.py", *args)
        assert f"{names};" in ran.stderr


def test_ctrl_c_in_the_second_python_is_one_line(suite, bare_python, tmp_path):
    make_python(suite, f'#!/bin/sh\nexec {sys.executable} -c "{WAIT}" "$@"\n')
    with subprocess.Popen(
        [bare_python, suite / "split_data.py"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"go\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 130


WAIT = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
print('go', flush=True)
time.sleep(30)
"""
