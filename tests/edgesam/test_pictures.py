"""Sources as pictures one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgesam
from edgesam import Cine, Image, ImageError, Volume
from edgesam.formats import write_picture
from edgesam.pictures import Source, pictures

Noise = Callable[..., NDArray[np.uint8]]
SERIES = Path(__file__).parents[3] / "shared" / "data" / "dicom" / "ct_series"


def read_all(source: Source, every: int = 1) -> list[tuple[int, Any]]:
    return [(index, read()) for index, read in pictures(source, every)]


def test_a_volume_slice_by_slice() -> None:
    array = np.arange(5 * 4 * 3).reshape(5, 4, 3)
    volume = Volume.from_array(array, np.diag([3.0, 1, 1, 1])[[2, 1, 0, 3]])
    found = read_all(volume, every=2)
    assert [index for index, _ in found] == [0, 2, 4]
    for index, image in found:
        np.testing.assert_array_equal(image.pixels, volume.slice(index).pixels)
        assert image.place.plane == volume.plane(index)


def test_what_is_left_out_of_a_cine_is_not_decoded(make_cine: Callable[..., Cine]) -> None:
    cine = make_cine()
    decoded: list[int] = []
    original = cine.frames.image

    class Frames:
        def __len__(self) -> int:
            return 5

        def image(self, index: int) -> Image:
            decoded.append(index)
            return original(index)

    opened = list(pictures(Cine(Frames(), cine.height, cine.width), 3))
    assert decoded == []
    assert [read().place.frame for _, read in opened] == [0, 3]
    assert decoded == [0, 3]


def test_a_folder_of_pictures_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for grey in (1, 2, 10):
        write_picture(tmp_path / f"frame {grey}.png", np.full((4, 4, 3), grey, np.uint8))
    (tmp_path / ".hidden").touch()
    (tmp_path / "folder").mkdir()
    assert [image.pixels[0, 0, 0] for _, image in read_all(tmp_path)] == [1, 2, 10]
    assert [index for index, _ in read_all(str(tmp_path), every=2)] == [0, 2]


@pytest.mark.shared
def test_a_folder_of_a_series_is_its_volume() -> None:
    if not SERIES.is_dir():
        pytest.skip("../shared/data is not here")
    volume = edgesam.read(SERIES)
    assert isinstance(volume, Volume)
    found = read_all(SERIES, every=10)
    assert [index for index, _ in found] == [0, 10]
    np.testing.assert_array_equal(found[1][1].pixels, volume.slice(10).pixels)


def test_paths_and_pictures_mixed(tmp_path: Path, noise: Noise) -> None:
    write_picture(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    array, image = noise(3, 3), Image(noise(2, 2))
    found = [picture for _, picture in read_all([tmp_path / "a.png", array, image])]
    assert found[0].width == 6
    assert found[1] is array
    assert found[2] is image


def test_one_picture(tmp_path: Path, noise: Noise) -> None:
    write_picture(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    image = Image(noise(2, 2))
    assert read_all(image) == [(0, image)]
    assert len(read_all(tmp_path / "a.png")) == 1


@pytest.mark.parametrize("shape", [(2, 7, 9), (2, 7, 9, 3)])
def test_a_stack_is_its_pictures(noise: Noise, shape: tuple[int, ...]) -> None:
    stack = noise(*shape)
    np.testing.assert_array_equal([picture for _, picture in read_all(stack)], stack)


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4), (7, 9, 1), (2, 2, 7, 9, 3)])
def test_what_may_be_one_picture_is_no_stack(noise: Noise, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="make a list"):
        pictures(noise(*shape))


def test_an_iterable_is_read_one_by_one(noise: Noise) -> None:
    given = 0

    def grab() -> Iterator[NDArray[np.uint8]]:
        nonlocal given
        for _ in range(4):
            given += 1
            yield noise(3, 3)

    found = pictures(grab(), 2)
    assert next(found)[0] == 0
    assert given == 1
    assert next(found)[0] == 2
    assert given == 3
    assert list(found) == []


def test_a_picture_that_cannot_be_read_is_one_of_many(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", np.zeros((4, 6, 3), np.uint8))
    (tmp_path / "2.png").write_bytes(b"no picture at all")
    write_picture(tmp_path / "3.png", np.zeros((4, 7, 3), np.uint8))
    first, second, third = (read for _, read in pictures(tmp_path))
    first()
    with pytest.raises(ImageError, match=r"2\.png"):
        second()
    third()


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        pictures(tmp_path / "nothing")
    with pytest.raises(ImageError, match="no file"):
        pictures(tmp_path)
