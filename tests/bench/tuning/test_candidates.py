"""Which candidates there are, and why the rest are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgesam import EngineUnavailable
from edgesam.bundle import Bundle
from edgesam.engines.fake import FakeEngine
from edgesam.tuned import Choice
from edgesam_bench.tuning.candidates import candidates, thread_counts

Make = Callable[..., Bundle]


class Named(FakeEngine):
    def __init__(self, *precisions: str, reason: str | None = None) -> None:
        self._precisions = precisions
        self._reason = reason

    def available(self) -> str | None:
        return self._reason

    def precisions(self, device: str) -> tuple[str, ...]:
        return self._precisions


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])],
)
def test_thread_counts(cores: int, counts: list[int]) -> None:
    assert thread_counts(cores) == counts


def test_engines_times_threads(make_bundle: Make) -> None:
    engines: dict[str, Any] = {
        "one": Named("fp32"),
        "gone": Named("fp32", reason="needs the package gone"),
        "half": Named("fp16"),
    }
    found, left_out = candidates(make_bundle(), engines, cores=2)
    assert found == [Choice("one", "fp32", 1), Choice("one", "fp32", 2)]
    assert [(one.name, one.reason) for one in left_out] == [
        ("gone", "needs the package gone"),
        ("half fp32", "is not what it computes in on this processor"),
    ]


@pytest.mark.parametrize("holds", [True, False])
def test_a_variant_needs_a_passport_that_holds(
    make_bundle: Make, add_variant: Callable[..., Any], holds: bool
) -> None:
    report = {
        "mask_iou": {"mean": 0.99, "p5": 0.95 if holds else 0.5, "worst": 0.4},
        "gate": {"mean": 0.98, "p5": 0.93, "worst": 0.0},
    }
    bundle = add_variant(make_bundle(), "int8", report)
    found, left_out = candidates(bundle, {"e": Named("int8", "fp32")}, cores=1)
    assert [one.variant for one in found] == ["fp32", "int8"][: 1 + holds]
    reasons = [] if holds else [("e int8", "has no passport that holds")]
    assert [(one.name, one.reason) for one in left_out] == reasons


def test_nothing_is_left(make_bundle: Make) -> None:
    with pytest.raises(EngineUnavailable, match="nothing runs mobile-sam here: e needs luck"):
        candidates(make_bundle(), {"e": Named(reason="needs luck")}, cores=1)
