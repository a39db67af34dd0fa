"""How a stack of parallel slices lies in the patient, and what is wrong with it; knows no file.

Slices are counted from 0, in order along their normal (the row's direction x the column's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesam.formats.dicom.grid import Grid

SAME = 0.01  # millimetres: closer positions are the same one, as headers round
_UNEVEN = 0.01  # part of the usual distance that one between two slices may differ
_ASTRAY = 0.05  # part of the distance that a slice may lie beside where the affine puts it
_TILT = 0.1  # degrees between the line of the slices' origins and their normal
_NAMED = 3  # of many faults so many are told one by one


@dataclass(frozen=True, eq=False)
class Stack:
    """The geometry of slices in order.

    Attributes:
        step: millimetres from one slice's origin to the next, a vector (3,).
        tilt: degrees between ``step`` and the normal; 0 below a tenth of a degree.
        faults: why they make no volume, a short sentence each; empty if they do.
    """

    step: NDArray[np.float64]
    tilt: float
    faults: tuple[str, ...]


def along_normal(grids: Sequence[Grid]) -> NDArray[np.float64]:
    """Millimetres along the normal of the first slice, (N,); all have positions."""
    origins = np.array([grid.position for grid in grids], np.float64)
    distances: NDArray[np.float64] = origins @ grids[0].normal
    return distances


def clusters(distances: NDArray[np.float64]) -> NDArray[np.intp]:
    """The number of each position, (N,), for distances in order: equal ones share a number."""
    return np.concatenate([[0], np.cumsum(np.diff(distances) > SAME)]).astype(np.intp)


def stack_of(grids: Sequence[Grid]) -> Stack:
    """The stack of two slices or more, in order along their normal, all with positions."""
    origins = np.array([grid.position for grid in grids], np.float64)
    distances = along_normal(grids)
    normal = grids[0].normal
    step = (origins[-1] - origins[0]) / (len(grids) - 1)
    forward = float(step @ normal)
    if faults := _twice(distances) or _gaps(distances):
        return Stack(step, 0.0, tuple(faults))
    expected = origins[0] + np.arange(len(grids))[:, None] * step
    astray = np.linalg.norm(origins - expected, axis=1)
    worst = int(astray.argmax())
    if astray[worst] > max(SAME, _ASTRAY * forward):
        faults = [
            f"slices do not lie on one straight line: slice {worst} is {_mm(astray[worst])} "
            "beside it"
        ]
    sideways = float(np.linalg.norm(step - forward * normal))
    tilt = float(np.degrees(np.arctan2(sideways, forward)))
    return Stack(step, tilt if tilt > _TILT else 0.0, (*faults, *_sizes(grids)))


def stacked_affine(first: Grid, step: NDArray[np.float64]) -> NDArray[np.float64]:
    """(slice, row, column, 1) -> millimetres (PS3.3 C.7.6.2.1.1).

    Without a spacing it counts voxels from the first one, along the slices' directions.
    """
    row, column = first.spacing or (1.0, 1.0)
    matrix = np.eye(4)
    matrix[:3, 0] = step if first.spacing else step / np.linalg.norm(step)
    matrix[:3, 1] = np.multiply(first.along_column or (), row)
    matrix[:3, 2] = np.multiply(first.along_row or (), column)
    if first.spacing:
        matrix[:3, 3] = first.position
    return matrix


def _twice(distances: NDArray[np.float64]) -> list[str]:
    numbers = clusters(distances)
    counts = np.bincount(numbers)
    repeated = np.flatnonzero(counts > 1)
    if not len(repeated):
        return []
    named = [
        f"{counts[number]} slices at {distances[numbers.searchsorted(number)]:g} mm"
        for number in repeated[:_NAMED]
    ]
    return [f"duplicate positions: {_listed(named, len(repeated))} along the normal"]


def _gaps(distances: NDArray[np.float64]) -> list[str]:
    steps = np.diff(distances)
    usual = float(np.median(steps))
    uneven = np.flatnonzero(np.abs(steps - usual) > max(SAME, _UNEVEN * usual))
    if not len(uneven):
        return []
    wide = [at for at in uneven if _missing(steps[at], usual)]
    if len(wide) == len(uneven):
        named = [
            f"{_missing(steps[at], usual)} between slices {at} and {at + 1} "
            f"({_mm(steps[at])} apart, elsewhere {_mm(usual)})"
            for at in wide[:_NAMED]
        ]
        return [f"missing slices: {_listed(named, len(wide))}"]
    named = [f"{_mm(steps[at])} between slices {at} and {at + 1}" for at in uneven[:_NAMED]]
    return [f"unequal spacing: {_listed(named, len(uneven))}, elsewhere {_mm(usual)}"]


def _missing(step: float, usual: float) -> int:
    """How many slices would fit into the gap; 0 if it is no whole number of steps."""
    times = round(step / usual)
    return times - 1 if times > 1 and abs(step / usual - times) < _ASTRAY * times else 0


def _sizes(grids: Sequence[Grid]) -> list[str]:
    spacings = [grid.spacing for grid in grids]
    first = spacings[0]
    for at, other in enumerate(spacings):
        if (first is None) != (other is None) or (
            first and other and not np.allclose(first, other, rtol=1e-4, atol=0)
        ):
            return [
                f"pixel sizes differ: slice 0 has {_size(first)}, slice {at} has {_size(other)}"
            ]
    return []


def _size(spacing: tuple[float, float] | None) -> str:
    return "none" if spacing is None else f"{spacing[0]:g} x {spacing[1]:g} mm"


def _listed(named: list[str], count: int) -> str:
    rest = count - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _mm(length: float) -> str:
    return f"{length:.4g} mm"
