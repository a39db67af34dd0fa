"""Weights of one axis of torch's bilinear interpolation, once or twice; knows no pixels.

Twice is segment-anything's way from logits to a picture: low -> the model's square, crop, -> the
picture. Both steps are linear, so that they are one small matrix, of which few entries are not 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class AxisTaps(NamedTuple):
    """The few source cells that each target cell is made of, one after the other."""

    first: NDArray[np.int32]  # (target,), never falling; first + taps <= source
    weight: NDArray[np.float32]  # (taps, target); 0 where a cell is made of fewer


@lru_cache(maxsize=32)
def axis_taps(low: int, square: int, crop: int, size: int, least: int = 1) -> AxisTaps:
    """:func:`axis_weights` of the same four without its zeros; not to be changed.

    Three taps are enough where the square is not smaller than ``low``; two where it is ``low``.

    Args:
        low, square, crop, size: cells of the logits, of the square, of its part, of the picture.
        least: taps that there are to be at least, at most ``low``; the weights of what is too many
            are 0.
    """
    matrix = axis_weights(low, square, crop, size)
    used = matrix != 0
    first = used.argmax(axis=1)
    count = max(least, int((low - used[:, ::-1].argmax(axis=1) - first).max()))
    first = np.minimum(first, low - count)
    weight = np.take_along_axis(matrix, first[:, None] + np.arange(count), axis=1)
    return AxisTaps(first.astype(np.int32), np.ascontiguousarray(weight.T))


def axis_weights(low: int, square: int, crop: int, size: int) -> NDArray[np.float32]:
    """(size, low) float32: low -> square, of which ``crop`` cells are kept, -> size."""
    return (_interpolation(crop, size) @ _interpolation(low, square)[:crop]).astype(np.float32)


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
