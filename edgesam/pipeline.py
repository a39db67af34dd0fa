"""Frames through steps that run at once, each on a thread of its own: bounded, and in order.

Knows nothing of what frames are. Frames wait in one line, the oldest first; the consumer takes the
oldest when all is done to it. No thread runs before :meth:`Pipeline.start` nor after
:meth:`Pipeline.join`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

# Waiting threads look up so often whether the program has ended; on Windows also for Ctrl-C.
_LOOK_UP = 0.5

Step = Callable[[Any], Any]


@dataclass(eq=False)
class Frame:
    """One that is under way.

    Attributes:
        index: its number in the source.
        value: what the last step made of it.
        done: how many steps are done.
        busy: a step is at work on it.
        error: what reading it or a step raised; no other step follows.
        fatal: the error is the source's, which has ended with it.
    """

    index: int
    value: Any = None
    done: int = 0
    busy: bool = False
    error: BaseException | None = None
    fatal: bool = False

    @property
    def begun(self) -> bool:
        """Whether a step has been at work on it."""
        return self.busy or self.done > 0


class Pipeline:
    """A source, some steps, and the line of frames between them.

    Args:
        source: gives numbers and what reads their frames. A read that fails belongs to its frame;
            a source that fails has ended.
        steps: each takes what the one before it made.
        ahead: how many frames may be under way or finished, at least 1.
        newest: the source never waits. One more frame then waits in front of the first step, and
            gives way to a newer one; what was begun is finished.

    Attributes:
        dropped: how many frames gave way.
    """

    def __init__(
        self,
        source: Iterator[tuple[int, Callable[[], Any]]],
        steps: Sequence[Step],
        *,
        ahead: int,
        newest: bool,
    ) -> None:
        self.dropped = 0
        self._source = source
        self._steps = tuple(steps)
        self._ahead = ahead
        self._newest = newest
        self._line: deque[Frame] = deque()
        self._exhausted = False
        self._stopped = False
        # Entered as a lock and not as a condition, whose __enter__ is Python: a Ctrl-C in it
        # would leave the lock taken for good.
        self._lock = threading.RLock()
        self._change = threading.Condition(self._lock)
        self._wakers: list[Callable[[], object]] = []
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._consumer = threading.current_thread()
        self._last = -1

    def start(self) -> None:
        """Start the threads, at the first call."""
        with self._lock:
            if self._threads or self._stopped:
                return
            # A live source may never answer again, and must not keep the program from ending.
            self._begin("read", self._read, daemon=True)
            for number in range(len(self._steps)):
                self._begin(f"step {number + 1}", partial(self._advance, number), daemon=False)

    def take(self) -> Frame | None:
        """The next frame, finished or failed; None after the last one, or when stopped. Waits."""
        while True:
            told = threading.Lock()  # Condition.wait is Python, too: see __init__
            told.acquire()
            ready, frame = self.poll(told.release)
            if ready:
                return frame
            while not told.acquire(timeout=_LOOK_UP):
                pass

    def poll(self, waker: Callable[[], object]) -> tuple[bool, Frame | None]:
        """Whether :meth:`take` would not wait, and what it gives.

        Otherwise ``waker`` is called once when something has changed, from another thread.
        """
        with self._lock:
            self._consumer = threading.current_thread()
            frame = self._finished()
            ready = frame is not None or self._over()
            if not ready:
                self._wakers.append(waker)
            return ready, frame

    def stop(self) -> None:
        """Let every thread end after the call that it is in; takes no time."""
        with self._lock:
            self._stopped = True
            self._changed()

    def ended(self, waker: Callable[[], object]) -> bool:
        """Whether the threads have come to their ends; otherwise as :meth:`poll`."""
        with self._lock:
            if self._running:
                self._wakers.append(waker)
            return not self._running

    def join(self) -> None:
        """After :meth:`stop`: wait for the ends of the threads, and forget frames under way."""
        if threading.current_thread() in self._threads:  # the garbage collector runs anywhere
            return
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_LOOK_UP)
        self._line.clear()
        self._source = iter(())

    def _begin(self, name: str, work: Callable[[], bool], *, daemon: bool) -> None:
        def run() -> None:
            try:
                while work():
                    pass
            finally:
                with self._lock:
                    self._running -= 1
                    self._changed()

        thread = threading.Thread(target=run, name=f"edgesam {name}", daemon=daemon)
        thread.start()
        self._threads.append(thread)
        self._running += 1

    # These two return before their thread waits again, so that no local name keeps a frame alive.

    def _read(self) -> bool:
        """Read one frame into the line; False at the end."""
        with self._lock:
            while not self._stopped and not self._newest and len(self._line) >= self._ahead:
                self._wait()
            if self._stopped:
                return False
        frame = self._next()
        with self._lock:
            self._exhausted = frame is None or frame.fatal
            if frame is not None:
                if self._newest:
                    self._give_way()
                self._line.append(frame)
            self._changed()
            return not self._exhausted

    def _advance(self, number: int) -> bool:
        """Do a step to one frame; False when there will be none any more."""
        with self._lock:
            while (frame := self._claimed(number)) is None:
                if self._stopped or (self._exhausted and not self._coming(number)):
                    return False
                self._wait()
        try:
            value = self._steps[number](frame.value)
        except BaseException as error:
            self._settle(frame, number, None, error)
        else:
            self._settle(frame, number, value, None)
        return True

    def _settle(self, frame: Frame, number: int, value: Any, error: BaseException | None) -> None:
        with self._lock:
            frame.value, frame.error = value, error
            frame.done, frame.busy = number + 1, False
            self._changed()

    def _next(self) -> Frame | None:
        """The source's next frame, read."""
        try:
            self._last, read = next(self._source)
        except StopIteration:
            return None
        except BaseException as error:
            return Frame(self._last + 1, error=error, fatal=True)
        try:
            return Frame(self._last, read())
        except BaseException as error:
            return Frame(self._last, error=error)

    def _give_way(self) -> None:
        """Drop the frame that waits in front of the first step."""
        waiting = [frame for frame in self._line if not frame.begun]
        for frame in waiting:
            self._line.remove(frame)
        self.dropped += len(waiting)

    def _claimed(self, number: int) -> Frame | None:
        """The oldest frame that waits for this step and may begin it, which it does."""
        if self._stopped or (number == 0 and sum(f.begun for f in self._line) >= self._ahead):
            return None
        for frame in self._line:
            if frame.done == number and not frame.busy and frame.error is None:
                frame.busy = True
                return frame
        return None

    def _coming(self, number: int) -> bool:
        """Whether a frame in the line has still to come to this step."""
        return any(frame.done <= number and frame.error is None for frame in self._line)

    def _finished(self) -> Frame | None:
        """The oldest frame, taken out of the line, if all is done to it."""
        if self._stopped or not self._line:
            return None
        frame = self._line[0]
        if frame.error is None and frame.done < len(self._steps):
            return None
        self._line.popleft()
        self._changed()
        return frame

    def _over(self) -> bool:
        return self._stopped or (self._exhausted and not self._line)

    def _wait(self) -> None:
        """Until something changes, or the program ends with nobody left to take anything."""
        self._change.wait(_LOOK_UP)
        if not threading.main_thread().is_alive():
            # Python waits for consumers that are no daemons, and so do we.
            self._stopped = self._consumer.daemon or not self._consumer.is_alive()

    def _changed(self) -> None:
        """Wake all who wait."""
        self._change.notify_all()
        wakers, self._wakers = self._wakers, []
        for wake in wakers:
            with suppress(RuntimeError):  # an event loop that was closed meanwhile
                wake()
