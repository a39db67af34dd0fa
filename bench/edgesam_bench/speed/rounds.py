"""Asks all contenders in turn, round by round, and keeps what they needed. Knows no model.

Every question goes to each of them before the next one is asked, in turned order in every other
round, so that a machine that grows slow meanwhile does so for all of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from edgesam.errors import ParityError
from edgesam_bench.speed.contender import EDGESAM, Asked

_SETTLE = 0.05  # seconds after an answer, in which the threads of a pool may spin
_BATCHES = (16, 64)
_WARM_CLICKS = 3


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: of everything but everything mode.
        clicks: in each round.
        grid: points per side in everything mode; None leaves it out.
        grid_rounds: how many rounds have everything mode.
    """

    rounds: int
    clicks: int
    grid: int | None
    grid_rounds: int


@dataclass
class Found:
    """What the contenders needed.

    Attributes:
        samples: measure -> contender -> for each round its samples, in seconds or MiB.
        stages: stage of edgesam -> its samples, in seconds.
        idle: contender -> the largest share of a core that it took while others were asked.
        objects: contender -> how many objects everything mode found.
        failed: peer -> why it gave up; it has no samples.
    """

    samples: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, measure: str, contender: str, values: list[float]) -> None:
        """One round's."""
        self.samples.setdefault(measure, {}).setdefault(contender, []).append(values)

    def drop(self, contender: str, reason: str) -> None:
        """A peer that failed: half a run is nothing to compare with."""
        self.failed[contender] = reason
        for samples in self.samples.values():
            samples.pop(contender, None)
        self.idle.pop(contender, None)
        self.objects.pop(contender, None)


Step = tuple[str, Callable[[Found, Asked], None]]
"""What is done of everybody before the next step, and how it is called."""


def measure(
    contenders: Sequence[Asked],
    plan: Plan,
    progress: Callable[[str], None],
    generators: Sequence[str] = (EDGESAM,),
) -> Found:
    """All rounds.

    Args:
        contenders: loaded; edgesam is among them.
        plan: how much.
        progress: told what is asked.
        generators: names of those that have everything mode.

    Raises:
        ParityError: edgesam failed. A peer that does is left out from then on.
    """
    found = Found()
    _step(found, contenders, ("warming up", _warm), progress)
    for number in range(plan.rounds):
        order = contenders if number % 2 == 0 else contenders[::-1]
        for name, step in _round(plan, number):
            those = [c for c in order if name != "everything" or c.name in generators]
            told = f"round {number + 1} of {plan.rounds}, {name}"
            _step(found, those, (told, step), progress)
    return found


def _step(
    found: Found, contenders: Sequence[Asked], step: Step, progress: Callable[[str], None]
) -> None:
    told, function = step
    for contender in contenders:
        if contender.name in found.failed:
            continue
        progress(f"{told}: {contender.name}")
        try:
            function(found, contender)
        except ParityError as error:
            if contender.name == EDGESAM:
                raise
            found.drop(contender.name, f"failed: {error}")
        time.sleep(_SETTLE)


def _warm(_: Found, contender: Asked) -> None:
    contender.once({})
    contender.ask("encode")
    contender.ask("click", count=_WARM_CLICKS)
    contender.ask("batch", size=_BATCHES[0])


def _round(plan: Plan, number: int) -> Iterator[Step]:
    """The steps of one round, by the names of measures."""
    first = _WARM_CLICKS + number * plan.clicks
    yield _question("encode", "encode")
    yield _question("first_click", "first_click", number=first)
    yield _question("click", "click", number=first, count=plan.clicks)
    for size in _BATCHES:
        yield _question(f"batch_{size}", "batch", number=first, size=size)
    if plan.grid is not None and number < plan.grid_rounds:
        yield _question("everything", "everything", side=plan.grid)
    yield "start", _start
    yield "stages", partial(_stages, plan.clicks, first)


def _question(measure: str, what: str, **more: int) -> Step:
    """The step that asks it and keeps the answer's seconds."""

    def ask(found: Found, contender: Asked) -> None:
        answer = contender.ask(what, **more)
        seconds = answer["seconds"]
        found.add(measure, contender.name, seconds if isinstance(seconds, list) else [seconds])
        if answer["idle"] is not None:
            found.idle[contender.name] = max(answer["idle"], found.idle.get(contender.name, 0.0))
        if "found" in answer:
            found.objects[contender.name] = answer["found"]

    return measure, ask


def _start(found: Found, contender: Asked) -> None:
    """Fresh processes; edgesam's also with a home that is empty."""
    once = contender.once({})
    found.add("start", contender.name, [once["start"]])
    if once["peak_mib"] is not None:
        found.add("memory", contender.name, [once["peak_mib"]])
    if contender.name == EDGESAM:
        with tempfile.TemporaryDirectory(prefix="edgesam-", ignore_cleanup_errors=True) as home:
            first = contender.once({"EDGESAM_HOME": home})
        found.add("first_start", contender.name, [first["start"]])


def _stages(clicks: int, first: int, found: Found, contender: Asked) -> None:
    """Of edgesam alone."""
    if contender.name != EDGESAM:
        return
    stages = contender.ask("stages", number=first, count=clicks)["seconds"]
    for stage, seconds in stages.items():
        found.stages.setdefault(stage, []).extend(seconds)
