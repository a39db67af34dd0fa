"""Streams, events and graphs of a device that is none. Work runs when the host learns that it is
done, not before: what looks at results too early sees that they are not there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.fake_clock import Misuse
from edgesam_kernels.device.fake_memory import Access, Vector
from edgesam_kernels.device.fake_state import FakeState
from edgesam_kernels.device.protocol import Event, Stream


@dataclass(frozen=True)
class Work:
    """Something for an engine. ``begin`` is called when it is given; what that returns, later."""

    name: str
    engine: str
    seconds: float
    begin: Callable[[], Callable[[], None]]
    accesses: tuple[Access, ...] = ()


class FakeEvent:
    """A point in a stream."""

    def __init__(self, stream: FakeStream, *, timed: bool) -> None:
        self.stream = stream
        self.timed = timed
        self.captured = stream.captured is not None
        self.position = stream.given
        self.vector: Vector = dict(stream.vector)
        self.time = max(stream.time, stream.device.clock.host)

    def synchronize(self) -> None:
        device = self.stream.device
        with device.lock:
            device.note("synchronize", self.stream.number, "event")
            self._check()
            device.clock.wait(self.time)
            self._learn()

    def done(self) -> bool:
        device = self.stream.device
        with device.lock:
            device.note("done", self.stream.number)
            self._check()
            device.clock.host += device.costs.poll
            if self.time > device.clock.host:
                return False
            self._learn()
            return True

    def seconds_since(self, earlier: Event) -> float:
        if not isinstance(earlier, FakeEvent) or not (self.timed and earlier.timed):
            raise DeviceError("time passes only between two events recorded with timed=True")
        if max(self.time, earlier.time) > self.stream.device.clock.host:
            raise Misuse("time between two events that are not known to be done")
        return self.time - earlier.time

    def _check(self) -> None:
        if self.captured:
            raise Misuse("an event of a captured graph cannot be asked: it never happens itself")
        self.stream.device.check_not_capturing("waits for an event or asks for it")

    def _learn(self) -> None:
        self.stream.run_to(self.position)
        self.stream.device.learn(self.vector)


class FakeStream:
    """Work in order."""

    def __init__(self, device: FakeState, number: int, handle: int) -> None:
        self.device = device
        self.number = number
        self.handle = handle
        self.time = 0.0
        self.vector: Vector = {number: 0}
        self.captured: list[Work] | None = None
        self.given = 0
        self._run = 0
        self._queue: deque[Callable[[], None] | FakeEvent] = deque()

    def __repr__(self) -> str:
        return f"FakeStream({self.number})"

    def record(self, *, timed: bool = False) -> Event:
        with self.device.lock:
            self.device.note("record", self.number)
            return FakeEvent(self, timed=timed)

    def wait(self, event: Event) -> None:
        with self.device.lock:
            self.device.note("wait", self.number)
            if not isinstance(event, FakeEvent) or event.stream.device is not self.device:
                raise Misuse(f"stream {self.number} waits for an event of another device")
            if event.captured or self.captured is not None:
                if event.captured and event.stream is self and self.captured is not None:
                    return
                raise Misuse("a capture cannot wait for what is outside of it, nor this for that")
            self.time = max(self.time, event.time)
            merge(self.vector, event.vector)
            self._queue.append(event)
            self.given += 1

    def synchronize(self) -> None:
        with self.device.lock:
            self.device.note("synchronize", self.number, "stream")
            self.device.check_not_capturing("synchronises")
            self.device.clock.wait(self.time)
            self.run_to(self.given)
            self.device.learn(self.vector)

    def give(self, work: Work) -> None:
        """Take work, or write it down while this is captured."""
        if self.captured is not None:
            self.captured.append(work)
            return
        merge(self.vector, self.device.known)
        self.vector[self.number] += 1
        for access in work.accesses:
            self.device.space.touch(access, self.number, self.vector, work.name)
        self.time = self.device.clock.run(
            work.name, work.engine, self.number, self.time, work.seconds
        )
        self._queue.append(work.begin())
        self.given += 1

    def run_to(self, position: int) -> None:
        """Do what was given before that position, and what it waits for."""
        while self._run < position:
            self._run += 1
            item = self._queue.popleft()
            if isinstance(item, FakeEvent):
                item.stream.run_to(item.position)
            else:
                item()


class FakeGraph:
    """Work that was written down."""

    def __init__(self, device: FakeState, work: list[Work]) -> None:
        self.work = work
        self._device = device
        self._closed = False

    def launch(self, stream: Stream) -> None:
        with self._device.lock:
            there = own(self._device, stream)
            self._device.note("graph", there.number)
            if self._closed:
                raise Misuse("a graph was closed and is launched")
            for work in self.work:
                there.give(work)

    def close(self) -> None:
        if self._closed:
            raise Misuse("a graph was closed twice")
        self._closed = True


def merge(vector: Vector, other: Vector) -> None:
    """Come after all that ``other`` comes after."""
    for stream, count in other.items():
        vector[stream] = max(vector.get(stream, 0), count)


def own(device: FakeState, stream: Stream) -> FakeStream:
    """
    Raises:
        Misuse: a stream of another device.
    """
    if not isinstance(stream, FakeStream) or stream.device is not device:
        raise Misuse(f"{stream!r} is a stream of another device")
    return stream
