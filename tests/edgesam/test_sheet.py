"""Pictures for a person: which slices, in which shape, with the labels where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from edgesam.cine import Cine
from edgesam.errors import ImageError, VolumeError
from edgesam.formats import sheet
from edgesam.formats.sheet import write_sheet
from edgesam.formats.shown import shown
from edgesam.image import Image
from edgesam.labels import Labels
from edgesam.levels import parse_levels
from edgesam.volume import Volume
from edgesam.window import Window

BLUE, ORANGE = (0, 158, 255), (230, 159, 0)


class Frames:
    """Pictures that get brighter."""

    def __len__(self) -> int:
        return 6

    def image(self, index: int) -> Image:
        return Image(np.full((30, 40, 3), 40 * index, np.uint8))


def volume(count: int, row: float = 1.0) -> Volume:
    array = np.zeros((40, 30, count), np.int16)
    array += np.arange(count, dtype=np.int16)
    return Volume.from_array(array, np.diag([1.0, row, 5.0, 1.0]))


def over(source: Volume | Cine, *slices: int, names: int = 1) -> Labels:
    """A bright object in the middle of these."""
    shape = source.shape if isinstance(source, Volume) else (len(source), 30, 40)
    array = np.zeros(shape, np.uint8)
    for index in slices:
        place: Any = np.s_[10:30, 10:20, index] if isinstance(source, Volume) else np.s_[index, 5:9]
        array[place] = names
    return Labels(array, Labels.over(source, array, [f"n{i}" for i in range(names)]).labels)


def pixels(path: Path) -> NDArray[np.uint8]:
    with Pillow.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def extent(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of what is outlined in that colour below the words."""
    ys, xs = np.nonzero((picture[60:] == colour).all(axis=2))
    return int(np.ptp(ys)) + 1, int(np.ptp(xs)) + 1


def tiles_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Records which slices are drawn."""
    drawn: list[tuple[str, int]] = []
    tile = sheet._tile

    def record(picture: Any, window: Any) -> Any:
        drawn.append((picture.kind, picture.index))
        return tile(picture, window)

    monkeypatch.setattr(sheet, "_tile", record)
    return drawn


def test_a_sheet_shows_the_slices_with_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = tiles_of(monkeypatch)
    source = volume(9)
    write_sheet(tmp_path / "a.png", over(source, 2, 3, 7), source)
    assert drawn == [("slice", 2), ("slice", 3), ("slice", 7)]
    picture = pixels(tmp_path / "a.png")
    assert picture.shape[1] == 3 * (480 + 6)
    assert (picture == BLUE).all(axis=2).any()


def test_a_long_volume_is_shown_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = tiles_of(monkeypatch)
    source = volume(90)
    write_sheet(tmp_path / "a.png", over(source, *range(10, 71)), source)
    indices = [index for _, index in drawn]
    assert (len(indices), indices[0], indices[-1]) == (20, 10, 70)
    assert set(np.diff(indices)) == {3, 4}


def test_what_is_shown_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[tuple[Any, ...]] = []
    head = sheet._head

    def record(*given: Any) -> Any:
        heads.append(given)
        return head(*given)

    monkeypatch.setattr(sheet, "_head", record)
    source = volume(90)
    write_sheet(tmp_path / "a.png", over(source, *range(10, 71)), source, Window(40, 400))
    write_sheet(tmp_path / "a.gif", over(source, 10, 14, names=14), source)
    counted, mappings, names, _ = heads[0]
    assert counted == "20 of 61 slices, evenly chosen from 10 to 70"
    assert set(mappings) == {"window 40/400"}
    assert names == [("n0", BLUE)]
    counted, mappings, names, _ = heads[1]
    assert counted == "5 slices, 10 to 14"
    assert mappings[0] == "constant 10 as 0"
    assert names == [("n13", (204, 121, 187))]


def test_many_labels_are_cut_short() -> None:
    array = np.arange(30, dtype=np.uint8).reshape(5, 6)
    image = Image(np.zeros((5, 6), np.uint8))
    labels = Labels.over(image, array)
    names = sheet._named(shown(labels, image), labels)
    assert [name for name, _ in names[-2:]] == ["object 12", "and 17 more"]
    assert names[1] == ("object 2", ORANGE)


@pytest.mark.parametrize(("row", "shape"), [(1.0, (120, 240)), (4.0, (160, 80)), (0.25, (30, 240))])
@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_pixels_that_are_not_square_become_square(
    tmp_path: Path, row: float, shape: tuple[int, int], suffix: str
) -> None:
    """An object of 20 x 10 pixels in 40 x 30, the long side being 480 pixels wide."""
    source = volume(3, row)
    write_sheet(tmp_path / f"a{suffix}", over(source, 1), source)
    assert extent(pixels(tmp_path / f"a{suffix}"), BLUE) == shape


def test_it_moves_through_all_slices_from_the_first_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = tiles_of(monkeypatch)
    source = volume(9)
    write_sheet(tmp_path / "a.GIF", over(source, 2, 6), source, Window(4, 9))
    assert drawn == [("slice", i) for i in range(2, 7)]
    with Pillow.open(tmp_path / "a.GIF") as moving:
        assert moving.format == "GIF"
        assert moving.n_frames == 5
        assert moving.info["duration"] == 100
        assert moving.info["loop"] == 0


@pytest.mark.parametrize(("milliseconds", "pace"), [(None, 100), (40.0, 40), (3.0, 20)])
def test_a_cine_moves_at_its_own_pace(
    tmp_path: Path, milliseconds: float | None, pace: int
) -> None:
    source = Cine(Frames(), 30, 40, milliseconds)
    write_sheet(tmp_path / "a.gif", over(source, 1, 5), source)
    with Pillow.open(tmp_path / "a.gif") as moving:
        assert moving.n_frames == 5
        assert moving.info["duration"] == pace


def test_one_picture_and_colours(tmp_path: Path) -> None:
    """Three windows make a colour picture, the label lies on it."""
    image = Image(np.linspace(-1000, 1000, 60 * 80).reshape(60, 80))
    array = np.zeros((60, 80), np.uint8)
    array[10:20, 30:50] = 1
    labels = Labels.over(image, array)
    write_sheet(tmp_path / "a.png", labels, image, parse_levels("soft-tissue+lung+bone"))
    picture = pixels(tmp_path / "a.png")
    assert picture.shape[1] == 480 + 6
    assert extent(picture, BLUE) == (60, 120)
    assert len(np.unique(np.ptp(picture[80:].astype(int), axis=2))) > 20


def test_any_name_can_be_drawn(tmp_path: Path) -> None:
    image = Image(np.zeros((9, 9), np.uint8))
    names = ["two\nlines", "肝臓", "", "x" * 300]
    array = np.arange(81, dtype=np.uint8).reshape(9, 9) % 5
    write_sheet(tmp_path / "a.png", Labels.over(image, array, names), image)
    assert (pixels(tmp_path / "a.png") == ORANGE).all(axis=2).any()


def test_a_long_cine_is_cut_short_and_keeps_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet, "_FRAMES", 3)
    source = Cine(Frames(), 30, 40, 50.0)
    write_sheet(tmp_path / "a.gif", over(source, 0, 5), source)
    with Pillow.open(tmp_path / "a.gif") as moving:
        assert moving.n_frames == 3
        assert moving.info["duration"] == 100  # six frames of 50 ms, shown as three


def test_a_dot_in_a_huge_picture_is_seen(tmp_path: Path) -> None:
    image = Image(np.zeros((4000, 3000), np.uint8))
    array = np.zeros((4000, 3000), np.uint8)
    array[2001, 1501] = 1
    write_sheet(tmp_path / "a.png", Labels.over(image, array), image)
    assert (pixels(tmp_path / "a.png")[60:] == BLUE).all(axis=2).any()


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (1, 1)])
def test_long_thin_pictures(tmp_path: Path, shape: tuple[int, int]) -> None:
    image = Image(np.zeros(shape, np.uint8))
    write_sheet(tmp_path / "a.png", Labels.over(image, np.ones(shape, np.bool_)), image)
    write_sheet(tmp_path / "a.gif", Labels.over(image, np.ones(shape, np.bool_)), image)
    assert pixels(tmp_path / "a.png").any()
    assert pixels(tmp_path / "a.gif").any()


def test_refusals_leave_nothing_behind(tmp_path: Path) -> None:
    source = volume(3)
    labels = over(source, 1)
    with pytest.raises(ImageError, match=r"a.jpg: a sheet is a .png, or a .gif"):
        write_sheet(tmp_path / "a.jpg", labels, source)
    with pytest.raises(VolumeError, match="no pixel has a label"):
        write_sheet(tmp_path / "a.png", Labels(np.zeros((40, 30, 3), np.uint8), ()), source)
    with pytest.raises(VolumeError, match="the source is"):
        write_sheet(tmp_path / "a.png", labels, volume(4))
    with pytest.raises(ImageError, match="there is no folder"):
        write_sheet(tmp_path / "none" / "a.gif", labels, source)
    cine = Cine(Frames(), 30, 40)
    with pytest.raises(ImageError, match="the image is in colour"):
        write_sheet(tmp_path / "a.gif", over(cine, 1), cine, Window(40, 400))
    assert list(tmp_path.iterdir()) == []
