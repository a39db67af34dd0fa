"""The finish kernel's reference: against the definition, the CPU's own way, and np.tanh."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam_kernels.bilinear import measure_mask, resize_logits
from edgesam_kernels.cpu import finish
from edgesam_kernels.finish import MaskFrame, squash

ROUNDING = 3e-6  # of logits within 1: so near to a threshold either side is right


def draw(count: int, side: int, seed: int) -> NDArray[np.float32]:
    raw = np.random.PCG64(seed).random_raw(count * side * side) >> np.uint64(11)
    return (raw * 2.0**-52 - 1).astype(np.float32).reshape(count, side, side)


@st.composite
def frames(draw: st.DrawFn) -> tuple[int, MaskFrame]:
    low, square = draw(st.integers(1, 12)), draw(st.integers(1, 30))
    crop = draw(st.tuples(st.integers(1, square), st.integers(1, square)))
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    if draw(st.booleans()):
        return low, MaskFrame(low, (low, low), size, probabilities=True)
    return low, MaskFrame(square, crop, size)


@settings(deadline=None, max_examples=150)
@example((8, MaskFrame(32, (32, 21), (50, 33))), 1, 0.25)
@example((12, MaskFrame(6, (6, 1), (40, 1))), 2, 0.25)
@given(frames(), st.integers(0, 1000), st.sampled_from([0.0, 0.1, 0.6, 2.0]))
def test_equals_the_cpus_own_way_but_for_rounding(
    case: tuple[int, MaskFrame], seed: int, offset: float
) -> None:
    low, frame = case
    logits = draw(2, low, seed)
    found = finish(logits, frame, offset)
    assert found.size == frame.size
    for i, one in enumerate(logits):
        held = np.tanh(one / 2) if frame.probabilities else one
        away = float(np.tanh(offset / 2)) if frame.probabilities else offset
        sizes = frame.square, frame.crop, frame.size
        values = resize_logits(held, *sizes)
        expected = measure_mask(held, *sizes, away)
        mask = found.mask(i)
        decided = np.abs(values) > ROUNDING
        np.testing.assert_array_equal(mask[decided], expected.mask[decided])
        for count, mine in [(found.above[i], away), (found.below[i], -away)]:
            assert (values > mine + ROUNDING).sum() <= count <= (values > mine - ROUNDING).sum()


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (31, 7), (1, 17), (9, 1)])
def test_what_is_counted_is_what_is_in_the_bits(size: tuple[int, int]) -> None:
    found = finish(draw(5, 8, 2), MaskFrame(32, (30, 32), size))
    for i in range(5):
        mask = found.mask(i)
        np.testing.assert_array_equal(found.bits[i], np.packbits(mask, axis=-1))
        assert found.area[i] == mask.sum()
        ys, xs = np.nonzero(mask)
        box = (xs.min(), ys.min(), xs.max(), ys.max()) if len(xs) else None
        assert found.box(i) == box


@pytest.mark.parametrize("probabilities", [False, True])
def test_all_none_and_what_is_no_number(probabilities: bool) -> None:
    square, crop = (8, (8, 8)) if probabilities else (32, (32, 20))
    frame = MaskFrame(square, crop, (50, 33), probabilities)
    levels = np.array([-30, -1e-6, 0, 1e-6, 30, np.nan, np.inf, -np.inf], np.float32)
    logits = np.broadcast_to(levels[:, None, None], (8, 8, 8))
    found = finish(np.ascontiguousarray(logits), frame)
    full = 50 * 33
    # Infinite probabilities are 0 and 1; of infinite logits a weight of 0 makes no number.
    assert found.area.tolist()[:6] == [0, 0, 0, full, full, 0]
    assert found.area.tolist()[7] == 0
    assert found.boxes[[2, 3]].tolist() == [[0, 0, -1, -1], [0, 0, 32, 49]]
    assert found.above.tolist()[:6] == [0, 0, 0, 0, full, 0]
    assert found.below.tolist()[:6] == [0, full, full, full, full, 0]


def test_no_masks() -> None:
    found = finish(np.zeros((0, 8, 8), np.float32), MaskFrame(8, (8, 8), (5, 9)))
    assert len(found) == 0
    assert found.bits.shape == (0, 5, 2)
    assert found.boxes.shape == (0, 4)


def test_squash_is_tanh() -> None:
    x = np.concatenate([np.linspace(-40, 40, 200_001), np.logspace(-38, 3, 10_001)])
    x = x.astype(np.float32)
    exact = np.tanh(x.astype(np.float64) / 2)
    found = squash(x)
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() < 2e-7
    assert (np.sign(found) == np.sign(x)).all()
    assert np.diff(found[:200_001]).min() > -2e-7
    small = np.abs(x) < 1e-3
    np.testing.assert_allclose(found[small], exact[small], rtol=3e-7)
