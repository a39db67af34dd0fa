"""How much memory this process holds over time; knows operating systems, no model."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

_STATM = Path("/proc/self/statm")
_EVERY = 0.2  # seconds


def resident_mib() -> float | None:
    """Of this process now, pages of mapped files included; None where nobody tells (not Linux)."""
    if not _STATM.is_file():
        return None
    pages = int(_STATM.read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Curve:
    """Looks at it five times a second, from entering to leaving.

    Args:
        clock: tells the seconds that go with it.
        look: what it looks at.
    """

    def __init__(
        self, clock: Callable[[], float], look: Callable[[], float | None] = resident_mib
    ) -> None:
        self._clock = clock
        self._look = look
        self._samples: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory curve", daemon=True)

    def told(self) -> dict[str, Any] | None:
        """``seconds`` and ``mib``, both rounded; None where nobody tells."""
        if not self._samples:
            return None
        seconds, mib = zip(*self._samples, strict=True)
        return {"seconds": [round(s, 2) for s in seconds], "mib": [round(m, 1) for m in mib]}

    def __enter__(self) -> Curve:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            self._sample()

    def _sample(self) -> None:
        mib = self._look()
        if mib is not None:
            self._samples.append((self._clock(), mib))
