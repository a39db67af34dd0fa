"""A scenario's report as a picture: time-line, figures, latencies, memory. No measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image

from edgesam_bench.scenario import panels
from edgesam_bench.scenario.lanes import time_line
from edgesam_bench.speed.canvas import CARD, HAIR, SOFT, Canvas

_WIDTH, _HEIGHT = 1320.0, 700.0
_EDGE, _GAP, _TOP, _BOTTOM = 28.0, 18.0, 86.0, 26.0
_PAD = 22.0
_LINE = 322.0  # height of the time-line's card

_TITLES = {
    "viewer": "A person at a viewer",
    "cine": "A live source",
    "batch": "One picture after another",
}
_WARNING = "#b3541e"


def drawn(report: Mapping[str, Any]) -> Image.Image:
    """The whole picture, RGB."""
    canvas = Canvas(_WIDTH, _HEIGHT)
    source, name = report["source"], report["scenario"]
    engine = report["engine"].replace(":", " on ")
    canvas.heading(_EDGE, 42, f"{_TITLES[name]}: {report['model']}, {engine}", 22)
    told = (
        f"{report['processor']}   ·   {source['pictures']} pictures of {source['width']} x "
        f"{source['height']}   ·   rounds: {report['rounds']}   ·   "
        f"threads: {report['threads'] or 'default'}"
    )
    canvas.text(_EDGE, 66, told, 12.5, SOFT)
    if report["doubts"]:
        warning = canvas.fitting(f"note: {report['doubts'][0]}", 11.5, _WIDTH / 2 - _EDGE)
        canvas.text(_WIDTH - _EDGE, 66, warning, 11.5, _WARNING, "right")
    _card(canvas, _EDGE, _TOP, _WIDTH - _EDGE, _TOP + _LINE)
    time_line(canvas, report, _EDGE + _PAD, _TOP, _WIDTH - _EDGE - _PAD, _TOP + _LINE)
    top, bottom = _TOP + _LINE + _GAP, _HEIGHT - _BOTTOM
    width = (_WIDTH - 2 * _EDGE - 2 * _GAP) / 3
    middle = panels.stages if name == "batch" else panels.latencies
    for number, panel in enumerate((panels.figures, middle, panels.memory)):
        x0 = _EDGE + number * (width + _GAP)
        _card(canvas, x0, top, x0 + width, bottom)
        panel(canvas, report, x0 + _PAD, top, x0 + width - _PAD, bottom)
    return canvas.image()


def _card(canvas: Canvas, x0: float, y0: float, x1: float, y1: float) -> None:
    canvas.box(x0 - 1, y0 - 1, x1 + 1, y1 + 1, HAIR, 11)
    canvas.box(x0, y0, x1, y1, CARD, 10)
