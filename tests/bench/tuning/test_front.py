"""The front of time and masks: nothing on it is beaten in both."""

from __future__ import annotations

from pathlib import Path

from edgesam.bundle import open_bundle
from edgesam.tuned import Choice
from edgesam_bench.tuning.front import front, sameness
from edgesam_bench.tuning.race import Result


def result(variant: str, seconds: float, failed: str | None = None) -> Result:
    rounds = () if failed else (seconds,)
    return Result(Choice("engine", variant, 2), seconds, 0.0, rounds, failed)


MASK_IOU = {
    "fp32": {"mean": 1.0},
    "bf16": {"mean": 0.99},
    "int8": {"mean": 0.985},
    "bare": None,
}


def test_slower_is_worth_it_only_for_better_masks() -> None:
    bare, int8, slow_int8 = result("bare", 0.4), result("int8", 0.5), result("int8", 0.6)
    fp32, bf16 = result("fp32", 1.0), result("bf16", 1.1)
    found = front([bare, int8, slow_int8, fp32, bf16], MASK_IOU)
    assert found == [bare, int8, fp32]


def test_what_failed_is_no_choice() -> None:
    assert front([result("fp32", 0.0, "broken")], MASK_IOU) == []


def test_what_passports_say(lite_bundle: Path) -> None:
    found = sameness(open_bundle(lite_bundle))
    assert list(found) == list(open_bundle(lite_bundle).variants)
    assert set(found.values()) == {None}, "random weights have no passport"
