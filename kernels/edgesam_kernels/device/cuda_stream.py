"""Streams, events and graphs over cuda-bindings. Knows no memory and no kernel."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgesam_kernels.device.context import PrimaryContext, Resource
from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.protocol import Event, Graph, Stream

TIMED, UNTIMED = 0, 2  # CUevent_flags


class CudaEvent(Resource):
    """A ``CUevent``, recorded in a stream."""

    def __init__(self, context: PrimaryContext, stream: object, *, timed: bool) -> None:
        driver = context.driver
        with context:
            handle = driver.call("cuEventCreate", TIMED if timed else UNTIMED)
            driver.call("cuEventRecord", handle, stream)
        self.handle = handle
        self._timed = timed
        self._primary = context
        super().__init__(context, lambda: driver.code("cuEventDestroy", handle))

    def synchronize(self) -> None:
        self._primary.call("cuEventSynchronize", self.handle)

    def done(self) -> bool:
        return self._primary.ready("cuEventQuery", self.handle)

    def seconds_since(self, earlier: Event) -> float:
        if not isinstance(earlier, CudaEvent) or not (self._timed and earlier._timed):
            raise DeviceError("time passes only between two events recorded with timed=True")
        milliseconds = self._primary.call("cuEventElapsedTime", earlier.handle, self.handle)
        return float(milliseconds) / 1000


class CudaStream(Resource):
    """A ``CUstream``, ours or (``owned=False``) somebody else's."""

    def __init__(self, context: PrimaryContext, handle: object, *, owned: bool) -> None:
        driver = context.driver
        self._primary = context
        self._native = handle
        self._kept: deque[tuple[CudaEvent, object]] = deque()
        self.capturing = False
        super().__init__(context, lambda: driver.code("cuStreamDestroy", handle) if owned else None)

    @property
    def handle(self) -> int:
        return int(self._native)  # type: ignore[call-overload,no-any-return]

    @property
    def native(self) -> object:
        """As the bindings want it."""
        return self._native

    def record(self, *, timed: bool = False) -> Event:
        return CudaEvent(self._primary, self._native, timed=timed)

    def wait(self, event: Event) -> None:
        if not isinstance(event, CudaEvent):
            raise DeviceError(f"a stream of cuda-bindings cannot wait for {event!r}")
        self._primary.call("cuStreamWaitEvent", self._native, event.handle, 0)

    def synchronize(self) -> None:
        self.check_capturing("synchronise")
        self._primary.call("cuStreamSynchronize", self._native)
        self._kept.clear()

    def keep(self, thing: object) -> None:
        """Keep it until the stream has come to this point."""
        while self._kept and self._kept[0][0].done():
            self._kept.popleft()
        self._kept.append((CudaEvent(self._primary, self._native, timed=False), thing))

    def check_capturing(self, what: str) -> None:
        """
        Raises:
            DeviceError: it is being captured, so that this cannot be.
        """
        if self.capturing:
            raise DeviceError(f"work that is captured in a graph must not {what}")


class CudaGraph(Resource):
    """A ``CUgraphExec``."""

    def __init__(self, context: PrimaryContext, handle: object) -> None:
        driver = context.driver
        self._primary = context
        self._handle = handle
        super().__init__(context, lambda: driver.code("cuGraphExecDestroy", handle))

    def launch(self, stream: Stream) -> None:
        self.check_open("a graph")
        self._primary.call("cuGraphLaunch", self._handle, native(stream).native)


def native(stream: Stream) -> CudaStream:
    """
    Raises:
        DeviceError: it is not a stream of this library.
    """
    if not isinstance(stream, CudaStream):
        raise DeviceError(f"{stream!r} is not a stream of cuda-bindings")
    return stream


def capture(context: PrimaryContext, stream: CudaStream, work: Callable[[], None]) -> Graph:
    """``work``'s calls on ``stream`` as a graph; other threads go on with theirs meanwhile."""
    driver = context.driver
    mode = driver.constant("CUstreamCaptureMode", "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL")
    with _uncollected():
        context.call("cuStreamBeginCapture", stream.native, mode)
        stream.capturing = True
        try:
            work()
        except BaseException:
            _abandon(context, stream)
            raise
        finally:
            stream.capturing = False
        graph = context.call("cuStreamEndCapture", stream.native)
    try:
        return CudaGraph(context, context.call("cuGraphInstantiate", graph, 0))
    finally:
        with context:
            driver.code("cuGraphDestroy", graph)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Python's collector might free memory on this thread, and so undo what is captured."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _abandon(context: PrimaryContext, stream: CudaStream) -> None:
    """End a capture whose work failed; its own error is the one to be told."""
    try:
        graph = context.call("cuStreamEndCapture", stream.native)
    except DeviceError:
        return
    with context:
        context.driver.code("cuGraphDestroy", graph)
