"""Components and middles against slow, obvious ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgesam_bench.objects import components, find_objects, middle


def flooded(mask: np.ndarray) -> np.ndarray:
    """8-connected components by flooding, in reading order."""
    result = np.zeros(mask.shape, int)
    number = 0
    for y, x in np.argwhere(mask):
        if result[y, x]:
            continue
        number += 1
        todo = [(y, x)]
        while todo:
            a, b = todo.pop()
            if 0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and mask[a, b]:
                if result[a, b]:
                    continue
                result[a, b] = number
                todo += [(a + i, b + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return result


@pytest.mark.parametrize("density", [0.05, 0.3, 0.45, 0.7, 1.0])
def test_components_are_those_of_a_flood(density: float) -> None:
    random = np.random.default_rng(0)
    for height, width in [(1, 1), (1, 17), (17, 1), (23, 31), (40, 40)]:
        mask = random.random((height, width)) < density
        assert np.array_equal(components(mask), flooded(mask))


def test_a_spiral_is_one_component() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0, :] = mask[:, 8] = mask[8, :] = mask[2:, 0] = mask[2, :7] = mask[2:7, 6] = True
    assert components(mask).max() == 1


def test_corners_touch() -> None:
    assert components(np.eye(5, dtype=bool)).max() == 1


def test_an_empty_mask_has_no_components() -> None:
    assert components(np.zeros((3, 4), bool)).max() == 0


def test_the_middle_is_farthest_from_the_outside() -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        mask = random.random((14, 11)) < 0.85
        padded = np.pad(mask, 1)
        outside = np.argwhere(~padded)
        best = {
            (x - 1, y - 1): ((outside - (y, x)) ** 2).sum(axis=1).min()
            for y, x in np.argwhere(padded)
        }
        assert best[middle(mask)] == max(best.values())


def test_the_middle_of_a_full_picture_respects_its_border() -> None:
    assert middle(np.ones((5, 9), bool)) == (2, 2)


def test_objects_come_largest_first_and_by_label() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[0:3, 0:3] = 1
    labels[10:15, 10:15] = 1
    labels[0:4, 10:14] = 2
    labels[5:6, 0:9] = 2  # one pixel high: its box would be empty
    labels[18:20, 18:20] = 2
    found = find_objects(labels, instances=False, most=3, min_area=5)
    assert [(o.label, o.area, o.box) for o in found] == [
        (1, 25, (10, 10, 14, 14)),
        (2, 16, (10, 0, 13, 3)),
        (1, 9, (0, 0, 2, 2)),
    ]


def test_an_instance_stays_whole() -> None:
    labels = np.zeros((8, 8), np.uint16)
    labels[0:2, 0:2] = labels[6:8, 6:8] = 300
    (instance,) = find_objects(labels, instances=True, most=4, min_area=1)
    assert (instance.label, instance.box) == (300, (0, 0, 7, 7))
