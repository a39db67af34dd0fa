"""Masks from logits: against both of torch's steps done one after the other, by the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam_kernels.bilinear import measure_mask, threshold_mask


def interpolate(source: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """torch.nn.functional.interpolate(mode="bilinear", align_corners=False), cell by cell."""
    result = np.empty((height, width))
    for y in range(height):
        top, bottom, down = neighbours(y, source.shape[0], height)
        for x in range(width):
            left, right, across = neighbours(x, source.shape[1], width)
            upper = source[top, left] * (1 - across) + source[top, right] * across
            lower = source[bottom, left] * (1 - across) + source[bottom, right] * across
            result[y, x] = upper * (1 - down) + lower * down
    return result


def neighbours(index: int, source: int, target: int) -> tuple[int, int, float]:
    position = max((index + 0.5) * source / target - 0.5, 0.0)
    near = min(math.floor(position), source - 1)
    return near, min(near + 1, source - 1), position - near


def two_steps(
    logits: NDArray[np.float32], square: int, crop: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    large = interpolate(logits.astype(np.float64), square, square)
    return interpolate(large[: crop[0], : crop[1]], *size)


def draw(side: int, seed: int) -> NDArray[np.float32]:
    raw = np.random.PCG64(seed).random_raw(side * side) >> np.uint64(11)
    return (raw * 2.0**-52 - 1).astype(np.float32).reshape(side, side)


@st.composite
def cases(draw: st.DrawFn) -> tuple[int, int, tuple[int, int], tuple[int, int], int]:
    low, square = draw(st.integers(1, 12)), draw(st.integers(1, 30))
    crop = draw(st.tuples(st.integers(1, square), st.integers(1, square)))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    return low, square, crop, size, draw(st.integers(0, 1000))


@settings(deadline=None, max_examples=150)
@example((8, 32, (32, 21), (50, 33), 1))  # grows, grows
@example((8, 32, (20, 32), (10, 16), 1))  # grows, shrinks: as in a small picture
@example((12, 6, (6, 1), (40, 1), 1))
@given(cases())
def test_equals_the_two_steps(
    case: tuple[int, int, tuple[int, int], tuple[int, int], int],
) -> None:
    low, square, crop, size, seed = case
    logits = draw(low, seed)
    expected = two_steps(logits, square, crop, size)
    mask = threshold_mask(logits, square, crop, size)
    assert mask.shape == size
    assert mask.dtype == np.bool_
    decided = np.abs(expected) > 1e-5  # closer to zero, float32 may fall on either side
    np.testing.assert_array_equal(mask[decided], expected[decided] > 0)


@settings(deadline=None, max_examples=100)
@example((8, 32, (32, 21), (50, 33), 1), 0.25)
@given(cases(), st.sampled_from([0.0, 0.1, 0.25, 0.6, 2.0]))
def test_counts_two_more_thresholds(
    case: tuple[int, int, tuple[int, int], tuple[int, int], int], offset: float
) -> None:
    low, square, crop, size, seed = case
    logits = draw(low, seed)
    measured = measure_mask(logits, square, crop, size, offset)
    np.testing.assert_array_equal(measured.mask, threshold_mask(logits, square, crop, size))
    expected = two_steps(logits, square, crop, size)
    for count, threshold in [(measured.above, offset), (measured.below, -offset)]:
        assert isinstance(count, int)
        assert (expected > threshold + 1e-5).sum() <= count <= (expected > threshold - 1e-5).sum()


def test_counts_are_strict() -> None:
    logits = np.zeros((8, 8), np.float32)
    assert measure_mask(logits, 16, (16, 16), (10, 10), 0.0)[1:] == (0, 0)
    assert measure_mask(logits + 1, 16, (16, 16), (10, 10), 1.0)[1:] == (0, 100)
    assert measure_mask(logits - 1, 16, (16, 16), (10, 10), 1.0)[1:] == (0, 0)
    assert measure_mask(logits + 2, 16, (16, 16), (10, 10), 1.0)[1:] == (100, 100)


@pytest.mark.parametrize("size", [(1, 1), (700, 300), (1, 2000), (3000, 1)])
def test_all_negative_all_positive_and_zero(size: tuple[int, int]) -> None:
    square = 1024
    height, width = (max(1, round(side * square / max(size))) for side in size)
    for level, expected in [(-1e-6, False), (1e-6, True), (0.0, False), (-30.0, False)]:
        logits = np.full((256, 256), level, np.float32)
        assert (threshold_mask(logits, square, (height, width), size) == expected).all()


def test_a_large_picture_is_computed_in_strips_and_shows_no_seam() -> None:
    logits = draw(16, 3)
    large = threshold_mask(logits, 64, (64, 48), (1000, 750))
    vertical = interpolate(interpolate(logits.astype(np.float64), 64, 64)[:, :48], 1000, 48)
    columns = [neighbours(x, 48, 750) for x in range(750)]
    left, right, share = (np.array(part) for part in zip(*columns, strict=True))
    naive = vertical[:, left] * (1 - share) + vertical[:, right] * share
    decided = np.abs(naive) > 1e-5
    np.testing.assert_array_equal(large[decided], naive[decided] > 0)


def test_the_crop_is_the_top_left() -> None:
    logits = np.full((8, 8), -1, np.float32)
    logits[:4, :4] = 1
    assert threshold_mask(logits, 32, (15, 15), (20, 20)).all()
    corner = threshold_mask(logits, 32, (32, 32), (32, 32))
    assert corner[:15, :15].all()
    assert not corner[17:].any()
    assert not corner[:, 17:].any()
