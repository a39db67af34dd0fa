"""Masks from low-resolution logits, as torch's bilinear interpolation gives them.

segment-anything resizes twice: 256 -> the model's square, crop, -> the picture. Both steps are
linear and separable, so that each axis is one small matrix, applied here without the square in
between. Knows nothing of models: it is told the three sizes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_STRIP = 128  # output rows at a time: bounds the floats alive beside the boolean mask


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
    down = _axis_matrix(logits.shape[0], square, crop[0], size[0])
    across = _axis_matrix(logits.shape[1], square, crop[1], size[1])
    wide = _banded_product(across, logits.T).T
    mask = np.empty(size, np.bool_)
    for start in range(0, size[0], _STRIP):
        strip = down[start : start + _STRIP]
        low, high = _band(strip)
        np.greater(strip[:, low:high] @ wide[low:high], 0.0, out=mask[start : start + _STRIP])
    return mask


def _banded_product(matrix: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """matrix @ x, touching only the columns where a strip of the matrix is not zero."""
    result = np.empty((matrix.shape[0], x.shape[1]), np.float32)
    for start in range(0, matrix.shape[0], _STRIP):
        strip = matrix[start : start + _STRIP]
        low, high = _band(strip)
        np.matmul(strip[:, low:high], x[low:high], out=result[start : start + _STRIP])
    return result


def _band(strip: NDArray[np.float32]) -> tuple[int, int]:
    """First and one past last column that is not zero: the weights move right with the rows."""
    used = np.flatnonzero(strip.any(axis=0))
    return int(used[0]), int(used[-1]) + 1


@lru_cache(maxsize=32)
def _axis_matrix(low: int, square: int, crop: int, size: int) -> NDArray[np.float32]:
    """Weights (size, low) of one axis: low -> square, keep crop, -> size."""
    matrix = (_interpolation(crop, size) @ _interpolation(low, square)[:crop]).astype(np.float32)
    matrix.setflags(write=False)
    return matrix


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
