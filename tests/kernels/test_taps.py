"""Tables of filters: blended by plain sums they give what the CPU's own functions give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgesam_kernels import taps
from edgesam_kernels.taps import Taps, pillow_bilinear, pillow_goes_down_first, resize_filter

sides = st.integers(1, 90)


def across(levels: NDArray[np.uint8], axis: Taps) -> NDArray[np.uint8]:
    """Rows (H, W) by Pillow's fixed point, in whole numbers that cannot overflow."""
    total = np.full((len(levels), len(axis.first)), 1 << 21, np.int64)
    for tap in range(axis.weights.shape[1]):
        cell = np.minimum(axis.first + tap, levels.shape[1] - 1)
        total += levels[:, cell].astype(np.int64) * axis.weights[:, tap]
    assert 0 <= total.min() <= total.max() < 256 << 22, "nothing to clip, and int32 holds it"
    return (total >> 22).astype(np.uint8)


@settings(deadline=None, max_examples=200)
@example(60, 21, 35, 15, 0)  # Pillow 13 goes down first
@example(500, 3, 77, 90, 1)
@example(1, 1, 90, 90, 2)
@given(sides, sides, sides, sides, st.integers(0, 99))
def test_pillow_bit_for_bit(rows: int, columns: int, height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (rows, columns), np.uint8)
    if seed % 2:
        picture = np.where(picture > 127, 255, 0).astype(np.uint8)
    expected = Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    x, y = pillow_bilinear(columns, width), pillow_bilinear(rows, height)
    if pillow_goes_down_first((rows, columns), (height, width)):
        found = across(across(picture.T, y).T, x)
    else:
        found = across(across(picture, x).T, y).T
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_weights_are_a_tent_of_the_sum_one() -> None:
    grows = pillow_bilinear(2, 4)
    assert grows.first.tolist() == [0, 0, 0, 1]
    assert (grows.weights / 2**22).round(4).tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [1, 0]]
    shrinks = pillow_bilinear(8, 2).weights
    assert (shrinks.sum(axis=1) - 2**22 <= shrinks.shape[1]).all()


def test_rules_of_area() -> None:
    assert resize_filter("area", (9, 7), (9, 7)).rule == "SAME"
    assert resize_filter("pil-bilinear", (9, 7), (9, 7)).rule == "SAME"
    whole = resize_filter("area", (12, 9), (4, 9))
    assert whole.rule == "AREA_WHOLE"
    assert (whole.rows.weights.shape[1], whole.columns.weights.shape[1]) == (3, 1)
    assert resize_filter("area", (12, 9), (5, 9)).rule == "AREA_SHRINKS"
    assert resize_filter("area", (12, 9), (5, 10)).rule == "AREA_GROWS"


@pytest.mark.parametrize("name", ["area_shrinks", "area_grows", "pillow_bilinear"])
@pytest.mark.parametrize(("source", "target"), [(7, 3), (512, 171), (20000, 256), (3, 2), (90, 90)])
def test_no_cell_with_weight_is_outside(name: str, source: int, target: int) -> None:
    axis: Taps = getattr(taps, name)(source, target)
    assert axis.first.dtype == np.int32
    assert len(axis.first) == len(axis.weights) == target
    cells = axis.first[:, None] + np.arange(axis.weights.shape[1])
    used = cells[axis.weights != 0]
    assert axis.first.min() >= 0
    assert used.max() < source
