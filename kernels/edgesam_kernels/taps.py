"""Which source cells a target cell blends, as tables for kernels. Knows no device.

Each rule's own module says how the CPU does it; here is the same as numbers that can be uploaded.
Cells past an axis's end have the weight 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.area import neighbours, overlaps

_PRECISION = 22  # bits after the point of Pillow's weights of 8-bit pictures
_HALF = 1 << (_PRECISION - 1)
_PERIOD = 65521  # of the noise that Pillow is tried with; a prime, so that no two rows are the same
_PROBES = 8  # output rows by which the order of Pillow's two passes is told


class Taps(NamedTuple):
    """An axis: target cell ``i`` blends source cells ``first[i]`` and those after it."""

    first: NDArray[np.int32]  # (target,); empty where the kernel needs none
    weights: NDArray[Any]  # (target, taps), int32 or float32


class Filter(NamedTuple):
    """How ``prepare_resize.cu`` resizes a picture.

    Attributes:
        rule: its ``RULE``.
        rows, columns: of each axis.
        down_first: columns are resized before rows.
    """

    rule: Literal["SAME", "BILINEAR", "AREA_WHOLE", "AREA_SHRINKS", "AREA_GROWS"]
    rows: Taps
    columns: Taps
    down_first: bool = False


def resize_filter(
    resize: Literal["pil-bilinear", "area"], source: tuple[int, int], target: tuple[int, int]
) -> Filter:
    """The filter from one size (rows, columns) to another."""
    if source == target:
        return Filter("SAME", _whole(1), _whole(1))
    (rows, columns), (height, width) = source, target
    if resize == "pil-bilinear":
        down, across = pillow_bilinear(rows, height), pillow_bilinear(columns, width)
        return Filter("BILINEAR", down, across, pillow_goes_down_first(source, target))
    if height > rows or width > columns:
        return Filter("AREA_GROWS", area_grows(rows, height), area_grows(columns, width))
    if rows % height == 0 and columns % width == 0:
        return Filter("AREA_WHOLE", _whole(rows // height), _whole(columns // width))
    return Filter("AREA_SHRINKS", area_shrinks(rows, height), area_shrinks(columns, width))


def pillow_bilinear(source: int, target: int) -> Taps:
    """Pillow's antialiased bilinear filter in its fixed point: weights are int32 with 22 bits.

    A tent of half width 1 over target cells where the axis shrinks, over source cells where it
    grows, cut at the ends and brought to the sum 1.
    """
    scale = source / target
    reach = max(scale, 1.0)
    centre = (np.arange(target) + 0.5) * scale
    first = np.maximum(centre - reach + 0.5, 0).astype(np.int32)
    after = np.minimum(centre + reach + 0.5, source).astype(np.int32)
    cell = first[:, None] + np.arange(int((after - first).max()))
    distance = np.abs((cell - centre[:, None] + 0.5) * (1.0 / reach))
    weights = np.where(cell < after[:, None], np.maximum(1.0 - distance, 0.0), 0.0)
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # summed up in order, as Pillow does
    return Taps(first, (weights * (1 << _PRECISION) + 0.5).astype(np.int32))


@lru_cache(maxsize=64)
def pillow_goes_down_first(source: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether Pillow resizes columns before rows, by trying.

    It rounds to a level between the two, so that the order shows. Up to 12 it went along the rows
    first but for very tall pictures; 13 chooses by the sizes, and a later one may choose otherwise.
    """
    if source[0] == target[0] or source[1] == target[1]:
        return False
    from PIL import Image as Pillow

    noise = np.resize(np.random.default_rng(0).integers(0, 256, _PERIOD, np.uint8), (*source, 3))
    resized = Pillow.fromarray(noise).resize(target[::-1], Pillow.Resampling.BILINEAR)
    probes = np.unique(np.linspace(0, target[0] - 1, _PROBES).astype(np.intp))
    found = np.asarray(resized)[probes]
    rows, columns = pillow_bilinear(source[0], target[0]), pillow_bilinear(source[1], target[1])
    rows = Taps(rows.first[probes], rows.weights[probes])
    down_first = _across(_down(noise, rows), columns)
    needed = np.unique(_cells(rows, source[0]))
    wide = np.zeros((source[0], target[1], 3), np.uint8)
    wide[needed] = _across(noise[needed], columns)
    across_first = _down(wide, rows)
    return int((found != down_first).sum()) < int((found != across_first).sum())


def area_shrinks(source: int, target: int) -> Taps:
    """Shares of cells that a target cell covers: float32 (:mod:`edgesam_kernels.area`)."""
    first, weights = overlaps(source, target)
    used = int(weights.any(axis=0).nonzero()[0][-1]) + 1
    return Taps(first.astype(np.int32), np.ascontiguousarray(weights[:, :used]))


def area_grows(source: int, target: int) -> Taps:
    """Two neighbours with 11-bit weights: int32. The second may be past the end."""
    first, _, weights = neighbours(source, target)
    return Taps(first.astype(np.int32), weights)


def _whole(factor: int) -> Taps:
    return Taps(np.zeros(0, np.int32), np.zeros((0, factor), np.int32))


def _cells(taps: Taps, size: int) -> NDArray[np.intp]:
    reach = taps.first[:, None] + np.arange(taps.weights.shape[1])
    cells: NDArray[np.intp] = np.minimum(reach, size - 1)
    return cells


def _down(levels: NDArray[np.uint8], taps: Taps) -> NDArray[np.uint8]:
    """Columns of a picture (H, W, C), as Pillow resizes them."""
    total = np.full((len(taps.first), *levels.shape[1:]), _HALF, np.int32)
    for cell, weight in zip(_cells(taps, len(levels)).T, taps.weights.T, strict=True):
        total += levels[cell].astype(np.int32) * weight[:, None, None]
    resized: NDArray[np.uint8] = (total >> _PRECISION).clip(0, 255).astype(np.uint8)
    return resized


def _across(levels: NDArray[np.uint8], taps: Taps) -> NDArray[np.uint8]:
    """Its rows."""
    resized: NDArray[np.uint8] = _down(levels.swapaxes(0, 1), taps).swapaxes(0, 1)
    return resized
