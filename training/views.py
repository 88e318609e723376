"""What one training step sees: pictures as they are, and two degraded copies of each, one worse
than the other.

The views of step n depend on the seed, the bank and n alone, so that neither the number of
workers nor an interruption
changes what is learned.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from pictures import SIDE, recompressed
from PIL import Image, ImageFilter

# Degradation: its share of the training pairs. JPEG is learned poorly at any share: its blocks
# vanish in small views.
SHARES = {
    "blur": 0.18,
    "shrink": 0.18,
    "noise": 0.18,
    "jpeg": 0.08,
    "under": 0.10,
    "over": 0.17,
    "contrast": 0.08,
    "motion": 0.03,
}
KINDS = tuple(SHARES)
FILTERS = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.BOX)


@dataclass(frozen=True)
class Step:
    """One batch: images (3, n, 3, size, size) uint8 as clean, milder and worse copies; kinds (n,)
    index KINDS;
    severities (2, n) float32, from 0 (just visible) to about 1 (ruined), belong to the two
    copies.
    """

    images: torch.Tensor
    kinds: torch.Tensor
    severities: torch.Tensor


class Steps(torch.utils.data.Dataset):
    """Item n is the whole batch of training step n."""

    def __init__(self, bank: np.ndarray, seed: int, batch: int, size: int):
        self.bank, self.seed, self.batch, self.size = bank, seed, batch, size

    def __getitem__(self, step: int) -> Step:
        rng = np.random.default_rng([self.seed, step])
        images = np.empty((3, self.batch, self.size, self.size, 3), dtype=np.uint8)
        kinds = rng.choice(len(KINDS), self.batch, p=list(SHARES.values()))
        mild = rng.uniform(0, 0.65, self.batch)
        worse = np.minimum(mild + rng.uniform(0.15, 0.60, self.batch), 1.05)
        for index, kind in enumerate(kinds):
            clean, variant = self.clean(rng), rng.integers(2**32)
            copies = [
                degraded(clean, KINDS[kind], float(severity[index]), variant)
                for severity in (mild, worse)
            ]
            for place, view in enumerate((clean, *copies)):
                images[place, index] = view.resize((self.size, self.size), Image.Resampling.BICUBIC)
        severities = torch.from_numpy(np.stack([mild, worse]).astype(np.float32))
        return Step(
            torch.from_numpy(images).permute(0, 1, 4, 2, 3), torch.from_numpy(kinds), severities
        )

    def clean(self, rng: np.random.Generator) -> Image.Image:
        """A part of a picture, or of two, with the small flaws that good photos have too."""
        side = int(rng.integers(190, SIDE + 1))
        pixels, kind = self.part(rng, side), rng.random()
        if kind < 0.15:
            other, ground = self.part(rng, side), self.part(rng, side)[..., 1]
            edge = Image.fromarray(np.where(ground > np.median(ground), 255, 0).astype(np.uint8))
            edge = edge.filter(ImageFilter.GaussianBlur(float(rng.choice([0.7, 0.7, 4, 20]))))
            image = Image.composite(Image.fromarray(other), Image.fromarray(pixels), edge)
        else:
            image = Image.fromarray(pixels)
            if kind < 0.30:
                width, height = (side * rng.uniform(0.2, 0.8, 2)).astype(int)
                image.paste(
                    Image.fromarray(self.part(rng, side)[:height, :width]),
                    tuple(rng.integers(0, side * 2 // 3, 2).tolist()),
                )
        if rng.random() < 0.5:
            gamma, gain = math.exp(rng.normal(0, 0.3)), rng.uniform(0.8, 1.05)
            image = mapped(image, lambda tone: 0.5 + (tone**gamma - 0.5) * gain)
        if rng.random() < 0.25:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9)))
        if rng.random() < 0.30:
            image = noisy(rng, image, deviation=rng.uniform(0.5, 4.5), coloured=rng.random() < 0.5)
        if rng.random() < 0.35:
            image = recompressed(image, int(rng.integers(65, 96)))
        return image

    def part(self, rng: np.random.Generator, side: int) -> np.ndarray:
        """A square of one picture (side, side, 3), at random turned, mirrored, and its channels
        exchanged.
        """
        top, left = rng.integers(0, SIDE - side + 1, 2)
        pixels = self.bank[rng.integers(len(self.bank)), top : top + side, left : left + side]
        pixels = np.rot90(pixels[:, :: rng.choice([1, -1])], rng.integers(4))
        return np.ascontiguousarray(pixels[..., rng.permutation(3)])


def degraded(image: Image.Image, kind: str, severity: float, variant: int) -> Image.Image:
    """A worse copy. The variant fixes everything but the strength: the same one is asked for at two
    severities.

    The strongest levels are those that a photo of 400 pixels shows as plainly ruined.
    """
    rng = np.random.default_rng(variant)

    def between(mildest: float, strongest: float) -> float:
        return mildest * (strongest / mildest) ** severity

    match kind:
        case "blur":
            return image.filter(ImageFilter.GaussianBlur(between(0.7, 6.5)))
        case "shrink":
            return shrunk_and_back(rng, image, factor=between(1.6, 8))
        case "noise":
            deviation, coloured = between(5, 65), rng.random() < 0.65
            return noisy(rng, image, deviation, coloured, like_photons=rng.random() < 0.25)
        case "jpeg":
            return recompressed(
                image, max(2, round(between(34, 3))), subsampling=int(rng.choice([-1, 0, 2]))
            )
        case "under":
            gain = between(0.78, 0.12)
            gamma = gain**-0.75
            return mapped(
                image,
                (lambda tone: tone * gain) if rng.random() < 0.6 else (lambda tone: tone**gamma),
            )
        case "over":
            gain = between(1.3, 4)
            lift = (gain - 1) * 0.28
            return mapped(
                image,
                (lambda tone: tone * gain) if rng.random() < 0.75 else (lambda tone: tone + lift),
            )
        case "contrast":
            gain = between(0.75, 0.1)
            middle = (
                rng.uniform(0.3, 0.7)
                if rng.random() < 0.4
                else np.asarray(image.reduce(8)).mean() / 255
            )
            return mapped(image, lambda tone: middle + (tone - middle) * gain)
        case "motion":
            return smeared(image, length=2 + 18 * severity, angle=rng.uniform(0, math.pi))
    raise ValueError(kind)


def mapped(image: Image.Image, curve) -> Image.Image:
    """Every channel through one tone curve on 0..1; what leaves that range is clipped, as a sensor
    does.
    """
    tones = np.clip(curve(np.arange(256) / 255), 0, 1) * 255
    return image.point(3 * np.rint(tones).astype(int).tolist())


def noisy(
    rng, image: Image.Image, deviation: float, coloured: bool, like_photons: bool = False
) -> Image.Image:
    """Gaussian noise in units of 1/255; noise like that of photons grows with the square root of
    the brightness.
    """
    pixels = np.asarray(image, dtype=np.float32)
    noise = rng.standard_normal(
        (*pixels.shape[:2], 3 if coloured else 1), dtype=np.float32
    ) * np.float32(deviation)
    if like_photons:
        noise = noise * np.sqrt(pixels / 128 + 0.05)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def shrunk_and_back(rng: np.random.Generator, image: Image.Image, factor: float) -> Image.Image:
    down = FILTERS[rng.integers(len(FILTERS))]
    up = (*FILTERS[:2], Image.Resampling.NEAREST)[rng.choice(3, p=(0.5, 0.25, 0.25))]
    side = max(8, round(image.width / factor))
    return image.resize((side, side), down).resize(image.size, up)


def smeared(image: Image.Image, length: float, angle: float) -> Image.Image:
    """The mean of copies moved along a line, as a camera in motion gives it."""
    pixels = np.asarray(image, dtype=np.float32)
    copies = max(2, int(length))
    total = np.zeros_like(pixels)
    for shift in np.linspace(-length / 2, length / 2, copies):
        rows, columns = round(shift * math.sin(angle)), round(shift * math.cos(angle))
        total += np.roll(pixels, (rows, columns), axis=(0, 1))
    return Image.fromarray((total / copies).astype(np.uint8))
