"""Aims are judged by the figure that they name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgesam_bench.scenario import aims
from edgesam_bench.scenario.measures import SCENARIOS

Make = Callable[..., dict[str, Any]]


def test_each_is_of_a_measure_that_there_is() -> None:
    for aim in aims.AIMS:
        assert aim.measure in {measure.name for measure in SCENARIOS[aim.scenario]}


@pytest.mark.parametrize(("late", "verdict"), [(0.0499, "holds"), (0.0512, "missed")])
def test_the_worst_counts_where_it_is_what_was_aimed_at(
    make_report: Make, late: float, verdict: str
) -> None:
    report = make_report("cine")
    report["measures"]["heartbeat"].update(p50=0.001, max=late)
    row = aims.rows([report])[0]
    assert row == (
        "event loop late while encoding, at most",
        "at most 50.0 ms",
        f"{1000 * late:.1f} ms",
        verdict,
    )


def test_ratios_and_scenes_that_were_not_played(make_report: Make) -> None:
    report = make_report("viewer")
    report["measures"]["next_ratio"].update(p50=1.151)
    report["measures"]["jump_ratio"].update(p50=1.1)
    found = aims.rows([report])
    assert [row[1:] for row in found] == [
        ("at most 1.15", "1.15", "missed"),
        ("at most 1.10", "1.10", "holds"),
    ]
