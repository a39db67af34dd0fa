"""Numbers to places along a line, and the marks beside it. Knows no unit and no picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgesam_bench.speed.ruler import Ruler

_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale.

    Attributes:
        low: value at ``start``.
        high: value at ``end``.
        start: place of the lowest value.
        end: place of the highest.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Iterable[float], start: float, end: float, least: float = 1.0) -> Axis:
        """One on which all of them lie, with a little room.

        Args:
            values: more than nothing each.
            start: place of the lowest.
            end: of the highest.
            least: by what the highest is at least the multiple of the lowest.
        """
        found = list(values)
        low, high = min(found), max(found)
        if high / low < least:
            middle = math.sqrt(low * high)
            low, high = middle / math.sqrt(least), middle * math.sqrt(least)
        room = (high / low) ** 0.05
        return cls(low / room, high * room, start, end)

    def at(self, value: float) -> float:
        """The place of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def marks(self, most: int) -> list[float]:
        """Round values, at most so many: of 1, 2, 5 or of 1 alone in each power of ten."""
        for steps in (_STEPS, (1, 3), (1,)):
            found = self._round(steps)
            if len(found) <= most:
                break
        every = math.ceil(len(found) / most) or 1
        found = found[::every]
        return found if len(found) > 1 else self._even()

    def _round(self, steps: tuple[int, ...]) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = (step * 10.0**power for power in powers for step in steps)
        return [value for value in values if self.low <= value <= self.high]

    def _even(self) -> list[float]:
        """Where less than a power of ten is seen: a few even steps."""
        return Ruler(self.low, self.high, self.start, self.end).marks(4)
