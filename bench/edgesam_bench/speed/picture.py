"""A report as a picture of three panels, drawn with Pillow alone. Knows no measurement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image

from edgesam_bench.speed.axis import Axis
from edgesam_bench.speed.canvas import CARD, FAINT, HAIR, INK, PAPER, SOFT, Canvas, text_width, tint
from edgesam_bench.speed.contender import EDGESAM
from edgesam_bench.speed.measures import parts_of
from edgesam_bench.speed.table import amount, sameness

_WIDTH, _HEIGHT = 1320.0, 560.0
_EDGE, _GAP, _TOP, _BOTTOM = 28.0, 18.0, 86.0, 26.0
_PAD = 22.0

_WHO = ("#0b6e8f", "#e0722e", "#7a56c2", "#2f9e63", "#b8478b")  # edgesam, then its peers
_STAGES = {  # the engine's dark, the rest of edgesam light
    "levels": "#bfe0e8",
    "resize": "#8cc7d6",
    "normalise": "#e3c58b",
    "prepare": "#8cc7d6",
    "encode": "#0b6e8f",
    "image_side": "#3f9db8",
    "prompt": "#e3c58b",
    "decode": "#0b6e8f",
    "mask": "#8cc7d6",
    "other": "#cfd5db",
}
_VISIBLE = 0.0005  # share of a bar
_SHORT = {
    "start": "start to first mask",
    "first_start": "start, caches empty",
    "encode": "encode",
    "first_click": "first click",
    "click": "click",
    "batch_16": "16 boxes",
    "batch_64": "64 boxes",
    "everything": "everything",
    "memory": "peak memory",
}


def drawn(report: Mapping[str, Any]) -> Image.Image:
    """The whole picture, RGB."""
    canvas = Canvas(_WIDTH, _HEIGHT)
    engine = report["engine"].replace(":", " on ")
    canvas.heading(_EDGE, 42, f"{report['model']}, {report['variant']}, {engine}", 22)
    picture = report["picture"]
    threads = report["threads"] or "default"
    told = (
        f"{report['processor']}   ·   {picture['width']} x {picture['height']} pixels   ·   "
        f"rounds: {report['rounds']}   ·   threads: {threads}   ·   "
        f"peak {report['peak']['gflops']:.0f} GFLOP/s, "
        f"encode {report['work']['encode']['share']:.0%} of it"
    )
    canvas.text(_EDGE, 66, told, 12.5, SOFT)
    if report["doubts"]:
        warning = canvas.fitting(f"note: {report['doubts'][0]}", 11.5, _WIDTH - 2 * _EDGE)
        canvas.text(_WIDTH - _EDGE, 42, warning, 11.5, "#b3541e", "right")
    width = (_WIDTH - 2 * _EDGE - 2 * _GAP) / 3
    compared = len(report["contenders"]) > 1
    for number, panel in enumerate((_where, _clicks, _ratios if compared else _times)):
        x0 = _EDGE + number * (width + _GAP)
        canvas.box(x0 - 1, _TOP - 1, x0 + width + 1, _HEIGHT - _BOTTOM + 1, HAIR, 11)
        canvas.box(x0, _TOP, x0 + width, _HEIGHT - _BOTTOM, CARD, 10)
        panel(canvas, report, x0 + _PAD, x0 + width - _PAD)
    return canvas.image()


def _head(canvas: Canvas, x: float, title: str, below: str) -> None:
    canvas.heading(x, _TOP + 34, title, 15)
    canvas.text(x, _TOP + 53, below, 11.5, SOFT)


def _where(canvas: Canvas, report: Mapping[str, Any], x0: float, x1: float) -> None:
    """Two bars, each of its own length, and what their parts are."""
    _head(canvas, x0, "Where the time goes", "medians, each bar the whole of its kind")
    y = _TOP + 92
    for whole, title in (("embed", "once for a picture"), ("click", "for every click")):
        stages = report["stages"]
        total = stages[whole]["p50"]
        parts = {part: stages[part]["p50"] for part in parts_of(whole, stages)}
        # Medians need not add up: what is left may be nothing.
        if (other := total - sum(parts.values())) > _VISIBLE * total:
            parts["other"] = other
        canvas.heading(x0, y, title, 12.5)
        canvas.text(x1, y, amount(total, "s"), 12.5, INK, "right")
        _stack(canvas, parts, x0, x1, y + 12)
        y = _legend(canvas, parts, x0, x1, y + 64) + 40


def _stack(canvas: Canvas, parts: Mapping[str, float], x0: float, x1: float, y: float) -> None:
    whole, x = sum(parts.values()), x0
    for part, seconds in parts.items():
        end = x + (x1 - x0) * seconds / whole
        canvas.box(x, y, end, y + 28, _STAGES[part])
        x = end


def _legend(canvas: Canvas, parts: Mapping[str, float], x0: float, x1: float, y: float) -> float:
    """One row for each part; returns the last row's base line."""
    whole = sum(parts.values())
    for number, (part, seconds) in enumerate(parts.items()):
        line = y + 19 * number
        canvas.box(x0, line - 9, x0 + 10, line + 1, _STAGES[part], 2.5)
        canvas.text(x0 + 18, line, part.replace("_", " "), 12, INK)
        canvas.text(x1 - 54, line, amount(seconds, "s"), 12, SOFT, "right")
        canvas.text(x1, line, _percent(seconds / whole), 12, SOFT, "right")
    return y + 19 * (len(parts) - 1)


def _percent(share: float) -> str:
    if share < _VISIBLE:
        return "< 0.1%" if share > 0 else "-"
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"


def _seconds(value: float) -> str:
    """A round value beside an axis."""
    return f"{value:g} s" if value >= 1 else f"{1000 * value:g} ms"


def _clicks(canvas: Canvas, report: Mapping[str, Any], x0: float, x1: float) -> None:
    """Every click a dot, row by row; the bar is p50 to p95."""
    samples = report["click_samples"]
    _head(
        canvas,
        x0,
        "Every click",
        "box to mask; line at p50, bar to p95; IoU with edgesam's mask; log scale",
    )
    values = [value for one in samples.values() for value in one]
    axis = Axis.around(values, x0 + 6, x1 - 6, least=3)
    top, bottom = _TOP + 76, _HEIGHT - _BOTTOM - 44
    _grid(canvas, axis, top, bottom, _seconds, "500 ms")
    pitch = (bottom - top) / len(samples)
    for row, (who, seconds) in enumerate(samples.items()):
        colour = _WHO[row % len(_WHO)]
        figures = report["measures"]["click"]["of"][who]
        half = min(110.0, max(10.0, pitch / 2 - 26))
        middle = top + pitch * row + half + 46
        told = f"p50 {amount(figures['p50'], 's')}   p95 {amount(figures['p95'], 's')}"
        if who != EDGESAM:
            told += f"   IoU {sameness(report, who)}"
        canvas.box(
            x0, middle - half - 34, x1, middle - half - 15, CARD
        )  # no line runs through words
        canvas.heading(x0, middle - half - 21, who, 12.5)
        canvas.text(x1, middle - half - 21, told, 11.5, SOFT, "right")
        p50, p95 = axis.at(figures["p50"]), axis.at(figures["p95"])
        canvas.box(p50, middle - half, p95, middle + half, tint(colour, 0.75), 3)
        for number, value in enumerate(seconds):
            # Neighbours in time lie on other heights, the same ones in every picture.
            height = ((number * 7) % 11 - 5) * half / 6
            canvas.disk(axis.at(value), middle + height, 2.3, tint(colour, 0.15), CARD)
        canvas.line(p50, middle - half - 2, p50, middle + half + 2, colour, 2.4)


def _ratios(canvas: Canvas, report: Mapping[str, Any], x0: float, x1: float) -> None:
    """For each measure and peer edgesam's part of the peer's time or memory."""
    peers = report["contenders"][1:]
    _head(canvas, x0, "Beside the others", "edgesam / peer: left of 1 takes less; bars: all rounds")
    rows = [name for name, measure in report["measures"].items() if measure["ratio"]]
    found = [r for name in rows for r in report["measures"][name]["ratio"].values()]
    ends = [value for ratio in found for value in (ratio["min"], ratio["max"])]
    left = x0 + 118
    axis = Axis.around([*ends, 0.9, 1.1], left, x1 - 4)
    top, bottom = _TOP + 92 + 18 * ((len(peers) - 1) // 2), _HEIGHT - _BOTTOM - 44
    _peer_names(canvas, peers, x0, x1)
    pitch = (bottom - top) / len(rows)
    for row in range(0, len(rows), 2):
        y = top + pitch * row
        canvas.box(x0 - 8, y, x1 + 8, y + pitch, PAPER, 4)
    _grid(canvas, axis, top, bottom, lambda value: f"{value:g}", "0.05")
    canvas.line(axis.at(1), top, axis.at(1), bottom, INK, 1.4)
    for row, name in enumerate(rows):
        middle = top + pitch * (row + 0.5)
        canvas.text(x0, middle + 4, _SHORT[name], 12, INK)
        ratios = report["measures"][name]["ratio"]
        step = min(9.0, (pitch - 6) / max(1, len(peers) - 1))
        for number, peer in enumerate(peers):
            if peer not in ratios:
                continue
            y = middle + step * (number - (len(peers) - 1) / 2)
            colour, ratio = _WHO[(1 + number) % len(_WHO)], ratios[peer]
            low, high = axis.at(ratio["min"]), axis.at(ratio["max"])
            canvas.line(low, y, high, y, tint(colour, 0.55), 2.6)
            canvas.disk(axis.at(ratio["median"]), y, 4, colour, CARD)


def _peer_names(canvas: Canvas, peers: Sequence[str], x0: float, x1: float) -> None:
    """Two in a row."""
    for number, peer in enumerate(peers):
        x = x0 + (number % 2) * (x1 - x0) / 2
        y = _TOP + 76 + 18 * (number // 2)
        canvas.disk(x + 5, y - 4, 4, _WHO[(1 + number) % len(_WHO)])
        canvas.text(x + 16, y, peer, 12, INK)


def _times(canvas: Canvas, report: Mapping[str, Any], x0: float, x1: float) -> None:
    """What each measure takes where nobody stands beside edgesam."""
    _head(canvas, x0, "What each step takes", "dot at p50, bar to p95; log scale")
    rows = {n: m["of"][EDGESAM] for n, m in report["measures"].items() if m["unit"] == "s"}
    left = x0 + 118
    axis = Axis.around(
        [figures[p] for figures in rows.values() for p in ("p50", "p95")], left + 8, x1 - 60, 3
    )
    top, bottom = _TOP + 76, _HEIGHT - _BOTTOM - 44
    _grid(canvas, axis, top, bottom, _seconds, "500 ms")
    pitch = (bottom - top) / len(rows)
    for row, (name, figures) in enumerate(rows.items()):
        middle = top + pitch * (row + 0.5)
        p50, p95 = axis.at(figures["p50"]), axis.at(figures["p95"])
        canvas.text(x0, middle + 4, _SHORT[name], 12, INK)
        canvas.line(p50, middle, p95, middle, tint(_WHO[0], 0.55), 5)
        canvas.disk(p50, middle, 5, _WHO[0], CARD)
        canvas.text(x1, middle + 4, amount(figures["p50"], "s"), 12, SOFT, "right")


def _grid(
    canvas: Canvas,
    axis: Axis,
    top: float,
    bottom: float,
    told: Callable[[float], str],
    longest: str,
) -> None:
    """Thin lines at round values, which stand below."""
    most = int((axis.end - axis.start) // (text_width(longest, 11) + 14))
    for value in axis.marks(most):
        x = axis.at(value)
        canvas.line(x, top, x, bottom, HAIR)
        canvas.text(x, bottom + 17, told(value), 11, FAINT, "middle")
