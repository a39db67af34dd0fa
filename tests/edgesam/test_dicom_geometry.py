"""Stacks of slices: the affine of any orientation, tilt, gaps, duplicates; no file is read."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.affine import checked_affine, to_index, to_patient
from edgesam.formats.dicom.geometry import clusters, stack_of, stacked_affine
from edgesam.formats.dicom.grid import Grid

AXIAL = Grid((0, 0, 0), (1, 0, 0), (0, 1, 0), (0.5, 0.75), "PixelSpacing")

angles = st.floats(-180, 180)


def rotation(a: float, b: float, c: float) -> NDArray[np.float64]:
    """Any rotation, by three angles in degrees about z, y and x."""
    turned = np.eye(3)
    for angle, (first, second) in zip((a, b, c), ((0, 1), (0, 2), (1, 2)), strict=True):
        step = np.eye(3)
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        step[[first, second], [first, second]] = cosine
        step[first, second], step[second, first] = -sine, sine
        turned = turned @ step
    return turned


def stack(origins: Any, **changes: Any) -> list[Grid]:
    grids = []
    for origin in np.asarray(origins, float):
        position = (float(origin[0]), float(origin[1]), float(origin[2]))
        grids.append(replace(AXIAL, position=position, **changes))
    return grids


def heights(*values: float) -> list[Grid]:
    return stack([(0, 0, value) for value in values])


@settings(max_examples=60, deadline=None)
@given(
    turn=st.tuples(angles, angles, angles),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    spacing=st.tuples(*[st.floats(0.1, 5)] * 2),
    step=st.floats(0.2, 10),
    shear=st.tuples(*[st.floats(-0.5, 0.5)] * 2),
    count=st.integers(2, 40),
)
def test_the_affine_puts_every_pixel_where_its_own_header_does(
    turn: tuple[float, float, float],
    origin: tuple[float, float, float],
    spacing: tuple[float, float],
    step: float,
    shear: tuple[float, float],
    count: int,
) -> None:
    """The plane equation of PS3.3 C.7.6.2.1.1 for each slice, upright or tilted."""
    axes = rotation(*turn)
    along_row, along_column, normal = axes.T
    further = step * (normal + shear[0] * along_row + shear[1] * along_column)
    origins = origin + np.arange(count)[:, None] * further
    grids = stack(
        origins, along_row=tuple(along_row), along_column=tuple(along_column), spacing=spacing
    )
    found = stack_of(grids)
    assert found.faults == ()
    affine = checked_affine(stacked_affine(grids[0], found.step))
    for k in (0, count // 2, count - 1):
        for row, column in ((0, 0), (7, 3)):
            want = origins[k] + along_row * spacing[1] * column + along_column * spacing[0] * row
            assert np.allclose(to_patient(affine, (k, row, column)), want, atol=1e-6)
            assert np.allclose(to_index(affine, want), (k, row, column), atol=1e-6)
    tilt = math.degrees(math.atan(math.hypot(*shear)))
    assert (
        found.tilt == pytest.approx(tilt if tilt > 0.1 else 0, abs=1e-4) or abs(tilt - 0.1) < 1e-4
    )


def test_one_grid_alone_has_the_same_affine_but_for_the_order_of_axes() -> None:
    grids = heights(5, 7)
    affine = stacked_affine(grids[0], stack_of(grids).step)
    alone = replace(grids[0], thickness=2.0).affine
    assert alone is not None
    assert np.array_equal(alone[:, [2, 1, 0, 3]], affine)
    assert replace(grids[0], source="ImagerPixelSpacing").affine is None


@pytest.mark.parametrize(
    ("grids", "words"),
    [
        (heights(0, 2, 4, 8, 10), r"missing slices: 1 between slices 2 and 3 \(4 mm apart, "
         r"elsewhere 2 mm\)"),
        (heights(0, 2, 4, 12, 14, 16, 20), "missing slices: 3 between slices 2 and 3 .*, 1 between "
         "slices 5 and 6"),
        (heights(0, 2, 4, 7, 9), "unequal spacing: 3 mm between slices 2 and 3, elsewhere 2 mm"),
        (heights(0, 2, 4.05, 6), "unequal spacing: 2.05 mm between slices 1 and 2"),
        (heights(0, 1, 1, 2, 3), "duplicate positions: 2 slices at 1 mm along the normal"),
        (heights(0, 0, 0, 1), "duplicate positions: 3 slices at 0 mm"),
        (stack([(0, 0, 0), (9, 0, 2), (0, 0, 4)]), "not lie on one straight line: slice 1 is 9 mm"),
        ([*heights(0, 2), replace(AXIAL, position=(0, 0, 4), spacing=(0.5, 0.8))],
         "pixel sizes differ: slice 0 has 0.5 x 0.75 mm, slice 2 has 0.5 x 0.8 mm"),
        ([*heights(0, 2), replace(AXIAL, position=(0, 0, 4), spacing=None)], "slice 2 has none"),
    ],
)  # fmt: skip
def test_faults_are_named_with_slices_and_millimetres(grids: list[Grid], words: str) -> None:
    import re

    faults = stack_of(grids).faults
    assert len(faults) == 1
    assert re.search(words, faults[0])


def test_many_faults_are_counted_not_listed() -> None:
    levels = np.cumsum([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]).astype(float)
    (fault,) = stack_of(heights(*levels)).faults
    assert fault.endswith("and 2 more")


@pytest.mark.parametrize("noise", [0.004, 0.0])
def test_what_headers_round_is_no_fault(noise: float) -> None:
    levels = np.arange(50) * 2.5 + noise * (-1.0) ** np.arange(50)
    assert stack_of(heights(*levels)).faults == ()


def test_a_slow_drift_is_a_fault() -> None:
    """Each distance within one per cent of the last, the slices in the middle far off the line."""
    levels = np.cumsum(np.where(np.arange(201) < 100, 1.0, 1.0095))
    (fault,) = stack_of(heights(*levels)).faults
    assert "straight line" in fault


def test_positions_a_rounding_apart_are_one() -> None:
    assert clusters(np.array([0, 0.005, 1, 1.009, 1.5])).tolist() == [0, 0, 1, 1, 2]


def test_without_spacing_the_affine_counts_voxels() -> None:
    grids = stack([(50, 60, 70), (50, 60, 73)], spacing=None, source=None)
    affine = stacked_affine(grids[0], stack_of(grids).step)
    assert np.array_equal(affine, np.eye(4)[[2, 1, 0, 3]])
