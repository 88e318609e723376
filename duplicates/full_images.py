"""Read images at full detail: the frames that count, transparency, deep samples.

Knows Pillow and numpy. An image is read once for all its pairs: about 3 MB, 10 if it is animated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from common.image_formats import DECODERS
from imaging import exif, images, pixels

Array = np.ndarray[Any, np.dtype[Any]]

FULL_SIDE = 1024  # pixels of the longer side at most
ANIMATED_FORMATS = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")  # a second image in a JPEG is a preview
REDUCING_GAP = 3.0  # Pillow shrinks by whole pixels first, down to three times the wanted size


@dataclass(frozen=True)
class Frame:
    """One frame, upright; the longer side FULL_SIDE pixels at most."""

    on_white: Array  # uint8 RGB (height, width, 3)
    on_black: Array | None = None  # the same on a black ground; None if it is opaque everywhere
    samples: Array | None = None  # float32 (height, width): deep greys in the file's own range


@dataclass(frozen=True)
class FullImage:
    """An image file at full detail."""

    frame_count: int
    frames: tuple[Frame, ...]  # the first, the middle and the last, without repeats
    has_palette: bool


def read_full_image(path: str, max_pixels: int) -> FullImage:
    """Read an image. Raises images.Unreadable."""
    with (
        images.decode_errors_as_unreadable(path),
        Image.open(path, formats=DECODERS) as image,
    ):
        images.check_limits(image, max_pixels)
        count = frame_count(image)
        has_palette = image.mode == "P"
        if count == 1 and image.mode in ("RGB", "L", "CMYK") and not image.has_transparency_data:
            plain, _ = images.open_image(path, max_pixels, draft=FULL_SIDE)
            return FullImage(1, (Frame(_shrunk_rgb(plain)),), has_palette)
        positions = sorted({0, count // 2, count - 1})
        frames = tuple(_read_frame(each) for each in _frames_at(image, positions))
    return FullImage(count, frames, has_palette)


def frame_count(image: Image.Image) -> int:
    """How many frames or pages an open image has; previews do not count."""
    if image.format not in ANIMATED_FORMATS:
        return 1
    return int(getattr(image, "n_frames", 1))


def _frames_at(image: Image.Image, positions: list[int]) -> Iterator[Image.Image]:
    for position in positions:
        if position:
            image.seek(position)
        image.load()
        yield pixels.make_upright(image, exif.exif_orientation(image))


def _read_frame(image: Image.Image) -> Frame:
    if image.mode[0] in "IF":
        samples = _shrunk_samples(image)
        return Frame(_shrunk_rgb(pixels.to_uint8(image)), samples=samples)
    if not image.has_transparency_data:
        return Frame(_shrunk_rgb(image))
    clear = image.convert("RGBA")
    if clear.getchannel("A").getextrema()[0] == 255:
        return Frame(_shrunk_rgb(clear))
    return Frame(
        _shrunk_rgb(_paste_on_ground(clear, "white")), _shrunk_rgb(_paste_on_ground(clear, "black"))
    )


def _paste_on_ground(clear: Image.Image, colour: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", clear.size, colour), clear)


def _shrunk_rgb(image: Image.Image) -> Array:
    rgb = image.convert("RGB") if image.mode != "RGB" else image
    rgb.thumbnail((FULL_SIDE, FULL_SIDE), Image.Resampling.LANCZOS, reducing_gap=REDUCING_GAP)
    return np.asarray(rgb)


def _shrunk_samples(image: Image.Image) -> Array:
    samples = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0, neginf=0)
    scale = min(1.0, FULL_SIDE / max(samples.shape))
    size = (max(1, round(samples.shape[1] * scale)), max(1, round(samples.shape[0] * scale)))
    return cv2.resize(samples, size, interpolation=cv2.INTER_AREA)


def frame_views(first: Frame, second: Frame) -> Iterator[tuple[str, Array, Array]]:
    """The pairs of uint8 RGB images in which two frames must agree, with a name each.

    Transparency counts if both have any: an opaque image may be a flattened copy. Deep images
    are stretched together, so that values which fill little of their range still show.
    """
    if first.samples is not None and second.samples is not None:
        low, high = _range_of(np.concatenate([first.samples.ravel(), second.samples.ravel()]))
        yield (
            "samples",
            _stretch_levels(first.samples, low, high),
            _stretch_levels(second.samples, low, high),
        )
        return
    yield "on white", first.on_white, second.on_white
    if first.on_black is not None and second.on_black is not None:
        yield "on black", first.on_black, second.on_black


def _range_of(samples: Array) -> tuple[float, float]:
    low, high = np.percentile(samples, (0.5, 99.5))
    if high > low:
        return float(low), float(high)
    return float(samples.min()), float(samples.max())


def _stretch_levels(samples: Array, low: float, high: float) -> Array:
    scaled = (samples - low) * (255 / ((high - low) or 1))
    grey = np.rint(scaled.clip(0, 255)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
