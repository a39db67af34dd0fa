"""Finished masks: what the kernel leaves in memory, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_kernels.finished import Finished, finished_bytes, read_finished, row_bytes, together


def answer() -> np.ndarray:
    """Two masks of 3 rows and 10 columns: pixels (x, y) = (1, 1) and (9, 2), and none."""
    table = np.array([[2, 1, 4, 10 - 1, 3 - 1, 9 + 1, 2 + 1], [0, 0, 3, 0, 0, 0, 0]], np.int32)
    bits = np.zeros((2, 3, 2), np.uint8)
    bits[0, 1, 0], bits[0, 2, 1] = 0b01000000, 0b01000000
    return np.concatenate([table.reshape(-1).view(np.uint8), bits.reshape(-1)])


def test_reads_what_the_kernel_wrote() -> None:
    raw = answer()
    assert raw.size == finished_bytes(2, (3, 10))
    longer = np.concatenate([raw, np.full(5, 255, np.uint8)])  # a pool's memory is larger
    found = read_finished(longer, 2, (3, 10))
    longer[:] = 7  # the pool's memory is used again
    expected = np.zeros((3, 10), np.bool_)
    expected[1, 1] = expected[2, 9] = True
    np.testing.assert_array_equal(found.mask(0), expected)
    np.testing.assert_array_equal(found.bits[0], np.packbits(expected, axis=-1))
    assert found.mask(0).dtype == np.bool_
    assert not found.mask(1).any()
    assert len(found) == 2
    assert found.area.tolist() == [2, 0]
    assert found.boxes.tolist() == [[1, 1, 9, 2], [0, 0, -1, -1]]
    assert [found.box(0), found.box(1)] == [(1, 1, 9, 2), None]
    assert (found.above.tolist(), found.below.tolist()) == ([1, 0], [4, 3])
    assert found.stability.tolist() == [0.25, 0]


def test_a_mask_that_nothing_is_below_has_no_stability() -> None:
    none = np.zeros(1, np.int32)
    bits, boxes = np.zeros((1, 1, 1), np.uint8), np.zeros((1, 4), np.int32)
    assert Finished((1, 1), bits, none, boxes, none, none).stability.tolist() == [0]


@pytest.mark.parametrize(("columns", "bytes_"), [(1, 1), (8, 1), (9, 2), (1024, 128)])
def test_rows_begin_with_a_byte(columns: int, bytes_: int) -> None:
    assert row_bytes(columns) == bytes_ == np.packbits(np.zeros((1, columns), np.bool_), -1).size


def test_parts_together() -> None:
    one = read_finished(answer(), 2, (3, 10))
    found = together([one, one])
    assert len(found) == 4
    assert found.size == (3, 10)
    assert found.area.tolist() == [2, 0, 2, 0]
    assert found.box(2) == (1, 1, 9, 2)
    np.testing.assert_array_equal(found.mask(2), one.mask(0))
    assert (found.above.tolist(), found.below.tolist()) == ([1, 0] * 2, [4, 3] * 2)
