"""How one small picture may lie upon another: guesses from local features, and from the eight turns of a square.

A guess is an affine map (2, 3) from places in `other` to places in `one`, both in shares of width and height. Guesses
only propose; duplicates/comparison.py betters them and looks. Imports OpenCV inside its functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from duplicates.comparison import Sheet, inverse

Array = np.ndarray[Any, np.dtype[Any]]

POINTS = 300  # of a picture: what SIFT finds first
ENLARGED = 256  # pixels that the longer side has at least when points are looked for
RATIO = 0.75  # of squared distances, best to second best: a match that nothing else comes near (Lowe 2004)
REACH = 3.0  # pixels by which a matched point may miss its place
ENOUGH = 5  # points that must agree on one map
STRETCH = 1.7  # how unlike the scales of the two axes may be
SCALES = (0.12, 8.0)
TURNED_SIDE = 24
TURNED = 0.6  # correlation from which a turn is worth a closer look
SEARCHED = 96  # pixels of the longer side of a picture in which another is searched,
SHARES = tuple(1.075**-step for step in range(10))  # as large as this, down to a half,
FOUND = 0.75  # and correlation from which its place is worth a closer look
SPARSE = 80  # features of a picture below which it is searched
TURNS = tuple((quarter, mirrored) for mirrored in (False, True) for quarter in range(4))


@dataclass(frozen=True)
class Points:
    """Places (n, 2) in shares of width and height, and what each looks like: SIFT descriptors (n, 128) in uint8."""

    places: Array
    looks: Array


def find_points(picture: Array) -> Points:
    """The features of a picture, uint8 RGB."""
    import cv2

    cv2.setNumThreads(1)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = max(1.0, ENLARGED / max(grey.shape))
    if scale > 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    found, looks = cv2.SIFT.create(POINTS, contrastThreshold=0.02).detectAndCompute(grey, None)
    if looks is None:
        return Points(np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))
    size = np.array(grey.shape[::-1], np.float32)
    places = (np.array([point.pt for point in found], np.float32) + 0.5) / size
    return Points(places[:POINTS], looks[:POINTS].astype(np.uint8))


def maps_from_points(
    one: Points, other: Points, size: tuple[int, int], other_size: tuple[int, int]
) -> list[Array]:
    """Maps on which matched features agree: at most one as it is, one mirrored. Sizes are (width, height)."""
    found = []
    for mirrored in (False, True):
        looks = _mirrored(other.looks) if mirrored else other.looks
        affine = _ransac_affine(Points(other.places, looks), one, other_size, size)
        if affine is not None and (np.linalg.det(affine[:, :2]) < 0) == mirrored:
            found.append(affine)
    return found


def _ransac_affine(
    start: Points, end: Points, start_size: tuple[int, int], end_size: tuple[int, int]
) -> Array | None:
    import cv2

    if min(len(start.looks), len(end.looks)) < ENOUGH:
        return None
    alike = _root_sift(start.looks) @ _root_sift(end.looks).T
    rows, best = np.arange(len(alike)), alike.argmax(1)
    first = alike[rows, best]
    alike[rows, best] = -1
    second = alike.max(1)
    sure = (1 - first) < RATIO * (1 - second)
    if sure.sum() < ENOUGH:
        return None
    scale, end_scale = np.array(start_size, np.float32), np.array(end_size, np.float32)
    source, target = start.places[sure] * scale, end.places[best[sure]] * end_scale
    affine, agreeing = cv2.estimateAffine2D(
        source, target, method=cv2.RANSAC, ransacReprojThreshold=REACH, maxIters=600
    )
    if affine is None:
        return None
    kept = source[agreeing.ravel() > 0]
    stretch = np.linalg.svd(affine[:, :2])[1]
    if (
        len({(int(x) // 4, int(y) // 4) for x, y in kept}) < ENOUGH
        or stretch[0] > STRETCH * stretch[1]
    ):
        return None
    if not SCALES[0] < np.sqrt(stretch[0] * stretch[1]) < SCALES[1]:
        return None
    whole: Array = np.hstack([affine[:, :2] * scale, affine[:, 2:]]) / end_scale[:, None]
    return whole


def _root_sift(looks: Array) -> Array:
    """RootSIFT (Arandjelovic and Zisserman 2012): unit length, and products that compare histograms well."""
    values = looks.astype(np.float32)
    rooted: Array = np.sqrt(values / np.maximum(values.sum(1, keepdims=True), 1e-6))
    return rooted


def _mirrored(looks: Array) -> Array:
    """The descriptors that the mirrored picture would have: 4 x 4 cells of 8 directions, both turned round."""
    cells = looks.reshape(-1, 4, 4, 8)[:, ::-1]
    return np.ascontiguousarray(cells[..., (-np.arange(8)) % 8]).reshape(-1, 128)


def make_thumbnail(picture: Array) -> Array:
    """A picture's luminance, float32 (TURNED_SIDE, TURNED_SIDE), without its mean and of unit length."""
    small = (
        Image.fromarray(picture)
        .convert("L")
        .resize((TURNED_SIDE, TURNED_SIDE), Image.Resampling.BOX)
    )
    values = np.asarray(small, np.float32)
    values = values - values.mean()
    unit: Array = values / (np.linalg.norm(values) + 1e-3)
    return unit


def half_thumbnails(picture: Array) -> Array:
    """Thumbnails of the left, right, upper and lower half, one a row: (4, TURNED_SIDE ** 2)."""
    height, width = max(1, picture.shape[0] // 2), max(1, picture.shape[1] // 2)
    parts = (picture[:, :width], picture[:, -width:], picture[:height], picture[-height:])
    return np.stack([make_thumbnail(part).ravel() for part in parts])


def maps_from_rotations(one: Array, other: Array) -> list[Array]:
    """The turns by which the thumbnail of `one` looks like that of `other`, best first; three at most."""
    alike = {}
    for quarter, mirrored in TURNS:
        turned = one[:, ::-1] if mirrored else one
        alike[quarter, mirrored] = float((np.rot90(turned, quarter) * other).sum())
    best = sorted(alike, key=lambda way: -alike[way])[:3]
    return [turn_map(*way) for way in best if alike[way] >= TURNED]


def maps_from_template_search(one: Sheet, other: Sheet) -> list[Array]:
    """Where the whole of either picture is found in the other, upright: for pictures with few features to match."""
    import cv2

    best, maps = FOUND, []
    for larger, lesser, inwards in ((one, other, True), (other, one, False)):
        width, height = (max(8, round(side * SEARCHED / max(larger.size))) for side in larger.size)
        ground = cv2.cvtColor(larger.laid((width, height)), cv2.COLOR_RGB2GRAY)
        for share in SHARES:
            scale = share * min(width / lesser.size[0], height / lesser.size[1])
            across, down = (max(8, int(side * scale)) for side in lesser.size)
            if across > width or down > height:
                continue
            part = cv2.cvtColor(lesser.laid((across, down)), cv2.COLOR_RGB2GRAY)
            _, found, _, (left, top) = cv2.minMaxLoc(
                cv2.matchTemplate(ground, part, cv2.TM_CCOEFF_NORMED)
            )
            if found > best:
                place = np.array(
                    [[across / width, 0, left / width], [0, down / height, top / height]]
                )
                best, maps = found, [place if inwards else inverse(place)]
    return maps


def turn_map(quarter: int, mirrored: bool) -> Array:
    """The map from the unit square, mirrored and then turned left by quarters, back to how it was."""
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    back = np.diag([-1.0 if mirrored else 1.0, 1.0]) @ np.array([[cos, -sin], [sin, cos]], float)
    return np.hstack([back, 0.5 - back @ [[0.5], [0.5]]])
