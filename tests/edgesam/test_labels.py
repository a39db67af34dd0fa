"""Masks go back exactly where they were made, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam.cine import Cine
from edgesam.errors import VolumeError
from edgesam.image import Image
from edgesam.labels import Label, Labels, grid, placed
from edgesam.mask import Mask
from edgesam.place import Place
from edgesam.provenance import Provenance
from edgesam.volume import Axis, Volume

SHAPE = (4, 5, 6)
MADE = Provenance("m", "fp32", "fake:cpu", "0" * 64, "1" * 64, "as stored")


class Grey:
    """Three black frames of 2 rows and 3 columns."""

    def __len__(self) -> int:
        return 3

    def image(self, index: int) -> Image:
        return Image(np.zeros((2, 3), np.uint8), place=Place(frame=index))


CINE = Cine(Grey(), height=2, width=3)


def volume(axes: tuple[int, ...] = (0, 1, 2), signs: tuple[int, ...] = (1, 1, 1)) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, axes] @ np.diag(signs)
    return Volume.from_array(np.zeros(SHAPE, np.int16), affine)


def mask_on(image: Image, pixels: NDArray[np.bool_], provenance: Provenance | None = None) -> Mask:
    return Mask(pixels, 1.0, np.zeros((4, 4), np.float32), image.place, provenance)


def full(image: Image) -> NDArray[np.bool_]:
    return np.ones((image.height, image.width), bool)


@settings(deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([1, -1])] * 3),
    st.sampled_from(["axial", "coronal", "sagittal"]),
    st.data(),
)
def test_a_mask_is_put_back_exactly(
    axes: list[int], signs: tuple[int, ...], axis: Axis, data: st.DataObject
) -> None:
    source = volume(tuple(axes), signs)
    index = data.draw(st.integers(0, source.count(axis) - 1))
    image = source.slice(index, axis=axis)
    bits = data.draw(st.lists(st.booleans(), min_size=30, max_size=30))
    pixels = np.resize(bits, (image.height, image.width))
    labels = Labels.over(source, mask_on(image, pixels))
    assert labels.array.shape == SHAPE
    assert np.count_nonzero(labels.array) == np.count_nonzero(pixels)
    plane = source.plane(index, axis)
    for y, x in np.argwhere(pixels):
        assert labels.array[tuple(plane.to_voxel((x, y)).astype(int))] == 1
    # The same slice of the labels is the mask.
    again = Volume.from_array(labels.array, source.affine).slice(index, axis=axis)
    assert np.array_equal(again.pixels == 1, pixels)


def test_later_masks_win_and_names_are_in_order() -> None:
    source = volume()
    image = source.slice(2, axis="axial")
    half = full(image)
    half[:, :2] = False
    labels = Labels.over(
        source, [mask_on(image, full(image), MADE), mask_on(image, half, MADE)], ["liver", "cyst"]
    )
    assert sorted(np.unique(labels.array[:, :, 2])) == [1, 2]
    assert np.array_equal(labels.array[:, :, 2] == 2, half.T)
    assert [label.name for label in labels.labels] == ["liver", "cyst"]
    assert labels.provenance == MADE


def test_masks_of_different_makers_have_none() -> None:
    source = volume()
    image = source.slice(0)
    other = replace(MADE, engine="another")
    masks = [mask_on(image, full(image), made) for made in (MADE, other)]
    assert Labels.over(source, masks).provenance is None


def test_names_are_numbered_by_themselves() -> None:
    array = np.zeros(SHAPE, np.int64)
    array[0, 0, 0] = 3
    labels = Labels.over(volume(), array)
    assert [label.name for label in labels.labels] == ["object 1", "object 2", "object 3"]
    assert labels.array.dtype == np.uint8


@pytest.mark.parametrize(
    ("top", "dtype"), [(True, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)]
)
def test_arrays_take_the_smallest_integers(top: int, dtype: type) -> None:
    array = np.zeros(SHAPE, bool if top is True else np.int64)
    array[1, 2, 3] = top
    labels = Labels.over(volume(), array)
    assert labels.array.dtype == dtype
    assert np.array_equal(labels.array, array)
    assert labels.array[1, 2, 3] == int(top)


def test_over_a_picture_and_a_cine() -> None:
    image = Image(np.zeros((2, 3), np.uint8))
    assert grid(image) == (2, 3)
    pixels = np.array([[1, 0, 0], [0, 1, 1]], bool)
    assert np.array_equal(Labels.over(image, mask_on(image, pixels)).array, pixels)
    assert grid(CINE) == (3, 2, 3)
    labels = Labels.over(CINE, mask_on(CINE.frame(1), pixels))
    assert np.array_equal(labels.array, [np.zeros((2, 3)), pixels, np.zeros((2, 3))])


def refused(source: Any, written: Any, names: list[str | Label] | None = None) -> str:
    with pytest.raises(VolumeError) as caught:
        Labels.over(source, written, names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_masks_of_something_else_are_refused() -> None:
    source = volume()
    picture = Image(np.zeros((5, 4), np.uint8))
    assert "slice of this volume" in refused(source, mask_on(picture, full(picture)))
    other = Volume.from_array(np.zeros((4, 5, 7), np.int16), np.eye(4)).slice(0)
    assert "slice of this volume" in refused(source, mask_on(other, full(other)))
    assert "frame of this cine" in refused(CINE, mask_on(picture, full(picture)))
    wrong = np.ones((3, 3), bool)
    assert "(3, 3)" in refused(picture, mask_on(picture, wrong))
    assert "(3, 3)" in refused(CINE, mask_on(CINE.frame(0), wrong))


def test_a_mask_of_a_volume_that_lies_elsewhere_is_refused() -> None:
    """Of the same size, as the series of one study often are."""
    image = volume(signs=(-1, 1, 1)).slice(0)
    assert "slice of this volume" in refused(volume(), mask_on(image, full(image)))


def test_a_mask_that_is_not_its_slice_is_refused() -> None:
    """A plane of the right volume, pixels of another size: an error of ours, not numpy's."""
    source = volume()
    image = source.slice(0)
    assert "(9, 9)" in refused(source, mask_on(image, np.ones((9, 9), bool)))


def test_a_frame_that_the_cine_has_not_is_refused() -> None:
    image = Image(np.zeros((2, 3), np.uint8), place=Place(frame=3))
    assert "cine" in refused(CINE, mask_on(image, full(image)))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 5)), "(4, 5)"),
        (np.zeros(SHAPE, np.float32), "float32"),
        (np.full(SHAPE, -1), "-1"),
        (np.full(SHAPE, 65536), "65536"),
    ],
)
def test_arrays_that_are_no_labels(array: NDArray[Any], words: str) -> None:
    assert words in refused(volume(), array)


def test_names_must_be_as_many_as_labels() -> None:
    assert "1 names" in refused(volume(), np.full(SHAPE, 2), ["only one"])
    assert "no mask" in refused(volume(), [])


def test_a_mask_of_another_slice_is_not_this_picture_s() -> None:
    source = volume()
    first, second = source.slice(0), source.slice(1)
    assert Labels.over(first, mask_on(first, full(first))).array.all()
    with pytest.raises(VolumeError, match="not made on this picture"):
        Labels.over(second, mask_on(first, full(first)))
    frames = CINE.frame(0), CINE.frame(1)
    with pytest.raises(VolumeError, match="not made on this picture"):
        Labels.over(frames[1], mask_on(frames[0], full(frames[0])))


def test_a_mask_without_millimetres_is_not_of_a_volume_with_them() -> None:
    unknown = replace(volume(), spacing_source=None)
    image = unknown.slice(1)
    assert Labels.over(unknown, mask_on(image, full(image))).array[:, :, 1].all()
    with pytest.raises(VolumeError, match="not made on a slice of this volume"):
        Labels.over(volume(), mask_on(image, full(image)))


def test_grey_levels_that_differ_leave_the_rest_of_what_made_them() -> None:
    source = volume()
    made = [replace(MADE, mapping=f"percentiles 0.5..99.5 = 0..{top}") for top in (9, 12)]
    images = [source.slice(index) for index in (0, 1)]
    masks = [mask_on(i, full(i), m) for i, m in zip(images, made, strict=True)]
    shared = Labels.over(source, masks).provenance
    assert shared == replace(MADE, mapping="differs from slice to slice")


def test_booleans_are_one_object_even_if_nothing_was_found() -> None:
    labels = Labels.over(volume(), np.zeros(SHAPE, np.bool_))
    assert (len(labels.labels), labels.array.any()) == (1, False)


def test_arrays_in_a_list_are_no_masks() -> None:
    with pytest.raises(VolumeError, match="or one array of the source's size"):
        Labels.over(volume(), [np.zeros(SHAPE, np.bool_)])  # type: ignore[list-item]


@pytest.mark.parametrize("found", [0, 5])
def test_one_object_stays_one_object_also_where_nothing_was_found(found: int) -> None:
    image = Image.from_array(np.zeros((6, 8), np.uint8))
    mask = np.zeros((6, 8), np.bool_)
    mask.flat[:found] = True
    array = placed(image, mask, None)
    assert array.dtype == np.bool_
    labels = Labels.over(image, array)
    assert [label.name for label in labels.labels] == ["object 1"]
    assert labels.array.dtype == np.uint8
    assert labels.array.sum() == found
