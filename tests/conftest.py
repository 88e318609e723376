"""What tests share: a small tree of real image files, and a way to run a script as a person does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(
    os.environ.get("CURATION_TEST_DATA", ROOT.parent / "shared" / "data")
)  # real photos, where there are any

sys.path.insert(0, str(ROOT))
os.environ.setdefault(
    "CUDA_VISIBLE_DEVICES", ""
)  # the same suite on every machine; tests/test_cuda.py wants a GPU

# The same examples on every run; `make soak` draws new ones.
settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")


def picture(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A picture that is unlike that of any other seed: coarse noise, enlarged."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(
    scope="session", params=["made", "real"] if (SHARED / "photos").is_dir() else ["made"]
)
def photos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos as JPEG files of about 0.2 megapixels, some of them grey: made ones, and real ones where there are any."""
    if request.param == "real":
        return sorted((SHARED / "photos" / "imagenet").iterdir())
    folder = tmp_path_factory.mktemp("photos")
    for number in range(80):
        size = ((500, 375), (375, 500), (334, 500), (250 + 3 * number, 400 - 2 * number))[
            number % 4
        ]
        grain = Image.effect_noise(size, 90).convert(
            "RGB"
        )  # what a careless way of making it smaller would catch
        made = Image.blend(picture(number, size), grain, 0.4)
        (made.convert("L") if number % 7 == 0 else made).save(
            folder / f"{number:02}.JPEG", quality=75 + number % 20
        )
    return sorted(folder.iterdir())


@pytest.fixture
def make_topic(tmp_path: Path) -> Callable[..., Path]:
    """Make a topic folder of small pictures: make_topic("DataSet/C/S/T", "a.jpg", "b.png")."""

    def make(path: str, *names: str, seed: int = 0) -> Path:
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        for number, name in enumerate(names):
            picture(seed * 1000 + number).save(folder / name)
        return folder

    return make


@pytest.fixture(scope="session")
def tower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small but real model in a local-dir: folder."""
    from towers import SMALL, save_model  # torch, only where a test wants the model

    return save_model(tmp_path_factory.mktemp("models") / "small", SMALL)


def run_script(
    name: str, *args: object, env: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess:
    """Run a script in a process of its own; output as text."""
    command = [sys.executable, str(ROOT / name), *map(os.fspath, map(str, args))]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=120, **options
    )
