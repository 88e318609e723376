#!/usr/bin/env python3
"""How well the embedded model tells photos from degraded copies of them, and how fast it is.

Every photo is degraded in seven ways at four levels, at its full size; then photo and copies are
scored as the scripts score images: shrunk to the model's input (bicubic, antialiased), embedded,
and put through the head. Prints, as Markdown, for each kind of degradation the share of photos
whose copy scores lower than the photo at each level, and the rank correlation (Spearman) of score
and severity, averaged over the photos. Levels in pixels are meant for photos of about 0.2
megapixels.

Examples:
    python benchmarks/tiny_model.py PHOTOS
    python benchmarks/tiny_model.py PHOTOS --model common/clip/models/tiny /tmp/tiny-seed-1
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from zlib import crc32

import numpy as np
import open_clip
import torch
from PIL import Image, ImageEnhance, ImageFilter
from safetensors.torch import load_file
from torch.nn.functional import normalize
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize
from tqdm import tqdm

EMBEDDED = Path(__file__).resolve().parent.parent / "common" / "clip" / "models" / "tiny"
BATCH, THREADS = 32, 2


def main() -> int:
    args = parse_args()
    torch.set_num_threads(THREADS)
    photos = sorted(
        path for path in args.photos.iterdir() if path.is_file() and not path.name.startswith(".")
    )
    models = [Model(folder) for folder in args.model]
    scores = {model.folder: [] for model in models}
    for views in views_of(photos, {model.size for model in models}):
        for model in models:
            scores[model.folder].append(model.scores(views[model.size]))
    print(
        f"{len(photos)} photos; share of copies that score lower, in percent, and Spearman's rho with severity\n"  # noqa: E501
    )
    print(table([np.stack(rows) for rows in scores.values()]))
    for number, model in enumerate(models, start=1):
        originals = np.stack(scores[model.folder])[:, 0]
        spread = (
            f"the photos score {originals.mean():.2f} on average, deviation {originals.std():.2f}"
        )
        print(f"\nmodel {number}: {model.folder}: {spread}; {model.speed():.0f} images/s alone")
    print(f"\nspeed: batches of {BATCH}, {THREADS} threads, channels_last")
    return 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "photos", type=Path, help="folder of photos that the model was not trained on"
    )
    parser.add_argument(
        "--model",
        type=Path,
        nargs="+",
        default=[EMBEDDED],
        help="model folders (default: the embedded one)",
    )
    args = parser.parse_args()
    if not args.photos.is_dir():
        parser.error(f"{args.photos}: no such folder")
    return args


@dataclass(frozen=True)
class Degradation:
    name: str
    levels: tuple[float, ...]  # mildest first
    apply: callable  # (image, level, generator) -> image


def blurred(photo: Image.Image, sigma: float, rng) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(sigma))


def shrunk(photo: Image.Image, factor: float, rng) -> Image.Image:
    size = max(1, round(photo.width / factor)), max(1, round(photo.height / factor))
    return photo.resize(size, Image.Resampling.BICUBIC).resize(photo.size, Image.Resampling.BICUBIC)


def noisy(photo: Image.Image, sigma: float, rng) -> Image.Image:
    pixels = np.asarray(photo, dtype=np.float32)
    pixels = pixels + rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(sigma)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def compressed(photo: Image.Image, quality: int, rng) -> Image.Image:
    buffer = BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def exposed(photo: Image.Image, gain: float, rng) -> Image.Image:
    return photo.point([min(255, int(value * gain + 0.5)) for value in range(256)] * 3)


def flattened(photo: Image.Image, contrast: float, rng) -> Image.Image:
    return ImageEnhance.Contrast(photo).enhance(contrast)


DEGRADATIONS = (
    Degradation("gaussian blur, sigma in px", (1, 2, 4, 8), blurred),
    Degradation("down and up, factor", (2, 3, 4, 8), shrunk),
    Degradation("noise, sigma of 255", (10, 20, 40, 60), noisy),
    Degradation("JPEG, quality", (30, 10, 8, 5), compressed),
    Degradation("under-exposure, gain", (0.7, 0.5, 0.3, 0.15), exposed),
    Degradation("over-exposure, gain", (1.4, 1.8, 2.5, 4), exposed),
    Degradation("contrast, factor", (0.7, 0.5, 0.3, 0.15), flattened),
)


def views_of(photos: list[Path], sizes: set[int]):
    """For each photo its views by input size, made in parallel processes."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(partial(views_of_photo, sizes=sizes), photos, chunksize=2)
        yield from tqdm(made, "photos", len(photos), unit="photo", disable=not sys.stderr.isatty())


def views_of_photo(path: Path, sizes: set[int]) -> dict[int, np.ndarray]:
    """Size: (1 + 7 * 4, size, size, 3) uint8, the photo itself and then its copies in the order of
    DEGRADATIONS.
    """
    rng = np.random.default_rng(crc32(os.fsencode(path.name)))  # the same noise in every run
    with Image.open(path) as file:
        photo = file.convert("RGB")
    views = [
        photo,
        *(kind.apply(photo, level, rng) for kind in DEGRADATIONS for level in kind.levels),
    ]
    fitted = {
        size: Compose([Resize(size, InterpolationMode.BICUBIC), CenterCrop(size)]) for size in sizes
    }
    return {
        size: np.stack([np.asarray(fit(view)) for view in views]) for size, fit in fitted.items()
    }


class Model:
    """The image tower of a folder in open_clip's local-dir layout, with the head that lies beside
    it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.visual = (
            open_clip.create_model(f"local-dir:{folder}")
            .visual.eval()
            .to(memory_format=torch.channels_last)
        )
        self.head = load_file(folder / "head.safetensors")
        preprocessing = json.loads((folder / "open_clip_config.json").read_text())["preprocess_cfg"]
        self.mean, self.std = (
            torch.tensor(preprocessing[key]).view(1, 3, 1, 1) for key in ("mean", "std")
        )
        self.size = open_clip.model.to_2tuple(self.visual.image_size)[0]

    @torch.inference_mode()
    def scores(self, views: np.ndarray) -> np.ndarray:
        """(n,) float32 for uint8 pixels (n, size, size, 3)."""
        images = (
            torch.from_numpy(views)
            .permute(0, 3, 1, 2)
            .contiguous(memory_format=torch.channels_last)
        )
        embeddings = normalize(self.visual((images.float() / 255 - self.mean) / self.std), dim=-1)
        return (embeddings @ self.head["weight"].T + self.head["bias"])[:, 0].numpy()

    @torch.inference_mode()
    def speed(self, passes: int = 50) -> float:
        """Images a second in the fastest pass: other work on the machine can only slow one down."""
        images = torch.rand(BATCH, 3, self.size, self.size).contiguous(
            memory_format=torch.channels_last
        )
        seconds = []
        for _ in range(passes):
            start = time.perf_counter()
            self.visual(images)
            seconds.append(time.perf_counter() - start)
        return BATCH / min(seconds)


def table(scores: list[np.ndarray]) -> str:
    """scores: one array (photos, 1 + 28) a model."""
    names = [f" {number} % | {number} rho |" for number in range(1, len(scores) + 1)]
    lines = ["| degradation | levels |" + "".join(names), "|---|---|" + "---|---|" * len(scores)]
    first = 1
    for kind in DEGRADATIONS:
        cells = [kind.name, " / ".join(f"{level:g}" for level in kind.levels)]
        for model in scores:
            photo, copies = model[:, :1], model[:, first : first + len(kind.levels)]
            cells.append(
                " / ".join(f"{100 * share:.1f}" for share in (copies < photo).mean(axis=0))
            )
            cells.append(f"{-rank_correlation(np.hstack([photo, copies])):.2f}")
        lines.append(f"| {' | '.join(cells)} |")
        first += len(kind.levels)
    return "\n".join(lines)


def rank_correlation(rows: np.ndarray) -> float:
    """Spearman's rho of each row with its own order 0, 1, 2, ..., averaged over the rows."""
    ranks = rows.argsort(axis=1).argsort(axis=1)
    order = np.arange(rows.shape[1])
    squares = ((ranks - order) ** 2).sum(axis=1)
    count = len(order)
    return float((1 - 6 * squares / (count * (count**2 - 1))).mean())


if __name__ == "__main__":
    raise SystemExit(main())
