"""Register two images at full detail, to a fraction of a pixel.

Images are RGB (height, width, 3), sizes are (width, height). An affine map (2, 3) leads from
places in `target` to places in `source`, both in shares of width and height.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Map = Array
Size = tuple[int, int]

COMPARED_SIDE = (
    1024  # pixels of the longer side at most; the lesser image's own size if it has less
)
MIN_COMPARED_SIDE = 160  # pixels to which tiny images are enlarged: the windows below need room
REGISTERED_SIDES = (100, 400)  # pixels of the longer side, coarse to fine: 100 found 3 % crops
MAX_REGISTRATION_STEP = 0.07  # share of the side; the first look is off by less
ECC_BLUR_PIXELS = 3
IDENTITY = np.hstack([np.eye(2), np.zeros((2, 1))])


def register(source: Array, target: Array, affine: Map) -> Map:
    """Refine `affine` by enhanced correlation (Evangelidis and Psarakis 2008)."""
    for side in REGISTERED_SIDES:
        size = scale_to(common_size(source, target, affine), side)
        still = cv2.cvtColor(resize(target, size), cv2.COLOR_RGB2GRAY)
        moving = cv2.cvtColor(warp(source, size, affine), cv2.COLOR_RGB2GRAY)
        try:
            shift = _find_shift(still, moving)
        except cv2.error:  # it raises if there is no texture, or if it does not converge
            continue
        pixels = np.array([[size[0], 0, -0.5], [0, size[1], -0.5], [0, 0, 1]])
        step = np.linalg.inv(pixels) @ np.vstack([shift, [0, 0, 1]]) @ pixels
        if np.abs(step - np.eye(3)).max() <= MAX_REGISTRATION_STEP:
            affine = (np.vstack([affine, [0, 0, 1]]) @ step)[:2]
    return affine


def _find_shift(still: Array, moving: Array) -> Array:
    """The affine map in pixels by which `moving` fits best. Raises cv2.error."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 1e-5)
    start: Any = np.eye(2, 3, dtype=np.float32)
    every_pixel: Any = None
    _, shift = cv2.findTransformECC(
        still, moving, start, cv2.MOTION_AFFINE, stop, every_pixel, ECC_BLUR_PIXELS
    )
    return np.asarray(shift)


def common_size(source: Array, target: Array, affine: Map) -> Size:
    """The shape of `target`, with no more pixels than either image has."""
    height, width = target.shape[:2]
    source_size = np.array(source.shape[1::-1])
    source_side = np.linalg.norm(affine[:, :2] * source_size[:, None], axis=0).max()
    side = np.clip(min(max(width, height), source_side), MIN_COMPARED_SIDE, COMPARED_SIDE)
    return scale_to((width, height), float(side), enlarge=True)


def scale_to(size: Size, side: float, enlarge: bool = False) -> Size:
    """`size` with `side` pixels along its longer side; never under 16."""
    scale = side / max(size)
    if not enlarge:
        scale = min(1.0, scale)
    return max(16, round(size[0] * scale)), max(16, round(size[1] * scale))


def resize(image: Array, size: Size) -> Array:
    shrinks = size[0] <= image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def warp(image: Array, size: Size, affine: Map) -> Array:
    """What `affine` shows of an image; shrunk first, so that detail does not turn into noise."""
    wanted = np.array(size) / np.linalg.norm(affine[:, :2], axis=1).clip(0.01)
    width, height = np.minimum(wanted.round(), image.shape[1::-1]).astype(int).clip(1).tolist()
    centres = np.array(
        [[1 / size[0], 0, 0.5 / size[0]], [0, 1 / size[1], 0.5 / size[1]], [0, 0, 1]]
    )
    to_pixels = np.diag([width, height]) @ affine @ centres - [[0, 0, 0.5], [0, 0, 0.5]]
    return cv2.warpAffine(
        resize(image, (width, height)),
        to_pixels,
        size,
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def pixels_from_source(size: Size, affine: Map) -> Array:
    """Where `affine` shows something of the source; bool (height, width)."""
    across = (np.arange(size[0]) + 0.5) / size[0]
    down = ((np.arange(size[1]) + 0.5) / size[1])[:, None]
    covered = np.ones((size[1], size[0]), bool)
    for row, side in zip(affine, size, strict=True):
        place = row[0] * across + row[1] * down + row[2]
        covered &= (place > 0.5 / side) & (place < 1 - 0.5 / side)
    return covered
