"""Masks from low-resolution logits, as torch's bilinear interpolation gives them.

segment-anything resizes twice: 256 -> the model's square, crop, -> the picture. Both steps are
linear and separable, so that each axis is one small matrix, applied here without the square in
between. Knows nothing of models: it is told the three sizes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Output rows per product. So small that BLAS stays on the calling thread, where it would otherwise
# wake threads that fight the engine's own; and few floats are alive beside the boolean mask.
_STRIP = 16


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
    wide = np.empty((size[1], logits.shape[0]), np.float32)
    across = np.ascontiguousarray(logits.T)
    for rows, low, high, weights in _axis(logits.shape[1], square, crop[1], size[1]):
        np.matmul(weights, across[low:high], out=wide[rows])
    wide = np.ascontiguousarray(wide.T)
    mask = np.empty(size, np.bool_)
    for rows, low, high, weights in _axis(logits.shape[0], square, crop[0], size[0]):
        np.greater(weights @ wide[low:high], 0.0, out=mask[rows])
    return mask


@lru_cache(maxsize=32)
def _axis(low: int, square: int, crop: int, size: int) -> tuple[_Strip, ...]:
    """The weights (size, low) of one axis, low -> square, keep crop, -> size, cut into strips.

    They move to the right with the rows: a strip touches few columns.
    """
    matrix = (_interpolation(crop, size) @ _interpolation(low, square)[:crop]).astype(np.float32)
    strips = []
    for start in range(0, size, _STRIP):
        weights = matrix[start : start + _STRIP]
        used = np.flatnonzero(weights.any(axis=0))
        first, last = int(used[0]), int(used[-1]) + 1
        rows = slice(start, start + len(weights))
        strips.append(_Strip(rows, first, last, np.ascontiguousarray(weights[:, first:last])))
    return tuple(strips)


def _interpolation(source: int, target: int) -> NDArray[np.float64]:
    """Weights (target, source) of bilinear interpolation with ``align_corners=False``.

    Positions are float32, as in ATen's UpSampleKernel, so that both land on the same neighbours.
    """
    scale = np.float32(source) / np.float32(target)
    position = np.maximum(
        scale * (np.arange(target, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0
    )
    near = np.minimum(position.astype(np.intp), source - 1)
    share = np.minimum(position - near, 1).astype(np.float64)
    weights = np.zeros((target, source))
    rows = np.arange(target)
    weights[rows, near] = 1 - share
    weights[rows, np.minimum(near + 1, source - 1)] += share
    return weights
