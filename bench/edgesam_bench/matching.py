"""Which masks of two sets are the same: IoU of every pair, and the best one-to-one assignment.

Knows only booleans and numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BAND = 1 << 16  # pixels whose masks are floats at a time


def iou_of_pairs(
    ones: Sequence[NDArray[np.bool_]], others: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """IoU (N, M) of N masks with M others, all of one shape; two empty ones agree: 1."""
    if not ones or not others:
        return np.zeros((len(ones), len(others)))
    one = np.stack([mask.ravel() for mask in ones])
    other = np.stack([mask.ravel() for mask in others])
    shared = np.zeros((len(ones), len(others)))
    for start in range(0, one.shape[1], _BAND):
        band = slice(start, start + _BAND)
        # Whole numbers below 2**24: exact in float32.
        shared += one[:, band].astype(np.float32) @ other[:, band].astype(np.float32).T
    union = one.sum(axis=1)[:, None] + other.sum(axis=1)[None] - shared
    result: NDArray[np.float64] = np.where(union > 0, shared / np.maximum(union, 1), 1.0)
    return result


def best_pairs(merit: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The one-to-one pairs of rows and columns of the greatest sum: the Hungarian method.

    Shortest augmenting paths over reduced costs, a row at a time. Choosing greedily would not be
    exact: sets that went through suppression by *boxes* may still hold two masks with the same
    best partner.

    Args:
        merit: (N, M), finite.

    Returns:
        min(N, M) pairs (row, column), by row.
    """
    if merit.shape[0] > merit.shape[1]:
        return sorted((row, column) for column, row in best_pairs(merit.T))
    rows, columns = merit.shape
    cost = np.zeros((rows + 1, columns + 1))
    cost[1:, 1:] = -merit  # row and column 0 stand for "none"
    of_row, of_column = np.zeros(rows + 1), np.zeros(columns + 1)  # dual prices
    owner = np.zeros(columns + 1, np.intp)  # the row of each column
    for row in range(1, rows + 1):
        owner[0] = row
        column = 0
        distance = np.full(columns + 1, np.inf)
        before = np.zeros(columns + 1, np.intp)
        visited = np.zeros(columns + 1, np.bool_)
        while owner[column]:
            visited[column] = True
            here = owner[column]
            reduced = cost[here] - of_row[here] - of_column
            nearer = ~visited & (reduced < distance)
            distance[nearer], before[nearer] = reduced[nearer], column
            column = int(np.where(visited, np.inf, distance).argmin())
            step = distance[column]
            of_row[owner[visited]] += step
            of_column[visited] -= step
            distance[~visited] -= step
        while column:
            owner[column] = owner[before[column]]
            column = int(before[column])
    return sorted((int(owner[j]) - 1, j - 1) for j in range(1, columns + 1) if owner[j])
