"""Figures: IoU, relative error, percentiles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgesam_bench.figures import Figures, iou, relative_l2, summarise


def test_iou_of_halves() -> None:
    left, top = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    left[:, :2] = top[:2] = True
    assert iou(left, top) == pytest.approx(4 / 12)
    assert iou(left, left) == 1


def test_two_empty_masks_agree_and_one_does_not() -> None:
    empty, full = np.zeros((2, 2), bool), np.ones((2, 2), bool)
    assert iou(empty, empty) == 1
    assert iou(empty, full) == iou(full, empty) == 0


def test_masks_of_other_shapes_are_no_comparison() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        iou(np.ones((2, 3), bool), np.ones((1, 3), bool))
    with pytest.raises(ValueError, match="differ"):
        relative_l2(np.ones((2, 3)), np.ones((1, 3)))


def test_figures_tell_more_than_the_mean() -> None:
    figures = summarise([1.0] * 19 + [0.0])
    assert figures == Figures(n=20, mean=0.95, p5=pytest.approx(0.95), worst=0.0)
    assert summarise([]) is None


def test_not_a_number_spoils_the_figures() -> None:
    figures = summarise([1.0, math.nan])
    assert figures is not None
    assert math.isnan(figures.mean)


def test_relative_error() -> None:
    assert relative_l2(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == pytest.approx(0.1)
    assert relative_l2(np.zeros(2), np.zeros(2)) == 0
    assert math.isnan(relative_l2(np.ones(2), np.array([1.0, math.nan])))
