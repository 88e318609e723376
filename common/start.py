"""Checks, before a script imports anything, that this Python can run it. Knows the version, too.

If it cannot, the script goes on with the `.venv` beside it; if that cannot either, it prints one
line and ends with status 2. Must parse and run on Python 3.6: no future import, nothing newer.
"""

import os
import sys

OLDEST_PYTHON = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # folder of the scripts
VENV = os.path.join(ROOT, ".venv")
RESTARTED = "CURATION_RESTARTED_IN_VENV"  # in the environment of the second process only
# What pip calls a package whose module is called otherwise.
PIP_NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "open_clip": "open_clip_torch",
}


def check(*modules: str) -> None:
    """Return if this Python can run a script that imports `modules`; otherwise do not return.

    With --html, Jinja2 and Pillow count as needed, too.
    """
    was_restarted = os.environ.pop(RESTARTED, "") != ""
    if sys.version_info >= OLDEST_PYTHON:
        import common.signals  # noqa: F401 (from here on Ctrl-C is one line)

        if any(argument.split("=")[0] == "--html" for argument in sys.argv[1:]):
            modules += ("jinja2", "markupsafe", "PIL")
        missing = _missing_modules(modules)
        if not missing:
            return
        names = ", ".join(PIP_NAMES.get(name, name) for name in missing)
        problem = f"{sys.executable} has no {names}"
    else:
        problem = "needs Python {}.{} or newer, and {} is {}.{}".format(
            *OLDEST_PYTHON, sys.executable, *sys.version_info[:2]
        )
    python = os.path.join(VENV, "bin", "python")
    is_in_venv = os.path.realpath(sys.prefix) == os.path.realpath(VENV)
    if os.access(python, os.X_OK) and not was_restarted and not is_in_venv:
        os.environ[RESTARTED] = "1"
        os.execv(python, [python, *_arguments()])
    script = os.path.basename(sys.argv[0])
    sys.stderr.write(f"{script}: error: {problem}; run: {setup_command()}\n")
    raise SystemExit(2)


def _missing_modules(modules: "tuple[str, ...]") -> "list[str]":
    from importlib.util import find_spec  # finds a package without importing it

    return [name for name in dict.fromkeys(modules) if find_spec(name) is None]


def _arguments() -> "list[str]":
    """Return the flags of this interpreter, the script and its arguments."""
    if hasattr(sys, "orig_argv"):  # from Python 3.10 on
        return sys.orig_argv[1:]
    import subprocess

    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [*flags, *sys.argv]


def setup_command() -> str:
    """Return what to type so that the scripts find a Python with all that they import."""
    from shlex import quote

    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        return f"make -C {quote(ROOT)} setup"
    if sys.version_info < OLDEST_PYTHON:
        return f"make -C {quote(ROOT)} clean setup PYTHON=python3.11"
    python = quote(os.path.join(VENV, "bin", "python"))
    files = [quote(os.path.join(ROOT, name)) for name in ("requirements.txt", "constraints.txt")]
    return "{} -m pip install -r {} -c {}".format(python, *files)


def suite_version() -> str:
    """Return the latest version in the changelog, and what git calls the present state."""
    with open(os.path.join(ROOT, "CHANGELOG.md"), encoding="utf-8") as file:
        headings = [line[3:].strip() for line in file if line.startswith("## ")]
    number = next(heading for heading in headings if heading[0].isdigit())
    if headings[0] != number:
        number += " and later changes"
    if not os.path.exists(os.path.join(ROOT, ".git")):
        return number
    import contextlib
    import subprocess

    command = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError):  # no git
        described = subprocess.run(command, capture_output=True, text=True)
        if described.returncode == 0:
            return f"{number} ({described.stdout.strip()})"
    return number
