"""The picture of a report: it is drawn, whatever was measured, and the axis beneath it is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgesam_bench.speed.axis import Axis
from edgesam_bench.speed.peers import PEERS
from edgesam_bench.speed.picture import drawn

Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("peers", [(), ("torch",), PEERS[:4]])
def test_every_panel_is_drawn(make_report: Make, peers: tuple[str, ...]) -> None:
    picture = np.asarray(drawn(make_report(peers=peers)))
    assert picture.shape == (1120, 2640, 3)
    for part in np.split(picture[::4], 3, axis=1):
        assert len({tuple(pixel) for pixel in part.reshape(-1, 3)[::5]}) > 20


def test_each_contender_has_a_colour(make_report: Make) -> None:
    alone, beside = (
        {tuple(c) for c in np.asarray(drawn(make_report(peers=peers))).reshape(-1, 3)[::3]}
        for peers in ((), ("torch",))
    )
    orange = (0xE0, 0x72, 0x2E)
    assert orange in beside
    assert orange not in alone


def test_doubts_are_drawn(make_report: Make) -> None:
    calm, busy = (drawn(make_report(busy=busy)) for busy in (None, "others took 40%"))
    assert np.any(np.asarray(calm) != np.asarray(busy))


def test_a_stage_that_takes_no_time_is_no_mistake(make_report: Make) -> None:
    report = make_report()
    report["stages"]["prompt"]["p50"] = 0.0
    drawn(report)


def test_equal_ratios_are_equal_lengths() -> None:
    axis = Axis(1.0, 100.0, 0.0, 200.0)
    assert axis.at(1.0) == 0
    assert axis.at(10.0) == pytest.approx(100)
    assert axis.at(100.0) == pytest.approx(200)


@pytest.mark.parametrize("values", [[0.02, 1.1], [0.045, 0.046], [0.09, 0.9, 2.4], [3.0]])
@pytest.mark.parametrize("most", [3, 6])
def test_all_values_are_on_the_axis_and_its_marks_inside(values: list[float], most: int) -> None:
    axis = Axis.around(values, 10.0, 110.0, least=1.05)
    assert all(10 <= axis.at(value) <= 110 for value in values)
    marks = axis.marks(most)
    assert 1 <= len(marks) <= most + 2
    assert all(axis.low <= mark <= axis.high for mark in marks)
    assert marks == sorted(marks)
