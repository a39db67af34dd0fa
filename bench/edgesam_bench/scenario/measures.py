"""What scenarios measure, by name and unit. Knows no figure.

A ratio's samples are the rounds' ratios of medians; its unit is ``x``.
"""

from __future__ import annotations

from edgesam_bench.speed.measures import Measure

_MEMORY = Measure("memory", "memory of the process", "MiB")

# How a click was met, in the order of what the person waits for.
KINDS: dict[str, str] = {
    "prefetched": "click on a prefetched slice",
    "encoding": "click on one being encoded",
    "jump": "jump and click, another being encoded",
    "missing": "click on one not begun",
}

SCENARIOS: dict[str, tuple[Measure, ...]] = {
    "viewer": (
        Measure("click", "any click"),
        *(Measure(name, title) for name, title in KINDS.items()),
        Measure("bare_click", "bare click: nothing else runs"),
        Measure("bare_encode", "bare read, encode and click"),
        Measure("next_ratio", "prefetched slice / bare click", "x"),
        Measure("jump_ratio", "jump / bare read, encode and click", "x"),
        _MEMORY,
    ),
    "cine": (
        Measure("latency", "a frame's arrival to its mask"),
        Measure("heartbeat", "event loop late, live source"),
        Measure("heartbeat_files", "event loop late, files being decoded"),
        _MEMORY,
    ),
    "batch": (
        Measure("loop", "serial loop, a picture"),
        Measure("stream", "stream, a picture"),
        Measure("ratio", "stream / loop", "x"),
        _MEMORY,
    ),
}
