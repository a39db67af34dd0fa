"""Streams and events over pycuda. Knows no memory and no kernel."""

from __future__ import annotations

from collections import deque
from typing import Any

from edgesam_kernels.device.context import Resource
from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.protocol import Event, Stream
from edgesam_kernels.device.pycuda_context import PycudaContext


class Held(Resource):
    """An object of pycuda that goes when nobody has it any more: that must happen with its
    context current, or pycuda leaks it and says so on standard error.
    """

    def __init__(self, context: PycudaContext, thing: Any) -> None:
        self._primary = context
        self._things = [thing]
        super().__init__(context, self._things.clear)

    @property
    def native(self) -> Any:
        self.check_open("a thing of the device")
        return self._things[0]


class PycudaEvent(Held):
    """A ``pycuda.driver.Event``, recorded in a stream (``None``: the default stream)."""

    def __init__(self, context: PycudaContext, stream: Any, *, timed: bool) -> None:
        flags = context.pycuda.event_flags
        event = context.call(context.pycuda.Event, flags.DEFAULT if timed else flags.DISABLE_TIMING)
        super().__init__(context, event)
        self._timed = timed
        context.call(event.record, stream)

    def synchronize(self) -> None:
        self._primary.call(self.native.synchronize)

    def done(self) -> bool:
        return bool(self._primary.call(self.native.query))

    def seconds_since(self, earlier: Event) -> float:
        if not isinstance(earlier, PycudaEvent) or not (self._timed and earlier._timed):
            raise DeviceError("time passes only between two events recorded with timed=True")
        milliseconds = self._primary.call(self.native.time_since, earlier.native)
        return float(milliseconds) / 1000


class PycudaStream(Held):
    """A ``pycuda.driver.Stream``; the default stream is ``None`` in pycuda."""

    def __init__(self, context: PycudaContext, stream: Any) -> None:
        super().__init__(context, stream)
        self._kept: deque[tuple[PycudaEvent, object]] = deque()

    @property
    def handle(self) -> int:
        return 0 if self.native is None else int(self.native.handle)

    def record(self, *, timed: bool = False) -> Event:
        return PycudaEvent(self._primary, self.native, timed=timed)

    def wait(self, event: Event) -> None:
        if not isinstance(event, PycudaEvent):
            raise DeviceError(f"a stream of pycuda cannot wait for {event!r}")
        if self.native is None:  # the default stream has no object that could be told to wait
            event.synchronize()
        else:
            self._primary.call(self.native.wait_for_event, event.native)

    def synchronize(self) -> None:
        if self.native is None:
            self.record().synchronize()
        else:
            self._primary.call(self.native.synchronize)
        self._kept.clear()

    def keep(self, thing: object) -> None:
        """Keep it until the stream has come to this point."""
        while self._kept and self._kept[0][0].done():
            self._kept.popleft()
        self._kept.append((PycudaEvent(self._primary, self.native, timed=False), thing))


class ForeignStream:
    """A stream that pycuda did not make. pycuda has no way to name one, so nothing can be given
    to it, and what waits for it waits, on the host, for all of the device.
    """

    def __init__(self, context: PycudaContext, handle: int) -> None:
        self._primary = context
        self.handle = handle

    def record(self, *, timed: bool = False) -> Event:
        if timed:
            raise DeviceError("pycuda cannot time a stream that it did not make")
        self.synchronize()
        return PycudaEvent(self._primary, None, timed=False)

    def wait(self, event: Event) -> None:
        event.synchronize()

    def synchronize(self) -> None:
        self._primary.call(self._primary.pycuda.Context.synchronize)


def native(stream: Stream) -> PycudaStream:
    """
    Raises:
        DeviceError: it is not a stream that pycuda can be given work for.
    """
    if not isinstance(stream, PycudaStream):
        raise DeviceError(
            f"pycuda cannot give work to the stream {stream.handle:#x} that it did not make: use "
            "a stream of this device"
        )
    return stream
