"""What is timed of either side, in the same way; knows no model and imports none."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

from edgesam_bench.cost.peak import peak_mib

CLICKS = 10


def measured(
    started: float, encode: Callable[[], object], click: Callable[[int], object]
) -> dict[str, float | None]:
    """Seconds of loading, encoding and clicking, and the peak of this process in MiB.

    Args:
        started: ``time.perf_counter()`` before loading, which has just ended.
        encode: embeds the picture; the faster of two counts.
        click: asks with the n-th box; the first call warms up, the median of the others counts.
    """
    load = time.perf_counter() - started
    encodes = [_seconds(encode) for _ in range(2)]
    clicks = [_seconds(partial(click, shift)) for shift in range(CLICKS + 1)]
    return {
        "load": load,
        "encode": min(encodes),
        "click": statistics.median(clicks[1:]),
        "peak_mib": peak_mib(),
    }


def box(shift: int) -> tuple[int, int, int, int]:
    """The n-th box: another one each time, x0, y0, x1, y1."""
    return 100 + shift, 120, 300 + shift, 360


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
