"""How much time is left, and which stage may use how much of it. Knows no stage's work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds from anywhere, as ``time.perf_counter`` counts them."""


@dataclass(frozen=True)
class Deadline:
    """Until when something may go on."""

    at: float
    clock: Clock

    def left(self) -> float:
        """Seconds; none if it has passed."""
        return max(0.0, self.at - self.clock())

    def passed(self) -> bool:
        return self.clock() >= self.at


class Budget:
    """All the time there is. What a stage leaves over goes to those after it.

    Args:
        seconds: for all stages.
        shares: stage -> its share, in the order in which they come; any unit.
        clock: tells the time.
    """

    def __init__(self, seconds: float, shares: Mapping[str, float], clock: Clock) -> None:
        self._shares, self._clock = dict(shares), clock
        self._begin = clock()
        self._end = self._begin + seconds

    def spent(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._begin

    def stage(self, name: str) -> Deadline:
        """The deadline of a stage that begins now; its share is given out once."""
        now, waiting = self._clock(), sum(self._shares.values())
        share = self._shares.pop(name) / waiting
        return Deadline(now + max(0.0, self._end - now) * share, self._clock)

    def drop(self, name: str) -> None:
        """A stage that does not begin: its share is the others'."""
        self._shares.pop(name, None)
