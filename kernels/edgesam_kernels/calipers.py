"""The longest diameter of a mask and the one across it, in pure NumPy; knows only numbers.

RECIST 1.1 (Eisenhauer et al., European Journal of Cancer 45, 2009, 228-247) measures a lesion by
its longest diameter in the plane, a lymph node by its short axis, the longest diameter at right
angles to that one. Both are taken here from the mask's convex hull, as callipers on a print would
be: a notch of one pixel, or a hole, then changes nothing. The price is that callipers bridge: of a
crescent or a horseshoe both diameters may run outside the lesion, and of a mask in several parts
from one part to another, which a reader would measure one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-9  # diameters that differ by less, as a part of themselves, are equally long


class Diameters(NamedTuple):
    """Two diameters at right angles, in the basis' unit; both 0 for an empty mask."""

    longest: float
    perpendicular: float


def diameters(mask: NDArray[np.bool_], basis: NDArray[np.float64]) -> Diameters:
    """The longest diameter of a mask and the longest chord of its hull across that.

    A diameter runs between the midpoints of pixels' edges: one pixel is as wide as a pixel. Where
    several diameters are longest, the one with the longest chord across it counts, so that
    turning or flipping a mask changes nothing.

    Args:
        mask: (H, W) bool.
        basis: (2, 2); its columns are what one pixel to the right and one pixel down are in
            millimetres: ``[[0.8, 0], [0, 1.5]]`` for pixels 0.8 mm wide and 1.5 mm high.
    """
    corners = _hull(_edge_midpoints(mask))
    if len(corners) == 0:
        return Diameters(0.0, 0.0)
    points = corners @ basis.T / 2
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    longest = apart.max()
    ends = np.argwhere(np.triu(apart) >= longest * (1 - _TIE))
    across = max(_longest_chord(points, int(first), int(last)) for first, last in ends)
    return Diameters(float(longest), across)


def _edge_midpoints(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N, 2) twice the x, y of the outermost edges' midpoints of each row and column.

    All other edges lie between these.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    left = mask[rows].argmax(axis=1)
    right = width - 1 - mask[rows, ::-1].argmax(axis=1)
    top = mask[:, columns].argmax(axis=0)
    bottom = height - 1 - mask[::-1, columns].argmax(axis=0)
    sides = [(2 * left - 1, 2 * rows), (2 * right + 1, 2 * rows)]
    ends = [(2 * columns, 2 * top - 1), (2 * columns, 2 * bottom + 1)]
    return np.concatenate([np.stack(side, axis=1) for side in (*sides, *ends)])


def _hull(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, 2) the convex hull's corners in order, by Andrew's monotone chain (1979)."""
    ordered: list[tuple[int, int]] = sorted({(int(x), int(y)) for x, y in points})
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return np.array(lower[:-1] + upper[:-1], np.int64).reshape(-1, 2)


def _chain(ordered: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The corners from the first point to the last that turn one way only."""
    chain: list[tuple[int, int]] = []
    for x, y in ordered:
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2:]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain


def _longest_chord(points: NDArray[np.float64], first: int, last: int) -> float:
    """The hull's longest chord at right angles to the diameter between two of its corners.

    The chord's length along the diameter is concave and bends at corners only: one of them ends it.
    """
    axis = (points[last] - points[first]) / np.hypot(*(points[last] - points[first]))
    x, y = (points - points[first]).T
    along, aside = x * axis[0] + y * axis[1], y * axis[0] - x * axis[1]
    there = np.arange(first, last + 1)
    back = np.arange(first + len(points), last - 1, -1) % len(points)
    chords = np.interp(along, along[there], aside[there]) - np.interp(
        along, along[back], aside[back]
    )
    return float(np.abs(chords).max())
