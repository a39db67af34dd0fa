"""Who is asked what, and when: in turn, the same of everybody, and kept by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edgesam.errors import ParityError
from edgesam_bench.speed import rounds
from edgesam_bench.speed.rounds import Plan, measure

LOG: list[tuple[str, str]] = []


class Fake:
    """Takes as long as it is told, and writes down what it is asked."""

    def __init__(
        self, name: str, seconds: float, peak: float | None = 100.0, dies_of: str = ""
    ) -> None:
        self.name = name
        self.seconds = seconds
        self.peak = peak
        self.dies_of = dies_of
        self.homes: list[str | None] = []

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        if what == self.dies_of:
            raise ParityError(f"{self.name} gave no answer: killed")
        LOG.append((self.name, f"{what} {more['size']}" if what == "batch" else what))
        seconds: Any = self.seconds
        if what == "click":
            seconds = [self.seconds] * more["count"]
        if what == "stages":
            seconds = {"decode": [self.seconds] * more["count"]}
        found = {"found": 7} if what == "everything" else {}
        return {"seconds": seconds, "idle": self.seconds / 100, **found}

    def once(self, environment: Mapping[str, str]) -> dict[str, Any]:
        LOG.append((self.name, "once"))
        self.homes.append(environment.get("EDGESAM_HOME"))
        return {"start": 10 * self.seconds, "peak_mib": self.peak}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_SETTLE", 0.0)
    LOG.clear()


def test_everybody_is_asked_in_turn_and_the_order_turns() -> None:
    plan = Plan(rounds=2, clicks=4, grid=None, grid_rounds=0)
    found = measure([Fake("edgesam", 1.0), Fake("torch", 2.0)], plan, lambda _: None)
    clicks = [who for who, what in LOG if what == "click"]
    assert clicks == ["edgesam", "torch", "edgesam", "torch", "torch", "edgesam"]  # 1 to warm up
    assert found.samples["click"] == {"edgesam": [[1.0] * 4] * 2, "torch": [[2.0] * 4] * 2}
    assert found.samples["batch_64"] == {"edgesam": [[1.0]] * 2, "torch": [[2.0]] * 2}
    assert found.samples["start"] == {"edgesam": [[10.0]] * 2, "torch": [[20.0]] * 2}
    assert found.stages == {"decode": [1.0] * 8}
    assert found.idle == {"edgesam": 0.01, "torch": 0.02}
    assert "everything" not in found.samples


def test_everything_is_asked_of_those_that_have_it() -> None:
    plan = Plan(rounds=3, clicks=1, grid=8, grid_rounds=2)
    contenders = [Fake("edgesam", 1.0), Fake("torch", 2.0), Fake("onnxruntime-plain", 3.0)]
    found = measure(contenders, plan, lambda _: None, ("edgesam", "torch"))
    assert found.samples["everything"] == {"edgesam": [[1.0]] * 2, "torch": [[2.0]] * 2}
    assert found.objects == {"edgesam": 7, "torch": 7}


def test_only_edgesam_starts_with_an_empty_home_too() -> None:
    ours, theirs = Fake("edgesam", 1.0), Fake("torch", 2.0)
    found = measure([ours, theirs], Plan(1, 1, None, 0), lambda _: None)
    assert [home is None for home in ours.homes] == [True, True, False]
    assert theirs.homes == [None, None]
    assert list(found.samples["first_start"]) == ["edgesam"]


def test_a_system_that_does_not_tell_memory_leaves_it_out() -> None:
    found = measure([Fake("edgesam", 1.0, peak=None)], Plan(1, 1, None, 0), lambda _: None)
    assert "memory" not in found.samples


def test_a_peer_that_fails_is_left_out_of_everything() -> None:
    ours, theirs = Fake("edgesam", 1.0), Fake("torch", 2.0, dies_of="batch")
    plain = Fake("onnxruntime-plain", 3.0, dies_of="everything")
    plan = Plan(rounds=2, clicks=1, grid=8, grid_rounds=2)
    generators = ("edgesam", "onnxruntime-plain")
    found = measure([ours, theirs, plain], plan, lambda _: None, generators)
    assert found.failed == {
        "torch": "failed: torch gave no answer: killed",
        "onnxruntime-plain": "failed: onnxruntime-plain gave no answer: killed",
    }
    assert all(list(of) in (["edgesam"], []) for of in found.samples.values())
    assert list(found.idle) == ["edgesam"]


def test_edgesam_must_not_fail() -> None:
    with pytest.raises(ParityError, match="edgesam gave no answer"):
        measure([Fake("edgesam", 1.0, dies_of="click")], Plan(1, 1, None, 0), lambda _: None)
