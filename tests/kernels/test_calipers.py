"""Diameters against shapes whose size is known, and against all pairs of edges' midpoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgesam_kernels.calipers import diameters

Bools = NDArray[np.bool_]
SQUARE = np.eye(2)
BASES = (SQUARE, np.diag([0.7, 1.9]), np.array([[0.8, 0.5], [0.0, 1.1]]))
small_masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))


def ellipse(a: float, b: float, degrees: float, row: float = 1.0, column: float = 1.0) -> Bools:
    """Half axes in millimetres, the long one turned that far downwards from the right."""
    half = 1.1 * max(a, b)
    y, x = np.mgrid[-half:half:row, -half:half:column]
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.asarray(((c * x + s * y) / a) ** 2 + ((c * y - s * x) / b) ** 2 <= 1)


def all_midpoints(mask: Bools) -> NDArray[np.float64]:
    ys, xs = np.nonzero(mask)
    steps = ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
    return np.array([(x + dx, y + dy) for x, y in zip(xs, ys, strict=True) for dx, dy in steps])


def brute(mask: Bools, basis: NDArray[np.float64]) -> tuple[float, float]:
    """Every pair for the diameter; every point against every segment for the chord across it."""
    points = np.unique(all_midpoints(mask), axis=0) @ basis.T
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    longest, across = apart.max(), 0.0
    for i, j in np.argwhere(np.triu(apart) >= longest * (1 - 1e-9)):
        axis = (points[j] - points[i]) / apart[i, j]
        t, s = points @ axis, points @ [-axis[1], axis[0]]
        first, last = np.meshgrid(range(len(t)), range(len(t)))
        rising = t[last] - t[first] > 1e-12
        first, last = first[rising], last[rising]
        for height, side in zip(t, s, strict=True):
            share = (height - t[first]) / (t[last] - t[first])
            met = (share >= -1e-12) & (share <= 1 + 1e-12)
            if met.any():
                at = s[first] + share * (s[last] - s[first])
                across = max(across, float(np.abs(at[met] - side).max()))
    return float(longest), across


@given(small_masks.filter(np.any), st.sampled_from(BASES))
def test_small_masks_against_every_pair(mask: Bools, basis: NDArray[np.float64]) -> None:
    np.testing.assert_allclose(diameters(mask, basis), brute(mask, basis), rtol=1e-9)


@given(small_masks.filter(np.any))
def test_turning_and_flipping_change_nothing(mask: Bools) -> None:
    want = diameters(mask, SQUARE)
    for turned in (np.rot90(mask), mask[::-1], mask[:, ::-1], mask.T):
        np.testing.assert_allclose(diameters(turned, SQUARE), want, rtol=1e-12)


def test_one_pixel_is_as_wide_as_a_pixel() -> None:
    one = np.ones((1, 1), np.bool_)
    assert diameters(one, SQUARE) == (1, 1)
    assert diameters(one, np.diag([0.5, 2.0])) == (2, 0.5)
    assert diameters(one, np.diag([3.0, 2.0])) == (3, 2)


def test_an_empty_mask_has_no_diameter() -> None:
    assert diameters(np.zeros((3, 4), np.bool_), SQUARE) == (0, 0)


@pytest.mark.parametrize(("height", "width"), [(1, 9), (9, 1), (1, 2)])
def test_a_line_is_as_long_as_its_pixels(height: int, width: int) -> None:
    mask = np.zeros((12, 15), np.bool_)
    mask[2 : 2 + height, 3 : 3 + width] = True
    assert diameters(mask, SQUARE) == (max(height, width), 1)


def test_a_rectangle() -> None:
    """From a short side's midpoint in one corner pixel to that in the opposite one."""
    longest, across = diameters(np.ones((30, 40), np.bool_), SQUARE)
    assert longest == pytest.approx(math.hypot(40, 29))
    assert across == pytest.approx(30 * math.hypot(40, 29) / 40)


@pytest.mark.parametrize("radius", [3.0, 10.5, 80.0])
def test_a_disc_has_one_diameter(radius: float) -> None:
    found = diameters(ellipse(radius, radius, 0), SQUARE)
    np.testing.assert_allclose(found, 2 * radius, atol=1.2)


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 133])
@pytest.mark.parametrize(("row", "column"), [(1.0, 1.0), (2.0, 0.5), (0.4, 1.3)])
def test_ellipses_at_angles(degrees: float, row: float, column: float) -> None:
    mask = ellipse(60, 25, degrees, row, column)
    longest, across = diameters(mask, np.diag([column, row]))
    assert longest == pytest.approx(120, abs=row + column)
    # the longest diameter of pixels may lean a little: its chord does not reach the short axis
    assert across == pytest.approx(50, abs=2 * (row + column))


def test_a_hole_or_a_notch_changes_nothing() -> None:
    whole = ellipse(30, 20, 30)
    holed = whole.copy()
    holed[20:40, 30:36] = False
    assert diameters(holed, SQUARE) == diameters(whole, SQUARE)


def test_of_two_parts_it_is_the_distance_from_end_to_end() -> None:
    mask = np.zeros((5, 50), np.bool_)
    mask[2, [0, 49]] = True
    assert diameters(mask, SQUARE) == (50, 1)


def test_a_large_mask() -> None:
    assert diameters(ellipse(1500, 900, 20), SQUARE).longest == pytest.approx(3000, abs=2)
