"""What a report says of its own figures, and how it is told as text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edgesam_bench.speed import busyness, report, table
from edgesam_bench.speed.rounds import Found

Make = Callable[..., dict[str, Any]]


def test_ratios_are_of_the_same_rounds() -> None:
    found = Found()
    for ours, theirs in ((1.0, 2.0), (3.0, 2.0)):
        found.add("click", "edgesam", [ours])
        found.add("click", "torch", [theirs])
    click = report.measures(found)["click"]
    assert click["ratio"] == {"torch": {"median": 1.0, "min": 0.5, "max": 1.5}}
    assert click["unit"] == "s"


def test_the_peak_is_the_best_that_was_seen() -> None:
    found = report.peak({"numpy": 80.0, "engine": 100.0}, {"numpy": 120.0, "engine": 90.0})
    assert found == {
        "gflops": 120.0,
        "by": "numpy",
        "numpy": 120.0,
        "engine": 100.0,
        "reason": None,
    }
    alone = report.peak({"numpy": 80.0, "reason": "no such device"})
    assert (alone["gflops"], alone["by"], alone["reason"]) == (80.0, "numpy", "no such device")


def test_achieved_is_two_operations_for_each_multiply_accumulate() -> None:
    found = Found(stages={"encode": [0.5, 0.5, 4.0]})
    assert report.work({"encode": 10_000_000_000}, found, 80.0) == {
        "encode": {"macs": 10_000_000_000, "gflops": 40.0, "share": 0.5}
    }


def test_doubts(make_report: Make) -> None:
    assert make_report()["doubts"] == []
    content = make_report(
        peers=("torch",), busy="others took 40%", idle={"torch": 0.3, "edgesam": 0.01}
    )
    content["peers"]["torch"]["agreement"] = 0.4
    content["measures"]["click"]["of"]["edgesam"]["spread"] = 0.25
    assert report.doubts(content) == [
        "the machine was busy: others took 40%",
        "unsteady, spread of the rounds: click 25%",
        "torch took 30% of a core while others were measured",
        "torch may have done other work: IoU 0.400 with edgesam's mask",
    ]


@pytest.mark.parametrize(
    ("others", "load", "said"),
    [
        (0.01, 9.0, None),  # what was really taken counts, not the mean of an earlier minute
        (0.4, 0.0, "others took 40% of the processor meanwhile"),
        (None, 1.8, "the load was 1.8 on 2 cores before it began"),
        (None, 0.3, None),
        (None, None, None),
    ],
)
def test_when_a_machine_is_busy(others: float | None, load: float | None, said: str | None) -> None:
    told = {"others": others, "load_before": load, "load_after": 3.0}
    assert busyness.complaint(told, 2) == said


def test_a_watch_tells_shares() -> None:
    told = busyness.Watch().told()
    assert told["others"] is None or told["others"] >= 0


def test_the_text_has_every_figure(make_report: Make) -> None:
    content = make_report(peers=("torch",))
    content["peers"]["samexporter"] = {"reason": "not installed", "about": None, "agreement": None}
    content["doubts"] = ["the machine was busy: others took 40%"]
    text = table.text(content)
    for part in (
        "mobile-sam fp32, onnxruntime:cpu 1.32.0, edgesam 0.1.0, threads: default",
        "a processor, 2 cores; a system",
        "load 0.10 -> 1.90, others 1% of the processor",
        "EDGESAM",
        "46.7 ms",
        "everything mode, 32 x 32 points",
        "0.50 (0.50-0.50)",
        "encode: 38.00 GMAC",
        "samexporter: not installed",
        "note: the machine was busy",
    ):
        assert part in text, part
    assert all(len(line) < 160 for line in text.splitlines())


def test_a_report_is_json(make_report: Make) -> None:
    content = make_report(peers=("torch",))
    assert json.loads(json.dumps(content)) == content


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.00012, "s", "0.12 ms"),
        (0.0469, "s", "46.9 ms"),
        (0.469, "s", "469 ms"),
        (1.5249, "s", "1.52 s"),
        (447.7, "MiB", "448 MiB"),
    ],
)
def test_amounts(value: float, unit: str, told: str) -> None:
    assert table.amount(value, unit) == told
