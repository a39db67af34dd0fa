"""What a budget may look like, and when it is missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgesam_bench.speed.budget import Budget
from edgesam_bench.speed.measures import Measure


def of_ours(report: dict[str, Any]) -> dict[str, Any]:
    return {name: measure["of"]["edgesam"] for name, measure in report["measures"].items()}


@pytest.mark.parametrize(
    ("text", "measure", "statistic", "limit"),
    [
        ("click.p95=50ms", "click", "p95", 0.05),
        ("p95=50ms", "click", "p95", 0.05),
        ("p50=0.5ms", "click", "p50", 0.0005),
        ("start.max=2s", "start", "max", 2.0),
        ("batch_16.p99=1.25s", "batch_16", "p99", 1.25),
        ("memory.max=500MiB", "memory", "max", 500.0),
    ],
)
def test_the_forms(text: str, measure: str, statistic: str, limit: float) -> None:
    unit = "MiB" if measure == "memory" else "s"
    assert Budget.parse(text) == Budget(measure, statistic, pytest.approx(limit), unit)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not"),
        ("click.p95", "is not"),
        ("click.p95=50", "units: ms, s, MiB, x"),
        ("click.p95=-50ms", "is not"),
        ("click.p95=50 ms", "is not"),
        ("klick.p95=50ms", "no measure is called 'klick'"),
        ("click.p90=50ms", "'p90' is none of p50, p95"),
        ("memory.max=50ms", "memory is told in MiB, not in ms"),
        ("click.p95=50MiB", "click is told in ms or s, not in MiB"),
        ("click.p95=1.5x", "click is told in ms or s, not in x"),
        ("click.p95=0ms", "more than nothing"),
        (f"click.p95={'9' * 400}ms", "more than nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        Budget.parse(text)
    assert "\n" not in str(raised.value)


def test_kept_and_missed(make_report: Callable[..., dict[str, Any]]) -> None:
    measures = of_ours(make_report())
    assert Budget.parse("p95=50ms").miss(measures) is None
    missed = Budget.parse("click.p95=20ms").miss(measures)
    assert missed == "click.p95 is 46.69 ms (n=6), its budget is 20 ms"
    assert Budget.parse("memory.p50=400MiB").miss(measures) == (
        "memory.p50 is 459 MiB (n=6), its budget is 400 MiB"
    )


def test_the_limit_itself_is_kept(make_report: Callable[..., dict[str, Any]]) -> None:
    measures = of_ours(make_report())
    exact = Budget("click", "max", measures["click"]["max"])
    assert exact.miss(measures) is None


def test_what_was_not_measured_is_missed(make_report: Callable[..., dict[str, Any]]) -> None:
    measures = of_ours(make_report())
    del measures["everything"]
    assert Budget.parse("everything.p50=9s").miss(measures) == (
        "everything.p50 was not measured, its budget is 9000 ms"
    )


def test_a_ratio_of_other_measures() -> None:
    budget = Budget.parse("jump_ratio.p50=1.1x", {"jump_ratio": Measure("jump_ratio", "", "x")})
    assert budget.miss({"jump_ratio": {"p50": 1.1, "n": 3}}) is None
    assert budget.miss({"jump_ratio": {"p50": 1.25, "n": 3}}) == (
        "jump_ratio.p50 is 1.25 x (n=3), its budget is 1.1 x"
    )
