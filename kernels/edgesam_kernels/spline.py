"""Resizing by cubic splines, with scikit-image's roundings; knows only uint8 pictures.

MedSAM's weights see what ``skimage.transform.resize(picture, size, order=3, preserve_range=True,
anti_aliasing=True).astype(np.uint8)`` gives: a Gaussian against aliasing where a side shrinks, a
cubic B-spline through the pixels (scipy.ndimage.zoom with grid_mode and mode="mirror"), a clip to
the picture's own range, and a cut to whole levels. The cut makes the level of a flat region hang
on the last bit: 100 may come out as 99.99999999999999. So the spline's coefficients are computed
in scipy's order of operations (its ni_filters.c, ni_splines.c and ni_interpolation.c), and so is
every pixel that is next to a whole level; all others are had in a fraction of the time, one axis
after the other.

scipy's spline runs along the channels as well. There it changes nothing but last bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POLE = -0.267949192431122706472553658494127633  # sqrt(3) - 2, the cubic B-spline's
_FADED = 1e-60  # powers of the pole below this change no level
_TRUNCATE = 4.0  # where the Gaussian ends, in standard deviations
_DOUBT = 1e-9  # so near to a whole level roundings decide; those of _estimate are below 1e-11
_STRIP = 8  # rows per step: few enough for the processor's cache
_POINTS = 4096  # likewise, of pixels computed one by one


class SplineTaps(NamedTuple):
    """The four coefficients that each target cell blends."""

    cell: NDArray[np.intp]  # (4, target)
    weight: NDArray[np.float64]  # (4, target)


def resize_cubic(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The picture (H, W, C) uint8 at (height, width, C), as MedSAM's own inference resizes it."""
    rows, columns, channels = picture.shape
    if (rows, columns) == (height, width):
        return picture
    grey = bool((picture == picture[:, :, :1]).all())
    distinct = 1 if grey else channels
    planes = [_coefficients(picture[:, :, c], height, width) for c in range(distinct)]
    down, across = spline_taps(rows, height), spline_taps(columns, width)
    low, high = int(picture.min()), int(picture.max())
    result = np.empty((height, width, channels), np.uint8)
    doubtful = np.zeros((height, width), np.bool_)
    for channel, plane in enumerate(planes):
        target = result if grey else result[:, :, channel : channel + 1]
        _estimate(plane, down, across, low, high, target, doubtful)
    every_y, every_x = np.nonzero(doubtful)
    for start in range(0, len(every_y), _POINTS):
        y, x = every_y[start : start + _POINTS], every_x[start : start + _POINTS]
        values = _exact(planes, down, across, y, x, channels)
        result[y, x] = np.clip(values, low, high).astype(np.uint8).T
    return result


def _coefficients(plane: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """The spline's coefficients of one channel (H, W), turned: (W, H)."""
    smooth = _smooth(plane, gaussian(plane.shape[0] / height), gaussian(plane.shape[1] / width))
    _prefilter(smooth)
    turned = np.ascontiguousarray(smooth.T)
    _prefilter(turned)
    return turned


def gaussian(factor: float) -> NDArray[np.float64]:
    """Weights (2 radius + 1,) that an axis is smoothed with before it shrinks by a factor."""
    sigma = max(0.0, (factor - 1) / 2)
    radius = int(_TRUNCATE * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    normal: NDArray[np.float64] = weights / weights.sum()
    return normal


def _smooth(
    plane: NDArray[np.uint8], down: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The plane (H, W) correlated with one kernel along each axis."""
    rows, columns = plane.shape
    above, left = len(down) // 2, len(across) // 2
    mirrored = _mirrored(np.arange(-left, columns + left), columns)
    smooth = np.empty((rows, columns))
    for start in range(0, rows, _STRIP):
        stop = min(start + _STRIP, rows)
        near = plane[_mirrored(np.arange(start - above, stop + above), rows)]
        strip = _correlate(near.astype(np.float64), down)
        smooth[start:stop] = _correlate(strip[:, mirrored].T, across).T
    return smooth


def _correlate(lines: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the first axis, without its ends; from the outermost pair of weights inwards."""
    radius = len(weights) // 2
    count = len(lines) - 2 * radius
    total: NDArray[np.float64] = lines[radius : radius + count] * weights[radius]
    for tap in range(radius):
        far = len(weights) - 1 - tap
        total += (lines[tap : tap + count] + lines[far : far + count]) * weights[tap]
    return total


def _mirrored(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Positions before and after an axis, thrown back at its first and last cell."""
    if size == 1:
        return np.zeros_like(index)
    last = size - 1
    mirrored: NDArray[np.intp] = last - np.abs(last - index % (2 * last))
    return mirrored


def _prefilter(lines: NDArray[np.float64]) -> None:
    """Samples to cubic B-spline coefficients, along the first axis, in place."""
    size = len(lines)
    if size == 1:
        return
    lines *= (1.0 - POLE) * (1.0 - 1.0 / POLE)
    across_all: float = POLE ** (size - 1)
    lines[0] += across_all * lines[-1]
    power = POLE
    for i in range(1, size - 1):
        lines[0] += power * (lines[i] + across_all * lines[size - 1 - i])
        power *= POLE
        if abs(power) < _FADED:
            break
    lines[0] /= 1 - across_all * across_all
    share = np.empty_like(lines[0])
    for i in range(1, size):
        np.multiply(lines[i - 1], POLE, out=share)
        lines[i] += share
    lines[-1] = (POLE * lines[-2] + lines[-1]) * POLE / (POLE * POLE - 1)
    for i in range(size - 2, -1, -1):
        np.subtract(lines[i + 1], lines[i], out=lines[i])
        lines[i] *= POLE


def spline_taps(source: int, target: int) -> SplineTaps:
    """Where cells of the target lie among those of the source, both as wide as the axis."""
    position = (np.arange(target) + 0.5) * (source / target) - 0.5
    position = np.abs(position) if source > 1 else np.zeros(target)
    near = np.floor(position)
    cell = _mirrored(near.astype(np.intp) + np.arange(-1, 3)[:, None], source)
    y = position - near
    z = 1.0 - y
    first = z * z * z / 6.0
    second = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0
    third = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0
    return SplineTaps(cell, np.stack([first, second, third, 1.0 - first - second - third]))


def _estimate(
    plane: NDArray[np.float64],
    down: SplineTaps,
    across: SplineTaps,
    low: int,
    high: int,
    result: NDArray[np.uint8],
    doubtful: NDArray[np.bool_],
) -> None:
    """Fills ``result`` (height, width, 1 or C) and marks where roundings decide about a level."""
    wide = np.empty((across.cell.shape[1], plane.shape[1]))
    for strip in _strips(len(wide)):
        wide[strip] = _blend(plane, across, strip)
    wide = np.ascontiguousarray(wide.T)
    for strip in _strips(len(result)):
        values = _blend(wide, down, strip)
        level = np.rint(values)
        near = np.abs(values - level) < _DOUBT
        doubtful[strip] |= near & (level > low) & (level <= high)
        result[strip] = np.clip(values, low, high).astype(np.uint8)[:, :, None]


def _strips(size: int) -> Iterator[slice]:
    return (slice(start, min(start + _STRIP, size)) for start in range(0, size, _STRIP))


def _blend(lines: NDArray[np.float64], taps: SplineTaps, strip: slice) -> NDArray[np.float64]:
    """Some target cells along the first axis."""
    first, second, third, fourth = (
        lines[cell] * weight[:, None]
        for cell, weight in zip(taps.cell[:, strip], taps.weight[:, strip], strict=True)
    )
    total: NDArray[np.float64] = first + second + third + fourth
    return total


def _exact(
    planes: list[NDArray[np.float64]],
    down: SplineTaps,
    across: SplineTaps,
    y: NDArray[np.intp],
    x: NDArray[np.intp],
    channels: int,
) -> NDArray[np.float64]:
    """The spline at pixels (n,) and (n,) of the result, as scipy sums it up: (channels, n)."""
    through = spline_taps(channels, channels)
    stride = planes[0].shape[1]
    total = np.zeros((channels, len(y)))
    coefficients, part = np.empty_like(total), np.empty_like(total)
    for index_y, weight_y in zip(down.cell[:, y], down.weight[:, y], strict=True):
        for index_x, weight_x in zip(across.cell[:, x] * stride, across.weight[:, x], strict=True):
            for channel, plane in enumerate(planes):
                plane.ravel().take(index_x + index_y, out=coefficients[channel], mode="clip")
            coefficients[len(planes) :] = coefficients[0]
            _prefilter(coefficients)
            coefficients *= weight_y
            coefficients *= weight_x
            for cell, weight in zip(through.cell, through.weight[:, 0], strict=True):
                np.multiply(coefficients, weight, out=part)
                for channel in range(channels):
                    total[channel] += part[cell[channel]]
    return total
