"""The report: what was measured, what was not, what casts doubt; and reading it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesam_bench.scenario.measures import SCENARIOS
from edgesam_bench.scenario.report import assembled, read_report
from edgesam_bench.scenario.scene import Played
from edgesam_bench.scenario.timeline import Timeline

Make = Callable[..., dict[str, Any]]


def test_measures_events_and_the_time_line(make_report: Make) -> None:
    report = make_report("viewer")
    names = {measure.name for measure in SCENARIOS["viewer"]}
    assert set(report["measures"]) == names - {"missing"}
    assert report["not_measured"] == ["missing"]
    assert report["measures"]["click"]["n"] == 6
    assert report["measures"]["jump_ratio"]["unit"] == "x"
    assert report["measures"]["memory"]["max"] == 310
    assert report["memory"]["peak"] == 320
    (part,) = report["timeline"]
    assert [s["index"] for s in part["spans"] if s["cancelled"]] == [3]
    assert report["events"][1]["kind"] == "prefetched"
    assert report["samples"]["bare_click"]
    assert json.loads(json.dumps(report)) == report


def test_heartbeats_are_told_by_their_percentiles(make_report: Make) -> None:
    report = make_report("cine")
    assert report["measures"]["heartbeat"]["max"] > 0
    assert set(report["samples"]) == {"latency"}


def test_rounds_without_a_sample_do_not_count() -> None:
    played = Played()
    played.add("jump", 0, 1.0)
    played.add("jump", 2, 3.0)
    assert played.samples["jump"] == [[1.0], [], [3.0]]
    head = {"scenario": "viewer", "busy": None}
    report = assembled(head, played, Timeline(), None, None)
    assert report["measures"]["jump"]["rounds"] == [1.0, 3.0]
    assert "memory" in report["not_measured"]


def test_doubts() -> None:
    played = Played({"jump": [[1.0], [2.0], [3.0]], "bare_click": [[1.0], [1.01], [1.02]]})
    played.samples["click"] = [[1.0], [2.0], [3.0]]  # of all kinds: its spread says nothing
    head = {"scenario": "viewer", "busy": "others took 40%"}
    assert assembled(head, played, Timeline(), None, None)["doubts"] == [
        "the machine was busy: others took 40%",
        "unsteady, spread of the rounds: jump 50%",
    ]


def test_reading(make_report: Make, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(make_report("batch")), "utf-8")
    assert read_report(file) == make_report("batch")
    for content, said in (
        ("{", "is not JSON"),
        (
            '{"command": "edgesam bench", "schema": 1}',
            "was not written by edgesam bench --scenario",
        ),
        (json.dumps({**make_report("cine"), "schema": 9}), "has schema 9"),
    ):
        file.write_text(content, "utf-8")
        with pytest.raises(ValueError, match=said):
            read_report(file)
    with pytest.raises(ValueError, match="cannot be read"):
        read_report(tmp_path / "nowhere.json")
