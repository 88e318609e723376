"""Fits images to a model's input: resize and crop with open_clip's geometry.

Large images are shrunk in torch, six to eight times faster than by open_clip's own steps, which use
Pillow: the same antialiased bicubic filter, rounded in other places. From half the size on, one
value in 500 differs by one level. That moves no score by 0.001, so that vectors of either way are
equally valid. Closer to full size more values differ, and Pillow is used, unless the decode mode is
a fast one, whose vectors are kept apart anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imaging.pixels import pixel_array

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MIN_EXACT_SHRINKING = 2.0  # of both sides, from which on torch is as good as Pillow
MAX_ASPECT_RATIO = 64  # longer images are cropped to this before they are enlarged
# How to turn (3, height, width) upright: whether to exchange the axes, then which axes to flip.
UPRIGHT_STEPS = {
    1: (False, ()),
    2: (False, (2,)),
    3: (False, (1, 2)),
    4: (False, (1,)),
    5: (True, ()),
    6: (True, (2,)),
    7: (True, (1, 2)),
    8: (True, (1,)),
}


@dataclass(frozen=True)
class Fit:
    """How a model wants its input: torchvision's steps, and what they say about the geometry."""

    steps: Any  # torchvision's Compose of Resize and, for most models, CenterCrop
    resize: int | tuple[int, int] | None  # the shorter side, or (height, width); None: unknown
    crop: int | None  # side of the centre crop

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after torchvision's Resize."""
        if isinstance(self.resize, tuple):
            return self.resize
        assert self.resize is not None
        if height <= width:
            return self.resize, int(self.resize * width / height)
        return int(self.resize * height / width), self.resize

    def can_shrink(self, height: int, width: int, factor: float = 1.0) -> bool:
        """Tell whether both sides shrink by the factor or more, and the geometry is known."""
        if self.resize is None:
            return False
        new_height, new_width = self.output_size(height, width)
        return factor * new_height <= height and factor * new_width <= width


def make_fit(steps: Any) -> Fit:
    """Read the geometry from torchvision's steps; unknown steps leave it to Pillow."""
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    kinds = [type(step) for step in steps.transforms]
    if kinds not in ([Resize], [Resize, CenterCrop]):
        return Fit(steps, None, None)
    resize = steps.transforms[0]
    if resize.interpolation != InterpolationMode.BICUBIC or resize.max_size is not None:
        return Fit(steps, None, None)
    size = [resize.size] if isinstance(resize.size, int) else list(resize.size)
    wanted = size[0] if len(size) == 1 else (size[0], size[1])
    crop = None
    if len(kinds) == 2:
        sides = set(steps.transforms[1].size)
        if len(sides) > 1:
            return Fit(steps, None, None)
        crop = sides.pop()
    return Fit(steps, wanted, crop)


def fit_image(image: Image, fit: Fit, min_shrinking: float = MIN_EXACT_SHRINKING) -> torch.Tensor:
    """Resize and crop a decoded image as open_clip does: uint8 of shape (height, width, 3).

    Torch shrinks those whose sides shrink by the factor `min_shrinking` or more.
    """
    import numpy as np
    import torch

    if not fit.can_shrink(image.height, image.width, min_shrinking):
        return torch.from_numpy(np.array(fit.steps(_crop_elongated(image))))
    pixels = torch.from_numpy(pixel_array(image))
    return fit_batch([pixels.permute(2, 0, 1)], fit)[0]


def fit_batch(images: Sequence[torch.Tensor], fit: Fit) -> torch.Tensor:
    """Shrink and crop uint8 pixels (3, height, width) to (n, height, width, 3), on their device."""
    import torch

    shrunk = torch.stack([_shrink(pixels, fit) for pixels in images])
    if shrunk.is_floating_point():
        shrunk = shrunk.round_().clamp_(0, 255).to(torch.uint8)
    return shrunk.permute(0, 2, 3, 1).contiguous()


def _shrink(pixels: torch.Tensor, fit: Fit) -> torch.Tensor:
    """Shrink and crop to (3, height, width); not yet rounded if that is done in floats."""
    import torch

    size = fit.output_size(*pixels.shape[1:])
    batch = pixels[None].float() if pixels.is_cuda else pixels[None]  # CUDA has no 8-bit kernel
    shrunk = torch.nn.functional.interpolate(batch, size=size, mode="bicubic", antialias=True)[0]
    if fit.crop is None:
        return shrunk
    top = round((size[0] - fit.crop) / 2)
    left = round((size[1] - fit.crop) / 2)
    return shrunk[:, top : top + fit.crop, left : left + fit.crop]


def turn_upright(pixels: torch.Tensor, orientation: int) -> torch.Tensor:
    """Apply an EXIF orientation to pixels of shape (3, height, width)."""
    is_sideways, flips = UPRIGHT_STEPS[orientation]
    if is_sideways:
        pixels = pixels.transpose(1, 2)
    return pixels.flip(flips) if flips else pixels


def _crop_elongated(image: Image) -> Image:
    """Crop an image beyond MAX_ASPECT_RATIO to its middle.

    Enlarging all of a 4000x2 image to a height of 224 would take 300 MB.
    """
    width, height = image.size
    limit = MAX_ASPECT_RATIO * min(width, height)
    if max(width, height) <= limit:
        return image
    left = max(0, (width - limit) // 2)
    top = max(0, (height - limit) // 2)
    return image.crop((left, top, min(width, left + limit), min(height, top + limit)))
