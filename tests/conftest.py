"""What the tests share: small trees of real image files, and a way to run a script."""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from hypothesis import settings
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
# Real photos, if there are any.
SHARED = Path(os.environ.get("CURATION_TEST_DATA", ROOT.parent / "shared" / "data"))

sys.path.insert(0, str(ROOT))
# The same results on every machine; only tests/test_cuda.py uses a GPU.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# The same examples on every run; `make soak` draws new ones.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")


def draw_image(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Draw an image unlike that of any other seed: coarse noise, enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(
    scope="session", params=["drawn", "real"] if (SHARED / "photos").is_dir() else ["drawn"]
)
def photos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """JPEG files of about 0.2 megapixels, some of them grey: drawn ones, and real ones if any."""
    if request.param == "real":
        return sorted((SHARED / "photos" / "imagenet").iterdir())
    folder = tmp_path_factory.mktemp("photos")
    for number in range(80):
        size = ((500, 375), (375, 500), (334, 500), (250 + 3 * number, 400 - 2 * number))[
            number % 4
        ]
        # Grain shows whether an image was scaled down carelessly.
        grain = Image.effect_noise(size, 90).convert("RGB")
        image = Image.blend(draw_image(number, size), grain, 0.4)
        (image.convert("L") if number % 7 == 0 else image).save(
            folder / f"{number:02}.JPEG", quality=75 + number % 20
        )
    return sorted(folder.iterdir())


@pytest.fixture(autouse=True)
def folder_of_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts run in this process name others as `./script.py`, however pytest was started."""
    monkeypatch.setattr(sys, "argv", ["-c"])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    with Browser() as opened:
        yield opened


@pytest.fixture
def make_topic(tmp_path: Path) -> Callable[..., Path]:
    """Make a topic folder of small images: make_topic("DataSet/C/S/T", "a.jpg", "b.png")."""

    def make(path: str, *names: str, seed: int = 0) -> Path:
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            draw_image(seed * 1000 + number).save(folder / name)
        return folder

    return make


@pytest.fixture(scope="session")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small but real model in a local-dir: folder."""
    from towers import SMALL, save_model  # loads torch

    return save_model(tmp_path_factory.mktemp("models") / "small", SMALL)


def run_script(
    name: str, *args: object, env: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess:
    """Run a script in its own process, with its output as text."""
    command = [sys.executable, str(ROOT / name), *map(os.fspath, map(str, args))]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=120, **options
    )


def run_module(
    capsys: pytest.CaptureFixture[str], script: ModuleType, *args: object
) -> tuple[int, dict, str]:
    """Run a script's module in this process with --json: exit status, the object, stderr."""
    from common import cli

    capsys.readouterr()
    status = cli.run_script(script.main, [*map(str, args), "--json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out) if printed.out else {}, printed.err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict, str]]:
    """As run_module."""
    return functools.partial(run_module, capsys)


@pytest.fixture
def run_by_name(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[dict, str]]:
    """Run a script by its module's name, as run_module; status 0 if no other is expected.

    Returns the object and stderr.
    """

    def call(script: str, *args: object, status: int = 0) -> tuple[dict, str]:
        ended, told, said = run_module(capsys, importlib.import_module(script), *args)
        assert ended == status
        return told, said

    return call
