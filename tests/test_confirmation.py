"""What the second look says of drawings that fill little of their ground."""

from __future__ import annotations

import io

import numpy as np
import pytest
from edited_pairs import edited_pair
from PIL import Image

from duplicates.confirmation import confirm
from duplicates.geometry import IDENTITY

OTHER_LIMBS = [300_045, 300_098, 300_189, 300_257]  # pairs of figures that hold them elsewhere


@pytest.mark.parametrize("number", OTHER_LIMBS)
def test_figures_with_other_arms_and_legs_are_no_copies(number: int) -> None:
    _, one, other = edited_pair(number)
    assert not confirm(np.asarray(one), np.asarray(other), IDENTITY).is_copy


@pytest.mark.parametrize("number", OTHER_LIMBS)
def test_a_figure_and_its_recompressed_copy_are_copies(number: int) -> None:
    _, figure, _ = edited_pair(number)
    file = io.BytesIO()
    figure.save(file, "JPEG", quality=20)
    assert confirm(np.asarray(figure), np.asarray(Image.open(file)), IDENTITY).is_copy
