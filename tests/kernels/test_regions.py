"""Regions of masks: against segment-anything's own results, and against a flood fill."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesam_kernels.regions import find_regions, remove_small_regions

Mode = Literal["holes", "islands"]
MODES: tuple[Mode, Mode] = ("holes", "islands")

# Written by bench/reference/make_kernel_golden.py.
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "regions.npz")


@pytest.mark.parametrize("mode", MODES)
def test_results_are_segment_anythings(mode: Mode) -> None:
    for mask, results, flags in zip(
        GOLDEN["masks"], GOLDEN[mode], GOLDEN[f"{mode}/changed"], strict=True
    ):
        for limit, expected, flag in zip(GOLDEN["thresholds"], results, flags, strict=True):
            found, changed = remove_small_regions(mask, limit, mode)
            assert changed == flag
            assert found.dtype == np.bool_
            np.testing.assert_array_equal(found, expected)


def flood(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """The pixels of each region, in raster order of their first pixels."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    for first in sorted(left):
        if first not in left:
            continue
        left.discard(first)
        region, edge = {first}, [first]
        while edge:
            y, x = edge.pop()
            near = {(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            region |= near
            edge += near
        regions.append(region)
    return regions


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    return np.array(bits, np.bool_).reshape(height, width)


def picture(*rows: str) -> NDArray[np.bool_]:
    return np.array([[cell == "#" for cell in row] for row in rows])


SPIRAL = picture(
    "#######",
    "#.....#",
    "#.###.#",
    "#.#.#.#",
    "#.#...#",
    "#.#####",
    "#......",
)
COMB = picture("#.#.#.#.#", "#.#.#.#.#", "#########")
STEPS = picture("#..#..", ".#..#.", "..#..#", "#..#..")
ENDS = picture("...##", "#....", "#...#", "....#", "##...")  # a row's end is not the next's start


@settings(deadline=None, max_examples=200)
@example(SPIRAL)
@example(COMB)
@example(STEPS)
@example(ENDS)
@given(masks())
def test_regions_are_a_flood_fills(mask: NDArray[np.bool_]) -> None:
    found = find_regions(mask)
    pixels: list[set[tuple[int, int]]] = [set() for _ in found.areas]
    for row, start, stop, region in zip(
        found.row, found.start, found.stop, found.region, strict=True
    ):
        pixels[region] |= {(int(row), x) for x in range(start, stop)}
    assert pixels == flood(mask)
    assert [len(region) for region in pixels] == found.areas.tolist()


@settings(deadline=None, max_examples=200)
@example(SPIRAL, 3, "holes")
@given(masks(), st.integers(0, 30), st.sampled_from(MODES))
def test_small_regions_go_and_others_stay(
    mask: NDArray[np.bool_], area_thresh: int, mode: Mode
) -> None:
    before = mask.copy()
    found, changed = remove_small_regions(mask, area_thresh, mode)
    np.testing.assert_array_equal(mask, before)
    regions = flood(mask if mode == "islands" else ~mask)
    small = [region for region in regions if len(region) < area_thresh]
    assert changed == bool(small)
    if mode == "islands" and len(small) == len(regions) > 0:
        largest = max(len(region) for region in regions)
        assert found.sum() == largest
        assert {(int(y), int(x)) for y, x in np.argwhere(found)} in regions
    else:
        expected = mask.copy()
        for y, x in set().union(*small):
            expected[y, x] = mode == "holes"
        np.testing.assert_array_equal(found, expected)


def test_of_equal_islands_opencvs_first_stays() -> None:
    # OpenCV looks at two rows at once: what stands to the left comes before what stands above.
    mask = picture("....#", "#....")
    found, _ = remove_small_regions(mask, 5, "islands")
    np.testing.assert_array_equal(found, picture(".....", "#...."))
    mask = picture(".....", "....#", "#....")
    found, _ = remove_small_regions(mask, 5, "islands")
    np.testing.assert_array_equal(found, picture(".....", "....#", "....."))


def test_nothing_to_do_gives_the_mask_that_came() -> None:
    for mask in (SPIRAL, np.zeros((4, 3), np.bool_), np.ones((4, 3), np.bool_)):
        assert remove_small_regions(mask, 1, "islands") == (mask, False)
        assert remove_small_regions(mask, 1, "holes") == (mask, False)


def test_a_mask_need_not_be_contiguous() -> None:
    mask = np.asfortranarray(SPIRAL)
    for mode in MODES:
        expected, _ = remove_small_regions(SPIRAL, 20, mode)
        found, _ = remove_small_regions(mask, 20, mode)
        np.testing.assert_array_equal(found, expected)
