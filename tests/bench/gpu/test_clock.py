from __future__ import annotations

import pytest

from edgesam_bench.gpu.clock import Budget


def test_what_a_stage_leaves_over_goes_to_those_after_it() -> None:
    now = [0.0]
    budget = Budget(100.0, {"a": 1, "b": 1, "c": 2}, lambda: now[0])
    assert budget.stage("a").left() == pytest.approx(25)
    now[0] = 10
    second = budget.stage("b")
    assert second.left() == pytest.approx(30), "a third of the 90 that are left"
    now[0] = 40
    assert second.passed()
    assert budget.stage("c").left() == pytest.approx(60)
    assert budget.spent() == 40


def test_a_stage_that_does_not_begin_keeps_no_time() -> None:
    budget = Budget(100.0, {"a": 1, "b": 1}, lambda: 0.0)
    budget.drop("a")
    budget.drop("a")
    assert budget.stage("b").left() == 100


def test_no_time_is_left_where_it_ran_out() -> None:
    now = [0.0]
    budget = Budget(1.0, {"a": 1}, lambda: now[0])
    now[0] = 5
    late = budget.stage("a")
    assert (late.left(), late.passed()) == (0, True)
