"""IoU of pairs and the best assignment, against trying everything."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from edgesam_bench.figures import iou
from edgesam_bench.matching import best_pairs, iou_of_pairs


@pytest.mark.parametrize("seed", range(40))
def test_no_assignment_is_better(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = random.integers(1, 7, 2)
    merit = random.random((rows, columns)).round(1 + seed % 2)  # many are equal
    pairs = best_pairs(merit)
    assert len(pairs) == min(rows, columns)
    assert [row for row, _ in pairs] == sorted({row for row, _ in pairs})
    assert len({column for _, column in pairs}) == len(pairs)
    few, many = (merit, columns) if rows <= columns else (merit.T, rows)
    best = max(
        sum(few[i, j] for i, j in enumerate(order)) for order in permutations(range(many), len(few))
    )
    assert sum(merit[pair] for pair in pairs) == pytest.approx(best, abs=1e-12)


def test_greed_would_be_wrong() -> None:
    assert best_pairs(np.array([[0.99, 0.98], [0.98, 0.0]])) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(shape: tuple[int, int]) -> None:
    assert best_pairs(np.zeros(shape)) == []


def test_a_hundred_shuffled_masks_find_themselves() -> None:
    random = np.random.default_rng(0)
    masks = [random.random((40, 50)) < 0.5 for _ in range(100)]
    order = random.permutation(100)
    pairs = best_pairs(iou_of_pairs(masks, [masks[i] for i in order]))
    assert [int(order[column]) for _, column in pairs] == list(range(100))


def test_iou_of_pairs_larger_than_a_band() -> None:
    random = np.random.default_rng(0)
    ones = [random.random((300, 401)) < share for share in (0, 0.3, 1)]
    others = [random.random((300, 401)) < share for share in (0.5, 0)]
    found = iou_of_pairs(ones, others)
    expected = [[iou(one, other) for other in others] for one in ones]
    np.testing.assert_array_equal(found, expected)
    assert found[0, 1] == 1  # both empty
    assert iou_of_pairs([], others).shape == (0, 2)
