"""The time-line as bars on lanes, one lane for each stage. Knows a report, no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgesam_bench.speed.canvas import FAINT, HAIR, INK, PAPER, SOFT, Canvas, text_width, tint
from edgesam_bench.speed.ruler import Ruler

READ, PREPARE, ENCODE, ASKED, SIDE, CLICK, END = (
    "#8cc7d6",
    "#e3c58b",
    "#0b6e8f",
    "#e0722e",
    "#3f9db8",
    "#7a56c2",
    "#c0392b",
)

_LABELS = 74.0  # points beside the lanes
_LEAST = 1.6  # points of the shortest bar
_LANES = {
    "person": "person",
    "arrival": "arrives",
    "read": "read",
    "prepare": "prepare",
    "encode": "encode",
    "click": "click",
}
_HEAD = {
    "viewer": "What ran when: the first round of the script",
    "cine": "What ran when: the first round of the live source",
    "batch": "What ran when: the first loop, the first stream",
}
_PART = {"loop": "serial loop", "stream": "edgesam.stream"}


def time_line(
    canvas: Canvas, report: Mapping[str, Any], x0: float, top: float, x1: float, bottom: float
) -> None:
    """All parts of the time-line beside each other, on one scale."""
    canvas.heading(x0, top + 34, _HEAD[report["scenario"]], 15)
    _legend(canvas, report["scenario"], x1, top + 34)
    parts = report["timeline"]
    names = _names(report["scenario"])
    first, last = top + 62 + 16 * (len(parts) > 1), bottom - 34
    pitch = (last - first) / len(names)
    for row, name in enumerate(names):
        middle = first + pitch * (row + 0.5)
        if row % 2 == 0:
            canvas.box(x0 - 8, middle - pitch / 2, x1 + 8, middle + pitch / 2, PAPER, 4)
        person = name != "click" or report["scenario"] == "viewer"
        canvas.text(x0, middle + 4, _LANES[name] if person else "segment", 12, INK)
    gap = 24.0
    room = x1 - x0 - _LABELS - gap * (len(parts) - 1)
    scale = room / sum(part["seconds"] for part in parts)
    x = x0 + _LABELS
    for part in parts:
        ruler = Ruler(0.0, part["seconds"], x, x + scale * part["seconds"])
        if part["title"]:
            told = f"{_PART[part['title']]}: {part['seconds']:.2f} s"
            canvas.text(ruler.start, first - 9, told, 12, SOFT)
        _part(canvas, part, ruler, names, (first, pitch), report)
        x = ruler.end + gap


def _names(scenario: str) -> list[str]:
    more = {"viewer": ["person"], "cine": ["arrival"], "batch": []}[scenario]
    stages = ["prepare", "encode", "click"] if scenario == "cine" else list(_LANES)[2:]
    return [*more, *stages]  # a live source's frames are not read


def _part(
    canvas: Canvas,
    part: Mapping[str, Any],
    ruler: Ruler,
    names: list[str],
    lanes: tuple[float, float],
    report: Mapping[str, Any],
) -> None:
    first, pitch = lanes
    bottom = first + pitch * len(names)
    most = int((ruler.end - ruler.start) // 60)
    for value in ruler.marks(most):
        x = ruler.at(value)
        canvas.line(x, first, x, bottom, HAIR)
        canvas.text(x, bottom + 17, f"{value:g} s", 11, FAINT, "middle")
    middles = {name: first + pitch * (row + 0.5) for row, name in enumerate(names)}
    for span in part["spans"]:
        _bar(canvas, span, ruler, middles, pitch)
    if "person" in middles:
        _looks(canvas, part["marks"], ruler, middles["person"])
        _clicks(canvas, report["events"], part, ruler, middles["click"])
    elif "arrival" in middles:
        taken = {span["index"] for span in part["spans"] if span["stage"] == "encode"}
        for mark in part["marks"]:
            x, middle = ruler.at(mark["at"]), middles["arrival"]
            high = 11 if mark["index"] in taken else 5
            colour = ENCODE if mark["index"] in taken else "#b9c3cc"
            canvas.line(x, middle - high, x, middle + high, colour, 1.8)


def _bar(
    canvas: Canvas,
    span: Mapping[str, Any],
    ruler: Ruler,
    middles: Mapping[str, float],
    pitch: float,
) -> None:
    stage = "encode" if span["stage"] == "side" else span["stage"]
    if stage not in middles:
        return
    half = min(12.0, pitch / 2 - 4)
    y = middles[stage]
    start, end = ruler.at(span["start"]), ruler.at(span["end"])
    if span["stage"] == "side":
        canvas.box(start, y - half, max(end, start + 1), y + half, SIDE)
        return
    end = max(end, start + _LEAST)
    if span["cancelled"]:
        canvas.box(start, y - half, end, y + half, tint(ENCODE, 0.68), 2)
        canvas.box(end - 2.2, y - half - 2, end, y + half + 2, END)
        return
    canvas.box(start, y - half, end, y + half, _colour(span), 2)
    number = str(span["index"])
    if stage == "encode" and end - start > text_width(number, 11) + 8:
        canvas.text((start + end) / 2, y + 4, number, 11, "#ffffff", "middle")


def _colour(span: Mapping[str, Any]) -> str:
    if span["stage"] == "encode":
        return ENCODE if span["ahead"] else ASKED
    return {"read": READ, "prepare": PREPARE, "click": CLICK}[span["stage"]]


def _looks(canvas: Canvas, marks: list[Mapping[str, Any]], ruler: Ruler, middle: float) -> None:
    """Which slice is in view: a dot where it changes, the number where there is room."""
    places = [ruler.at(mark["at"]) for mark in marks]
    for mark, x, following in zip(marks, places, [*places, ruler.end + 30][1:], strict=True):
        words = str(mark["index"])
        canvas.disk(x, middle, 3.4, END if mark["kind"] == "jump" else INK)
        if x + 7 + text_width(words, 11) < following - 6:
            canvas.text(x + 7, middle + 4, words, 11, SOFT)


def _clicks(
    canvas: Canvas,
    events: list[Mapping[str, Any]],
    part: Mapping[str, Any],
    ruler: Ruler,
    middle: float,
) -> None:
    """What each click took, where there is room: behind its bar, before it, else on it."""
    begun, ends = part["begun"], part["begun"] + part["seconds"]
    clicks = [event for event in events if "seconds" in event and begun <= event["at"] <= ends]
    starts = [ruler.at(click["at"] - begun) for click in clicks]
    free = ruler.start
    for click, start, following in zip(clicks, starts, [*starts, ruler.end + 8][1:], strict=True):
        seconds = click["seconds"]
        end = ruler.at(click["at"] - begun + seconds)
        told = f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
        width = text_width(told, 10.5)
        if end + 5 + width < following - 2:
            canvas.text(end + 5, middle + 4, told, 10.5, SOFT)
            free = end + 5 + width
            continue
        if start - 5 - width > free:
            canvas.text(start - 5, middle + 4, told, 10.5, SOFT, "right")
        elif end - start > width + 8:
            canvas.text((start + end) / 2, middle + 4, told, 10.5, "#ffffff", "middle")
        free = end


def _legend(canvas: Canvas, scenario: str, x: float, y: float) -> None:
    """From the right."""
    known = {
        "viewer": (
            ("dot", INK, "look"),
            ("dot", END, "jump"),
            ("box", ENCODE, "encoded ahead"),
            ("box", ASKED, "for a click that waits"),
            ("end", tint(ENCODE, 0.68), "told to end"),
            ("box", CLICK, "click to mask"),
        ),
        "cine": (
            ("box", "#b9c3cc", "frame dropped"),
            ("box", ENCODE, "frame taken, encoded"),
            ("box", CLICK, "segmented"),
        ),
        "batch": (
            ("box", ASKED, "encoded while the caller waits"),
            ("box", ENCODE, "encoded ahead"),
            ("box", CLICK, "segmented"),
        ),
    }[scenario]
    for kind, colour, words in reversed(known):
        x -= text_width(words, 11.5)
        canvas.text(x, y, words, 11.5, SOFT)
        x -= 16
        if kind == "dot":
            canvas.disk(x + 5, y - 4, 3.6, colour)
        else:
            canvas.box(x, y - 9, x + 10, y + 1, colour, 2.5)
        if kind == "end":
            canvas.box(x + 8, y - 11, x + 10.2, y + 3, END)
        x -= 16
