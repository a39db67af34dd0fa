"""Rows of contenders that are measured again, or fail at last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam.bundle import Bundle
from edgesam_bench.gpu.clock import Deadline
from edgesam_bench.gpu.contender import Contender
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.measures import MEASURES
from edgesam_bench.gpu.speed import Race, enter, in_turn
from edgesam_bench.gpu.tools import Tools, wait_for_nothing

from .conftest import Clock

TOOLS = Tools(None, "needs torch", wait_for_nothing, "a fake", None)


class Counting(Contender):
    """Does nothing, so many times."""

    precision, ours = "fp16", True

    def __init__(self, name: str, clicks: int = 10**9) -> None:
        self.name, self._clicks = name, clicks
        self.about: dict[str, Any] = {}

    def without(self) -> dict[str, str]:
        return {}

    def click(self, number: int) -> NDArray[np.bool_]:
        self._clicks -= 1
        if self._clicks < 0:
            raise RuntimeError("it broke")
        return np.zeros((1, 1), np.bool_)

    def nothing(self, *_: object) -> int:
        return 0

    embed = encode = encode_batch = batch = everything = serial = overlapped = nothing
    embedding = close = nothing  # type: ignore[assignment]


@pytest.fixture
def race(make_bundle: Callable[..., Bundle]) -> Callable[[], Race]:
    bundle = make_bundle()
    return lambda: Race("m", bundle, 2)


@pytest.fixture
def findings() -> Findings:
    return Findings(None, {}, lambda _: None)


def until(seconds: float) -> tuple[Deadline, Clock]:
    clock = Clock()
    return Deadline(clock.now + seconds, clock), clock


def measures(findings: Findings, contender: str) -> set[str]:
    rows = findings.content["speed"]
    assert all(row["model"] == "m" for row in rows)
    names = [row["measure"] for row in rows if row["contender"] == contender]
    assert len(names) == len(set(names))
    return set(names)


def test_what_is_not_measured_again_stays(race: Callable[[], Race], findings: Findings) -> None:
    deadline, clock = until(1e9)
    enter(race(), Counting("x"), findings, TOOLS, deadline, clock)
    assert measures(findings, "x") == set(MEASURES)
    deadline, clock = until(0.01)  # of a second attempt
    again = race()
    enter(again, Counting("x"), findings, TOOLS, deadline, clock)
    in_turn(again, 3, findings, TOOLS, deadline, clock)
    assert measures(findings, "x") == set(MEASURES)


def test_who_fails_at_last_has_no_such_figure(race: Callable[[], Race], findings: Findings) -> None:
    deadline, clock = until(1e9)
    one, count = race(), MEASURES["click"].count
    enter(one, Counting("good"), findings, TOOLS, deadline, clock)
    enter(one, Counting("bad", clicks=3 + count + 5), findings, TOOLS, deadline, clock)
    assert "click" in measures(findings, "bad")
    in_turn(one, 2, findings, TOOLS, deadline, clock)
    assert measures(findings, "bad") == set(MEASURES) - {"click"}
    assert measures(findings, "good") == set(MEASURES)
    (why,) = [o for o in findings.content["not_measured"] if o["what"] == "m, bad: click"]
    assert why["reason"] == "RuntimeError: it broke"


def test_rounds_in_turn_take_the_place_of_that_alone(
    race: Callable[[], Race], findings: Findings
) -> None:
    deadline, clock = until(1e9)
    one = race()
    for name in ("a", "b"):
        enter(one, Counting(name), findings, TOOLS, deadline, clock)
    in_turn(one, 2, findings, TOOLS, deadline, clock)
    for row in findings.content["speed"]:
        assert row["wall"]["n"] == 2 * MEASURES[row["measure"]].count
