"""Voxel and patient: there and back for any axes, and names of directions."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.affine import (
    LPS_TO_RAS,
    checked_affine,
    orientation,
    patient_axes,
    to_index,
    to_patient,
    voxel_size,
)
from edgesam.errors import VolumeError

Matrix = NDArray[np.float64]

ORIENTATIONS = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
"""All 48: which patient axis each axis of an array runs along, and which way."""

unit = st.floats(-1, 1)


@st.composite
def rotations(draw: st.DrawFn) -> Matrix:
    """From a quaternion."""
    numbers = draw(st.tuples(unit, unit, unit, unit).filter(lambda q: np.hypot.reduce(q) > 0.1))
    w, x, y, z = np.array(numbers) / np.linalg.norm(numbers)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def affines(draw: st.DrawFn) -> Matrix:
    """Rotation, permutation, flips, voxels of 0.05 to 20 mm, shear as of a gantry, a place."""
    axes, signs = draw(st.sampled_from(ORIENTATIONS))
    sizes = [10 ** draw(st.floats(-1.3, 1.3)) for _ in range(3)]
    shear = np.eye(3)
    shear[0, 1], shear[0, 2], shear[1, 2] = draw(st.tuples(*[st.floats(-0.6, 0.6)] * 3))
    affine = np.eye(4)
    affine[:3, :3] = (
        draw(rotations()) @ shear @ np.eye(3)[:, axes] @ np.diag(signs) @ np.diag(sizes)
    )
    affine[:3, 3] = draw(st.tuples(*[st.floats(-2000, 2000)] * 3))
    return affine


points = st.lists(st.tuples(*[st.floats(-1000, 3000)] * 3), min_size=1, max_size=5)


@settings(deadline=None)
@given(affines(), points)
def test_voxel_to_patient_and_back(affine: Matrix, where: list[tuple[float, float, float]]) -> None:
    checked = checked_affine(affine)
    assert np.abs(to_index(checked, to_patient(checked, where)) - where).max() < 1e-6


@settings(deadline=None)
@given(affines(), points)
def test_points_are_those_of_the_matrix(
    affine: Matrix, where: list[tuple[float, float, float]]
) -> None:
    expected = [(affine @ [*point, 1])[:3] for point in where]
    assert np.allclose(to_patient(affine, where), expected, rtol=1e-9, atol=1e-9)
    assert np.allclose(to_patient(affine, where[0]), expected[0], rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(affines())
def test_voxel_size_is_the_way_to_the_next_voxel(affine: Matrix) -> None:
    steps = to_patient(affine, np.eye(3)) - to_patient(affine, [0, 0, 0])
    assert np.allclose(voxel_size(affine), np.linalg.norm(steps, axis=1))


@pytest.mark.parametrize(("axes", "signs"), ORIENTATIONS)
def test_every_orientation_has_its_name(
    axes: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, axes] @ np.diag(np.multiply(signs, (0.5, 2, 7)))
    assert patient_axes(affine) == tuple(zip(axes, signs, strict=True))
    letters = {(0, 1): "L", (0, -1): "R", (1, 1): "P", (1, -1): "A", (2, 1): "S", (2, -1): "I"}
    assert orientation(affine) == "".join(letters[key] for key in patient_axes(affine))


@settings(deadline=None)
@given(affines())
def test_each_patient_axis_is_given_once(affine: Matrix) -> None:
    found = patient_axes(affine)
    assert sorted(patient for patient, _ in found) == [0, 1, 2]
    for axis, (patient, sign) in enumerate(found):
        assert affine[patient, axis] * sign >= 0


def test_an_oblique_volume_has_the_closest_orientation() -> None:
    """Sagittal, turned by 40 degrees about the patient's long axis."""
    angle = np.radians(40)
    affine = np.eye(4)
    affine[:3, 0] = np.cos(angle), np.sin(angle), 0  # mostly to the left
    affine[:3, 1] = 0, 0, -1
    affine[:3, 2] = -np.sin(angle), np.cos(angle), 0  # mostly to the back
    assert orientation(affine) == "LIP"


def test_the_world_of_nifti_is_its_own_inverse() -> None:
    assert np.array_equal(LPS_TO_RAS @ LPS_TO_RAS, np.eye(4))
    assert orientation(LPS_TO_RAS) == "RAS"


def test_a_checked_affine_is_a_copy_that_cannot_change() -> None:
    given = np.diag([1, 2, 3, 1])
    checked = checked_affine(given)
    given[0, 3] = 9
    assert checked.dtype == np.float64
    assert checked[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        checked[0, 3] = 1


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.eye(3), r"\(4, 4\)"),
        (np.diag([1, 1, np.nan, 1]), "NaN"),
        (np.diag([1, np.inf, 1, 1]), "infinite"),
        (np.diag([1, 1, 1, 2]), "last row"),
        (np.diag([1, 1, 0, 1]), "inverted"),
        ([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]], "inverted"),
        ([[1, 2, 0, 0], [1, 2, 0, 0], [1, 2, 1, 0], [0, 0, 0, 1]], "inverted"),
    ],
)
def test_what_is_no_affine(affine: Matrix, words: str) -> None:
    with pytest.raises(VolumeError, match=words) as caught:
        checked_affine(affine)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(affines())
def test_small_and_large_voxels_are_no_reason_to_refuse(affine: Matrix) -> None:
    for scale in (1e-4, 1e4):
        scaled = affine.copy()
        scaled[:3] *= scale
        assert np.array_equal(checked_affine(scaled), scaled)
