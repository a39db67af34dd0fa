"""Pictures from a seed, the same bytes everywhere. Knows no model and no file.

Blurred ellipses and noise, by whole-number arithmetic on PCG64's raw stream (which numpy
guarantees) alone: nothing is rounded, so nothing can differ between machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ELLIPSES = 5
_NOISE = 16  # grey levels
LOGITS_SIDE = 256


@dataclass(frozen=True)
class Ellipse:
    """Whole pixels: its middle and its half axes."""

    x: int
    y: int
    half_width: int
    half_height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The tight box x0, y0, x1, y1."""
        return (
            self.x - self.half_width,
            self.y - self.half_height,
            self.x + self.half_width,
            self.y + self.half_height,
        )

    def depth(self, height: int, width: int) -> NDArray[np.int64]:
        """(height, width): 0 on its line, positive inside, ``scale`` in its middle."""
        y = np.arange(height, dtype=np.int64)[:, None]  # squares outgrow Windows' 32-bit default
        x = np.arange(width, dtype=np.int64)
        across = ((x - self.x) * self.half_height) ** 2
        along = ((y - self.y) * self.half_width) ** 2
        depth: NDArray[np.int64] = self.scale - across - along
        return depth

    @property
    def scale(self) -> int:
        return (self.half_width * self.half_height) ** 2


@dataclass(frozen=True, eq=False)
class Phantom:
    """A picture and what is drawn in it.

    Attributes:
        pixels: (H, W, 3) uint8.
        ellipses: the last ones lie on top.
    """

    pixels: NDArray[np.uint8]
    ellipses: tuple[Ellipse, ...]

    def logits(self, number: int) -> NDArray[np.float32]:
        """(256, 256) logits such as a decoder could have made of an ellipse, in SAM's frame."""
        long_side = max(self.pixels.shape[:2])
        x, y, half_width, half_height = (
            value * LOGITS_SIDE // long_side
            for value in (
                self.ellipses[number].x,
                self.ellipses[number].y,
                self.ellipses[number].half_width,
                self.ellipses[number].half_height,
            )
        )
        small = Ellipse(x, y, max(half_width, 1), max(half_height, 1))
        depth = small.depth(LOGITS_SIDE, LOGITS_SIDE) * 16 // small.scale
        return np.clip(depth, -16, 16).astype(np.float32)


def draw(height: int, width: int, *, colour: bool, seed: int) -> Phantom:
    """The phantom of that size and seed.

    Args:
        height: at least 32, in pixels.
        width: at least 32, in pixels.
        colour: each channel has levels of its own; otherwise all three are the same.
        seed: at least 0.
    """
    stream = np.random.PCG64(seed)
    ellipses = tuple(_ellipse(stream, height, width) for _ in range(_ELLIPSES))
    canvas = np.zeros((height, width, 3), np.int64)
    canvas += _levels(stream, colour)
    for ellipse in ellipses:
        canvas[ellipse.depth(height, width) > 0] = _levels(stream, colour)
    for axis in (0, 1, 0, 1):
        canvas = _blur(canvas, axis)
    noise = _whole(stream, height * width, 2 * _NOISE + 1).reshape(height, width, 1) - _NOISE
    return Phantom(np.clip(canvas + noise, 0, 255).astype(np.uint8), ellipses)


def _ellipse(stream: np.random.PCG64, height: int, width: int) -> Ellipse:
    x, y, half_width, half_height = _whole(stream, 4, 1 << 16)
    return Ellipse(
        x=width // 4 + int(x) * (width // 2) // (1 << 16),
        y=height // 4 + int(y) * (height // 2) // (1 << 16),
        half_width=width // 16 + int(half_width) * (width // 6) // (1 << 16),
        half_height=height // 16 + int(half_height) * (height // 6) // (1 << 16),
    )


def _levels(stream: np.random.PCG64, colour: bool) -> NDArray[np.int64]:
    """(3,) grey levels that leave room for the noise."""
    levels = _NOISE + _whole(stream, 3, 256 - 2 * _NOISE)
    return levels if colour else np.repeat(levels[:1], 3)


def _whole(stream: np.random.PCG64, count: int, below: int) -> NDArray[np.int64]:
    """Whole numbers from 0 to below what is said."""
    raw: NDArray[Any] = np.asarray(stream.random_raw(count), dtype=np.uint64)
    whole: NDArray[np.int64] = (raw >> np.uint64(32)).astype(np.int64) * below >> 32
    return whole


def _blur(canvas: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
    """Means of three neighbours, cut to whole numbers; the border repeats itself."""
    padding = [(1, 1) if a == axis else (0, 0) for a in range(canvas.ndim)]
    padded = np.pad(canvas, padding, mode="edge")
    size = canvas.shape[axis]
    before, here, after = (np.take(padded, range(i, i + size), axis=axis) for i in range(3))
    blurred: NDArray[np.int64] = (before + here + after) // 3
    return blurred
