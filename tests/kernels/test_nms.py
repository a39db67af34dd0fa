"""Keeping the best of overlapping boxes: against torchvision's answers and its loop."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam_kernels.nms import box_nms

Boxes = NDArray[np.float32]
Box = tuple[float, float, float, float]


def draw(count: int, side: int, seed: int) -> tuple[Boxes, NDArray[np.float32]]:
    """Boxes of sides below 40 with whole corners, and scores of which many are equal."""
    raw = (np.random.PCG64(seed).random_raw(count * 5) >> np.uint64(32)).astype(np.int64)
    x, y, width, height, score = raw.reshape(5, count)
    left, top = x % side, y % side
    boxes = np.stack([left, top, left + width % 40, top + height % 40], axis=1)
    return boxes.astype(np.float32), ((score % 50) / 50).astype(np.float32)


# (boxes, side, seed, threshold): how many torchvision.ops.nms 0.28.0 (CPU) keeps, and the first 16
# digits of the sha256 of their indices, as little-endian int64.
TORCHVISION: dict[tuple[int, int, int, float], tuple[int, str]] = {
    (1, 10, 1, 0.5): (1, "af5570f5a1810b7a"),
    (50, 40, 2, 0.7): (50, "c236be92c56e2f76"),
    (300, 100, 3, 0.7): (292, "187158359c90d049"),
    (300, 60, 4, 0.25): (117, "88279cad72cbb99d"),
    (1000, 100, 5, 0.5): (706, "0717b9acb6944961"),
    (1000, 30, 6, 0.9): (992, "ed7a33d3f46ce1d1"),
    (200, 30, 7, 0.0): (21, "99283c5136fbc949"),
}


@pytest.mark.parametrize("case", TORCHVISION)
def test_indices_are_torchvisions(case: tuple[int, int, int, float]) -> None:
    kept = box_nms(*draw(*case[:3]), case[3])
    digest = hashlib.sha256(kept.astype("<i8").tobytes()).hexdigest()[:16]
    assert (len(kept), digest) == TORCHVISION[case]


def loop(boxes: Boxes, scores: NDArray[np.float32], iou_threshold: float) -> list[int]:
    """Box by box, every number a float32 but for the threshold."""
    order = sorted(range(len(boxes)), key=lambda i: -scores[i])
    kept: list[int] = []
    for i in order:
        if all(not overlap(boxes[k], boxes[i]) > iou_threshold for k in kept):
            kept.append(i)
    return kept


def overlap(one: Boxes, other: Boxes) -> float:
    zero = np.float32(0)
    width = max(zero, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(zero, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    union = areas[0] + areas[1] - width * height
    return float(width * height / union) if union else float("nan")


corners = st.tuples(*[st.integers(0, 6).map(float)] * 2, *[st.integers(7, 13).map(float)] * 2)
fractions = st.tuples(*[st.floats(0, 5, width=16)] * 2, *[st.floats(4, 9, width=16)] * 2)


@settings(deadline=None, max_examples=300)
@example([(0, 0, 0, 0), (0, 0, 0, 0), (1, 1, 1, 5)], [1, 1, 0], 0.0)  # no area: 0 / 0
@example([(0, 0, 10, 7), (0, 0, 10, 10)], [1, 1], 0.7)  # float32's 0.7 is below the double
@example([(0, 0, 5, 1), (0, 0, 5, 5)], [1, 1], 0.2)  # and its 0.2 is above
@given(
    st.lists(st.one_of(corners, fractions), max_size=20),
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]), min_size=20, max_size=20),
    st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.7, 0.9, 1.0]),
)
def test_keeps_what_the_loop_keeps(
    boxes: list[Box], scores: list[float], iou_threshold: float
) -> None:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    score = np.array(scores[: len(boxes)], np.float32)
    kept = box_nms(array, score, iou_threshold)
    assert kept.dtype == np.int64
    assert kept.tolist() == loop(array, score, iou_threshold)


def test_no_boxes() -> None:
    kept = box_nms(np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_by_falling_score_and_of_equals_the_first() -> None:
    apart = np.array([(20 * i, 0, 20 * i + 10, 10) for i in range(40)], np.float32)
    scores = np.array([0.5, 0.9] * 20, np.float32)
    assert box_nms(apart, scores, 0.5).tolist() == [*range(1, 40, 2), *range(0, 40, 2)]
    same = np.tile(apart[:1], (40, 1))
    assert box_nms(same, scores, 0.5).tolist() == [1]


def test_a_box_is_measured_against_kept_ones_only() -> None:
    # The second falls to the first; the third overlaps the second alone, and stays.
    boxes = np.array([(0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10)], np.float32)
    assert box_nms(boxes, np.array([3, 2, 1], np.float32), 0.4).tolist() == [0, 2]
