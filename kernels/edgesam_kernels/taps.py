"""Which source cells a target cell of one axis blends, as tables for kernels. Knows no picture.

Each rule's own module says how the CPU does it; here is the same as numbers that can be uploaded.
Cells past the axis's end have the weight 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.area import neighbours, overlaps

_PRECISION = 22  # bits after the point of Pillow's weights of 8-bit pictures


class Taps(NamedTuple):
    """An axis: target cell ``i`` blends source cells ``first[i]`` and those after it."""

    first: NDArray[np.int32]  # (target,)
    weights: NDArray[Any]  # (target, taps), int32 or float32


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


def area_shrinks(source: int, target: int) -> Taps:
    """Shares of cells that a target cell covers: float32 (:mod:`edgesam_kernels.area`)."""
    first, weights = overlaps(source, target)
    used = weights.any(axis=0)
    return Taps(first.astype(np.int32), np.ascontiguousarray(weights[:, : used.nonzero()[0][-1] + 1]))


def area_grows(source: int, target: int) -> Taps:
    """Two neighbours with 11-bit weights: int32. The second may be past the end."""
    first, _, weights = neighbours(source, target)
    return Taps(first.astype(np.int32), weights)
