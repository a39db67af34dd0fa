"""The panels below the time-line: figures, latencies, stages, memory. Knows a report."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from edgesam_bench.scenario.lanes import ASKED, CLICK, ENCODE, PREPARE, READ, SIDE
from edgesam_bench.scenario.table import amount
from edgesam_bench.speed.axis import Axis
from edgesam_bench.speed.canvas import CARD, FAINT, HAIR, INK, SOFT, Canvas, text_width, tint
from edgesam_bench.speed.ruler import Ruler

_GREEN, _GREY = "#2f9e63", "#8a95a1"
_STAGES = {
    "read": READ,
    "prepare": PREPARE,
    "encode": ENCODE,
    "side": SIDE,
    "click": CLICK,
    "other": "#cfd5db",
}
_LATENCIES = {
    "prefetched": ("prefetched", _GREEN),
    "encoding": ("being encoded", ENCODE),
    "jump": ("jump", ASKED),
    "missing": ("not begun", "#b8478b"),
    "bare_click": ("bare click", _GREY),
    "bare_encode": ("bare encode, click", _GREY),
    "latency": ("arrival to mask", CLICK),
    "heartbeat": ("event loop late, live", _GREEN),
    "heartbeat_files": ("the same, files", ENCODE),
}
_LEAST = 1e-4  # seconds: a logarithmic scale has no zero


def _head(canvas: Canvas, x: float, top: float, title: str, below: str) -> None:
    canvas.heading(x, top + 32, title, 15)
    canvas.text(x, top + 50, below, 11.5, SOFT)


def figures(
    canvas: Canvas, report: Mapping[str, Any], x0: float, top: float, x1: float, bottom: float
) -> None:
    """Three numbers, large, and what each is."""
    canvas.heading(x0, top + 32, "What it comes to", 15)
    rows = {"viewer": _of_viewer, "cine": _of_cine, "batch": _of_batch}[report["scenario"]](report)
    first = top + 56
    pitch = (bottom - 16 - first) / 3
    for row, (number, words, below) in enumerate(rows):
        middle = first + pitch * (row + 0.5)
        canvas.heading(x0, middle + 8, number, 24)
        canvas.text(x0 + 118, middle - 3, canvas.fitting(words, 12, x1 - x0 - 118), 12, INK)
        canvas.text(x0 + 118, middle + 14, canvas.fitting(below, 11, x1 - x0 - 118), 11, SOFT)
        if row:
            canvas.line(x0, middle - pitch / 2, x1, middle - pitch / 2, HAIR)


def _of_viewer(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    facts = report["facts"]
    found = [
        (
            f"{facts['from_prefetch']:.0%}",
            "of clicks answered from prefetch",
            f"{facts['clicks']} clicks, any kind p50 "
            f"{amount(report['measures']['click']['p50'], 's')}",
        )
    ]
    for name, words in (
        ("next_ratio", "prefetched slice / bare click"),
        ("jump_ratio", "jump / bare encode and click"),
    ):
        measure = report["measures"].get(name)
        if measure is None:
            found.append(("-", words, "did not happen in this run"))
        else:
            found.append((f"{measure['p50']:.2f} x", words, _range(measure)))
    return found


def _range(measure: Mapping[str, Any]) -> str:
    return f"rounds {measure['min']:.2f} to {measure['max']:.2f}"


def _of_cine(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    facts, measures = report["facts"], report["measures"]
    rates = facts["frames_per_second"]
    found = [
        (
            f"{sum(rates) / len(rates):.2f} /s",
            "masks, always of the newest frame",
            f"{facts['rate']:.3g} a second arrive, {facts['dropped']} of {facts['arrived']} "
            "are dropped",
        )
    ]
    for name, words in (
        ("heartbeat", "the event loop was late at most"),
        ("heartbeat_files", "the same while files are decoded"),
    ):
        beat = measures.get(name)
        if beat is None:
            found.append(("-", words, "no beat fell into this run"))
            continue
        below = f"of {beat['n']} beats; p99 {amount(beat['p99'], 's')}"
        found.append((amount(beat["max"], "s"), words, below))
    return found


def _of_batch(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    facts = report["facts"]
    speedup, busy = facts["speedup"], facts["busy"]
    return [
        (f"{speedup['median']:.2f} x", "serial loop / stream", _range(speedup)),
        (
            f"{facts['bound']:.2f} x",
            "were all but encoding hidden",
            "the most that overlap could bring here",
        ),
        (
            f"{busy['stream']:.2f}",
            f"of {facts['cores']} cores at work in the stream",
            f"{busy['loop']:.2f} in the loop",
        ),
    ]


def latencies(
    canvas: Canvas, report: Mapping[str, Any], x0: float, top: float, x1: float, bottom: float
) -> None:
    """Every sample a dot, row by row, a line at p50; of heartbeats p50 to p99, and the latest."""
    if report["scenario"] == "viewer":
        _head(canvas, x0, top, "Click to mask", "every one a dot, line at p50; log scale")
    else:
        below = "a dot each; of beats p50 to p99 and the latest; log scale"
        _head(canvas, x0, top, "Latencies", below)
    measures = {n: report["measures"][n] for n in _LATENCIES if n in report["measures"]}
    ends = [max(_LEAST, measure[p]) for measure in measures.values() for p in ("min", "max")]
    left = x0 + 122
    axis = Axis.around(ends, left, x1 - 50, least=3)
    first, last = top + 66, bottom - 34
    pitch = (last - first) / len(measures)
    for value in axis.marks(int((axis.end - axis.start) // (text_width("500 ms", 11) + 14))):
        canvas.line(axis.at(value), first, axis.at(value), last, HAIR)
        words = f"{value:g} s" if value >= 1 else f"{1000 * value:g} ms"
        canvas.text(axis.at(value), last + 16, words, 11, FAINT, "middle")
    for row, (name, measure) in enumerate(measures.items()):
        middle = first + pitch * (row + 0.5)
        words, colour = _LATENCIES[name]
        canvas.text(x0, middle + 4, words, 11.5, INK)
        canvas.text(x1, middle + 4, amount(measure["p50"], "s"), 11.5, SOFT, "right")
        half = min(13.0, pitch / 2 - 3)
        p50 = axis.at(max(_LEAST, measure["p50"]))
        if name not in report["samples"]:
            p99, latest = (axis.at(max(_LEAST, measure[p])) for p in ("p99", "max"))
            canvas.box(p50, middle - 4, p99, middle + 4, tint(colour, 0.6), 3)
            canvas.disk(latest, middle, 3.2, colour, CARD)
        for number, value in enumerate(report["samples"].get(name, ())):
            height = ((number * 7) % 11 - 5) * half / 6  # neighbours in time on other heights
            canvas.disk(axis.at(value), middle + height, 2.3, tint(colour, 0.15), CARD)
        canvas.line(p50, middle - half - 1, p50, middle + half + 1, colour, 2.2)


def stages(
    canvas: Canvas, report: Mapping[str, Any], x0: float, top: float, x1: float, bottom: float
) -> None:
    """One bar of a picture's time in the loop, and what its parts are."""
    facts = report["facts"]
    parts = facts["stages"]
    whole = sum(parts.values())
    _head(canvas, x0, top, "Where the loop's time goes", f"medians, {amount(whole, 's')} a picture")
    x, y = x0, top + 68
    for name, seconds in parts.items():
        end = x + (x1 - x0) * seconds / whole
        canvas.box(x, y, end, y + 28, _STAGES[name])
        x = end
    pitch = (bottom - 18 - (y + 40)) / len(parts)
    for row, (name, seconds) in enumerate(parts.items()):
        line = y + 40 + pitch * (row + 0.6)
        canvas.box(x0, line - 9, x0 + 10, line + 1, _STAGES[name], 2.5)
        words = "the picture's side of the decoder" if name == "side" else name
        canvas.text(x0 + 18, line, words, 12, INK)
        canvas.text(x1 - 54, line, amount(seconds, "s"), 12, SOFT, "right")
        canvas.text(x1, line, f"{seconds / whole:.1%}", 12, SOFT, "right")


def memory(
    canvas: Canvas, report: Mapping[str, Any], x0: float, top: float, x1: float, bottom: float
) -> None:
    """The curve over the whole run."""
    curve, peak = report["memory"]["curve"], report["memory"]["peak"]
    if curve is None:
        _head(canvas, x0, top, "Memory", "this system does not tell")
        return
    below = "of the whole process, over the whole run"
    if peak is not None:
        below += f"; peak {peak:.0f} MiB"
    _head(canvas, x0, top, "Memory", below)
    across = Ruler(0.0, max(curve["seconds"][-1], 0.1), x0 + 44, x1)
    up = Ruler(0.0, 1.1 * max(curve["mib"]), bottom - 34, top + 66)
    for value in up.marks(4):
        canvas.line(across.start, up.at(value), across.end, up.at(value), HAIR)
        canvas.text(across.start - 8, up.at(value) + 4, f"{value:.0f}", 11, FAINT, "right")
    for value in across.marks(5):
        canvas.text(across.at(value), bottom - 18, f"{value:g} s", 11, FAINT, "middle")
    points = [(across.at(s), up.at(m)) for s, m in zip(curve["seconds"], curve["mib"], strict=True)]
    for (xa, ya), (xb, yb) in pairwise(points):
        canvas.box(xa, min(ya, yb), xb + 0.3, up.start, tint(ENCODE, 0.86))
    for (xa, ya), (xb, yb) in pairwise(points):
        canvas.line(xa, ya, xb, yb, ENCODE, 1.8)
