"""The report of a scenario: everything that one run found, JSON-ready. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesam_bench.results import read_results
from edgesam_bench.scenario.measures import SCENARIOS
from edgesam_bench.scenario.scene import Played
from edgesam_bench.scenario.timeline import Timeline
from edgesam_bench.speed.samples import described

SCHEMA = 1

_UNSTEADY = 0.15  # spread of the rounds above which a measure is called unsteady
# Of these a spread is no noise: clicks of all kinds, and what depends on when somebody clicked.
_MIXED = ("click", "encoding", "heartbeat", "heartbeat_files", "memory")


def assembled(
    head: Mapping[str, Any],
    played: Played,
    timeline: Timeline,
    curve: dict[str, Any] | None,
    peak: float | None,
) -> dict[str, Any]:
    """The whole report.

    Args:
        head: who was measured, on what.
        played: what the scenario found.
        timeline: with all that was recorded.
        curve: of memory; None where nobody tells.
        peak: of memory since the process began, in MiB.
    """
    samples = dict(played.samples)
    if curve is not None:
        samples["memory"] = [curve["mib"]]
    known = SCENARIOS[head["scenario"]]
    measures = {}
    for measure in known:
        if rounds := [one for one in samples.get(measure.name, []) if one]:
            measures[measure.name] = {"unit": measure.unit, **described(rounds)}
    content = {
        **head,
        "measures": measures,
        "not_measured": [measure.name for measure in known if measure.name not in measures],
        "facts": played.facts,
        "events": played.events,
        "samples": {
            name: [value for one in rounds for value in one]
            for name, rounds in played.samples.items()
            if not name.startswith("heartbeat")  # thousands, told by their percentiles
        },
        "timeline": [
            {"title": title, "begun": begun, **timeline.between(begun, end)}
            for title, begun, end in played.parts
        ],
        "memory": {"curve": curve, "peak": peak},
    }
    return {**content, "doubts": _doubts(content), "failures": []}


def _doubts(report: Mapping[str, Any]) -> list[str]:
    """What a reader must know before he believes the figures; one line each."""
    found = [] if report["busy"] is None else [f"the machine was busy: {report['busy']}"]
    unsteady = [
        f"{name} {measure['spread']:.0%}"
        for name, measure in report["measures"].items()
        if name not in _MIXED and measure["spread"] is not None and measure["spread"] > _UNSTEADY
    ]
    if unsteady:
        found.append(f"unsteady, spread of the rounds: {', '.join(unsteady)}")
    return found


def read_report(path: Path) -> dict[str, Any]:
    """A file that this command wrote.

    Raises:
        ValueError: it is none, or of another schema; in one line.
    """
    command = "edgesam bench --scenario"
    return read_results(path, [f"{command} {name}" for name in SCENARIOS], command, SCHEMA)
