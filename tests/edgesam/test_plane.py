"""Planes of a volume: which voxel a pixel is, for every axis, turn and flip."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.affine import to_patient
from edgesam.plane import NAMES, Plane

sides = st.integers(1, 7)


@st.composite
def planes(draw: st.DrawFn) -> Plane:
    shape = draw(st.tuples(sides, sides, sides))
    axis, rows, columns = draw(st.permutations(range(3)))
    index = draw(st.integers(0, shape[axis] - 1))
    return Plane(shape, axis, index, rows, columns, draw(st.booleans()), draw(st.booleans()))


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    numbers = draw(st.lists(st.floats(-5, 5), min_size=12, max_size=12))
    return np.vstack([np.reshape(numbers, (3, 4)), [0, 0, 0, 1]])


def numbered(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Every voxel is its own."""
    return np.arange(np.prod(shape)).reshape(shape)


@settings(deadline=None)
@given(planes())
def test_a_pixel_is_the_voxel_that_its_point_says(plane: Plane) -> None:
    array = numbered(plane.shape)
    picture = plane.of(array)
    assert picture.shape == (plane.height, plane.width)
    for y, x in product(range(plane.height), range(plane.width)):
        i, j, k = plane.to_voxel((x, y)).astype(int)
        assert picture[y, x] == array[i, j, k]


@settings(deadline=None)
@given(planes(), st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1, max_size=4))
def test_points_go_there_and_back(plane: Plane, points: list[tuple[float, float]]) -> None:
    index = plane.to_voxel(points)
    assert index.shape == (len(points), 3)
    assert (index[:, plane.axis] == plane.index).all()
    assert np.abs(plane.to_picture(index) - points).max() < 1e-12
    beside = index.copy()
    beside[:, plane.axis] += 3  # a point of another plane is seen where it lies behind this one
    assert np.array_equal(plane.to_picture(beside), plane.to_picture(index))


@settings(deadline=None)
@given(planes())
def test_pictures_go_there_and_back(plane: Plane) -> None:
    voxels = numbered(plane.shape)[(slice(None),) * plane.axis + (plane.index,)]
    assert np.array_equal(plane.voxels(plane.picture(voxels)), voxels)
    picture = numbered((plane.height, plane.width))
    assert np.array_equal(plane.picture(plane.voxels(picture)), picture)


@settings(deadline=None)
@given(planes(), st.data())
def test_writing_on_the_picture_writes_the_voxel(plane: Plane, data: st.DataObject) -> None:
    array = np.zeros(plane.shape, np.uint8)
    y = data.draw(st.integers(0, plane.height - 1))
    x = data.draw(st.integers(0, plane.width - 1))
    plane.of(array)[y, x] = 1
    assert np.argwhere(array).tolist() == [plane.to_voxel((x, y)).tolist()]


@settings(deadline=None)
@given(planes(), affines(), st.floats(-9, 9), st.floats(-9, 9))
def test_the_affine_of_the_picture_is_that_of_its_voxels(
    plane: Plane, volume: NDArray[np.float64], x: float, y: float
) -> None:
    through_picture = to_patient(plane.affine(volume), (x, y, 0))
    through_volume = to_patient(volume, plane.to_voxel((x, y)))
    assert np.abs(through_picture - through_volume).max() < 1e-9
    further = plane.to_voxel((x, y))
    further[plane.axis] += 1
    assert np.allclose(
        to_patient(plane.affine(volume), (x, y, 1)), to_patient(volume, further), atol=1e-9
    )


@settings(deadline=None)
@given(st.tuples(sides, sides, sides), st.integers(0, 2))
def test_stored_is_what_slicing_gives(shape: tuple[int, int, int], axis: int) -> None:
    array = numbered(shape)
    plane = Plane.stored(shape, axis, shape[axis] - 1)
    assert np.array_equal(plane.of(array), np.take(array, shape[axis] - 1, axis))


# Down and right on the screen, as every viewer shows these planes, in patient millimetres (LPS).
SCREEN = {
    "sagittal": ((0, 0, -1), (0, 1, 0)),
    "coronal": ((0, 0, -1), (1, 0, 0)),
    "axial": ((0, 1, 0), (1, 0, 0)),
}


@settings(deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3), st.data())
def test_on_screen_the_patient_lies_as_radiology_shows(
    axes: list[int], signs: tuple[int, ...], data: st.DataObject
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, axes] @ np.diag(signs)
    shape = data.draw(st.tuples(sides, sides, sides))
    axis = data.draw(st.integers(0, 2))
    plane = Plane.on_screen(shape, axis, 0, affine)
    down, right = SCREEN[NAMES[axes[axis]]]
    shown = plane.affine(affine)
    assert shown[:3, 0].tolist() == list(right)
    assert shown[:3, 1].tolist() == list(down)


def test_what_is_no_plane() -> None:
    with pytest.raises(ValueError, match="some order"):
        Plane((2, 3, 4), 0, 0, 1, 1)
    for index in (-1, 2):
        with pytest.raises(ValueError, match="outside"):
            Plane((2, 3, 4), 0, index, 1, 2)
