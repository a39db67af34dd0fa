"""Masks from low-resolution logits, as torch's bilinear interpolation gives them.

segment-anything resizes twice: 256 -> the model's square, crop, -> the picture. Both steps are
linear and separable, so that each axis is one small matrix, applied here without the square in
between. Knows nothing of models: it is told the three sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.interpolation import axis_weights

# Output rows per product. So small that BLAS stays on the calling thread, where it would otherwise
# wake threads that fight the engine's own; and few floats are alive beside the boolean mask.
_STRIP = 16


class MeasuredMask(NamedTuple):
    """A mask, and how many pixels a stricter and a laxer threshold would leave it.

    ``above / below`` is what segment-anything calls the stability score.
    """

    mask: NDArray[np.bool_]  # (rows, columns): the logits above 0
    above: int  # pixels above +offset
    below: int  # pixels above -offset


class _Strip(NamedTuple):
    """Some output rows of a bilinear resize: ``weights @ x[low:high]``."""

    rows: slice
    low: int
    high: int
    weights: NDArray[np.float32]


def threshold_mask(
    logits: NDArray[np.float32], square: int, crop: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Where the resized logits are above zero.

    Args:
        logits: (h, h) float32.
        square: side the logits are first resized to (the model's input).
        crop: rows and columns of the square that hold the picture; the rest is padding.
        size: rows and columns of the picture.

    Returns:
        (rows, columns) bool.
    """
    mask = np.empty(size, np.bool_)
    for rows, values in _resized(logits, square, crop, size):
        np.greater(values, 0.0, out=mask[rows])
    return mask


def measure_mask(
    logits: NDArray[np.float32],
    square: int,
    crop: tuple[int, int],
    size: tuple[int, int],
    offset: float,
) -> MeasuredMask:
    """:func:`threshold_mask` of the same four, with counts at two more thresholds.

    Args:
        offset: how far from zero to count: segment-anything's ``stability_score_offset``.
    """
    mask = np.empty(size, np.bool_)
    above = below = 0
    for rows, values in _resized(logits, square, crop, size):
        np.greater(values, 0.0, out=mask[rows])
        above += int(np.count_nonzero(values > offset))
        below += int(np.count_nonzero(values > -offset))
    return MeasuredMask(mask, above, below)


def resize_logits(
    logits: NDArray[np.float32], square: int, crop: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float32]:
    """The logits themselves at the picture's size, of the same four: (rows, columns) float32."""
    result = np.empty(size, np.float32)
    for rows, values in _resized(logits, square, crop, size):
        result[rows] = values
    return result


def _resized(
    logits: NDArray[np.float32], square: int, crop: tuple[int, int], size: tuple[int, int]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The logits at the picture's size, some rows at a time: (n, columns) float32."""
    wide = np.empty((size[1], logits.shape[0]), np.float32)
    across = np.ascontiguousarray(logits.T)
    for rows, low, high, weights in _axis(logits.shape[1], square, crop[1], size[1]):
        np.matmul(weights, across[low:high], out=wide[rows])
    wide = np.ascontiguousarray(wide.T)
    for rows, low, high, weights in _axis(logits.shape[0], square, crop[0], size[0]):
        yield rows, weights @ wide[low:high]


@lru_cache(maxsize=32)
def _axis(low: int, square: int, crop: int, size: int) -> tuple[_Strip, ...]:
    """The weights (size, low) of one axis, low -> square, keep crop, -> size, cut into strips.

    They move to the right with the rows: a strip touches few columns.
    """
    matrix = axis_weights(low, square, crop, size)
    strips = []
    for start in range(0, size, _STRIP):
        weights = matrix[start : start + _STRIP]
        used = np.flatnonzero(weights.any(axis=0))
        first, last = int(used[0]), int(used[-1]) + 1
        rows = slice(start, start + len(weights))
        strips.append(_Strip(rows, first, last, np.ascontiguousarray(weights[:, first:last])))
    return tuple(strips)
