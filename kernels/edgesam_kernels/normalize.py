"""From a resized uint8 picture to a network's float input; knows no model.

Both rules end with zeros at the bottom and the right: padding comes after normalising.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_std(
    picture: NDArray[np.uint8],
    square: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> NDArray[np.float32]:
    """(x - mean) / std per channel: (h, w, 3) uint8 -> (1, 3, square, square) float32."""
    levels = np.arange(256, dtype=np.float32)[None]
    table = (levels - _column(mean)) / _column(std)
    return _padded(picture, square, table)


def min_max(picture: NDArray[np.uint8], square: int) -> NDArray[np.float32]:
    """The picture's own range, all channels together, to 0..1; a flat picture is all zeros."""
    low, high = int(picture.min()), int(picture.max())
    levels = (np.arange(256, dtype=np.float64) - low) / max(high - low, 1e-8)
    return _padded(picture, square, np.broadcast_to(levels.astype(np.float32), (3, 256)))


def _column(values: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]


def _padded(
    picture: NDArray[np.uint8], square: int, table: NDArray[np.float32]
) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    result = np.zeros((1, 3, square, square), np.float32)
    for channel in range(3):
        np.take(
            table[channel],
            picture[:, :, channel],
            out=result[0, channel, :height, :width],
            mode="clip",
        )
    return result
