"""Compare an image with a photo of it that was taken at an angle: of a print, or of a screen.

No affine map lays one on the other. Matched features say which projective one does. The photo is
then rectified, as if seen from the front, and both are compared as other pairs are.

A homography is a projective map between places in two images, float64 (3, 3), in shares of their
width and height. Imports OpenCV inside its functions.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from duplicates import geometry
from duplicates.aligned_pair import ChangedPair
from duplicates.alignment import MAX_REPROJECTION_PIXELS, RANSAC_ROUNDS, Matches, count_squares
from duplicates.geometry import Affine, Array
from duplicates.pair_measurement import measure_alignments
from duplicates.raster import Raster
from duplicates.thresholds import THRESHOLDS, Thresholds

# In which features agree. Of 4,005 pairs of 90 different photos one had so many that agree on one
# affine map, of 156 photos of prints and screens all had.
MIN_AFFINE_SQUARES = 10
MIN_SQUARES = 16  # on a projective map, which four places fit exactly
MIN_DEPTH_RATIO = 0.4  # of the corners' distances from the camera, the least to the greatest
GRID_SIDE = 16  # points along each axis that estimate a covered area
CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)


def measure_in_perspective(
    one: Raster, other: Raster, matches: Matches, limits: Thresholds = THRESHOLDS
) -> ChangedPair | None:
    """Return the look at two images of which one is rectified; None if no homography fits.

    `matches` lead from `other` to `one`.
    """
    if matches.agreeing_squares < MIN_AFFINE_SQUARES:
        return None
    homography = _find_homography(one, other, matches)
    if homography is None:
        return None
    backwards = np.linalg.inv(homography)
    if _overlap_share(homography) >= _overlap_share(backwards):
        one, affine = _rectify(one, homography)
    else:
        other, inverse = _rectify(other, backwards)
        affine = geometry.inverse(inverse)
    # The light of a photo misleads a registration; the matches are exact enough.
    pair = measure_alignments(one, other, [affine], limits, refine=False)
    return ChangedPair(one, other, replace(pair, is_rectified=True)) if pair else None


def _find_homography(one: Raster, other: Raster, matches: Matches) -> Array | None:
    """Return the homography from `other` to `one` on which most matches agree; None if few do."""
    import cv2

    start_scale = np.array(other.size, np.float32)
    end_scale = np.array(one.size, np.float32)
    source = matches.start * start_scale
    homography, agreeing = cv2.findHomography(
        source,
        matches.end * end_scale,
        cv2.USAC_MAGSAC,
        MAX_REPROJECTION_PIXELS,
        maxIters=RANSAC_ROUNDS,
    )
    if homography is None or count_squares(source[agreeing.ravel() > 0]) < MIN_SQUARES:
        return None
    in_shares: Array = np.diag([*1 / end_scale, 1]) @ homography @ np.diag([*start_scale, 1])
    return in_shares if _is_plausible(in_shares) else None


def _is_plausible(homography: Array) -> bool:
    """Whether all corners are before the camera, and about as far from it."""
    depths = _homogeneous(CORNERS) @ homography[2]
    is_before = depths.min() > 0
    return bool(is_before and depths.min() >= MIN_DEPTH_RATIO * depths.max())


def _overlap_share(homography: Array) -> float:
    """Return the share of the unit square that the homography takes into the unit square."""
    centres = (np.arange(GRID_SIDE) + 0.5) / GRID_SIDE
    points = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    *places, depths = (_homogeneous(points) @ homography.T).T
    inside = depths * homography[2, 2] > 0
    for place in places:
        share = place / np.where(depths == 0, 1, depths)
        inside &= (share >= 0) & (share <= 1)
    return float(inside.mean())


def _rectify(image: Raster, homography: Array) -> tuple[Raster, Affine]:
    """Return an image as an affine map shows it, and this map: the one next to a homography."""
    import cv2

    places = _homogeneous(CORNERS) @ homography.T
    places = places[:, :2] / places[:, 2:]
    affine: Affine = np.linalg.lstsq(_homogeneous(CORNERS), places, rcond=None)[0].T
    width, height = image.size
    to_shares = np.array([[1 / width, 0, 0.5 / width], [0, 1 / height, 0.5 / height], [0, 0, 1]])
    to_image = homography @ np.linalg.inv(np.vstack([affine, [0, 0, 1]]))
    pixels = cv2.warpPerspective(
        image.pixels,
        np.linalg.inv(to_shares) @ to_image @ to_shares,
        image.size,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return Raster(pixels), affine


def _homogeneous(points: Array) -> Array:
    """Return points (n, 2) with a third coordinate of 1."""
    return np.hstack([points, np.ones((len(points), 1))])
