"""The boxes that all contenders are asked with: another one every time. Knows no contender."""

from __future__ import annotations

Box = tuple[float, float, float, float]

_STEPS = 16  # after so many the boxes repeat: by then no cache of a contender could help


def box(number: int, width: int, height: int) -> Box:
    """The n-th box x0, y0, x1, y1 in pixels of a picture of that size; always inside it."""
    x, y = number % _STEPS, number // _STEPS % _STEPS
    left, top = 0.18 + 0.006 * x, 0.22 + 0.006 * y
    return left * width, top * height, (left + 0.4) * width, (top + 0.37) * height
