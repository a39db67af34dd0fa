"""Masks: area, box, and run lengths as pycocotools writes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edgesam import Mask
from edgesam.mask import decode_rle, encode_rle

Bools = NDArray[np.bool_]


def mask_of(array: Bools) -> Mask:
    return Mask(array, 0.5, np.zeros((256, 256), np.float32))


def one(height: int, width: int, y: int, x: int) -> Bools:
    array = np.zeros((height, width), np.bool_)
    array[y, x] = True
    return array


def noise(height: int, width: int, sixteenths: int) -> Bools:
    raw = np.random.PCG64([height, width, sixteenths]).random_raw(height * width)
    return ((raw >> np.uint64(60)) < np.uint64(sixteenths)).reshape(height, width)


def disk(height: int, width: int, radius: int) -> Bools:
    y, x = np.ogrid[:height, :width]
    return np.asarray((y - height // 2) ** 2 + (x - width // 3) ** 2 < radius * radius)


ROW = np.zeros((6, 4), np.bool_)
ROW[2] = True
COLUMN = np.zeros((6, 4), np.bool_)
COLUMN[:, 2] = True

# "counts" of pycocotools 2.0.11, mask.encode(np.asfortranarray(mask)).
COCO = {
    "empty": (np.zeros((5, 7), np.bool_), "S1"),
    "full": (np.ones((5, 7), np.bool_), "0S1"),
    "first": (one(4, 5, 0, 0), "01c0"),
    "last": (one(4, 5, 3, 4), "c01"),
    "row": (ROW, "21500000N"),
    "column": (COLUMN, "<66"),
    "noise": (noise(9, 11, 8), "2243NL02ON130M20M15OL0O00002110O40MN00O33N"),
    "sparse": (
        noise(30, 17, 1),
        "6170902040U10\\N071a0O^O0G010\\10`N0b00F0H0c00B0K090I0:0:0[O0Q10U11WN",
    ),
    "dense": (
        noise(30, 17, 15),
        "0j01l00aN0`00e00jN0l00UO0e10XN2i0NUO0504090F080H010T10kN0G0\\1",
    ),
    "checker": (np.indices((5, 6)).sum(0) % 2 == 1, "111000000000000000000000000000"),
    "one pixel": (np.ones((1, 1), np.bool_), "01"),
    "no pixel": (np.zeros((1, 1), np.bool_), "1"),
}
# The same for masks whose counts are long: sha256 of them.
LONG = {
    (200, 300, 60): "04526f76d93aa91e4ffcf2fd4be9e5149d1b1e20286e7ce9980e82590f423367",
    (1500, 2000, 400): "6ddd53f129219622fa49b8aa74ec79b5460da1411cb266dcd9723726626ef9cd",
}


@pytest.mark.parametrize("name", COCO)
def test_run_lengths_are_pycocotools(name: str) -> None:
    array, counts = COCO[name]
    assert encode_rle(array) == {"size": list(array.shape), "counts": counts}
    np.testing.assert_array_equal(decode_rle({"size": [*array.shape], "counts": counts}), array)


@pytest.mark.parametrize("case", LONG)
def test_long_run_lengths_are_pycocotools(case: tuple[int, int, int]) -> None:
    rle = encode_rle(disk(*case))
    assert hashlib.sha256(rle["counts"].encode()).hexdigest() == LONG[case]
    np.testing.assert_array_equal(decode_rle(rle), disk(*case))


@settings(deadline=None)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_run_lengths_return_the_mask(array: Bools) -> None:
    rle = json.loads(json.dumps(encode_rle(array)))
    np.testing.assert_array_equal(decode_rle(rle), array)


@settings(deadline=None)
@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 10**7), st.integers(1, 10**7))
def test_long_runs_return_too(height: int, width: int, start: int, length: int) -> None:
    array = np.zeros(height * width, np.bool_)
    array[start % array.size :][:length] = True
    array = array.reshape(height, width)
    np.testing.assert_array_equal(decode_rle(encode_rle(array)), array)


def test_memory_order_does_not_matter() -> None:
    array = noise(9, 11, 8)
    assert encode_rle(np.asfortranarray(array)) == encode_rle(array)
    assert encode_rle(array[:, ::-1].copy()) == encode_rle(array[:, ::-1])


def test_area_and_box() -> None:
    array = np.zeros((10, 20), np.bool_)
    array[3:5, 7:12] = True
    array[8, 2] = True
    found = mask_of(array)
    assert found.area == 11
    assert found.box == (2, 3, 11, 8)
    assert found.to_rle() == encode_rle(array)


@pytest.mark.parametrize(("y", "x"), [(0, 0), (0, 19), (9, 0), (9, 19), (4, 5)])
def test_the_box_of_one_pixel(y: int, x: int) -> None:
    found = mask_of(one(10, 20, y, x))
    assert found.box == (x, y, x, y)
    assert found.area == 1


def test_empty_and_full() -> None:
    empty, full = mask_of(np.zeros((3, 8), np.bool_)), mask_of(np.ones((3, 8), np.bool_))
    assert (empty.area, empty.box) == (0, None)
    assert (full.area, full.box) == (24, (0, 0, 7, 2))


def test_repr_says_size_area_and_score_in_one_line() -> None:
    assert repr(mask_of(one(10, 20, 0, 0))) == "Mask(20x10, area 1, score 0.5000)"


def test_a_mask_cannot_be_reassigned() -> None:
    with pytest.raises(AttributeError):
        mask_of(one(1, 1, 0, 0)).score = 1.0  # type: ignore[misc]


def test_figures_that_are_known_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    array = one(4, 5, 1, 2)
    low = np.zeros((256, 256), np.float32)
    found = Mask.counted(array, 0.5, low, area=1, box=(2, 1, 2, 1))
    monkeypatch.setattr(np, "count_nonzero", None)
    monkeypatch.setattr(np, "flatnonzero", None)
    assert (found.area, found.box) == (1, (2, 1, 2, 1))
    assert found.array is array
    monkeypatch.undo()
    other = replace(found, array=np.zeros((4, 5), np.bool_))
    assert (other.area, other.box) == (0, None), "another array has figures of its own"
