"""One phantom stored in all 48 ways is one patient: every slice shows the same picture."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.affine import to_index, to_patient
from edgesam.errors import ImageError, VolumeError
from edgesam.origin import File, Origin, Part
from edgesam.plane import NAMES
from edgesam.volume import Axis, InMemory, Volume, long_axis
from edgesam.window import Window

Ways = tuple[tuple[int, ...], tuple[int, ...]]
WAYS: list[Ways] = [
    (axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
AXES: tuple[Axis, ...] = ("axial", "coronal", "sagittal")

SHAPE = (9, 7, 5)  # to the left, the back, the head
SIZES = (0.5, 2.0, 3.0)
CORNER = (-30.0, 12.0, 400.0)

# One voxel each at the patient's outermost, in the middle of the other two axes.
RIGHT, LEFT, FRONT, BACK, FEET, HEAD = range(1, 7)


def phantom() -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Six marks in an array that is LPS, on a slope that makes every voxel different."""
    array = 100 + np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    middle = tuple(size // 2 for size in SHAPE)
    for axis, marks in enumerate(((RIGHT, LEFT), (FRONT, BACK), (FEET, HEAD))):
        for mark, end in zip(marks, (0, SHAPE[axis] - 1), strict=True):
            at = list(middle)
            at[axis] = end
            array[tuple(at)] = mark
    affine = np.diag([*SIZES, 1.0])
    affine[:3, 3] = CORNER
    return array, affine


def stored(way: Ways) -> Volume:
    """The phantom with its axes in another order and direction, the affine made to fit."""
    array, affine = phantom()
    axes, signs = way
    turned = array.transpose(axes)
    into = np.eye(4)  # the new array's index -> the phantom's
    into[:3, :3] = np.eye(3)[:, axes] @ np.diag(signs)
    for axis, (phantom_axis, sign) in enumerate(zip(axes, signs, strict=True)):
        if sign < 0:
            turned = np.flip(turned, axis)
            into[phantom_axis, 3] = SHAPE[phantom_axis] - 1
    return Volume.from_array(turned, affine @ into)


def index_at(volume: Volume, axis: Axis, point: NDArray[np.float64]) -> int:
    """The slice that a point of the patient lies in."""
    plane = volume.plane(0, axis)
    return round(float(to_index(volume.affine, point)[plane.axis]))


MIDDLE = np.array(CORNER) + np.array(SIZES) * [size // 2 for size in SHAPE]


def test_the_phantom_is_stored_differently_each_time() -> None:
    assert len({stored(way).array.tobytes() for way in WAYS}) == 48
    assert len({stored(way).orientation for way in WAYS}) == 48


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("way", WAYS)
def test_every_slice_shows_the_same_picture(way: Ways, axis: Axis) -> None:
    """For all ways of storing it, through the same point of the patient."""
    reference, volume = stored(((0, 1, 2), (1, 1, 1))), stored(way)
    across = {"axial": 2, "coronal": 1, "sagittal": 0}[axis]
    assert volume.count(axis) == SHAPE[across]
    for step in range(SHAPE[across]):
        point = np.array(CORNER)
        point[across] += step * SIZES[across]
        expected = reference.slice(index_at(reference, axis, point), axis=axis)
        found = volume.slice(index_at(volume, axis, point), axis=axis)
        assert np.array_equal(found.pixels, expected.pixels)
        assert found.place is not None
        assert expected.place is not None
        assert found.pixel_aspect == expected.pixel_aspect
        assert found.place.thickness == SIZES[across]
        assert found.place.affine is not None
        assert expected.place.affine is not None
        # The picture lies where it lies; only which way the next slice is may differ.
        assert np.allclose(found.place.affine[:, [0, 1, 3]], expected.place.affine[:, [0, 1, 3]])


@pytest.mark.parametrize("way", WAYS)
def test_pictures_look_as_radiology_shows_them(way: Ways) -> None:
    volume = stored(way)

    def ends(axis: Axis) -> tuple[int, int, int, int]:
        """The marks in the middle of the left, right, upper and lower edge."""
        pixels = volume.slice(index_at(volume, axis, MIDDLE), axis=axis).pixels
        rows, columns = pixels.shape
        left, right = pixels[rows // 2, 0], pixels[rows // 2, -1]
        return int(left), int(right), int(pixels[0, columns // 2]), int(pixels[-1, columns // 2])

    assert ends("axial") == (RIGHT, LEFT, FRONT, BACK)
    assert ends("coronal") == (RIGHT, LEFT, HEAD, FEET)
    assert ends("sagittal") == (FRONT, BACK, HEAD, FEET)


@pytest.mark.parametrize("way", WAYS)
def test_slices_are_axial_unless_said_otherwise(way: Ways) -> None:
    volume = stored(way)
    assert volume.stacked == long_axis(volume.affine)
    assert volume.count() == SHAPE[2]
    assert np.array_equal(volume.slice(1).pixels, volume.slice(1, axis="axial").pixels)
    assert len(list(volume.slices(axis="sagittal"))) == SHAPE[0]


@settings(deadline=None)
@given(st.sampled_from(WAYS), st.sampled_from(AXES), st.data())
def test_a_prompt_point_goes_to_the_patient_and_back(
    way: Ways, axis: Axis, data: st.DataObject
) -> None:
    volume = stored(way)
    plane = volume.plane(data.draw(st.integers(0, volume.count(axis) - 1)), axis)
    x = data.draw(st.floats(-0.5, plane.width - 0.5))
    y = data.draw(st.floats(-0.5, plane.height - 0.5))
    point = to_patient(volume.affine, plane.to_voxel((x, y)))
    assert np.abs(plane.to_picture(to_index(volume.affine, point)) - (x, y)).max() < 1e-9
    # The same millimetres are the same pixel of the other 47.
    other = stored(data.draw(st.sampled_from(WAYS)))
    shown = other.plane(index_at(other, axis, point), axis)
    assert np.abs(shown.to_picture(to_index(other.affine, point)) - (x, y)).max() < 1e-9


def test_pixel_aspects() -> None:
    volume = stored(((0, 1, 2), (1, 1, 1)))
    assert volume.slice(0, axis="axial").pixel_aspect == 2.0 / 0.5
    assert volume.slice(0, axis="coronal").pixel_aspect == 3.0 / 0.5
    assert volume.slice(0, axis="sagittal").pixel_aspect == 3.0 / 2.0


def test_unknown_spacing_says_nothing_of_millimetres() -> None:
    volume = replace(stored(WAYS[0]), spacing_source=None)
    image = volume.slice(0)
    assert image.place is not None
    assert image.place.regions == ()
    assert image.place.affine is None
    assert image.place.thickness is None
    assert image.place.plane == volume.plane(0)
    assert image.pixel_aspect == 1
    assert "unknown spacing" in repr(volume)


def test_a_slice_is_a_view_of_what_is_in_memory() -> None:
    volume = stored(WAYS[17])
    for axis in AXES:
        assert np.shares_memory(volume.slice(0, axis=axis).pixels, volume.array)


def test_stored_planes_are_left_as_they_are() -> None:
    """DICOM slices: rows and columns as in the file, whatever the patient's position."""
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = np.eye(4)[[2, 1, 0, 3]] @ np.diag([1.0, -1, -1, 1])  # feet first, face down
    volume = Volume(InMemory(array), affine, stacked=0, as_stored=True)
    assert np.array_equal(volume.slice(1).pixels, array[1])
    turned = Volume(InMemory(array), affine, stacked=0)
    assert np.array_equal(turned.slice(1).pixels, array[1, ::-1, ::-1])


def test_a_dicom_slice_knows_its_file() -> None:
    parts = tuple(Part(File(Path(f"{n}.dcm"))) for n in range(5))
    volume = replace(stored(WAYS[0]), origin=Origin("dicom", parts))
    origin = volume.slice(3).origin
    assert origin is not None
    assert origin.parts == (parts[3],)
    assert volume.slice(3, axis="coronal").origin is None


def test_windows_and_polarity_come_along() -> None:
    array, affine = phantom()
    window = Window(level=1, width=2)
    volume = Volume(InMemory(array, window), affine, 2, inverted=True, modality="CT")
    image = volume.slice(0, Window(level=5, width=6))
    assert (image.voi, image.window) == (window, Window(level=5, width=6))
    assert image.inverted
    assert image.modality == "CT"


@pytest.mark.parametrize("axis", [None, *AXES])
def test_there_is_no_such_slice(axis: Axis | None) -> None:
    volume = stored(WAYS[5])
    for index in (-1, volume.count(axis)):
        with pytest.raises(
            VolumeError, match=rf"no slice {index}: .* 0\.\.{volume.count(axis) - 1}"
        ):
            volume.slice(index, axis=axis)


def test_an_unknown_axis() -> None:
    wrong: Any = "oblique"
    with pytest.raises(ValueError, match=", ".join(NAMES)):
        stored(WAYS[0]).slice(0, axis=wrong)


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 3)), np.zeros((0, 2, 3)), np.zeros((2, 3, 4, 5)), np.zeros((2, 3, 4), complex)],
)
def test_what_is_no_volume(array: NDArray[Any]) -> None:
    with pytest.raises(VolumeError, match="three axes"):
        Volume.from_array(array, np.eye(4))


def test_a_volume_with_nan_opens_and_its_clean_slices_can_be_used() -> None:
    array = np.ones((2, 3, 4), np.float32)
    array[0, 0, 0] = np.nan
    volume = Volume.from_array(array, np.eye(4))
    assert volume.slice(1).pixels.shape == (3, 2)
    with pytest.raises(ImageError, match="NaN"):
        volume.slice(0)
