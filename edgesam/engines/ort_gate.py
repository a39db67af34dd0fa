"""Many at once, or one alone: CUDA refuses other threads' allocations while a graph is recorded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Whoever wants to be alone waits for those inside, and keeps others out meanwhile."""

    def __init__(self) -> None:
        # Entered as a lock, not as a condition: tests/test_architecture.py says why.
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._inside = 0
        self._alone = False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Inside, nobody is alone."""
        with self._lock:
            self._change.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, there is nobody else."""
        with self._lock:
            self._change.wait_for(lambda: not self._alone)
            self._alone = True
            self._change.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._lock:
                self._alone = False
                self._change.notify_all()
