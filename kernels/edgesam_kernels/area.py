"""Resizing by area, with OpenCV's INTER_AREA roundings; knows only uint8 pictures.

LiteMedSAM's weights were trained behind ``cv2.resize(..., INTER_AREA)``; one grey level of
difference per pixel already shows in its masks. The three paths below are OpenCV's own
(modules/imgproc/src/resize.cpp): whole factors, fractional factors, and what it does instead of
an area average when a side grows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FIXED = 2048.0  # INTER_RESIZE_COEF_SCALE: weights of growing sides are 11-bit integers


def resize_area(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The picture (H, W, C) uint8 at (height, width, C), as OpenCV's INTER_AREA gives it."""
    rows, columns = picture.shape[:2]
    if (rows, columns) == (height, width):
        return picture
    if height > rows or width > columns:
        return _grow(picture, height, width)
    if rows % height == 0 and columns % width == 0:
        return _whole_factors(picture, rows // height, columns // width)
    return _fractional(picture, height, width)


def _whole_factors(picture: NDArray[np.uint8], down_y: int, down_x: int) -> NDArray[np.uint8]:
    """Mean of blocks; 2 x 2 blocks round halves up, others to even."""
    height, width = picture.shape[0] // down_y, picture.shape[1] // down_x
    total = np.zeros((height, width, picture.shape[2]), np.uint32)
    for y in range(down_y):
        for x in range(down_x):
            total += picture[y::down_y, x::down_x]
    if (down_y, down_x) == (2, 2):
        rounded: NDArray[np.uint8] = ((total + 2) >> 2).astype(np.uint8)
        return rounded
    return _to_uint8(total.astype(np.float32) * np.float32(1.0 / (down_y * down_x)))


def _fractional(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Overlap-weighted means: rows of pixels first, then columns of sums, in float32."""
    first, weights = overlaps(picture.shape[1], width)
    sums = np.zeros((picture.shape[0], width, picture.shape[2]), np.float32)
    for tap in range(weights.shape[1]):
        index = np.minimum(first + tap, picture.shape[1] - 1)
        sums += picture[:, index] * weights[:, tap, None]
    first, weights = overlaps(picture.shape[0], height)
    means = np.zeros((height, width, picture.shape[2]), np.float32)
    for tap in range(weights.shape[1]):
        index = np.minimum(first + tap, picture.shape[0] - 1)
        means += sums[index] * weights[:, tap, None, None]
    return _to_uint8(means)


def _to_uint8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Rounded to even and saturated: cv::saturate_cast<uchar>."""
    rounded: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def overlaps(source: int, target: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """First source cell of each target cell, and the weight of it and of those after it."""
    scale = source / target
    begin = np.arange(target) * scale
    end = begin + scale
    cell = np.minimum(scale, source - begin)
    whole_begin = np.ceil(begin)
    whole_end = np.minimum(np.floor(end), source - 1)
    whole_begin = np.minimum(whole_begin, whole_end)
    first = np.floor(begin).astype(np.intp)
    taps = int(np.ceil(scale)) + 1
    weights = np.zeros((target, taps), np.float64)
    for i in range(target):
        if whole_begin[i] - begin[i] > 1e-3:
            weights[i, int(whole_begin[i]) - 1 - first[i]] = (whole_begin[i] - begin[i]) / cell[i]
        for source_cell in range(int(whole_begin[i]), int(whole_end[i])):
            weights[i, source_cell - first[i]] = 1.0 / cell[i]
        if end[i] - whole_end[i] > 1e-3:
            last = min(end[i] - whole_end[i], 1.0, cell[i]) / cell[i]
            weights[i, int(whole_end[i]) - first[i]] = last
    return first, weights.astype(np.float32)


def _grow(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Where a side grows OpenCV blends two neighbours, with integer weights."""
    left, right, share_x = neighbours(picture.shape[1], width)
    top, bottom, share_y = neighbours(picture.shape[0], height)
    wide = picture.astype(np.int32)
    rows = wide[:, left] * share_x[:, 0, None] + wide[:, right] * share_x[:, 1, None]
    upper, lower = rows[top] >> 4, rows[bottom] >> 4
    blended = (upper * share_y[:, 0, None, None] >> 16) + (lower * share_y[:, 1, None, None] >> 16)
    grown: NDArray[np.uint8] = np.clip((blended + 2) >> 2, 0, 255).astype(np.uint8)
    return grown


def neighbours(
    source: int, target: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int32]]:
    """Both neighbours of each target cell and their integer weights (target, 2)."""
    scale, inverse = source / target, target / source
    index = np.arange(target)
    near = np.floor(index * scale)
    share = ((index + 1) - (near + 1) * inverse).astype(np.float32)
    share = np.where(share <= 0, np.float32(0), share - np.floor(share))
    share = np.where(near >= source - 1, np.float32(0), share)
    near = np.minimum(near, source - 1).astype(np.intp)
    fixed = np.rint(np.stack([1 - share, share], axis=1) * np.float32(_FIXED)).astype(np.int32)
    return near, np.minimum(near + 1, source - 1), fixed
