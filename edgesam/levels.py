"""What decides how grey values become 8-bit levels; knows no file and no picture class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import ImageError
from edgesam.presets import PRESETS
from edgesam.window import Window

Rule = Callable[[NDArray[Any]], NDArray[np.uint8]]
"""Pixels of any shape -> their levels in that shape, or in red, green and blue along a last axis.

Each by itself: what a pixel becomes does not hang on the others.
"""


class Levels(Protocol):
    """What :meth:`edgesam.Image.to_rgb8` can be told to show.

    :class:`Window`, :class:`Percentiles` and :class:`Windows` are such, and :func:`parse_levels`
    makes them of a word.
    """

    def rule(self, pixels: NDArray[Any]) -> tuple[Rule, str]:
        """What makes levels of a picture's pixels, and the words for it.

        Args:
            pixels: of the picture (H, W), integers or floats; the rule may be found from them.
        """


@dataclass(frozen=True)
class Percentiles:
    """Linear from one percentile of a picture's pixels to another, clipped there.

    MedSAM's rule for everything but CT is ``Percentiles(above=0)``; it takes the percentiles of
    the whole volume, this one those of the picture that is shown.

    Attributes:
        low: the percentile that becomes black, 0 to 100.
        high: the percentile that becomes white, above ``low``.
        above: only pixels above this value are counted, None for all; the others are mapped by
            the same line.
    """

    low: float = 0.5
    high: float = 99.5
    above: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise ImageError(
                f"percentiles {self.low:g}..{self.high:g}: the first must be below the second, "
                "both 0 to 100"
            )
        if self.above is not None and not np.isfinite(self.above):
            raise ImageError(f"{self}: the value must be finite")

    def rule(self, pixels: NDArray[Any]) -> tuple[Rule, str]:
        """The line from one percentile of these pixels to the other, and the words for it.

        Where the two coincide, from the smallest to the largest value of all pixels; a constant
        picture becomes 0, and so does one with no pixel above :attr:`above`.
        """
        counted = pixels if self.above is None else pixels[pixels > self.above]
        if counted.size == 0:
            return _black, f"no pixel above {self.above:g}, all as 0"
        low, high = (float(value) for value in np.percentile(counted, (self.low, self.high)))
        mapping = f"{self} = {low:g}..{high:g}"
        if low == high:
            low, high = float(pixels.min()), float(pixels.max())
            mapping = f"range {low:g}..{high:g}"
        if low == high:
            return _black, f"constant {low:g} as 0"
        return Window((low + high) / 2, high - low, "linear_exact").apply, mapping

    def __str__(self) -> str:
        counted = "" if self.above is None else f" of pixels above {self.above:g}"
        return f"percentiles {self.low:g}..{self.high:g}{counted}"


@dataclass(frozen=True)
class Windows:
    """Three windows of one grey picture as its red, green and blue.

    A model that was trained on colour pictures then sees, of a CT, soft tissue, lung and bone at
    once. Models of this package were trained on grey CT: measure before you rely on it.
    """

    red: Window
    green: Window
    blue: Window

    def rule(self, pixels: NDArray[Any]) -> tuple[Rule, str]:  # noqa: ARG002
        """Each window's levels side by side, and the words for it."""
        windows = (self.red, self.green, self.blue)
        return lambda values: np.stack([w.apply(values) for w in windows], axis=-1), str(self)

    def __str__(self) -> str:
        windows = (self.red, self.green, self.blue)
        numbers = ", ".join(str(window).removeprefix("window ") for window in windows)
        return f"windows {numbers} as RGB"


#: Rules by name, beside the windows of :data:`edgesam.presets.PRESETS`.
RULES: dict[str, Percentiles] = {"mr": Percentiles(above=0), "percentiles": Percentiles()}


def parse_levels(text: str) -> Levels:
    """Levels from a command line's word.

    Args:
        text: ``40,400`` (level, width) or a preset's name; ``mr``, the percentiles 0.5 to 99.5 of
            pixels above 0; ``percentiles`` or ``percentiles:1,99``; or three windows as red,
            green and blue, ``soft-tissue+lung+bone``.

    Raises:
        ImageError: it is none of them, or its numbers cannot be used.
    """
    word = text.strip().lower()
    if word in RULES:
        return RULES[word]
    rule, colon, numbers = word.partition(":")
    if rule == "percentiles" and colon:
        return _percentiles(text, numbers)
    parts = text.split("+")
    if len(parts) == 3 and all(part.strip() for part in parts):
        red, green, blue = map(Window.parse, parts)
        return Windows(red, green, blue)
    if len(parts) > 1 and "," not in text:
        raise ImageError(f"{text!r}: three windows make red, green and blue, as lung+liver+bone")
    try:
        return Window.parse(text)
    except ImageError:
        if "," in text or word in PRESETS:
            raise
        raise ImageError(
            f"no grey levels {text!r}; there are: {', '.join((*PRESETS, *RULES))}, or give "
            "LEVEL,WIDTH, percentiles:LOW,HIGH or three windows as lung+liver+bone"
        ) from None


def _black(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return np.zeros(pixels.shape, np.uint8)


def _percentiles(text: str, numbers: str) -> Percentiles:
    low, _, high = numbers.partition(",")
    try:
        return Percentiles(float(low), float(high))
    except ValueError:
        raise ImageError(f"{text!r} is not percentiles:LOW,HIGH (two numbers)") from None
