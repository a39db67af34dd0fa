"""What happened when, and on whose thread. Knows no model and no picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from edgesam.cancel import Cancelled


@dataclass(frozen=True)
class Span:
    """One piece of work on one picture.

    Attributes:
        stage: what was done: ``read``, ``prepare``, ``encode``, ``side``, ``decode``, ``click``.
        index: the picture's number.
        start: seconds since the time-line began.
        end: see there.
        ahead: on another thread than the person's.
        cancelled: it was told to end, and ended so.
    """

    stage: str
    index: int
    start: float
    end: float
    ahead: bool
    cancelled: bool


@dataclass(frozen=True)
class Mark:
    """Something that takes no time.

    Attributes:
        kind: ``look``, ``jump``, ``arrival``.
        index: the picture's number.
        at: seconds since the time-line began.
    """

    kind: str
    index: int
    at: float


class Timeline:
    """Spans and marks, from any thread; the thread that makes it is the person's."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.marks: list[Mark] = []
        self._person = threading.get_ident()
        self._began = time.perf_counter()
        self._ahead: list[int] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    @contextmanager
    def span(self, stage: str, index: int) -> Iterator[None]:
        """What is done inside, however it ends."""
        ahead = threading.get_ident() != self._person
        if ahead:
            with self._lock:
                self._ahead.append(index)
        start, cancelled = self.now(), False
        try:
            yield
        except Cancelled:
            cancelled = True
            raise
        finally:
            end = self.now()
            with self._lock:
                self.spans.append(Span(stage, index, start, end, ahead, cancelled))
                if ahead:
                    self._ahead.remove(index)

    def mark(self, kind: str, index: int) -> float:
        """Now; returns when that was."""
        at = self.now()
        with self._lock:
            self.marks.append(Mark(kind, index, at))
        return at

    def under_way(self) -> set[int]:
        """The pictures that other threads than the person's are at work on."""
        with self._lock:
            return set(self._ahead)

    def between(self, start: float, end: float) -> dict[str, Any]:
        """JSON-ready: what lies in that time, counted from its start, in order."""
        spans = sorted(
            (s for s in self.spans if s.end > start and s.start < end), key=lambda s: s.start
        )
        return {
            "seconds": _fine(end - start),
            "spans": [
                {
                    **asdict(span),
                    "start": _fine(max(span.start, start) - start),
                    "end": _fine(min(span.end, end) - start),
                }
                for span in spans
            ],
            "marks": [
                {**asdict(mark), "at": _fine(mark.at - start)}
                for mark in self.marks
                if start <= mark.at <= end
            ],
        }


def _fine(seconds: float) -> float:
    return round(seconds, 5)
