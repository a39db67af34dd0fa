"""Things by number, made before they are asked for: around the one in view, farther by and by.

Knows not what they are. One thread makes them, one at a time, and makes way at once for whoever
asks: what it is at work on is told to end unless it is the very thing that is wanted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from edgesam.cancel import Cancel, Cancelled

_LOOK_UP = 0.5  # seconds; see edgesam.pipeline
_MOMENT = 0.05  # seconds; what ends later than that shares the cores with whoever asks

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Keeps what is in view and near it.

    Args:
        make: makes one by its number; raises Cancelled when it is told to end.
        size: of one, in bytes.
        count: how many there are, from 0.
        memory: bytes that are kept at most; what is in view is kept in any case.
        seconds: for how long after the last look others are made.
    """

    def __init__(
        self,
        make: Callable[[int, Cancel], T],
        size: Callable[[T], int],
        *,
        count: int,
        memory: int,
        seconds: float,
    ) -> None:
        self._make = make
        self._size = size
        self._count = count
        self._memory = memory
        self._seconds = seconds
        self._kept: dict[int, T] = {}
        self._failed: set[int] = set()
        self._view: int | None = None
        self._forwards = True
        self._until = 0.0
        self._rested = 0.0
        self._askers = 0
        self._work: tuple[int, Cancel] | None = None
        self._stopped = False
        # Entered as a lock, not as a condition: tests/test_architecture.py says why.
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def look(self, index: int) -> None:
        """This one is in view now; returns at once."""
        self._check(index)
        with self._lock:
            if self._view is not None and index != self._view:
                self._forwards = index > self._view
            self._view = index
            self._until = time.monotonic() + self._seconds
            self._failed.clear()  # a file that was being written may be there now
            if self._work is not None and self._next_missing() != self._work[0]:
                self._work[1].tell()
            self._start()
            self._change.notify_all()

    def rest(self, seconds: float) -> None:
        """Make nothing for later for so long; what is in view is made all the same."""
        self._check_open()
        with self._lock:
            self._rested = time.monotonic() + seconds
            if self._work is not None and self._work[0] != self._view:
                self._work[1].tell()
            self._change.notify_all()

    def ready(self, index: int) -> bool:
        """Whether it needs not be made any more."""
        with self._lock:
            return index in self._kept

    @contextmanager
    def taken(self, index: int) -> Iterator[T]:
        """Inside, it is there, and nothing is made for later; raises what making it raises."""
        self._check(index)
        with self._lock:
            self._askers += 1
        try:
            yield self._get(index)
        finally:
            with self._lock:
                self._askers -= 1
                self._change.notify_all()

    def stop(self) -> None:
        """Let the thread end; takes no time."""
        with self._lock:
            self._stopped = True
            if self._work is not None:
                self._work[1].tell()
            self._change.notify_all()

    def join(self) -> None:
        """After :meth:`stop`: wait for the thread's end, and forget everything."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            while thread.is_alive():
                thread.join(_LOOK_UP)
        self._kept.clear()

    def _get(self, index: int) -> T:
        with self._lock:
            while self._work is not None and self._work[0] == index and not self._work[1].told:
                self._change.wait(_LOOK_UP)
            if self._work is not None:
                self._work[1].tell()
            if index in self._kept:
                # An engine ends after a while and has all cores meanwhile: beside it one is slower.
                self._change.wait_for(lambda: self._work is None, _MOMENT)
                return self._kept[index]
        made = self._make(index, Cancel())  # by whoever asks, so that errors are theirs
        with self._lock:
            self._keep(index, made)
        return made

    def _start(self) -> None:
        if self._thread is None and not self._stopped:
            self._thread = threading.Thread(target=self._run, name="edgesam prefetch")
            self._thread.start()

    def _run(self) -> None:
        while self._advance():
            pass

    def _advance(self) -> bool:
        """Make one; False at the end."""
        with self._lock:
            while (index := self._wanted()) is None and not self._stopped:
                rest = self._rested - time.monotonic()
                self._change.wait(min(rest, _LOOK_UP) if rest > 0 else _LOOK_UP)
                if not threading.main_thread().is_alive():
                    self._stopped = True
            if self._stopped or index is None:
                return False
            cancel = Cancel()
            self._work = index, cancel
        try:
            made = self._make(index, cancel)
        except Cancelled:
            self._settle()
        except BaseException as error:  # whoever asks for it makes it anew, and sees why
            self._settle(failed=index, memory_is_short=isinstance(error, MemoryError))
        else:
            self._settle((index, made))
        return True

    def _settle(
        self,
        made: tuple[int, T] | None = None,
        failed: int | None = None,
        memory_is_short: bool = False,
    ) -> None:
        with self._lock:
            self._work = None
            if made is not None:
                self._keep(*made)
            if failed is not None:
                self._failed.add(failed)
            if memory_is_short:
                self._until = 0.0
            self._change.notify_all()

    def _wanted(self) -> int | None:
        """What to make next, or None while somebody asks or all is done."""
        index = None if self._askers else self._next_missing()
        if index != self._view and not self._rested <= time.monotonic() <= self._until:
            return None
        return index

    def _next_missing(self) -> int | None:
        """The nearest that is not there and has room."""
        for index in self._near():
            if index not in self._kept and index not in self._failed:
                return index
        return None

    def _near(self) -> list[int]:
        """What is in view, then the next ones in the direction of scrolling, one behind among them,
        as many as there is room for.
        """
        if self._view is None:
            return []
        step = 1 if self._forwards else -1
        known = [self._size(kept) for kept in self._kept.values()]
        room = self._memory // max(known) if known else 2
        room = max(1, min(room, self._count))
        near = [self._view + step * away for away in range(room)]
        near.insert(2, self._view - step)
        return [index for index in near if 0 <= index < self._count][:room]

    def _keep(self, index: int, made: T) -> None:
        """In the place of what is farthest from the view."""
        if self._stopped:
            return
        self._kept[index] = made
        near = self._near()
        size = sum(self._size(kept) for kept in self._kept.values())
        while size > self._memory and len(self._kept) > 1:
            farthest = max((i for i in self._kept if i != self._view), key=lambda i: rank(near, i))
            size -= self._size(self._kept.pop(farthest))

    def _check_open(self) -> None:
        if self._stopped:
            raise ValueError("this session is closed")

    def _check(self, index: int) -> None:
        self._check_open()
        if not 0 <= index < self._count:
            raise IndexError(f"there is no picture {index}: there are {self._count}, from 0")


def rank(near: list[int], index: int) -> tuple[int, int]:
    """Of the near ones their order; all others come after them, the farther the later."""
    if index in near:
        return near.index(index), 0
    return len(near), abs(index - near[0]) if near else 0
