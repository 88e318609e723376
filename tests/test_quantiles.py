"""Quantiles against numpy, histograms against their definition."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports import quantiles

NUMBERS = st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 4)), min_size=1, max_size=60)
SHARES = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]


@given(NUMBERS)
def test_quantiles_equal_numpys(numbers):
    ours = quantiles.quantiles(Counter(numbers), SHARES)
    assert ours == pytest.approx(list(np.quantile(numbers, SHARES)), rel=1e-12, abs=1e-9)
    assert ours[3] == np.median(numbers)
    assert quantiles.summarize(Counter(numbers)) == dict(
        zip(quantiles.QUANTILES, ours, strict=True)
    )


@example([200001.0, -0.0001], 2)
@given(NUMBERS, st.integers(2, 20))
def test_histogram_holds_every_number_once(numbers, max_bins):
    bins = quantiles.histogram(Counter(numbers), max_bins)
    assert 1 <= len(bins) <= max_bins
    assert sum(bin.count for bin in bins) == len(numbers)
    assert bins[0].low <= min(numbers) <= max(numbers) <= bins[-1].high
    assert all(left.high == right.low for left, right in pairwise(bins))
    for bin in bins[:-1]:
        assert bin.count == sum(bin.low <= number < bin.high for number in numbers)


def test_histogram_has_round_borders():
    numbers = Counter({2.013: 1, 5.2: 3, 7.79: 1})
    assert [(bin.low, bin.high) for bin in quantiles.histogram(numbers)][:2] == [
        (2.0, 2.5),
        (2.5, 3.0),
    ]


def test_no_numbers():
    assert quantiles.summarize({}) == {}
    assert quantiles.histogram({}) == []
