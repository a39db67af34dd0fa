"""Asks all contenders in turn, round by round, and keeps what they needed. Knows no model.

Every question goes to each of them before the next one is asked, in turned order in every other
round, so that a machine that grows slow meanwhile does so for all of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgesam_bench.speed.contender import EDGESAM, Asked

_SETTLE = 0.05  # seconds after an answer, in which the threads of a pool may spin
_BATCHES = (16, 64)


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
    """

    samples: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=dict)
    idle: dict[str, float] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)

    def add(self, measure: str, contender: str, values: list[float]) -> None:
        """One round's."""
        self.samples.setdefault(measure, {}).setdefault(contender, []).append(values)


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
    """
    found = Found()
    for contender in contenders:
        progress(f"warming up {contender.name}")
        contender.once({})
        contender.ask("encode")
        contender.ask("click", count=3)
        contender.ask("batch", size=_BATCHES[0])
    for number in range(plan.rounds):
        order = list(contenders) if number % 2 == 0 else list(reversed(contenders))
        for name, question in _questions(plan, number):
            for contender in order:
                if name == "everything" and contender.name not in generators:
                    continue
                progress(f"round {number + 1} of {plan.rounds}: {contender.name}, {name}")
                _ask(found, contender, name, question)
                time.sleep(_SETTLE)
        for contender in order:
            progress(f"round {number + 1} of {plan.rounds}: {contender.name}, start")
            _start(found, contender)
            if contender.name == EDGESAM:
                _stages(found, contender, plan.clicks, number)
    return found


def _questions(plan: Plan, number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure and question, for one round."""
    first = 3 + number * plan.clicks
    yield "encode", {"what": "encode"}
    yield "first_click", {"what": "first_click", "number": first}
    yield "click", {"what": "click", "number": first, "count": plan.clicks}
    for size in _BATCHES:
        yield f"batch_{size}", {"what": "batch", "number": first, "size": size}
    if plan.grid is not None and number < plan.grid_rounds:
        yield "everything", {"what": "everything", "side": plan.grid}


def _ask(found: Found, contender: Asked, name: str, question: dict[str, Any]) -> None:
    answer = contender.ask(**question)
    seconds = answer["seconds"]
    found.add(name, contender.name, seconds if isinstance(seconds, list) else [seconds])
    if answer["idle"] is not None:
        found.idle[contender.name] = max(answer["idle"], found.idle.get(contender.name, 0.0))
    if "found" in answer:
        found.objects[contender.name] = answer["found"]


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


def _stages(found: Found, contender: Asked, clicks: int, number: int) -> None:
    stages = contender.ask("stages", number=7 * number, count=clicks)["seconds"]
    for stage, seconds in stages.items():
        found.stages.setdefault(stage, []).extend(seconds)
