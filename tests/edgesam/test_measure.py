"""Square millimetres, millilitres and diameters: with every kind of spacing, and without."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgesam import Mask
from edgesam.errors import VolumeError
from edgesam.measure import Measured, measure, measure_volume
from edgesam.place import Place, Region
from edgesam.volume import Volume

Bools = NDArray[np.bool_]


def place(row: float, column: float, source: str = "PixelSpacing", **more: float | None) -> Place:
    return Place(regions=(Region((0, 0, 999, 999), row, column, source),), **more)  # type: ignore[arg-type]


def box(x0: int, y0: int, x1: int, y1: int, size: tuple[int, int] = (80, 90)) -> Bools:
    """With its last pixels included."""
    mask = np.zeros(size, np.bool_)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def disc(radius: float, row: float, column: float) -> Bools:
    """Of millimetres, in pixels of that size."""
    y, x = np.mgrid[-radius - 1 : radius + 1 : row, -radius - 1 : radius + 1 : column]
    return np.asarray(x**2 + y**2 <= radius**2)


@pytest.mark.parametrize(("row", "column"), [(0.5, 0.5), (0.9, 0.3), (0.25, 1.1)])
def test_a_disc(row: float, column: float) -> None:
    found = measure(disc(20, row, column), place(row, column, thickness=2.5))
    assert found.area_mm2 == pytest.approx(math.pi * 400, rel=0.01)
    assert found.volume_ml == pytest.approx(math.pi * 400 * 2.5 / 1000, rel=0.01)
    assert found.longest_mm == pytest.approx(40, abs=row + column)
    assert found.perpendicular_mm == pytest.approx(40, abs=row + column)


def test_rows_and_columns_are_not_swapped() -> None:
    """PixelSpacing's first number is from row to row."""
    tall = measure(box(3, 10, 3, 29), place(2.0, 0.5))
    assert (tall.area_mm2, tall.longest_mm, tall.perpendicular_mm) == (20, 40, 0.5)
    wide = measure(box(10, 3, 29, 3), place(2.0, 0.5))
    assert (wide.area_mm2, wide.longest_mm, wide.perpendicular_mm) == (20, 10, 2)


@pytest.mark.parametrize("where", [None, Place(), Place(aspect=2.0), Place(thickness=3.0)])
def test_unknown_spacing_is_said(where: Place | None) -> None:
    found = measure(box(1, 1, 4, 4), where)
    assert found == Measured(16)
    assert str(found) == "16 pixels, unknown spacing"


def test_without_a_thickness_there_is_an_area_and_no_volume() -> None:
    found = measure(box(1, 1, 4, 4), place(1.0, 1.0))
    assert (found.area_mm2, found.volume_ml) == (16, None)


def test_an_affine_that_knows_no_thickness_makes_no_volume() -> None:
    """The third axis of a single picture's affine is a unit vector where the file says nothing."""
    found = measure(box(1, 1, 4, 4), place(2.0, 2.0, affine=np.diag([2.0, 2.0, 1.0, 1.0])))  # type: ignore[arg-type]
    assert (found.area_mm2, found.volume_ml) == (64, None)


def test_an_ultrasound_region_must_hold_the_whole_mask() -> None:
    regions = (
        Region((0, 0, 39, 79), 0.2, 0.1, "PhysicalDeltaX"),
        Region((40, 0, 89, 79), 0.5, 0.5, "PhysicalDeltaX"),
    )
    where = Place(regions=regions)
    assert measure(box(30, 5, 39, 9), where).area_mm2 == pytest.approx(50 * 0.02)
    assert measure(box(40, 5, 49, 9), where).area_mm2 == pytest.approx(50 * 0.25)
    across = measure(box(35, 5, 44, 9), where)
    assert (across.pixels, across.spacing, across.area_mm2) == (50, "unknown spacing", None)
    assert measure(np.zeros((80, 90), np.bool_), where) == Measured(0)


def test_an_empty_mask_is_of_no_size() -> None:
    found = measure(np.zeros((4, 5), np.bool_), place(1.0, 1.0, thickness=1.0))
    assert (found.pixels, found.area_mm2, found.volume_ml) == (0, 0, 0)
    assert (found.longest_mm, found.perpendicular_mm) == (0, 0)


def test_one_line_for_a_person() -> None:
    found = measure(box(10, 10, 55, 40), place(0.977, 0.977))
    assert str(found) == "13.6 cm2, longest 53.7 x 36.2 mm (PixelSpacing 0.977 x 0.977 mm)"
    small = measure(box(1, 1, 2, 3), place(0.5, 0.25))
    assert str(small).startswith("0.8 mm2, longest 1.5 x ")
    at_detector = measure(box(1, 1, 9, 9), place(0.139, 0.139, "ImagerPixelSpacing"))
    assert at_detector.spacing == "ImagerPixelSpacing 0.139 x 0.139 mm, at the detector"
    assert str(at_detector).endswith("(ImagerPixelSpacing 0.139 x 0.139 mm, at the detector)")


def sheared(z_shift: float) -> NDArray[np.float64]:
    """0.8 x 0.5 x 3 mm, slices shifted towards the back as with a tilted gantry; turned too."""
    matrix = np.array([[0.8, 0, 0], [0, 0.5, z_shift], [0, 0, 3.0]])
    c, s = math.cos(0.3), math.sin(0.3)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ matrix
    affine[:3, 3] = 100, -20, 7
    return affine


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)), st.floats(-2, 2))
def test_the_volume_is_the_determinants_whatever_the_shear(array: Bools, shift: float) -> None:
    want = np.count_nonzero(array) * 0.8 * 0.5 * 3 / 1000
    assert measure_volume(array, sheared(shift)) == pytest.approx(want)


@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5)),
    st.sampled_from([None, "axial", "coronal", "sagittal"]),
    st.floats(-2, 2),
)
def test_slices_together_are_the_volume(array: Bools, axis: str | None, shift: float) -> None:
    """Along each axis, also across the slices of a tilted gantry."""
    affine = sheared(shift)
    volume = Volume.from_array(array.astype(np.uint8), affine)
    parts = [
        measure(image.pixels.astype(np.bool_), image.place)
        for image in volume.slices(axis=axis)  # type: ignore[arg-type]
    ]
    total = sum(part.volume_ml or 0 for part in parts)
    assert total == pytest.approx(measure_volume(array, affine))


def test_a_sheared_plane_is_measured_in_its_own_axes() -> None:
    """Two voxels that are 10 slices apart lie 30 mm up and 10 times the shift to the back."""
    affine = sheared(1.5)
    array = np.zeros((4, 60, 12), np.uint8)
    array[2, 30, [0, 10]] = 1
    image = Volume.from_array(array, affine).slice(2, axis="sagittal")
    found = measure(image.pixels > 0, image.place)
    step = math.hypot(1.5, 3.0)
    assert found.area_mm2 == pytest.approx(2 * 0.5 * 3.0)
    assert found.longest_mm == pytest.approx(11 * step, rel=1e-6)


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.eye(3), np.full((4, 4), np.nan)])
def test_no_volume_without_an_affine(affine: NDArray[np.float64]) -> None:
    with pytest.raises(VolumeError, match="affine"):
        measure_volume(np.ones((1, 1, 1), np.bool_), affine)
    with pytest.raises(VolumeError, match="booleans; found uint8"):
        measure_volume(np.ones((1, 1, 1), np.uint8), np.eye(4))


def test_a_mask_knows_its_size() -> None:
    logits = np.zeros((256, 256), np.float32)
    mask = Mask(box(1, 1, 20, 10), 0.9, logits, place(0.5, 1.0, thickness=4.0))
    assert mask.measured is mask.measured
    assert (mask.area, mask.area_mm2, mask.volume_ml) == (200, 100, 0.4)
    assert (mask.longest_mm, mask.perpendicular_mm) == (
        mask.measured.longest_mm,
        mask.measured.perpendicular_mm,
    )
    unknown = Mask(box(1, 1, 20, 10), 0.9, logits)
    assert str(unknown.measured) == "200 pixels, unknown spacing"
    assert [unknown.area_mm2, unknown.volume_ml] == [None, None]
    assert [unknown.longest_mm, unknown.perpendicular_mm] == [None, None]
