"""Outlines of masks: every pixel inside, valid polygons, holes with their part, keyholes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edgesam_kernels.contours import Contour, contours, keyhole
from edgesam_kernels.regions import find_regions

Mask = NDArray[np.bool_]
Ring = NDArray[np.float64]

masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.bool_, shape)
)


def area(ring: Ring) -> float:
    """Signed, by the shoelace formula."""
    x, y = ring.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def filled(rings: Iterable[Ring], shape: tuple[int, int]) -> Mask:
    """The pixels whose centres lie inside by the even-odd rule: a ray to the left of each."""
    ys, xs = np.mgrid[: shape[0], : shape[1]].astype(float)
    inside = np.zeros(shape, np.bool_)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y0 != y1:
                crosses = (min(y0, y1) < ys) & (ys <= max(y0, y1))
                inside ^= crosses & (x0 + (ys - y0) * (x1 - x0) / (y1 - y0) < xs)
    return inside


def drawing(*rows: str) -> Mask:
    return np.array([[character == "#" for character in row] for row in rows])


def every_ring(found: Iterable[Contour]) -> list[Ring]:
    return [ring for contour in found for ring in (contour.outer, *contour.holes)]


# ------------------------------------------------------------------ by hand


def test_one_pixel_is_a_square_around_its_centre() -> None:
    (found,) = contours(drawing("#"))
    assert found.holes == ()
    assert found.outer.tolist() == [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]
    (found,) = contours(drawing("..", ".#"), inset=0.125)
    assert found.outer.tolist() == [
        [0.625, 0.625],
        [1.375, 0.625],
        [1.375, 1.375],
        [0.625, 1.375],
    ]


def test_an_empty_mask_has_none() -> None:
    assert contours(np.zeros((3, 4), np.bool_)) == []
    assert contours(np.zeros((3, 4), np.bool_), inset=0.1) == []


def test_a_hole_belongs_to_its_part_and_runs_the_other_way() -> None:
    found = contours(
        drawing("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######")
    )
    assert [len(contour.holes) for contour in found] == [1, 1]
    assert [area(contour.outer) for contour in found] == [49, 9]
    assert [area(contour.holes[0]) for contour in found] == [-25, -1]


def test_pixels_that_touch_at_a_corner_are_two() -> None:
    assert [area(contour.outer) for contour in contours(drawing("#.", ".#"))] == [1, 1]


def test_a_ring_that_comes_back_to_a_corner_is_two_unless_it_is_drawn_in() -> None:
    mask = drawing("###", "#.#", "##.")
    (found,) = contours(mask)
    assert (area(found.outer), [area(hole) for hole in found.holes]) == (8, [-1])
    (found,) = contours(mask, inset=0.01)
    assert found.holes == ()
    assert len(np.unique(found.outer, axis=0)) == len(found.outer)
    assert np.array_equal(filled([found.outer], mask.shape), mask)


def test_a_keyhole_goes_in_and_out_by_the_same_way() -> None:
    (found,) = contours(drawing("###", "#.#", "###"))
    ring = keyhole(found)
    assert area(ring) == 8
    assert len(ring) == 12
    twice, count = np.unique(ring, axis=0, return_counts=True)
    assert twice[count == 2].tolist() == [[-0.5, 0.75], [0.5, 0.75]]


# ------------------------------------------------------------------ properties


@settings(max_examples=300, deadline=None)
@given(masks)
def test_every_pixel_inside_and_no_other(mask: Mask) -> None:
    found = contours(mask)
    assert np.array_equal(filled(every_ring(found), mask.shape), mask)
    assert sum(area(ring) for ring in every_ring(found)) == mask.sum()
    drawn_in = contours(mask, inset=0.01)
    assert np.array_equal(filled(every_ring(drawn_in), mask.shape), mask)


@settings(max_examples=300, deadline=None)
@given(masks)
def test_contours_are_valid_polygons(mask: Mask) -> None:
    for contour in contours(mask):
        assert area(contour.outer) > 0
        assert all(area(hole) < 0 for hole in contour.holes)
        pixels = filled([contour.outer, *contour.holes], mask.shape)
        assert not (pixels & ~mask).any()
        whole = filled([contour.outer], mask.shape)
        outline = {tuple(corner) for corner in contour.outer}
        for hole in contour.holes:
            inside = filled([hole], mask.shape)
            assert not (inside & ~whole).any()
            assert len(outline & {tuple(corner) for corner in hole}) <= 1
        for ring in (contour.outer, *contour.holes):
            assert len(np.unique(ring, axis=0)) == len(ring)
            step = np.sign(np.roll(ring, -1, axis=0) - ring)
            assert (np.abs(step).sum(axis=1) == 1).all()
            assert not (step * np.roll(step, 1, axis=0)).any(), "three corners in a line"


@settings(max_examples=200, deadline=None)
@given(masks)
def test_parts_are_those_that_share_edges(mask: Mask) -> None:
    # Drawn three times as large with gaps that only shared edges bridge: corners part by far.
    apart = np.zeros((3 * mask.shape[0], 3 * mask.shape[1]), np.bool_)
    apart[1::3, 1::3] = mask
    apart[3::3, 1::3] = apart[2:-1:3, 1::3] = mask[1:] & mask[:-1]
    apart[1::3, 3::3] = apart[1::3, 2:-1:3] = mask[:, 1:] & mask[:, :-1]
    expected = len(find_regions(apart).areas)
    assert len(contours(mask)) == expected
    assert len(contours(mask, inset=0.01)) == expected


@settings(max_examples=300, deadline=None)
@given(masks, st.sampled_from([0.0, 0.01, 0.2]))
def test_a_keyhole_fills_what_its_contour_does(mask: Mask, inset: float) -> None:
    found = contours(mask, inset=inset)
    rings = [keyhole(contour) for contour in found]
    assert np.array_equal(filled(rings, mask.shape), mask)
    for contour, ring in zip(found, rings, strict=True):
        parts = (contour.outer, *contour.holes)
        assert area(ring) == pytest.approx(sum(map(area, parts)))
        assert len(ring) == sum(map(len, parts)) + 4 * len(contour.holes)


@settings(max_examples=100, deadline=None)
@given(masks)
def test_drawn_in_corners_round_to_pixels_of_the_mask(mask: Mask) -> None:
    for ring in every_ring(contours(mask, inset=0.01)):
        x, y = np.rint(ring).astype(int).T
        assert mask[y, x].all()


# ------------------------------------------------------------------ speed


def test_a_ragged_mask_takes_milliseconds(noise: Callable[..., NDArray[Any]]) -> None:
    ys, xs = np.mgrid[:512, :512]
    radius = np.hypot(ys - 256, xs - 256) + noise(512, 512) / 8.0
    mask = (radius < 200) & (radius > 60)
    contours(mask)
    begin = time.process_time()
    for contour in contours(mask, inset=0.01):
        keyhole(contour)
    assert time.process_time() - begin < 1.0, "tens of milliseconds on a free machine"
