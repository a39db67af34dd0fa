"""Telling a call under way on another thread to end. Knows no engine: each says how it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancelled(Exception):
    """A call ended because it was told to; what it would have given is not there."""


class Cancel:
    """Handed to calls that may have to end early; once it was told, all of them do."""

    def __init__(self) -> None:
        self._told = False
        self._ways: list[Callable[[], object]] = []
        self._lock = threading.RLock()  # the garbage collector may tell it anywhere

    @property
    def told(self) -> bool:
        """Whether calls are to end."""
        return self._told

    def tell(self) -> None:
        """End the calls that are under way, and all later ones; does not wait for them."""
        with self._lock:
            self._told = True
            for way in self._ways:
                way()

    @contextmanager
    def by(self, way: Callable[[], object]) -> Iterator[None]:
        """Inside, ``way`` is what ends the call; it is never called after that."""
        with self._lock:
            self._ways.append(way)
            if self._told:
                way()
        try:
            yield
        finally:
            with self._lock:
                self._ways.remove(way)

    def check(self) -> None:
        """Raise :class:`Cancelled` if calls are to end."""
        if self._told:
            raise Cancelled
