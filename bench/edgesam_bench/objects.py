"""Objects in a label map: which there are, their boxes, their middles. Knows no file, no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object of a label map.

    Attributes:
        label: its value in the map.
        mask: (H, W) bool.
    """

    label: int
    mask: Mask

    @property
    def area(self) -> int:
        """In pixels."""
        return int(self.mask.sum())

    @property
    def box(self) -> Box:
        """The tight box x0, y0, x1, y1; its last row and column belong to the object."""
        columns = np.flatnonzero(self.mask.any(axis=0))
        rows = np.flatnonzero(self.mask.any(axis=1))
        return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def find_objects(
    labels: NDArray[Any], *, instances: bool, most: int, min_area: int
) -> list[LabelledObject]:
    """The objects of a label map, largest first.

    Args:
        labels: (H, W) whole numbers, 0 is background.
        instances: each value is one object already; otherwise every 8-connected component of
            each value is one.
        most: keep this many.
        min_area: leave out what has fewer pixels, and what is one pixel wide or high (its box
            would be empty).
    """
    found: list[LabelledObject] = []
    for value in np.unique(labels[labels > 0]):
        of_value = labels == value
        if instances:
            found.append(LabelledObject(int(value), of_value))
            continue
        parts = components(of_value)
        areas = np.bincount(parts.ravel())
        # Only the largest can be kept; building a mask of every speck would take long.
        for part in np.argsort(-areas[1:], kind="stable")[:most] + 1:
            found.append(LabelledObject(int(value), parts == part))
    found = [o for o in found if o.area >= min_area and _has_two_sides(o.box)]
    return sorted(found, key=lambda o: -o.area)[:most]


def _has_two_sides(box: Box) -> bool:
    x0, y0, x1, y1 = box
    return x1 > x0 and y1 > y0


def components(mask: Mask) -> NDArray[np.int64]:
    """8-connected components, numbered 1, 2, ... in reading order of their first pixel.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W); 0 where the mask is not.
    """
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]  # exclusive; runs come in reading order in both
    first, second = _touching_runs(row, start, end, width=mask.shape[1])

    root = np.arange(len(row))
    while True:
        lowest = np.minimum(root[first], root[second])
        merged = root.copy()
        np.minimum.at(merged, root[first], lowest)
        np.minimum.at(merged, root[second], lowest)
        merged = merged[merged]
        if np.array_equal(merged, root):
            break
        root = merged

    number = np.unique(root, return_inverse=True)[1] + 1
    result = np.zeros(mask.shape, dtype=np.int64)
    result[mask] = np.repeat(number, end - start)
    return result


def _touching_runs(
    row: NDArray[Any], start: NDArray[Any], end: NDArray[Any], width: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pairs of runs in neighbouring rows that touch, corners included."""
    # One number per pixel, with a free column between rows so that rows never meet.
    stride = width + 2
    below_start = (row + 1) * stride + start
    below_end = (row + 1) * stride + end
    place_start, place_end = row * stride + start, row * stride + end
    begin = np.searchsorted(place_end, below_start, side="left")
    stop = np.searchsorted(place_start, below_end, side="right")
    count = np.maximum(stop - begin, 0)
    first = np.repeat(np.arange(len(row)), count)
    offset = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return first, np.repeat(begin, count) + offset


def middle(mask: Mask) -> tuple[int, int]:
    """The pixel of the mask farthest from any pixel outside it (the first of several), as x, y.

    Distances are exact and Euclidean; outside the picture counts as outside the mask.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 1)
    squared = _squared_distance(inside)
    y, x = np.unravel_index(int(squared.argmax()), squared.shape)
    return left + int(x) - 1, top + int(y) - 1


def _squared_distance(inside: Mask) -> NDArray[np.int64]:
    """To the nearest False, in pixels; every border pixel must be False."""
    height, width = inside.shape
    column = np.arange(width)
    since = column - np.maximum.accumulate(np.where(inside, -1, column), axis=1)
    until = (
        np.minimum.accumulate(np.where(inside, width, column)[:, ::-1], axis=1)[:, ::-1] - column
    )
    along_row: NDArray[np.int64] = np.minimum(since, until).astype(np.int64) ** 2
    best: NDArray[np.int64] = along_row.copy()
    for step in range(1, height):
        if step * step >= best.max():
            break
        np.minimum(best[step:], along_row[:-step] + step * step, out=best[step:])
        np.minimum(best[:-step], along_row[step:] + step * step, out=best[:-step])
    return best
