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
    return _padded(picture, square, mean_std_table(mean, std))


def min_max(picture: NDArray[np.uint8], square: int) -> NDArray[np.float32]:
    """The picture's own range, all channels together, to 0..1; a flat picture is all zeros."""
    low, high = int(picture.min()), int(picture.max())
    table = np.zeros((3, 256), np.float32)
    table[:, low:] = _shares(np.arange(256 - low), high - low)
    return _padded(picture, square, table)


def mean_std_table(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """What :func:`mean_std` makes of each level: (3, 256) float32."""
    levels = np.arange(256, dtype=np.float32)[None]
    table: NDArray[np.float32] = (levels - _column(mean)) / _column(std)
    return table


def min_max_table() -> NDArray[np.float32]:
    """What :func:`min_max` makes of a level: (256, 256) float32.

    The first index is the picture's range, the greatest less the smallest level; the second the
    level less the smallest. Beyond the range there are zeros.
    """
    table = np.zeros((256, 256), np.float32)
    for extent, shares in enumerate(table):
        shares[: extent + 1] = _shares(np.arange(extent + 1), extent)
    return table


def _shares(above: NDArray[np.intp], extent: int) -> NDArray[np.float32]:
    return (above / max(extent, 1e-8)).astype(np.float32)


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
