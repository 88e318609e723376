"""Pictures: scenes put together, lit and developed like photos of good quality, and the bank that
training draws from.

A picture is a uint8 array (SIDE, SIDE, 3). Picture i of a bank depends on the seed and on i alone,
never on how many processes share the work.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scenes import as_picture, as_scene, scatter, scene
from textures import CANVAS, log_uniform, texture
from tqdm import tqdm

SIDE = 320
SMOOTH = (1.6, 2.6)  # roughness of light and of masks: large soft regions


def bank(path: Path, count: int, seed: int, processes: int) -> np.ndarray:
    """The bank (count, SIDE, SIDE, 3) at path, drawn if it is not there yet; read from disk as
    needed.
    """
    if not path.exists():
        unfinished = path.with_suffix(".part")
        shape = (count, SIDE, SIDE, 3)
        pictures = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        with ProcessPoolExecutor(processes) as pool:
            drawn = pool.map(partial(picture, seed), range(count), chunksize=8)
            for index, pixels in enumerate(
                tqdm(drawn, "pictures", count, unit="pic", mininterval=5)
            ):
                pictures[index] = pixels
        pictures.flush()
        os.replace(unfinished, path)
    return np.load(path, mmap_mode="r")


def picture(seed: int, index: int) -> np.ndarray:
    rng = np.random.default_rng([seed, index])
    return develop(rng, lit(rng, composed(rng)))


def composed(rng: np.random.Generator) -> np.ndarray:
    """A scene; in half of the cases a second one in front of it, most often before a background out
    of focus.
    """
    image, kind = scene(rng), rng.random()
    if kind < 0.30:
        image = defocused(image, log_uniform(rng, 3, 25))
    if kind < 0.50:
        front = mask(rng)
        return image * (1 - front) + scene(rng) * front
    if kind < 0.58:
        share = rng.uniform(0.2, 0.8)
        return image * share + scene(rng) * (1 - share)
    return image


def defocused(image: np.ndarray, sigma: float) -> np.ndarray:
    small = as_picture(image).reduce(2)
    blurred = small.filter(ImageFilter.GaussianBlur(sigma / 2))
    return as_scene(blurred.resize((CANVAS, CANVAS), Image.Resampling.BILINEAR))


def mask(rng: np.random.Generator) -> np.ndarray:
    """Where the front scene covers the back one (CANVAS, CANVAS, 1): large shapes, or islands of a
    smooth field.
    """
    if rng.random() < 0.5:
        covered = texture(rng, SMOOTH) > rng.normal(0, 0.7)
    else:
        owners, _, _ = scatter(rng, int(rng.integers(1, 6)), 60, 260, 1.5)
        covered = owners > 0
    return covered[..., None].astype(np.float32)


def lit(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    if rng.random() < 0.4:
        image = image * np.exp(np.float32(rng.uniform(0.1, 0.5)) * texture(rng, SMOOTH))[..., None]
    return np.clip(image, 0, 1.5)


def develop(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What a good camera and a careful hand make of it: tones well used, at times grey, grainy,
    sharpened, JPEG.
    """
    image = (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4
    image = toned(rng, image)
    if rng.random() < 0.15:
        image = np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    if rng.random() < 0.4:
        image = image + rng.uniform(0, 0.014) * rng.standard_normal(image.shape, dtype=np.float32)
    final = as_picture(image)
    if rng.random() < 0.35:
        final = final.filter(
            ImageFilter.UnsharpMask(rng.uniform(0.6, 2), int(rng.integers(20, 110)), 0)
        )
    if rng.random() < 0.35:
        final = recompressed(final, int(rng.integers(72, 96)))
    return np.asarray(final)


def toned(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Levels stretched to nearly black and nearly white; a mean far from the middle is mostly
    brought back.
    """
    darkest, brightest = np.percentile(image[::2, ::2], (1, 99))
    if rng.random() < 0.85:
        low, high = rng.uniform(0, 0.12), rng.uniform(0.8, 1.03)
        image = low + (high - low) * (image - darkest) / (brightest - darkest + 1e-3)
    image = np.clip(image, 0, 1) ** np.exp(rng.normal(0, 0.25))
    mean = float(np.clip(image.mean(), 0.02, 0.98))
    if not 0.22 < mean < 0.78 and rng.random() < 0.75:
        gamma = np.log(rng.uniform(0.35, 0.6)) / np.log(mean)
        image = image ** np.clip(gamma, 0.4, 3)
    return image


def recompressed(image: Image.Image, quality: int, subsampling: int = -1) -> Image.Image:
    """Subsampling as Pillow's save takes it: -1 the encoder's choice, 0 none, 2 colour at half the
    width and height.
    """
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(buffer).convert("RGB")
