"""Counts what became of many pictures, says how long the rest will take. Knows no picture."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from edgesam.commands.progress import Progress


@dataclass
class Tally:
    """How far a list is. Threads may share it.

    Attributes:
        total: how many there are.
        progress: where it is shown.
        what: what is counted, in the plural.
        written: done by this run.
        skipped: done before.
        failures: what failed, ready for JSON: where, and the error.
    """

    total: int
    progress: Progress
    what: str = "masks"
    written: int = 0
    skipped: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    _began: float = field(init=False)
    _since: float = field(init=False)  # when there was first something to do
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._began = self._since = time.monotonic()

    def wrote(self) -> None:
        """One more is done."""
        with self._lock:
            self.written += 1
            self._show()

    def found(self) -> None:
        """One more had been done before."""
        with self._lock:
            self.skipped += 1
            if not self.written:
                self._since = time.monotonic()
            self._show()

    def failed(self, where: dict[str, Any], told: str, error: Exception) -> None:
        """One more cannot be done.

        Args:
            where: for JSON, as ``{"line": 7}``.
            told: the same for a person, as ``list.csv, line 7``.
            error: why.
        """
        message = " ".join((str(error) or "out of memory").split())
        with self._lock:
            about = {"type": type(error).__name__, "message": message}
            self.failures.append({**where, **about})
            self.progress.note(f"{told}: {message}")
            self._show()

    @property
    def left(self) -> float | None:
        """Seconds until all are done, as the ones of this run went; None while nothing is known."""
        done = self.written + len(self.failures)
        if not self.written:
            return None
        return (time.monotonic() - self._since) / done * (self.total - done - self.skipped)

    @property
    def code(self) -> int:
        """The command's exit code: 1 if something failed."""
        return 1 if self.failures else 0

    def report(self) -> dict[str, Any]:
        """All of it, ready for JSON, failures in the list's order."""
        return {
            "total": self.total,
            "written": self.written,
            "skipped": self.skipped,
            "failed": len(self.failures),
            "failures": sorted(self.failures, key=lambda one: next(iter(one.values()))),
            "seconds": round(self.seconds, 1),
        }

    @property
    def seconds(self) -> float:
        """Since the count began."""
        return time.monotonic() - self._began

    def __str__(self) -> str:
        words = [f"{self.written} of {self.total} {self.what} written"]
        if self.skipped:
            words.append(f"{self.skipped} there already")
        if self.failures:
            words.append(f"{len(self.failures)} failed")
        return ", ".join(words)

    def _show(self) -> None:
        done = self.written + self.skipped + len(self.failures)
        left = self.left
        when = "?" if left is None else duration(left)
        self.progress(f"{done} of {self.total} {self.what}, {when} left")


def duration(seconds: float) -> str:
    """As ``0:00:07``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
