"""How busy the machine was with work that is not ours. Knows operating systems, no model."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

BUSY = 0.05  # share of the processor, taken by others, from which times cannot be trusted

_STAT = Path("/proc/stat")


class Watch:
    """From its making until it is asked; children count as ours once they have ended."""

    def __init__(self) -> None:
        self._load = _load()
        self._clock, self._all, self._ours = time.perf_counter(), _busy_seconds(), _our_seconds()

    def told(self) -> dict[str, Any]:
        """``load_before`` and ``load_after``, the system's mean of a minute (None on Windows), and
        ``others``, the share of all cores that was not ours (Linux, else None).
        """
        now, others = _busy_seconds(), None
        if now is not None and self._all is not None:
            whole = (time.perf_counter() - self._clock) * (os.cpu_count() or 1)
            foreign = (now - self._all) - (_our_seconds() - self._ours)
            others = max(0.0, foreign / whole)
        return {"load_before": self._load, "load_after": _load(), "others": others}


def complaint(told: dict[str, Any], cores: int) -> str | None:
    """Why the times cannot be trusted, or None."""
    others, load = told["others"], told["load_before"]
    if others is not None:
        return f"others took {others:.0%} of the processor meanwhile" if others > BUSY else None
    if load is not None and load > 0.5 * cores:
        return f"the load was {load:.1f} on {cores} cores before it began"
    return None


def _load() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _our_seconds() -> float:
    return sum(os.times()[:4])


def _busy_seconds() -> float | None:
    """Of all cores since the machine started, stolen time (of a host's other guests) included."""
    if not _STAT.is_file() or not hasattr(os, "sysconf"):
        return None
    fields = _STAT.read_text("ascii").splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, soft_irq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + soft_irq + steal) / os.sysconf("SC_CLK_TCK")
