"""Where a picture lies in the square: segment-anything's rounding, and both ways between them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgesam import Fit, ImageError

sides = st.integers(1, 20_000)
squares = st.sampled_from([256, 1024])


def preprocess_shape(height: int, width: int, long_side: int) -> tuple[int, int]:
    """segment_anything/utils/transforms.py, ``ResizeLongestSide.get_preprocess_shape``."""
    scale = long_side * 1.0 / max(height, width)
    newh, neww = height * scale, width * scale
    neww = int(neww + 0.5)
    newh = int(newh + 0.5)
    return newh, neww


@settings(deadline=None)
@example(333, 512, 1024, True)
@example(1, 20_000, 256, False)
@example(20_000, 8, 1024, True)
@given(sides, sides, squares, st.booleans())
def test_the_resized_size(height: int, width: int, square: int, per_axis: bool) -> None:
    fit = Fit.letterbox(height, width, square, per_axis=per_axis)
    rows, columns = preprocess_shape(height, width, square)
    assert (fit.resized_height, fit.resized_width) == (max(1, rows), max(1, columns))
    assert max(fit.resized_height, fit.resized_width) == square
    assert (fit.height, fit.width, fit.square) == (height, width, square)


@pytest.mark.parametrize(
    ("height", "width", "square", "expected"),
    [
        (600, 800, 1024, (768, 1024)),
        (800, 600, 1024, (1024, 768)),
        (3, 1024, 512, (2, 512)),  # 1.5 rows: halves go up
        (5, 1024, 512, (3, 512)),  # 2.5 too, never to the even side
        (1, 1, 256, (256, 256)),
        (1, 20_000, 256, (1, 256)),  # would vanish
    ],
)
def test_known_sizes(height: int, width: int, square: int, expected: tuple[int, int]) -> None:
    fit = Fit.letterbox(height, width, square)
    assert (fit.resized_height, fit.resized_width) == expected


@settings(deadline=None)
@given(sides, sides, squares, st.booleans(), st.data())
def test_points_return_to_where_they_were(
    height: int, width: int, square: int, per_axis: bool, data: st.DataObject
) -> None:
    fit = Fit.letterbox(height, width, square, per_axis=per_axis)
    points = [
        [data.draw(st.floats(0, width)), data.draw(st.floats(0, height))],
        [data.draw(st.floats(-width, 2 * width)), data.draw(st.floats(-height, 2 * height))],
    ]
    there = fit.to_square(points)
    assert there.shape == (2, 2)
    np.testing.assert_allclose(fit.to_picture(there), points, rtol=1e-12, atol=1e-9)


@settings(deadline=None)
@given(sides, sides, squares)
def test_per_axis_the_far_corner_is_the_corner_of_the_filled_part(
    height: int, width: int, square: int
) -> None:
    fit = Fit.letterbox(height, width, square)
    there = fit.to_square([(0, 0), (width, height)])
    np.testing.assert_allclose(there, [(0, 0), (fit.resized_width, fit.resized_height)])


def test_long_side_scales_both_axes_alike() -> None:
    fit = Fit.letterbox(300, 700, 256, per_axis=False)
    np.testing.assert_allclose(fit.to_square([(70, 30)]), [(25.6, 256 * 30 / 700)])
    assert fit.scale_x == fit.scale_y
    assert Fit.letterbox(333, 512, 256).scale_x != Fit.letterbox(333, 512, 256).scale_y


class TestPixelAspect:
    @settings(deadline=None)
    @given(sides, sides, squares, st.booleans())
    def test_square_pixels_change_nothing(
        self, height: int, width: int, square: int, per_axis: bool
    ) -> None:
        plain = Fit.letterbox(height, width, square, per_axis=per_axis)
        assert Fit.letterbox(height, width, square, per_axis=per_axis, pixel_aspect=1.0) == plain

    @pytest.mark.parametrize(
        ("height", "width", "aspect", "expected"),
        [
            (40, 512, 5.0, (400, 1024)),  # 200 by 512 square ones
            (40, 200, 10.0, (1024, 512)),  # the shorter side in pixels is the longer in millimetres
            (300, 60, 0.2, (1024, 1024)),
        ],
    )
    def test_the_square_s_pixels_are_square(
        self, height: int, width: int, aspect: float, expected: tuple[int, int]
    ) -> None:
        fit = Fit.letterbox(height, width, 1024, pixel_aspect=aspect)
        assert (fit.resized_height, fit.resized_width) == expected
        assert fit.scale_y / fit.scale_x == pytest.approx(aspect, rel=1e-2)
        assert (fit.height, fit.width) == (height, width)

    def test_the_long_side_s_scale_goes_by_millimetres(self) -> None:
        fit = Fit.letterbox(40, 512, 256, per_axis=False, pixel_aspect=5.0)
        assert (fit.scale_x, fit.scale_y) == (0.5, 2.5)

    @settings(deadline=None)
    @given(sides, sides, squares, st.booleans(), st.floats(0.05, 20), st.data())
    def test_points_return(
        self,
        height: int,
        width: int,
        square: int,
        per_axis: bool,
        aspect: float,
        data: st.DataObject,
    ) -> None:
        fit = Fit.letterbox(height, width, square, per_axis=per_axis, pixel_aspect=aspect)
        point = [data.draw(st.floats(0, width)), data.draw(st.floats(0, height))]
        np.testing.assert_allclose(fit.to_picture(fit.to_square(point)), point, atol=1e-9)
        assert max(fit.resized_height, fit.resized_width) == square


def test_x_is_the_first_coordinate() -> None:
    fit = Fit.letterbox(1, 1000, 256)  # very different scales
    assert fit.to_square((1000, 0)).tolist() == [256, 0]
    assert fit.to_square((0, 1)).tolist() == [0, 1]


class TestStretch:
    @settings(deadline=None)
    @example(1, 20_000, 1024)
    @given(sides, sides, squares)
    def test_the_picture_fills_the_square(self, height: int, width: int, square: int) -> None:
        fit = Fit.stretch(height, width, square)
        assert (fit.resized_height, fit.resized_width) == (square, square)
        assert (fit.height, fit.width, fit.square) == (height, width, square)
        corners = [(0, 0), (width, 0), (0, height), (width, height)]
        filled = [(0, 0), (square, 0), (0, square), (square, square)]
        np.testing.assert_allclose(fit.to_square(corners), filled, rtol=1e-12)

    @settings(deadline=None)
    @given(sides, sides, squares, st.data())
    def test_points_return_to_where_they_were(
        self, height: int, width: int, square: int, data: st.DataObject
    ) -> None:
        fit = Fit.stretch(height, width, square)
        points = [[data.draw(st.floats(-width, 2 * width)), data.draw(st.floats(0, height))]]
        np.testing.assert_allclose(
            fit.to_picture(fit.to_square(points)), points, rtol=1e-12, atol=1e-9
        )

    def test_each_axis_has_its_own_scale(self) -> None:
        fit = Fit.stretch(200, 800, 1024)
        assert (fit.scale_x, fit.scale_y) == (1.28, 5.12)
        assert fit.to_square((100, 100)).tolist() == [128, 512]

    @settings(deadline=None)
    @given(sides, squares)
    def test_of_a_square_picture_it_is_the_letterbox(self, side: int, square: int) -> None:
        assert Fit.stretch(side, side, square) == Fit.letterbox(side, side, square)


@pytest.mark.parametrize("place", [Fit.letterbox, Fit.stretch])
@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5), (0, 0)])
def test_a_picture_without_pixels_is_refused(
    height: int, width: int, place: Callable[[int, int, int], Fit]
) -> None:
    with pytest.raises(ImageError, match=f"{width} x {height} pixels"):
        place(height, width, 256)


@given(sides, sides, st.sampled_from([16, 32, 256]))
def test_cells_are_where_the_picture_lies(height: int, width: int, side: int) -> None:
    fit = Fit.letterbox(height, width, 1024)
    rows, columns = fit.cells(side)
    assert 1 <= rows <= side
    assert 1 <= columns <= side
    assert max(rows, columns) == side
    assert abs(rows - fit.resized_height * side / 1024) <= 0.5 or rows == 1
    assert abs(columns - fit.resized_width * side / 1024) <= 0.5 or columns == 1
    assert Fit.stretch(height, width, 1024).cells(side) == (side, side)
