"""Registration and the measurements taken of two aligned images."""

from __future__ import annotations

import numpy as np
from test_hash_rows import scene

from duplicates.geometry import IDENTITY
from duplicates.raster import Raster
from duplicates.registration import register


def test_registration_finds_a_crop() -> None:
    whole = Raster(np.asarray(scene(7)))
    part = Raster(np.asarray(scene(7).crop((8, 6, 316, 236))))
    affine = register(whole, part, IDENTITY, 64, 8)
    assert np.abs(affine - [[308 / 320, 0, 8 / 320], [0, 230 / 240, 6 / 240]]).max() < 0.004


def test_registration_of_a_black_image_is_finite() -> None:
    black = Raster(np.zeros((240, 320, 3), np.uint8))
    affine = register(black, Raster(np.asarray(scene(7))), IDENTITY, 64, 4)
    assert np.isfinite(affine).all()
