"""Numbers to places along a line, evenly, and the marks beside it. Knows no unit and no picture."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Ruler:
    """A linear scale.

    Attributes:
        low: value at ``start``.
        high: value at ``end``, larger than ``low``.
        start: place of the lowest value.
        end: place of the highest.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def marks(self, most: int) -> list[float]:
        """Round values between the ends, at most so many and one more."""
        rough = (self.high - self.low) / max(1, most)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]
