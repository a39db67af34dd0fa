"""The picture of a scenario: every card is drawn, and what was told to end is marked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesam_bench.scenario import lanes
from edgesam_bench.scenario.measures import SCENARIOS
from edgesam_bench.scenario.picture import drawn

Make = Callable[..., dict[str, Any]]


def pixels(report: dict[str, Any]) -> NDArray[np.uint8]:
    return np.asarray(drawn(report))


def lane(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The time-line without its heading, which has the legend."""
    return picture[290:800]


def count(picture: NDArray[np.uint8], colour: str) -> int:
    """Pixels of about that colour: edges are smoothed."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
    return int(np.all(np.abs(picture.astype(int) - wanted) < 24, axis=-1).sum())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_card_is_drawn(make_report: Make, scenario: str) -> None:
    picture = pixels(make_report(scenario))
    assert picture.shape == (1400, 2640, 3)
    for part in (picture[172:816], *np.split(picture[852:1348], 3, axis=1)):
        assert len({tuple(pixel) for pixel in part.reshape(-1, 3)[::7]}) > 20


def test_a_cancelled_encoding_is_marked(make_report: Make) -> None:
    ended, whole = (lane(pixels(make_report("viewer", cancelled=c))) for c in (True, False))
    assert count(ended, lanes.END) > 100
    assert count(whole, lanes.END) == 0
    assert count(ended, lanes.ENCODE) < count(whole, lanes.ENCODE)


@pytest.mark.parametrize("scenario", ["viewer", "batch"])
def test_what_somebody_waits_for_has_a_colour(make_report: Make, scenario: str) -> None:
    report = make_report(scenario)
    waited = count(lane(pixels(report)), lanes.ASKED)
    for part in report["timeline"]:
        part["spans"] = [s for s in part["spans"] if s["ahead"] or s["stage"] != "encode"]
    assert waited > 1000
    assert count(lane(pixels(report)), lanes.ASKED) == 0


def test_looks_clicks_and_arrivals_are_drawn(make_report: Make) -> None:
    for scenario, kind in (("viewer", "look"), ("viewer", "jump"), ("cine", "arrival")):
        report = make_report(scenario)
        without = lane(pixels(report))
        report["timeline"][0]["marks"].append({"kind": kind, "index": 5, "at": 7.0})
        changed = np.argwhere(np.any(lane(pixels(report)) != without, axis=-1))
        assert len(changed) > 20
        assert np.all(np.abs(changed[:, 1] - 2 * (124 + 0.7 * 1146)) < 50), "at its own time"
    report = make_report("viewer")
    told = lane(pixels(report))
    report["events"][1]["seconds"] = 0.2
    assert np.any(lane(pixels(report)) != told), "what a click took is written beside it"


def test_bars_are_as_long_as_they_took(make_report: Make) -> None:
    report = make_report("batch")
    short = count(lane(pixels(report)), lanes.ASKED)
    for span in report["timeline"][0]["spans"]:
        span["end"] += 1.0 if span["index"] == 9 else 0.0
    assert count(lane(pixels(report)), lanes.ASKED) == pytest.approx(2 * short, rel=0.1)


def test_where_memory_is_not_told_and_nothing_jumped(make_report: Make) -> None:
    report = make_report("viewer")
    report["memory"] = {"curve": None, "peak": None}
    for name in ("jump", "jump_ratio", "memory"):
        del report["measures"][name]
    assert drawn(report).size == (2640, 1400)


def test_doubts_are_drawn(make_report: Make) -> None:
    calm, busy = (pixels(make_report("cine", busy=busy)) for busy in (None, "others took 40%"))
    assert np.any(calm != busy)
