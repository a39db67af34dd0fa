"""From low-resolution logits to finished masks, as the CUDA kernel ``finish`` does it, in NumPy.

Every float is made by the same operations in the same order, each rounded by itself, so that both
give the same bits: each low row's columns first (tap after tap), then the rows. ``bilinear`` is the
faster way on a CPU; its sums have another order, so that a pixel may differ whose logit is within
float rounding of the threshold. Knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.finished import Finished
from edgesam_kernels.interpolation import AxisTaps, axis_taps

_STRIP = 32  # output rows per step: few floats are alive beside the bits

# e^r - 1 - r over r^2, for r of at most ln(2) / 2: its Taylor series, the last term first.
_SERIES = tuple(np.float32(1 / n) for n in (5040, 720, 120, 24, 6, 2))
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)  # their sum is ln(2)
_LOG2_E = np.float32(1.44269504)
_ONE = np.float32(30)  # tanh of half of this is 1 in float32


@dataclass(frozen=True)
class MaskFrame:
    """How low-resolution logits become masks of a picture.

    Attributes:
        square: side that the logits (L, L) are first resized to.
        crop: rows and columns of the square that hold the picture; the rest is padding.
        size: rows and columns of the picture.
        probabilities: whether probabilities are resized instead of logits (as ``tanh(x / 2)``,
            which is twice the probability less one); they go straight to the size where the square
            and the crop are L.
    """

    square: int
    crop: tuple[int, int]
    size: tuple[int, int]
    probabilities: bool = False

    def taps(self, low: int) -> tuple[AxisTaps, AxisTaps]:
        """Of rows and of columns, for logits (low, low): as many of the one as of the other."""
        axes = [(low, self.square, self.crop[i], self.size[i]) for i in (0, 1)]
        most = max(len(axis_taps(*axis).weight) for axis in axes)
        return axis_taps(*axes[0], most), axis_taps(*axes[1], most)

    def threshold(self, offset: float) -> np.float32:
        """What a logit of ``offset`` is in the values that are resized."""
        value = np.full(1, offset, np.float32)
        resized: np.float32 = (squash(value) if self.probabilities else value)[0]
        return resized


def finish(logits: NDArray[np.float32], frame: MaskFrame, offset: float = 1.0) -> Finished:
    """Masks where the resized logits are above zero, and what can be counted meanwhile.

    Args:
        logits: (N, L, L) float32.
        frame: what becomes of them.
        offset: of the logits' threshold, up and down, for ``above`` and ``below``:
            segment-anything's ``stability_score_offset``.
    """
    masks = np.empty((len(logits), *frame.size), np.bool_)
    above, below = np.zeros((2, len(logits)), np.int32)
    threshold = frame.threshold(offset)
    with np.errstate(invalid="ignore"):  # what is no number is in no mask
        for i, low in enumerate(logits):
            for rows, values in _resized(squash(low) if frame.probabilities else low, frame):
                np.greater(values, 0, out=masks[i, rows])
                above[i] += np.count_nonzero(values > threshold)
                below[i] += np.count_nonzero(values > -threshold)
    area = np.count_nonzero(masks, axis=(1, 2)).astype(np.int32)
    boxes = np.array([_box(mask) for mask in masks], np.int32).reshape(-1, 4)
    return Finished(frame.size, np.packbits(masks, axis=-1), area, boxes, above, below)


def squash(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """``tanh(x / 2)`` within 2e-7, by sums and products alone; what is no number stays none."""
    size = np.fmin(np.abs(x), _ONE)
    power = np.rint(size * _LOG2_E)
    rest = size - power * _LN2_HIGH - power * _LN2_LOW
    series = np.full_like(x, _SERIES[0])
    for term in _SERIES[1:]:
        series = series * rest + term
    grown = np.ldexp(np.float32(1), power.astype(np.int32))
    less_one = grown * (rest + rest * rest * series) + (grown - 1)  # e^size - 1
    result = np.copysign(less_one / (less_one + 2), x)
    return np.where(np.isnan(x), x, result)


def _resized(
    low: NDArray[np.float32], frame: MaskFrame
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The values at the picture's size, some rows at a time: (n, columns) float32."""
    down, across = frame.taps(low.shape[0])
    wide = np.ascontiguousarray(_blend(np.ascontiguousarray(low.T), across).T)
    for start in range(0, frame.size[0], _STRIP):
        rows = slice(start, start + _STRIP)
        yield rows, _blend(wide, AxisTaps(down.first[rows], down.weight[:, rows]))


def _blend(source: NDArray[np.float32], taps: AxisTaps) -> NDArray[np.float32]:
    """Rows of the source (low, n) blended to (target, n)."""
    result: NDArray[np.float32] = source[taps.first] * taps.weight[0][:, None]
    for tap in range(1, len(taps.weight)):
        result += source[taps.first + tap] * taps.weight[tap][:, None]
    return result


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return 0, 0, -1, -1
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
