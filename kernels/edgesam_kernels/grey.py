"""From pixels of any type to 8-bit grey levels by a table. Knows no window and no file.

A rule that makes levels of pixels one by one (a window, a lookup table, either inverted) is run
once over every value that a pixel can have. What then maps a picture, on whatever device, is a
table, and every rule is exact there. Integers of 8 and 16 bits have a level for each value. Floats
have too many values, but a rule that only ever rises (or only falls) has at most 255 steps: the
table says where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 255
TYPES = ("uint8", "int8", "uint16", "int16", "float32")
"""Pixels that a table can be made for, by NumPy's names."""

_SIGN = 0x80000000


@dataclass(frozen=True, eq=False)
class GreyTable:
    """Grey levels of pixels of one type.

    Attributes:
        dtype: of the pixels, one of :data:`TYPES`.
        entries: (1, N), or (3, N) if each of red, green and blue has a table of its own. For
            integers uint8, a level for each of the N = 256 or 65,536 bit patterns. For floats
            float32, N = 256: the least pixel of each level from 1 to 255, infinite where there is
            none; then 255 if levels fall while pixels rise (a level is then 255 less), else 0.
    """

    dtype: np.dtype[Any]
    entries: NDArray[Any]

    def levels(self, pixels: NDArray[Any]) -> NDArray[np.uint8]:
        """Pixels (H, W) or (H, W, 3) of the table's type -> (H, W, 3) uint8, C-contiguous.

        Raises:
            ValueError: they are of another type or shape.
        """
        grey = pixels.ndim == 2
        if not (grey or (pixels.ndim == 3 and pixels.shape[2] == 3)) or pixels.dtype != self.dtype:
            raise ValueError(
                f"pixels must be {self.dtype} and (height, width) or (height, width, 3); "
                f"found {pixels.dtype} and {pixels.shape}"
            )
        levels = np.empty((*pixels.shape[:2], 3), np.uint8)
        for channel in range(3):
            plane = pixels if grey else pixels[:, :, channel]
            levels[:, :, channel] = self._look_up(plane, self.entries[channel % len(self.entries)])
        return levels

    def _look_up(self, plane: NDArray[Any], table: NDArray[Any]) -> NDArray[np.uint8]:
        if self.dtype.kind == "f":
            steps = np.searchsorted(table[:STEPS], plane, side="right").astype(np.uint8)
            levels: NDArray[np.uint8] = steps ^ np.uint8(table[STEPS])
            return levels
        found: NDArray[np.uint8] = table[np.ascontiguousarray(plane).view(f"u{plane.itemsize}")]
        return found


def grey_table(dtype: np.dtype[Any] | str, render: Callable[[NDArray[Any]], Any]) -> GreyTable:
    """The table of a rule.

    Args:
        dtype: of the pixels, one of :data:`TYPES`.
        render: pixels (N,) of that type -> their levels (N,) uint8, or (N, 3) for three tables;
            a pixel's level must not depend on other pixels. For floats it must rise or fall all
            the way.

    Raises:
        ValueError: there is no table for such pixels.
    """
    dtype = np.dtype(dtype)
    if dtype.name not in TYPES:
        raise ValueError(f"no table of grey levels for {dtype} pixels; there is for {TYPES}")
    if dtype.kind == "f":
        return GreyTable(dtype, _steps(lambda x: _tables(render(x))))
    patterns = np.arange(1 << (8 * dtype.itemsize), dtype=f"u{dtype.itemsize}")
    return GreyTable(dtype, np.ascontiguousarray(_tables(render(patterns.view(dtype)))))


def as_stored(dtype: np.dtype[Any] | str = "uint8") -> GreyTable:
    """The table of 8-bit pixels that are levels already."""
    return grey_table(dtype, lambda pixels: pixels)


def _tables(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N,) or (N, 3) as (1, N) or (3, N)."""
    return levels[None] if levels.ndim == 1 else levels.T


def _steps(render: Callable[[NDArray[np.float32]], NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Where levels change, by halving the range of all floats until neighbours are left."""
    ends = np.array([-1, 1], np.float32) * np.finfo(np.float32).max
    at_ends = render(ends)
    falls = at_ends[:, :1] > at_ends[:, 1:]
    flip = np.where(falls, 255, 0).astype(np.uint8)
    wanted = np.arange(1, 256)
    tables = np.empty((len(at_ends), STEPS + 1), np.float32)
    for channel, table in enumerate(tables):
        below, reached = (np.full(STEPS, key) for key in _keys(ends))
        while (reached - below > 1).any():
            middle = (below + reached) // 2
            high = (render(_floats(middle))[channel] ^ flip[channel]) >= wanted
            reached, below = np.where(high, middle, reached), np.where(high, below, middle)
        first, last = at_ends[channel] ^ flip[channel]
        table[:STEPS] = _floats(reached)
        table[:STEPS][wanted <= first] = -np.inf
        table[:STEPS][wanted > last] = np.inf
        table[STEPS] = flip[channel, 0]
    return tables


def _keys(floats: NDArray[np.float32]) -> NDArray[np.int64]:
    """Whole numbers in the order of the floats."""
    bits = floats.view(np.uint32).astype(np.int64)
    return np.where(bits & _SIGN, _SIGN - 1 - (bits ^ _SIGN), bits + _SIGN)


def _floats(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    bits = np.where(keys < _SIGN, (_SIGN - 1 - keys) ^ _SIGN, keys - _SIGN)
    return bits.astype(np.uint32).view(np.float32)
