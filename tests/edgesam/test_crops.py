"""Crops and grids, against the numbers that segment-anything's utils/amg.py gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam.crops import Crop, crops_of, grids_of

OVERLAP = 512 / 1500


def corners(crop: Crop) -> tuple[int, int, int, int]:
    return crop.x0, crop.y0, crop.x1, crop.y1


def test_no_layer_is_the_picture() -> None:
    assert crops_of(48, 64, 0, OVERLAP) == [Crop(0, 0, 64, 48, 0)]


def test_official_crops() -> None:
    """What ``generate_crop_boxes`` gives for the same."""
    crops = crops_of(301, 500, 2, OVERLAP)
    assert [crop.layer for crop in crops] == [0] + [1] * 4 + [2] * 16
    assert [corners(crop) for crop in crops[:10]] == [
        (0, 0, 500, 301),
        (0, 0, 301, 202),
        (0, 100, 301, 301),
        (199, 0, 500, 202),
        (199, 100, 500, 301),
        (0, 0, 164, 114),
        (0, 63, 164, 177),
        (0, 126, 164, 240),
        (0, 189, 164, 301),
        (113, 0, 277, 114),
    ]
    assert corners(crops[-1]) == (339, 189, 500, 301)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.9])
@pytest.mark.parametrize("size", [(37, 91), (256, 256), (1001, 33)])
def test_crops_cover_the_picture(size: tuple[int, int], ratio: float) -> None:
    for layer in (1, 2):
        seen = np.zeros(size, bool)
        for crop in crops_of(*size, 2, ratio):
            if crop.layer == layer:
                assert (crop.width, crop.height) == (crop.x1 - crop.x0, crop.y1 - crop.y0)
                seen[crop.y0 : crop.y1, crop.x0 : crop.x1] = True
        assert seen.all()


def test_a_picture_too_small_for_its_crops() -> None:
    assert len(crops_of(4, 4, 2, 0)) == 21
    with pytest.raises(ValueError, match=r"crop_n_layers=2 cuts a picture of 40 x 2 pixels"):
        crops_of(2, 40, 2, 0)


def test_what_a_crop_cuts() -> None:
    picture, crop = Crop(0, 0, 1000, 1000, 0), Crop(0, 400, 600, 1000, 1)
    assert not crop.cuts((200, 500, 300, 600), picture)
    assert crop.cuts((200, 420, 300, 600), picture)
    assert not crop.cuts((200, 421, 300, 600), picture)
    assert crop.cuts((200, 500, 580, 600), picture)
    assert not crop.cuts((0, 500, 300, 999), picture)  # those edges are the picture's
    assert not picture.cuts((0, 0, 999, 999), picture)


def test_official_grid() -> None:
    (grid,) = grids_of(2, 0, 1)
    np.testing.assert_array_equal(grid, [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])
    assert grid.dtype == np.float64


def test_grids_of_layers() -> None:
    assert [len(grid) for grid in grids_of(32, 2, 1)] == [1024] * 3
    assert [len(grid) for grid in grids_of(7, 2, 2)] == [49, 9, 1]
    with pytest.raises(ValueError, match="leaves no point in layer 2 of crops"):
        grids_of(5, 3, 3)
