"""A contender's side: answers lines of JSON on standard input; knows neither model nor engine.

A question is ``{"ask": WHAT, ...}``, its answer one line on standard output, with times in seconds:

    load                          {"seconds": S, "about": {...}}; the picture is read here, too
    encode                        {"seconds": S}         picture in memory -> embedding
    first_click  number           {"seconds": S}         picture in memory -> embedding -> mask
    click        number, count    {"seconds": [S, ...]}  embedding -> mask of the picture's size
    batch        number, size     {"seconds": S}         the same for that many boxes
    everything   side             {"seconds": S, "found": N}   a grid of side x side points
    stages       number, count    {"seconds": {STAGE: [S, ...]}}
    mask         select           {"mask": base64 of packed bits, "size": [H, W]}

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
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_bench.cost.peak import peak_mib
from edgesam_bench.speed.prompts import Box, box

_HARDLY = 0.02  # seconds
_CLICKS_OF_ONCE = 5  # after the first mask, before memory is read


class Program(ABC):
    """What every contender can do."""

    @abstractmethod
    def load(self) -> dict[str, Any]:
        """Imports, model and picture; says what really runs."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the picture that was loaded."""

    @abstractmethod
    def encode(self) -> None:
        """The picture, anew."""

    @abstractmethod
    def click(self, corners: Box) -> NDArray[np.bool_]:
        """The mask (H, W) of one box."""

    @abstractmethod
    def batch(self, boxes: Sequence[Box]) -> object:
        """The masks of several."""

    def mask(self, corners: Box, select: str) -> NDArray[np.bool_]:  # noqa: ARG002
        """As ``click``; ``select`` is for whom has more than one mask to choose from."""
        return self.click(corners)


class Generator(Program):
    """A contender that has everything mode."""

    @abstractmethod
    def everything(self, side: int) -> int:
        """How many objects a grid of side x side points finds."""


class Watched(Program):
    """A contender that knows where its time goes."""

    @abstractmethod
    def stages(self, boxes: Sequence[Box]) -> dict[str, list[float]]:
        """Seconds of each stage: the picture encoded once, then a click for each box."""


def main(program: Program, arguments: Sequence[str]) -> int:
    """Once or as long as there are questions."""
    if "--once" in arguments:
        _say(_once(program))
        return 0
    answers, idle = Answers(program), _Idle()
    for line in sys.stdin:
        question = json.loads(line)
        share = idle.share()
        answer = getattr(answers, question.pop("ask"))(**question)
        _say({**answer, "idle": share})
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


class Answers:
    """A method for each question; see the module."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def load(self) -> dict[str, Any]:
        started = time.perf_counter()
        about = self._program.load()
        return {"seconds": time.perf_counter() - started, "about": about}

    def encode(self) -> dict[str, Any]:
        return {"seconds": _seconds(self._program.encode)}

    def first_click(self, number: int) -> dict[str, Any]:
        (corners,) = self._boxes(number, 1)
        started = time.perf_counter()
        self._program.encode()
        self._program.click(corners)
        return {"seconds": time.perf_counter() - started}

    def click(self, count: int, number: int = 0) -> dict[str, Any]:
        boxes = self._boxes(number, count)
        return {"seconds": [_seconds(partial(self._program.click, one)) for one in boxes]}

    def batch(self, size: int, number: int = 0) -> dict[str, Any]:
        return {"seconds": _seconds(partial(self._program.batch, self._boxes(number, size)))}

    def everything(self, side: int) -> dict[str, Any]:
        assert isinstance(self._program, Generator), "it has no everything mode"
        started = time.perf_counter()
        found = self._program.everything(side)
        return {"seconds": time.perf_counter() - started, "found": found}

    def stages(self, count: int, number: int) -> dict[str, Any]:
        assert isinstance(self._program, Watched), "it does not know where its time goes"
        return {"seconds": self._program.stages(self._boxes(number, count))}

    def mask(self, select: str) -> dict[str, Any]:
        packed = np.packbits(self._program.mask(self._boxes(0, 1)[0], select)).tobytes()
        return {"mask": base64.b64encode(packed).decode("ascii"), "size": self._program.size}

    def _boxes(self, number: int, count: int) -> list[Box]:
        height, width = self._program.size
        return [box(number + index, width, height) for index in range(count)]


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
