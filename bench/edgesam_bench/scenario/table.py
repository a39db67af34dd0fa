"""A scenario's report as text for a terminal. Knows no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgesam_bench.scenario.measures import SCENARIOS
from edgesam_bench.speed import table
from edgesam_bench.speed.table import aligned

_COLUMNS = ("p50", "p95", "max")


def text(report: Mapping[str, Any]) -> str:
    """All of it."""
    parts = [
        head(report),
        aligned([(report["scenario"].upper(), "n", *_COLUMNS), *rows(report)]),
        "\n".join(sentences(report)),
        *(f"note: {doubt}" for doubt in report["doubts"]),
    ]
    return "\n\n".join(parts)


def rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Of each measure: title, count, p50, p95, max."""
    found = []
    for measure in SCENARIOS[report["scenario"]]:
        if (figures := report["measures"].get(measure.name)) is not None:
            told = (amount(figures[column], figures["unit"]) for column in _COLUMNS)
            found.append((measure.title, str(figures["n"]), *told))
    return found


def amount(value: float, unit: str) -> str:
    """46.9 ms, 1.52 s, 448 MiB; 1.08 of a ratio."""
    return f"{value:.2f}" if unit == "x" else table.amount(value, unit)


def head(report: Mapping[str, Any]) -> str:
    """Who, on what."""
    versions, source = report["versions"], report["source"]
    engine = report["engine"].partition(":")[0]
    version = f" {versions[engine]}" if engine in versions else ""
    return "\n".join(
        (
            f"{report['model']} {report['variant']}, {report['engine']}{version}, "
            f"edgesam {versions.get('edgesam', '')}, threads: {report['threads'] or 'default'}",
            f"{report['processor']}; {report['system']}",
            f"{source['name']}, {source['pictures']} pictures of {source['width']} x "
            f"{source['height']} pixels; rounds: {report['rounds']}",
        )
    )


def sentences(report: Mapping[str, Any]) -> list[str]:
    """What the figures come to, each in a line."""
    return {"viewer": _viewer, "cine": _cine, "batch": _batch}[report["scenario"]](report)


def _viewer(report: Mapping[str, Any]) -> list[str]:
    facts = report["facts"]
    found = [
        f"{facts['from_prefetch']:.0%} of {facts['clicks']} clicks were answered from prefetch, "
        f"{facts['beside']} of them while another slice was being encoded",
        f"{facts['cancelled']} encodings were told to end; room for {facts['kept']} embeddings",
    ]
    for name, words in (
        ("next_ratio", "a click on a prefetched slice takes {} of a bare click"),
        ("jump_ratio", "a jump takes {} of reading, encoding and clicking with nothing beside"),
    ):
        if name in report["measures"]:
            found.append(words.format(_ratio(report["measures"][name])))
    return found


def _cine(report: Mapping[str, Any]) -> list[str]:
    facts = report["facts"]
    rates = facts["frames_per_second"]
    return [
        f"{facts['arrived']} frames arrived at {facts['rate']:.3g} a second: {facts['segmented']} "
        f"segmented, {facts['dropped']} dropped",
        f"{sum(rates) / len(rates):.2f} masks a second",
    ]


def _batch(report: Mapping[str, Any]) -> list[str]:
    facts = report["facts"]
    speedup, stages = facts["speedup"], facts["stages"]
    told = ", ".join(f"{stage} {amount(seconds, 's')}" for stage, seconds in stages.items())
    busy = facts["busy"]
    return [
        f"the loop takes {speedup['median']:.2f} times as long as the stream "
        f"({speedup['min']:.2f} to {speedup['max']:.2f})",
        f"all that is not encoding, hidden whole, would make it {facts['bound']:.2f}",
        f"a picture in the loop: {told}",
        f"cores at work, of {facts['cores']}: loop {busy['loop']:.2f}, stream {busy['stream']:.2f}",
    ]


def _ratio(measure: Mapping[str, Any]) -> str:
    return f"{measure['p50']:.2f} ({measure['min']:.2f} to {measure['max']:.2f})"
