"""SIFT features of small images, and what they are in a mirrored image and in a negative.

Imports OpenCV inside its functions.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from duplicates import heap
from duplicates.geometry import Array

MIN_CONTRAST_LEVELS = 8  # from darkest to lightest: 310 images with less have no feature
CONTRAST_STEP = 8  # pixels between those that are asked first
MAX_FEATURES = 300  # of an image, the first that SIFT finds
MIN_SIFT_SIDE = 256  # pixels of the longer side; a smaller image is enlarged
ROOTED_IMAGES = 64  # kept; the pairs of one image mostly come one after the other
SIFT_CONTRAST = 0.02  # half of OpenCV's default: also finds features in faint detail


@dataclass(frozen=True, eq=False)
class Features:
    """SIFT features of an image, row i of both arrays belonging to one feature."""

    places: Array  # (n, 2) float32, shares of width and height
    descriptors: Array  # (n, 128) uint8


NO_FEATURES = Features(np.empty((0, 2), np.float32), np.empty((0, 128), np.uint8))


def is_flat(pixels: Array) -> bool:
    """Whether an image, uint8 RGB, has so little contrast that it shows nothing."""
    sample = pixels[::CONTRAST_STEP, ::CONTRAST_STEP, 1]
    if int(sample.max()) - int(sample.min()) >= MIN_CONTRAST_LEVELS:
        return False  # as nearly always
    channels = Image.fromarray(pixels).split()
    extrema = [channel.getextrema() for channel in channels]
    return all(np.subtract(high, low) < MIN_CONTRAST_LEVELS for low, high in extrema)


def find_features(pixels: Array) -> Features:
    """Find the features of an image, uint8 RGB (height, width, 3)."""
    import cv2

    cv2.setNumThreads(1)
    heap.keep_freed_memory()
    if is_flat(pixels):
        return NO_FEATURES
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    scale = max(1.0, MIN_SIFT_SIDE / max(grey.shape))
    if scale > 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    sift = cv2.SIFT.create(MAX_FEATURES, contrastThreshold=SIFT_CONTRAST)
    keypoints, descriptors = sift.detectAndCompute(grey, None)
    if descriptors is None:
        return NO_FEATURES
    size = np.array(grey.shape[::-1], np.float32)
    pixel_places = np.array([keypoint.pt for keypoint in keypoints], np.float32)
    places = (pixel_places + 0.5) / size
    return Features(places[:MAX_FEATURES], descriptors[:MAX_FEATURES].astype(np.uint8))


def root_sift(descriptors: Array) -> Array:
    """Return RootSIFT descriptors (Arandjelovic and Zisserman 2012), float32 of unit length."""
    values = descriptors.astype(np.float32)
    rooted: Array = np.sqrt(values / np.maximum(values.sum(1, keepdims=True), 1e-6))
    return rooted


@functools.lru_cache(maxsize=ROOTED_IMAGES)
def rooted_descriptors(features: Features, mirrored: bool = False) -> Array:
    """Return the RootSIFT descriptors of an image, or of the mirrored image, kept for its pairs."""
    if mirrored:
        return mirror_descriptors(rooted_descriptors(features))
    return root_sift(features.descriptors)


def mirror_descriptors(descriptors: Array) -> Array:
    """Return the descriptors of the mirrored image: 4 x 4 cells of 8 directions, both reversed."""
    cells = descriptors.reshape(-1, 4, 4, 8)[:, ::-1]
    return np.ascontiguousarray(cells[..., (-np.arange(8)) % 8]).reshape(-1, 128)


def invert_descriptors(descriptors: Array) -> Array:
    """Return the descriptors of the negative: 4 x 4 cells of 8 directions, turned by half.

    Each feature points the other way there. Directions are stored as seen from where it points.
    """
    turned = descriptors.reshape(-1, 4, 4, 8)[:, ::-1, ::-1]
    return np.ascontiguousarray(turned).reshape(-1, 128)
