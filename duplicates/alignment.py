"""How one small image may lie on another: maps proposed by features or rotations.

A map leads from places in `other` to places in `one`: see duplicates/geometry.py. Maps only
propose; duplicates/pair_measurement.py refines them and compares. Imports OpenCV inside its
functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from duplicates.features import Features, rooted_descriptors
from duplicates.geometry import Affine, Array, Size

MAX_MATCH_RATIO = 0.75  # of squared distances, best to second best match (Lowe 2004)
MAX_REPROJECTION_PIXELS = 3.0
MIN_MATCHES = 5  # that agree on one map, in different squares of
MATCH_SQUARE_PIXELS = 4
RANSAC_ROUNDS = 600
MAX_STRETCH_RATIO = 1.7  # between the scales of the two axes
MIN_SCALE = 0.12
MAX_SCALE = 8.0

THUMBNAIL_SIDE = 24  # pixels
MAX_ROTATIONS = 3  # that are proposed
MIN_ROTATION_CORRELATION = 0.6
ROTATIONS = tuple((quarter, mirrored) for mirrored in (False, True) for quarter in range(4))


@dataclass(frozen=True)
class Matches:
    """Places of matched features in two images, of which row i belongs to row i."""

    start: Array  # (n, 2) float32, shares of width and height
    end: Array
    agreeing_squares: int  # in which features of the first image agree on one affine map


@dataclass(frozen=True)
class Proposal:
    """A map between two images, and the matches that propose it, if they do."""

    affine: Affine
    matches: Matches | None = None


def propose_from_features(
    one: Features, other: Features, one_size: Size, other_size: Size
) -> list[Proposal]:
    """Return maps on which matched features agree: at most one upright and one mirrored."""
    proposals = []
    descriptors = rooted_descriptors(one)
    for mirrored in (False, True):
        others = rooted_descriptors(other, mirrored)
        rows, matched = _match_features(others, descriptors)
        proposal = _ransac_affine(other.places[rows], one.places[matched], other_size, one_size)
        if proposal and (np.linalg.det(proposal.affine[:, :2]) < 0) == mirrored:
            proposals.append(proposal)
    return proposals


def _ransac_affine(start: Array, end: Array, start_size: Size, end_size: Size) -> Proposal | None:
    """Return the map on which most matches agree; None if too few do, or it is implausible.

    start, end: places of matched features, (n, 2), in images of the two sizes.
    """
    import cv2

    if len(start) < MIN_MATCHES:
        return None
    start_scale = np.array(start_size, np.float32)
    end_scale = np.array(end_size, np.float32)
    source = start * start_scale
    affine, agreeing = cv2.estimateAffine2D(
        source,
        end * end_scale,
        method=cv2.RANSAC,
        ransacReprojThreshold=MAX_REPROJECTION_PIXELS,
        maxIters=RANSAC_ROUNDS,
    )
    if affine is None:
        return None
    squares = count_squares(source[agreeing.ravel() > 0])
    if squares < MIN_MATCHES or not _is_plausible(affine):
        return None
    in_shares: Affine = np.hstack([affine[:, :2] * start_scale, affine[:, 2:]])
    return Proposal(in_shares / end_scale[:, None], Matches(start, end, squares))


def count_squares(places: Array) -> int:
    """Return in how many squares of an image places are, (n, 2) in pixels."""
    return len({(int(x) // MATCH_SQUARE_PIXELS, int(y) // MATCH_SQUARE_PIXELS) for x, y in places})


def _match_features(start: Array, end: Array) -> tuple[Array, Array]:
    """Match unit vectors that are much nearer to one of the others than to any second one.

    Returns row numbers of both, (n,) each.
    """
    nobody = np.empty(0, int)
    if min(len(start), len(end)) < MIN_MATCHES:
        return nobody, nobody
    similarity = start @ end.T
    rows = np.arange(len(similarity))
    nearest = similarity.argmax(1)
    first = similarity[rows, nearest]
    similarity[rows, nearest] = -1
    second = similarity.max(1)
    is_clear = (1 - first) < MAX_MATCH_RATIO * (1 - second)
    return rows[is_clear], nearest[is_clear]


def _is_plausible(affine: Affine) -> bool:
    """Whether a map between pixels keeps proportions and scales within reason."""
    longer, shorter = np.linalg.svd(affine[:, :2])[1]
    if longer > MAX_STRETCH_RATIO * shorter:
        return False
    return bool(MIN_SCALE < np.sqrt(longer * shorter) < MAX_SCALE)


def make_thumbnail(pixels: Array) -> Array:
    """Return the luminance of an image, float32 (24, 24), without its mean, of unit length."""
    grey = Image.fromarray(pixels).convert("L")
    return _thumbnail_of_part(grey, (0, 0, grey.width, grey.height))


def half_thumbnails(pixels: Array) -> Array:
    """Return thumbnails of the left, right, upper and lower half, one per row: (4, 24 * 24)."""
    grey = Image.fromarray(pixels).convert("L")
    width, height = grey.size
    across, down = max(1, width // 2), max(1, height // 2)
    halves = (
        (0, 0, across, height),
        (width - across, 0, width, height),
        (0, 0, width, down),
        (0, height - down, width, height),
    )
    return np.stack([_thumbnail_of_part(grey, half).ravel() for half in halves])


def _thumbnail_of_part(grey: Image.Image, box: tuple[int, int, int, int]) -> Array:
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    values = np.asarray(grey.resize(side, Image.Resampling.BOX, box), np.float32)
    values = values - values.mean()
    unit: Array = values / (np.linalg.norm(values) + 1e-3)
    return unit


def maps_from_rotations(
    one: Array, other: Array, min_correlation: float = MIN_ROTATION_CORRELATION
) -> list[Affine]:
    """Return the rotations by which the thumbnail of `one` resembles that of `other`.

    The most similar first, MAX_ROTATIONS at most; mirrored ones count as rotations.
    """
    correlations = one.ravel()[_ROTATED] @ other.ravel()
    best = np.argsort(-correlations, kind="stable")[:MAX_ROTATIONS].tolist()
    similar = [way for way in best if correlations[way] >= min_correlation]
    return [rotation_map(*ROTATIONS[way]) for way in similar]


def _rotate_places() -> Array:
    """Return the places of a thumbnail's pixels after each of ROTATIONS: (8, 24 * 24)."""
    places = np.arange(THUMBNAIL_SIDE**2).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    rotated = []
    for quarter, mirrored in ROTATIONS:
        upright = places[:, ::-1] if mirrored else places
        rotated.append(np.rot90(upright, quarter).ravel())
    return np.stack(rotated)


_ROTATED = _rotate_places()


def rotation_map(quarter: int, mirrored: bool) -> Affine:
    """Return the map from the unit square, mirrored and then turned left by quarters, back."""
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
    x_sign = -1.0 if mirrored else 1.0
    mirror = np.diag([x_sign, 1.0])
    back = mirror @ np.array([[cos, -sin], [sin, cos]], float)
    return np.hstack([back, 0.5 - back @ [[0.5], [0.5]]])
