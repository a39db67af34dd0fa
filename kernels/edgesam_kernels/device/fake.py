"""A device that is none: it records, keeps a virtual clock, and tells what a real one would not.

For tests and for running programs end to end where there is no card. Kernels are Python functions
registered by name; without one a kernel does nothing. Calls that a real device would answer with
wrong results or a crash raise ``Misuse``. One thread gives the same order and times every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.errors import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.fake_clock import Costs, Misuse
from edgesam_kernels.device.fake_copies import copy, download, fill, upload
from edgesam_kernels.device.fake_kernel import FakeModule
from edgesam_kernels.device.fake_memory import Block
from edgesam_kernels.device.fake_state import FakeState
from edgesam_kernels.device.fake_stream import FakeGraph, FakeStream, own
from edgesam_kernels.device.host_memory import view
from edgesam_kernels.device.protocol import Graph, Memory, Module, Pinned, Stream


class FakeMemory:
    """Bytes of the fake device; ``bytes`` only for page-locked ones."""

    def __init__(self, device: FakeState, block: Block) -> None:
        self._device = device
        self._block = block
        self.pointer = block.pointer
        self.nbytes = block.data.size

    @property
    def bytes(self) -> NDArray[np.uint8]:
        with self._device.lock:
            if self._block.closed:
                raise Misuse("page-locked memory was closed and is used again")
            past = self._device.space.pending(self._block, self._device.known, writes_only=True)
            if past is not None:
                raise Misuse(
                    f"page-locked memory is looked at before {past.name} on stream {past.stream} "
                    "is known to be done"
                )
            return view(self.pointer, self.nbytes, self)

    @property
    def raw(self) -> NDArray[np.uint8]:
        """The bytes, whatever is under way."""
        return self._block.data

    def close(self) -> None:
        with self._device.lock:
            self._device.note("close", None, self._block.kind)
            self._device.check_not_capturing("frees memory")
            self._device.space.close(self._block, self._device.known)

    def __del__(self) -> None:
        self._block.drop()


class FakeDevice(FakeState):
    """A ``Device``.

    Args:
        memory: bytes that it has.
        costs: what work takes.
        name, ordinal, compute_capability, can_capture: what it says of itself.
    """

    library = "fake"
    driver = "13.0"

    def __init__(
        self,
        *,
        memory: int = 8 << 30,
        costs: Costs | None = None,
        name: str = "Fake",
        ordinal: int = 0,
        compute_capability: tuple[int, int] = (9, 0),
        can_capture: bool = True,
    ) -> None:
        super().__init__(costs or Costs())
        self.name = name
        self.ordinal = ordinal
        self.compute_capability = compute_capability
        self.can_capture = can_capture
        self._memory = memory
        self._streams: dict[int, FakeStream] = {}
        self._made = 0

    def free_memory(self) -> int:
        return self._memory - self.space.used()

    def current(self) -> AbstractContextManager[object]:
        return self.inside

    def stream(self) -> Stream:
        with self.lock:
            self.note("stream", self._made)
            self._made += 1
            return self._stream(0x5000 + self._made)

    def foreign_stream(self, handle: int) -> Stream:
        with self.lock:
            self.note("foreign_stream", None, handle)
            return self._stream(handle or 1)

    def memory(self, nbytes: int) -> Memory:
        with self.lock:
            self._note_allocation("memory", nbytes)
            if nbytes > self.free_memory():
                raise DeviceOutOfMemory(
                    f"{self.name} has not got {nbytes} bytes: {self.free_memory()} are free"
                )
            return FakeMemory(self, self.space.add(np.full(nbytes, 0xCD, np.uint8), "device"))

    def pinned(self, nbytes: int) -> Pinned:
        with self.lock:
            self._note_allocation("pinned", nbytes)
            data = np.full(nbytes, 0xCD, np.uint8)
            self.locked.add(data.ctypes.data, nbytes)
            return FakeMemory(self, self.space.add(data, "page-locked", data.ctypes.data))

    def upload(self, pointer: int, source: NDArray[Any] | Pinned, stream: Stream) -> None:
        with self.lock:
            upload(self, pointer, _raw(source), own(self, stream))

    def download(self, target: NDArray[Any] | Pinned, pointer: int, stream: Stream) -> None:
        with self.lock:
            download(self, _raw(target), pointer, own(self, stream))

    def copy(self, target: int, source: int, nbytes: int, stream: Stream) -> None:
        with self.lock:
            copy(self, target, source, nbytes, own(self, stream))

    def fill(self, pointer: int, value: int, nbytes: int, stream: Stream) -> None:
        with self.lock:
            fill(self, pointer, value, nbytes, own(self, stream))

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> Module:
        with self.lock:
            self.note("module", None, (name, tuple(options)))
            return FakeModule(self, source, name)

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        with self.lock:
            there = own(self, stream)
            self.note("capture", there.number)
            if not self.can_capture:
                raise DeviceError("this device has no graphs")
            self.check_not_capturing("captures")
            there.captured, self.capturing = [], True
            try:
                work()
                return FakeGraph(self, there.captured)
            finally:
                there.captured, self.capturing = None, False

    def close(self) -> None:
        self.note("close", None, "device")
        if self.leaks():
            raise Misuse(f"the device is closed before its memory: {'; '.join(self.leaks())}")
        self.closed = True

    def _stream(self, handle: int) -> FakeStream:
        if handle not in self._streams:
            self._streams[handle] = FakeStream(self, len(self._streams), handle)
        return self._streams[handle]

    def _note_allocation(self, name: str, nbytes: int) -> None:
        self.note(name, None, nbytes)
        self.check_not_capturing("allocates")
        if nbytes < 1:
            raise ValueError(f"memory of {nbytes} bytes: at least 1 is needed")


def _raw(given: NDArray[Any] | Pinned) -> NDArray[Any]:
    return given.raw if isinstance(given, FakeMemory) else np.asarray(given)
