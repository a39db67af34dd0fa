"""What a person did at a viewer: recorded once, played on any series. Knows no model and no clock.

A place in the series is a share of its length, a way from there a number of slices, so that the
same recording fits a series of any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LEAST = 16  # pictures that a series must have

_PACE = 0.2  # seconds from slice to slice while somebody scrolls


@dataclass(frozen=True)
class Action:
    """One thing that was done.

    Attributes:
        after: seconds since the one before was done and answered.
        kind: ``open`` and ``jump`` go to ``to``; ``scroll`` goes by ``by``, slice after slice;
            ``click`` is on what is in view; ``jump-click`` clicks as soon as it is there.
        to: share of the series, 0 its first slice, 1 its last.
        by: slices, back if negative.
    """

    after: float
    kind: Literal["open", "jump", "scroll", "click", "jump-click"]
    to: float = 0.0
    by: int = 0


@dataclass(frozen=True)
class Step:
    """An action on a slice of a certain series.

    Attributes:
        after: seconds since the one before.
        kind: ``look``, ``click``, or ``jump``, which is both at once.
        index: the slice.
    """

    after: float
    kind: Literal["look", "click", "jump"]
    index: int


VIEWER: tuple[Action, ...] = (
    Action(0.0, "open", to=0.1),
    Action(1.4, "click"),
    Action(0.7, "scroll", by=1),
    Action(0.4, "click"),
    Action(0.7, "scroll", by=1),
    Action(0.4, "click"),
    Action(0.4, "scroll", by=3),
    Action(0.4, "click"),
    Action(0.8, "scroll", by=1),
    Action(0.4, "click"),
    Action(0.5, "jump-click", to=0.95),
    Action(1.2, "scroll", by=-1),
    Action(0.3, "click"),
    Action(0.8, "scroll", by=-1),
    Action(0.4, "click"),
    Action(0.4, "jump-click", to=0.2),
    Action(0.7, "scroll", by=1),
    Action(0.4, "click"),
)
"""Somebody reads a series: looks, clicks, goes on slice by slice, scrolls, jumps far, goes back."""


def steps(actions: Sequence[Action], count: int) -> list[Step]:
    """The same on a series of that many slices, at least :data:`LEAST`."""
    found: list[Step] = []
    here = 0
    for action in actions:
        if action.kind == "click":
            found.append(Step(action.after, "click", here))
        elif action.kind == "scroll":
            way = 1 if action.by > 0 else -1
            for number in range(abs(action.by)):
                here += way
                found.append(Step(_PACE if number else action.after, "look", here))
        else:
            here = round(action.to * (count - 1))
            found.append(Step(action.after, "jump" if "click" in action.kind else "look", here))
    return found
