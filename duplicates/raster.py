"""The pixels of one image, resized and warped as often as a comparison needs them.

Imports OpenCV inside its functions: it takes 18 MB, and most runs have nothing to compare.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from duplicates.geometry import IDENTITY, Affine, Array, Size

SIZES_PER_HALVING = 4  # sizes that are kept between an image and its half
MIN_SCALE = 1e-3  # of an axis that a map shrinks to nothing


class Raster:
    """An image in uint8 RGB, shape (height, width, 3). Keeps each size that it was asked for."""

    def __init__(self, pixels: Array) -> None:
        self.pixels = pixels
        self._resized: dict[Size, Array] = {}

    @property
    def size(self) -> Size:
        height, width = self.pixels.shape[:2]
        return width, height

    def warp(self, size: Size, affine: Affine = IDENTITY) -> Array:
        """Return what `affine` shows of the image, uint8 RGB of the given size.

        The image is shrunk first, so that fine detail does not turn into noise. Beyond its edges
        the outermost pixels are repeated.
        """
        import cv2

        if affine is IDENTITY:
            return self.resize(size)
        width, height = self._source_size(size, affine)
        source = self.resize((width, height))
        to_centres = np.array(
            [[1 / size[0], 0, 0.5 / size[0]], [0, 1 / size[1], 0.5 / size[1]], [0, 0, 1]]
        )
        to_pixels = np.diag([width, height]) @ affine @ to_centres - [[0, 0, 0.5], [0, 0, 0.5]]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(source, to_pixels, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)

    def resize(self, size: Size) -> Array:
        """Return the whole image at a size, uint8 RGB."""
        if size == self.size:
            return self.pixels
        if size not in self._resized:
            resized = Image.fromarray(self.pixels).resize(size, Image.Resampling.BILINEAR)
            self._resized[size] = np.asarray(resized)
        return self._resized[size]

    def _source_size(self, size: Size, affine: Affine) -> Size:
        """Return the size from which `affine` takes about one pixel per pixel of the result."""
        shown = np.linalg.norm(affine[:, :2], axis=1).clip(MIN_SCALE)
        wanted = size / 2 ** (np.round(np.log2(shown) * SIZES_PER_HALVING) / SIZES_PER_HALVING)
        width, height = np.minimum(wanted, self.size).round().astype(int).clip(1).tolist()
        return width, height
