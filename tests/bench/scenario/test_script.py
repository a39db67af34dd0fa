"""The recorded script: well formed on a series of any length, and read as it was recorded."""

from __future__ import annotations

import pytest

from edgesam_bench.scenario.script import LEAST, VIEWER, Action, steps


@pytest.mark.parametrize("count", [LEAST, LEAST + 1, 20, 57, 400])
def test_it_fits_a_series_of_any_length(count: int) -> None:
    found = steps(VIEWER, count)
    assert all(0 <= step.index < count for step in found)
    assert all(step.after >= 0 for step in found)
    assert found[0].kind == "look"  # nobody clicks on what was never shown


def test_it_has_every_kind_and_jumps_are_far() -> None:
    assert {action.kind for action in VIEWER} == {"open", "scroll", "click", "jump-click"}
    assert any(action.by < 0 for action in VIEWER)
    assert any(abs(action.by) > 1 for action in VIEWER)
    here = 0
    for step in steps(VIEWER, LEAST):
        assert step.kind != "jump" or abs(step.index - here) > 4
        here = step.index


def test_actions_become_steps() -> None:
    actions = (
        Action(0.0, "open", to=0.5),
        Action(1.0, "scroll", by=-3),
        Action(0.5, "click"),
        Action(0.7, "jump-click", to=1.0),
        Action(0.1, "jump", to=0.0),
        Action(0.2, "click"),
    )
    assert [(step.after, step.kind, step.index) for step in steps(actions, 21)] == [
        (0.0, "look", 10),
        (1.0, "look", 9),
        (0.2, "look", 8),
        (0.2, "look", 7),
        (0.5, "click", 7),
        (0.7, "jump", 20),
        (0.1, "look", 0),
        (0.2, "click", 0),
    ]
