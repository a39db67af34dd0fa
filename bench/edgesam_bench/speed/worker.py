"""A contender's side: answers lines of JSON on standard input; knows neither model nor engine.

A question is ``{"ask": WHAT, ...}``, its answer one line on standard output, with times in seconds:

    load                          {"seconds": S, "about": {...}}; the picture is read here, too
    encode                        {"seconds": S}         picture in memory -> embedding
    first_click  number           {"seconds": S}         picture in memory -> embedding -> mask
    click        number, count    {"seconds": [S, ...]}  embedding -> mask of the picture's size
    batch        number, size     {"seconds": S}         the same for that many boxes
    everything   side             {"seconds": S, "found": N}   a grid of side x side points
    stages       number, count    {"seconds": {STAGE: [S, ...]}}
    mask         number, select   {"mask": base64 of packed bits, "size": [H, W]}

With every answer comes ``idle``, the share of a core that this process took since its last one:
threads that spin while another is measured show there. It is null when it hardly waited.
With ``--once`` there are no questions: it loads, encodes and clicks like a program of a user, and
writes one line, ``{"first_mask": clock, "peak_mib": M}``.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.cost.peak import peak_mib
from edgesam_bench.speed.prompts import Box, box

_HARDLY = 0.02  # seconds
_CLICKS_OF_ONCE = 5  # after the first mask, before memory is read


class Program(Protocol):
    """What a contender can do. What it has not got (``everything``, ``stages``) is not asked."""

    def load(self) -> dict[str, Any]:
        """Imports, model and picture; says what really runs."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture that was loaded."""

    def encode(self) -> None: ...

    def click(self, corners: Box) -> NDArray[np.bool_]:
        """The mask (H, W) of one box."""

    def batch(self, boxes: Sequence[Box]) -> object: ...

    def mask(self, corners: Box, select: str) -> NDArray[np.bool_]:
        """As ``click``; ``select`` is for whom has more than one mask to choose from."""

    def everything(self, side: int) -> int:
        """How many objects are found."""

    def stages(self, boxes: Sequence[Box]) -> dict[str, list[float]]:
        """Seconds of each stage: the picture encoded once, then a click for each box."""


def main(program: Program, arguments: Sequence[str]) -> int:
    """Once or as long as there are questions."""
    if "--once" in arguments:
        _say(_once(program))
        return 0
    idle = _Idle()
    for line in sys.stdin:
        question = json.loads(line)
        share = idle.share()
        _say({**_answer(program, question), "idle": share})
        idle.begin()
    return 0


def _once(program: Program) -> dict[str, Any]:
    program.load()
    height, width = program.size
    program.encode()
    program.click(box(0, width, height))
    first_mask = time.time()
    for number in range(_CLICKS_OF_ONCE):
        program.click(box(number + 1, width, height))
    return {"first_mask": first_mask, "peak_mib": peak_mib()}


def _answer(program: Program, question: dict[str, Any]) -> dict[str, Any]:
    ask, number = question["ask"], question.get("number", 0)
    if ask == "load":
        started = time.perf_counter()
        about = program.load()
        return {"seconds": time.perf_counter() - started, "about": about}
    if ask == "everything":
        found: list[int] = []
        seconds = _seconds(lambda: found.append(program.everything(question["side"])))
        return {"seconds": seconds, "found": found[0]}
    height, width = program.size

    def corners(index: int) -> Box:
        return box(number + index, width, height)

    if ask == "encode":
        return {"seconds": _seconds(program.encode)}
    if ask == "first_click":
        return {"seconds": _seconds(lambda: (program.encode(), program.click(corners(0))))}
    if ask == "click":
        boxes = [corners(index) for index in range(question["count"])]
        return {"seconds": [_seconds(lambda: program.click(one)) for one in boxes]}  # noqa: B023
    if ask == "batch":
        boxes = [corners(index) for index in range(question["size"])]
        return {"seconds": _seconds(lambda: program.batch(boxes))}
    if ask == "stages":
        return {"seconds": program.stages([corners(i) for i in range(question["count"])])}
    if ask == "mask":
        packed = np.packbits(program.mask(corners(0), question["select"]))
        return {"mask": base64.b64encode(packed).decode("ascii"), "size": [height, width]}
    raise ValueError(f"nobody can answer {ask!r}")


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


class _Idle:
    """How busy this process is while it waits for a question."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._clock, self._busy = time.perf_counter(), time.process_time()

    def share(self) -> float | None:
        waited = time.perf_counter() - self._clock
        return (time.process_time() - self._busy) / waited if waited > _HARDLY else None
