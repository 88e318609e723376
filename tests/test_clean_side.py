"""Of a cropped picture the whole one is clean, unless a border shows around the other."""

from __future__ import annotations

import dataclasses

import pytest
from both_looks import to_small
from test_hash_rows import scene

from duplicates import clean_side
from duplicates.pair_measurement import measure_as_variant
from keeping.directions import NO_DIRECTION, Direction

LEAST, MOST = clean_side.WHOLE_BEYOND_RATIO


@pytest.mark.parametrize(
    ("border_contrast", "beyond_ratio", "expected"),
    [
        (clean_side.MAX_WHOLE_BORDER_CONTRAST, LEAST, True),
        (clean_side.USUAL_BORDER_CONTRAST, MOST, True),
        (clean_side.MAX_WHOLE_BORDER_CONTRAST + 0.01, 1.0, False),
        (clean_side.USUAL_BORDER_CONTRAST + 0.01, LEAST - 0.01, False),
        (clean_side.USUAL_BORDER_CONTRAST + 0.01, MOST + 0.01, False),
        (clean_side.USUAL_BORDER_CONTRAST, LEAST - 0.01, None),
        (clean_side.USUAL_BORDER_CONTRAST, MOST + 0.01, None),
    ],
)
def test_the_whole_picture_is_clean_only_where_it_goes_on(border_contrast, beyond_ratio, expected):
    whole, crop = scene(3), scene(3).crop((40, 30, 280, 210))
    small, other = to_small(crop), to_small(whole)
    seen = measure_as_variant(small, other)
    assert seen and not seen.is_first_larger
    usual = clean_side.find_direction("cropped", seen, small.raster, other.raster)
    assert usual == Direction(-1)  # the second is clean
    around = dataclasses.replace(
        seen.around, border_contrast=border_contrast, beyond_ratio=beyond_ratio
    )
    assert clean_side.goes_on(around) is expected
    pair = dataclasses.replace(seen, around=around)
    found = clean_side.find_direction("cropped", pair, small.raster, other.raster)
    shown = min(seen.seen.overlap)
    assert found == {True: Direction(-1), False: Direction(1, shown), None: NO_DIRECTION}[expected]
