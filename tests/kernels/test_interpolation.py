"""Taps of an axis: all of the weights and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgesam_kernels.interpolation import axis_taps, axis_weights


@settings(deadline=None, max_examples=200)
@example((1, 1, 1, 1), 1)
@example((12, 3, 3, 5), 1)  # a small square: neighbours lie far apart
@example((256, 1024, 768, 100), 3)
@given(st.tuples(*[st.integers(1, 40)] * 4), st.integers(1, 5))
def test_taps_are_the_weights(axis: tuple[int, int, int, int], least: int) -> None:
    low, square, crop, size = axis
    crop, least = min(crop, square), min(least, low)
    first, weight = axis_taps(low, square, crop, size, least)
    assert (first.dtype, weight.dtype) == (np.int32, np.float32)
    assert first.shape == (size,)
    assert weight.shape[0] >= least
    assert weight.shape[1] == size
    assert (np.diff(first) >= 0).all()
    assert first[0] >= 0
    assert first[-1] + len(weight) <= low
    dense = np.zeros((size, low), np.float32)
    for tap, share in enumerate(weight):
        dense[np.arange(size), first + tap] = share
    np.testing.assert_array_equal(dense, axis_weights(low, square, crop, size))


@pytest.mark.parametrize("size", [1, 37, 256, 1024, 3001])
@pytest.mark.parametrize("crop", [1, 511, 1024])
def test_published_models_need_three_and_two_taps(size: int, crop: int) -> None:
    assert len(axis_taps(256, 1024, crop, size).weight) <= 3
    assert len(axis_taps(256, 256, 256, size).weight) <= 2
