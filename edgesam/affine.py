"""Array index <-> patient millimetres, by an affine. Knows no file format and no picture.

Patient coordinates are DICOM's (PS3.3 C.7.6.2.1.1): x grows to the patient's left, y to the back
(posterior), z to the head (superior): LPS. An affine (4, 4) maps an array's index, in the array's
own axis order, to the centre of that voxel.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesam.errors import VolumeError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""NIfTI's world grows to the right, the front and the head; its own inverse."""

_ENDS = ("RL", "AP", "IS")  # of each patient axis: where it comes from, where it goes
_FLAT = 1e-6  # below this part of a voxel's size, three axes lie in one plane


def checked_affine(affine: ArrayLike) -> NDArray[np.float64]:
    """The affine as read-only (4, 4) float64.

    Raises:
        VolumeError: another shape, NaN or infinite numbers, another last row than 0 0 0 1, an axis
            of no length, or axes that lie in one plane.
    """
    matrix = np.array(affine, np.float64)
    if matrix.shape != (4, 4):
        raise VolumeError(f"an affine is (4, 4); found {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise VolumeError("the affine has NaN or infinite numbers")
    if not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise VolumeError(f"an affine's last row is 0 0 0 1; found {_row(matrix[3])}")
    lengths = voxel_size(matrix)
    if min(lengths) <= 0 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < _FLAT:
        raise VolumeError(
            "the affine cannot be inverted: an axis has no length, or its axes lie in one plane"
        )
    matrix.setflags(write=False)
    return matrix


def voxel_size(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Millimetres from one voxel's centre to the next, along each axis of the array."""
    first, second, third = np.linalg.norm(affine[:3, :3], axis=0)
    return float(first), float(second), float(third)


def to_patient(affine: NDArray[np.float64], index: ArrayLike) -> NDArray[np.float64]:
    """Indices (..., 3) of the array, fractions allowed -> millimetres (..., 3)."""
    points: NDArray[np.float64] = np.asarray(index, np.float64) @ affine[:3, :3].T
    return points + affine[:3, 3]


def to_index(affine: NDArray[np.float64], point: ArrayLike) -> NDArray[np.float64]:
    """Millimetres (..., 3) -> indices (..., 3) of the array, fractions of a voxel included."""
    moved = np.asarray(point, np.float64) - affine[:3, 3]
    index: NDArray[np.float64] = moved @ np.linalg.inv(affine[:3, :3]).T
    return index


def patient_axes(affine: NDArray[np.float64]) -> tuple[tuple[int, int], ...]:
    """For each axis of the array the patient axis (0 x, 1 y, 2 z) that it runs along, and its sign.

    Each patient axis is given once: of all assignments the one closest to the true directions.
    """
    directions = affine[:3, :3] / voxel_size(affine)
    best = max(
        permutations(range(3)),
        key=lambda axes: sum(abs(directions[patient, a]) for a, patient in enumerate(axes)),
    )
    return tuple((p, 1 if directions[p, a] >= 0 else -1) for a, p in enumerate(best))


def array_axis(affine: NDArray[np.float64], patient: int) -> int:
    """The array's axis that runs along a patient axis (0 x, 1 y, 2 z): :func:`patient_axes`."""
    return [along for along, _ in patient_axes(affine)].index(patient)


def orientation(affine: NDArray[np.float64]) -> str:
    """Where each axis of the array goes, as ``LPS`` or ``RAS``; of oblique axes the closest."""
    return "".join(_ENDS[patient][sign > 0] for patient, sign in patient_axes(affine))


def _row(numbers: NDArray[np.float64]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
