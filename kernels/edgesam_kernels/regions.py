"""Connected regions of a mask, and masks without the small ones; knows only booleans.

Pixels that touch, be it at a corner, are of one region. The work is done on runs, the unbroken
stretches of a row: a mask has few of them, whatever its area. Nothing loops over pixels or runs.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Regions(NamedTuple):
    """The regions of a mask (H, W), numbered from 0 by their first run, row by row."""

    row: NDArray[np.intp]  # (runs,) in raster order
    start: NDArray[np.intp]  # (runs,) first column
    stop: NDArray[np.intp]  # (runs,) column after the last
    region: NDArray[np.intp]  # (runs,) whose run it is
    areas: NDArray[np.intp]  # (regions,) pixels


def find_regions(mask: NDArray[np.bool_]) -> Regions:
    """The 8-connected regions of a mask (H, W)."""
    height, width = mask.shape
    stride = width + 1
    flat = np.zeros(1 + height * stride, np.bool_)  # background first, and after each row
    flat[1:].reshape(height, stride)[:, :width] = mask
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, stops = edges[0::2], edges[1::2]
    region = _merged(starts, stops, stride)
    row = starts // stride
    areas = np.bincount(region, weights=stops - starts).astype(np.intp)
    return Regions(row, starts - row * stride, stops - row * stride, region, areas)


def remove_small_regions(
    mask: NDArray[np.bool_], area_thresh: float, mode: Literal["holes", "islands"]
) -> tuple[NDArray[np.bool_], bool]:
    """Fills small holes, or drops small islands; segment-anything's function of this name.

    Args:
        mask: (H, W) bool.
        area_thresh: regions of fewer pixels are small.
        mode: "holes" are regions of background, "islands" of the mask. Where all islands are
            small the largest stays.

    Returns:
        The mask (H, W), the one that was given if nothing is small; and whether it changed.
    """
    holes = mode == "holes"
    regions = find_regions(~mask if holes else mask)
    small = regions.areas < area_thresh
    if not small.any():
        return mask, False
    if not holes and small.all():
        small[_largest(regions)] = False
    changed = mask.copy()
    chosen = small[regions.region]
    row, start = regions.row[chosen], regions.start[chosen]
    length = regions.stop[chosen] - start
    first = row * mask.shape[1] + start
    before = np.cumsum(length) - length
    pixels = np.repeat(first - before, length) + np.arange(length.sum())
    changed.ravel()[pixels] = holes
    return changed, True


def _merged(starts: NDArray[np.intp], stops: NDArray[np.intp], stride: int) -> NDArray[np.intp]:
    """The region of each run, from the runs' places in the flat mask.

    Each run points to an earlier one of its region, or to itself. Where two that touch end up at
    different runs, the later of these is pointed to the earlier, until none do.
    """
    low, high = _touching(starts, stops, stride)
    head = np.arange(len(starts))
    while True:
        one, other = head[low], head[high]
        apart = one != other
        if not apart.any():
            break
        low, high = low[apart], high[apart]
        one, other = one[apart], other[apart]
        np.minimum.at(head, np.maximum(one, other), np.minimum(one, other))
        while True:
            further = head[head]
            if np.array_equal(further, head):
                break
            head = further
    numbers = np.cumsum(head == np.arange(len(head))) - 1
    region: NDArray[np.intp] = numbers[head]
    return region


def _touching(
    starts: NDArray[np.intp], stops: NDArray[np.intp], stride: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every pair of runs that touch, the one of the upper row first."""
    first = np.searchsorted(stops, starts - stride)
    count = np.searchsorted(starts, stops - stride, side="right") - first
    lower = np.repeat(np.arange(len(starts)), count)
    nth = np.arange(len(lower)) - np.repeat(np.cumsum(count) - count, count)
    return first[lower] + nth, lower


def _largest(regions: Regions) -> int:
    """The region of most pixels; of several, the one OpenCV's labelling meets first.

    It goes through the mask in blocks of two by two pixels.
    """
    candidate = regions.areas[regions.region] == regions.areas.max()
    row, start = regions.row[candidate] // 2, regions.start[candidate] // 2
    return int(regions.region[candidate][np.lexsort((start, row))[0]])
