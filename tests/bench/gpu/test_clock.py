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


def test_a_stage_that_overruns_leaves_the_others_most_of_theirs() -> None:
    now = [0.0]
    budget = Budget(100.0, {"a": 1, "b": 1}, lambda: now[0])
    first = budget.stage("a")
    now[0] = 60
    assert (first.passed(), first.over()) == (True, False)
    assert first.most() == pytest.approx(50 + 50 / 3 - 60)
    now[0] = 70
    assert first.over()
    last = budget.stage("b")
    assert (last.left(), last.most()) == (pytest.approx(30), pytest.approx(35)), "and not more"


def test_a_part_of_a_stage_ends_with_it_at_the_latest() -> None:
    now = [0.0]
    stage = Budget(90.0, {"a": 1, "b": 2}, lambda: now[0]).stage("a")
    part = stage.part(0.5)
    assert (part.left(), part.most()) == (pytest.approx(15), stage.most())


def test_no_time_is_left_where_it_ran_out() -> None:
    now = [0.0]
    budget = Budget(1.0, {"a": 1}, lambda: now[0])
    now[0] = 5
    late = budget.stage("a")
    assert (late.left(), late.passed()) == (0, True)
