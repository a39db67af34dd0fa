"""A device that is the host: ``edgesam_kernels.device`` over host memory and the CUDA shim.

Stricter than a card. What a stream is given runs as late as the contract allows: when somebody
synchronises with it, waits for it, or asks an event twice; so what does not wait, or changes pinned
bytes too early, gives wrong results every time. Memory that was closed, bytes beside an allocation,
arguments of the wrong type, and whatever a graph cannot record are errors.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device import DeviceError, DeviceOutOfMemory, Event, Pinned, Stream

from .host_cuda import HostCudaError, HostKernel, Size, compile_host

_GUARD = 256  # bytes before and after an allocation that nobody may touch
_FRESH = 0xFF  # what new bytes hold: NaN as a float, -1 as an integer
_BESIDE = 0xA5

Work = Callable[[], None]


class HostEvent:
    """A point in a stream."""

    def __init__(self, stream: HostStream, position: int, timed: bool) -> None:
        self._stream, self._position, self._timed = stream, position, timed
        self._time = 0.0

    def pass_by(self) -> None:
        """The stream has come to it."""
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        self._stream.device.forbid_capture("an event's synchronize")
        self.reach()

    def done(self) -> bool:
        """As it was before the question; asking lets the stream go on by one step."""
        done = self._passed
        if not done:
            self._stream.run_to(self._stream.position + 1)
        return done

    @property
    def _passed(self) -> bool:
        return self._stream.position >= self._position

    def seconds_since(self, earlier: Event) -> float:
        assert isinstance(earlier, HostEvent)
        if not (self._timed and earlier._timed):
            raise DeviceError("an event was recorded without timed=True")
        if not (self._passed and earlier._passed):
            raise DeviceError("an event's stream has not come to it")
        return self._time - earlier._time

    def reach(self) -> None:
        """Run its stream up to it."""
        self._stream.run_to(self._position)


class HostStream:
    """Work that waits until somebody needs it done.

    Attributes:
        device: whose it is.
        handle: a number of its own.
        position: how many pieces of work are done.
    """

    def __init__(self, device: HostDevice, handle: int) -> None:
        self.device, self.handle, self.position = device, handle, 0
        self._given = 0
        self._queue: deque[Work] = deque()
        self.recording: list[Work] | None = None

    def give(self, work: Work) -> None:
        """Run it later, or keep it for a graph."""
        with self.device.lock:
            if self.recording is not None:
                self.recording.append(work)
            else:
                self._queue.append(work)
                self._given += 1

    def record(self, *, timed: bool = False) -> HostEvent:
        self.device.forbid_capture("an event")
        with self.device.lock:
            event = HostEvent(self, self._given + 1, timed)
            self.give(event.pass_by)
            return event

    def wait(self, event: Event) -> None:
        assert isinstance(event, HostEvent)
        self.device.forbid_capture("a wait for another stream")
        self.give(event.reach)

    def synchronize(self) -> None:
        self.device.forbid_capture("a stream's synchronize")
        self.run_to(self._given)

    def run_to(self, position: int) -> None:
        """Do what was given until so many pieces of it are done."""
        with self.device.lock:
            while self.position < position:
                work = self._queue.popleft()
                try:
                    work()
                finally:
                    self.position += 1


class HostMemory:
    """Bytes with guards on both sides; device memory and pinned memory alike."""

    def __init__(self, device: HostDevice, nbytes: int) -> None:
        self._device, self.nbytes = device, nbytes
        self._whole = np.full(nbytes + 2 * _GUARD, _BESIDE, np.uint8)
        self.bytes = self._whole[_GUARD : _GUARD + nbytes]
        self.bytes[:] = _FRESH
        self.pointer = self._whole.ctypes.data + _GUARD
        self._open = True

    def close(self) -> None:
        if self._open:
            self._open = False
            self.check()
            self._device.forget(self.pointer)

    def check(self) -> None:
        """Whether the guards are whole."""
        if not (
            (self._whole[:_GUARD] == _BESIDE).all() and (self._whole[-_GUARD:] == _BESIDE).all()
        ):
            raise DeviceError(f"something wrote beside an allocation of {self.nbytes} bytes")


class _Launcher:
    """A kernel of the host as the contract's."""

    def __init__(self, device: HostDevice, kernel: HostKernel) -> None:
        self._device, self._kernel = device, kernel

    def launch(
        self, stream: Stream, grid: Size, block: Size, *arguments: np.generic | int, shared: int = 0
    ) -> None:
        assert isinstance(stream, HostStream)
        if shared:
            raise DeviceError("the host shim has no dynamic shared memory")
        try:
            self._kernel.check(grid, block, arguments)
        except HostCudaError as error:
            raise DeviceError(str(error)) from error

        def work() -> None:
            for argument in arguments:
                if isinstance(argument, int) and argument:
                    self._device.check(argument, 1)
            self._device.launches.append(self._kernel.name)
            self._kernel.launch(grid, block, *arguments, backwards=self._device.backwards)
            self._device.check_guards()

        stream.give(work)


class _Module:
    def __init__(self, device: HostDevice, source: str, options: Sequence[str]) -> None:
        self._device = device
        self._module = compile_host(source, tuple(options))

    def kernel(self, name: str) -> _Launcher:
        try:
            return _Launcher(self._device, self._module.kernel(name))
        except HostCudaError as error:
            raise DeviceError(str(error)) from error


class HostGraph:
    """Work that was recorded."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works: tuple[Work, ...] | None = tuple(works)

    def launch(self, stream: Stream) -> None:
        assert isinstance(stream, HostStream)
        if self._works is None:
            raise DeviceError("this graph is closed")
        for work in self._works:
            stream.give(work)

    def close(self) -> None:
        self._works = None


class HostDevice:
    """The contract of :class:`edgesam_kernels.device.Device`, kept by the host.

    Attributes:
        launches: names of the kernels that ran, in their order.
        backwards: whether kernels take their blocks and threads from the last to the first.
        lock: held while anything runs.
    """

    library, ordinal, name, compute_capability = "host", 0, "this host", (9, 0)
    driver, can_capture = "13.0", True

    def __init__(self, *, capacity: int = 1 << 30, backwards: bool = False) -> None:
        self.lock = threading.RLock()
        self.launches: list[str] = []
        self.backwards = backwards
        self._capacity = capacity
        self._memory: weakref.WeakValueDictionary[int, HostMemory] = weakref.WeakValueDictionary()
        self._pinned: weakref.WeakSet[HostMemory] = weakref.WeakSet()
        self._lent: dict[int, NDArray[Any]] = {}
        self._streams: dict[int, HostStream] = {}
        self._handles = itertools.count(1000)
        self._capturing: HostStream | None = None

    def free_memory(self) -> int:
        return self._capacity - sum(memory.nbytes for memory in self._memory.values())

    def stream(self) -> HostStream:
        return self.foreign_stream(next(self._handles))

    def foreign_stream(self, handle: int) -> HostStream:
        return self._streams.setdefault(handle, HostStream(self, handle))

    def memory(self, nbytes: int) -> HostMemory:
        self.forbid_capture("an allocation")
        if nbytes > self.free_memory():
            raise DeviceOutOfMemory(f"the device has no {nbytes} bytes: {self.free_memory()} free")
        memory = HostMemory(self, nbytes)
        self._memory[memory.pointer] = memory
        return memory

    def pinned(self, nbytes: int) -> HostMemory:
        memory = self.memory(nbytes)
        self._pinned.add(memory)
        return memory

    def lend(self, array: NDArray[Any]) -> int:
        """The pointer of somebody else's array, as of a frame that lies on the device."""
        self._lent[array.ctypes.data] = array
        return array.ctypes.data

    def upload(self, pointer: int, source: NDArray[Any] | Pinned, stream: Stream) -> None:
        assert isinstance(stream, HostStream)
        held, locked = self._bytes(source)
        if not locked:
            self.forbid_capture("a copy of pageable memory")
            held = held.copy()
        stream.give(lambda: self._put(pointer, held))

    def download(self, target: NDArray[Any] | Pinned, pointer: int, stream: Stream) -> None:
        assert isinstance(stream, HostStream)
        kept, locked = self._bytes(target)
        if not locked:
            self.forbid_capture("a copy of pageable memory")
        stream.give(lambda: self._take(kept, pointer))
        if not locked:
            stream.synchronize()

    def copy(self, target: int, source: int, nbytes: int, stream: Stream) -> None:
        assert isinstance(stream, HostStream)
        stream.give(lambda: self._put(target, self._view(source, nbytes)))

    def fill(self, pointer: int, value: int, nbytes: int, stream: Stream) -> None:
        assert isinstance(stream, HostStream)
        stream.give(lambda: self._put(pointer, np.full(nbytes, value, np.uint8)))

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> _Module:
        try:
            return _Module(self, source, options)
        except HostCudaError as error:
            raise DeviceError(f"{name} does not compile: {error}") from error

    def capture(self, stream: Stream, work: Callable[[], None]) -> HostGraph:
        assert isinstance(stream, HostStream)
        self.forbid_capture("a capture")
        self._capturing, stream.recording = stream, []
        try:
            work()
            return HostGraph(stream.recording)
        finally:
            self._capturing, stream.recording = None, None

    def close(self) -> None:
        if self._memory:
            raise DeviceError(f"{len(self._memory)} allocations are still open")

    def forbid_capture(self, what: str) -> None:
        """What cannot be recorded."""
        if self._capturing is not None:
            raise DeviceError(f"{what} cannot be captured in a graph")

    def forget(self, pointer: int) -> None:
        """An allocation is closed."""
        del self._memory[pointer]

    def check(self, pointer: int, nbytes: int) -> None:
        """Whether all of these bytes are in one open allocation, or in a lent array."""
        blocks = [(start, memory.nbytes) for start, memory in self._memory.items()]
        blocks += [(start, array.nbytes) for start, array in self._lent.items()]
        if not any(start <= pointer and pointer + nbytes <= start + size for start, size in blocks):
            raise DeviceError(
                f"{nbytes} bytes at {pointer:#x} are in no open memory of this device"
            )

    def check_guards(self) -> None:
        """Whether nothing was written beside an allocation."""
        for memory in self._memory.values():
            memory.check()

    def _bytes(self, array: NDArray[Any] | Pinned) -> tuple[NDArray[np.uint8], bool]:
        """All bytes of it, and whether they are page-locked."""
        if not isinstance(array, np.ndarray):
            return array.bytes, True
        if not array.flags.c_contiguous:
            raise DeviceError("only C-contiguous arrays are copied")
        held = array.reshape(-1).view(np.uint8)
        return held, any(np.may_share_memory(held, memory.bytes) for memory in self._pinned)

    def _view(self, pointer: int, nbytes: int) -> NDArray[np.uint8]:
        self.check(pointer, nbytes)
        held = (ctypes.c_uint8 * nbytes).from_address(pointer)
        return np.frombuffer(held, np.uint8)

    def _put(self, pointer: int, source: NDArray[np.uint8]) -> None:
        self._view(pointer, source.size)[:] = source

    def _take(self, target: NDArray[np.uint8], pointer: int) -> None:
        target[:] = self._view(pointer, target.size)
