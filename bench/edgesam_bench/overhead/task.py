"""The work that both programs do, and how they report it; knows neither program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

CLICKS = 40
WARM_UP = 5

Box = tuple[float, float, float, float]


def box(click: int) -> Box:
    """Another box inside 512 x 512 pixels every time."""
    shift = 3.0 * (click % 16)
    return 100 + shift, 120 + shift, 300 + shift, 310 + shift


def report(segment: Callable[[Box], int]) -> None:
    """Segment once, then click away; write the clock of the first mask and the click times."""
    area = segment(box(0))
    first_mask = time.time()
    clicks = []
    for click in range(WARM_UP + CLICKS):
        start = time.perf_counter()
        segment(box(click))
        clicks.append(time.perf_counter() - start)
    result = {
        "first_mask": first_mask,
        "clicks": clicks[WARM_UP:],
        "area": area,
        "peak_kib": _peak_kib(),
    }
    json.dump(result, sys.stdout)


def _peak_kib() -> int | None:
    """Peak resident memory of this process, where the system tells (Linux)."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
