"""Run lengths: there and back, boxes and areas, for masks of every kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.mask import Mask
from edgesam.runs import Runs


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    rows, columns = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    bits = draw(st.lists(st.booleans(), min_size=rows * columns, max_size=rows * columns))
    return np.array(bits).reshape(rows, columns)


@given(masks())
def test_what_goes_in_comes_out(mask: NDArray[np.bool_]) -> None:
    runs = Runs.of(mask)
    np.testing.assert_array_equal(runs.mask(), mask)
    assert runs.area == mask.sum()
    empty = np.zeros((256, 256), np.float32)
    assert runs.box == (Mask(mask, 0.0, empty).box or (0, 0, 0, 0))


@given(masks(), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_a_place_in_a_larger_picture(mask: NDArray[np.bool_], x: int, y: int, more: int) -> None:
    rows, columns = mask.shape
    picture = np.zeros((rows + y + more, columns + x + more), np.bool_)
    picture[y : y + rows, x : x + columns] = mask
    np.testing.assert_array_equal(Runs.of(mask).placed(x, y, picture.shape).mask(), picture)


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ([[0, 1], [0, 1]], [2, 2]),
        ([[1, 0], [0, 1]], [0, 1, 2, 1]),  # as segment-anything and COCO count
        ([[0, 0, 0]], [3]),
        ([[1, 1, 1]], [0, 3]),
    ],
)
def test_columns_first_and_background_first(rows: list[list[int]], counts: list[int]) -> None:
    assert Runs.of(np.array(rows, bool)).counts.tolist() == counts


def test_a_mask_that_waits_is_small() -> None:
    mask = np.zeros((1000, 1000), np.bool_)
    mask[100:900, 50:950] = True
    assert Runs.of(mask).counts.nbytes < 10_000
