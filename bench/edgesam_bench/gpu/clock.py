"""How much time is left, and which stage may use how much of it. Knows no stage's work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Clock = Callable[[], float]
"""Seconds from anywhere, as ``time.perf_counter`` counts them."""

_GRACE = 1.05  # of all the time there is: something is always under way at its end
_OTHERS = 1 / 3  # of what later stages have, a stage that overruns may take


@dataclass(frozen=True)
class Deadline:
    """Until when something may go on.

    Attributes:
        at: from then on nothing is begun that can be left out.
        clock: tells the time.
        end: from then on nothing is begun; None: it is ``at``.
    """

    at: float
    clock: Clock
    end: float | None = None

    def left(self) -> float:
        """Seconds; none if it has passed."""
        return max(0.0, self.at - self.clock())

    def most(self) -> float:
        """Seconds until its end."""
        return max(0.0, self._end - self.clock())

    def passed(self) -> bool:
        return self.clock() >= self.at

    def over(self) -> bool:
        return self.clock() >= self._end

    def part(self, share: float) -> Deadline:
        """Of what is left so much; the end is the same."""
        now = self.clock()
        return Deadline(now + share * max(0.0, self.at - now), self.clock, self._end)

    @property
    def _end(self) -> float:
        return self.at if self.end is None else self.end


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
        self._end, self._last = self._begin + seconds, self._begin + _GRACE * seconds

    def spent(self) -> float:
        """Seconds since it was made."""
        return self._clock() - self._begin

    def stage(self, name: str) -> Deadline:
        """The deadline of a stage that begins now; its share is given out once."""
        now, waiting = self._clock(), sum(self._shares.values())
        left = max(0.0, self._end - now)
        own = left * self._shares.pop(name) / waiting
        end = self._last if not self._shares else now + own + _OTHERS * (left - own)
        return Deadline(now + own, self._clock, end)
