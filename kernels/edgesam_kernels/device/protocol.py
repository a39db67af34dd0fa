"""What a CUDA device is to edgesam: streams, events, memory, modules, graphs. Knows no kernel.

Small on purpose. Two libraries stand behind it, cuda-bindings and pycuda, and a fake that records;
what is written over it runs on all three. Nothing here waits for the device unless it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Event(Protocol):
    """A point in a stream that others can wait for."""

    def synchronize(self) -> None:
        """Keep the calling thread until the stream has come to it."""

    def done(self) -> bool:
        """Whether the stream has come to it."""

    def seconds_since(self, earlier: Event) -> float:
        """Device time between two events that were made with ``timed=True`` and are done."""


class Stream(Protocol):
    """Work on the device that runs in the order in which it was given."""

    @property
    def handle(self) -> int:
        """The ``CUstream``, for libraries that take one."""

    def record(self, *, timed: bool = False) -> Event:
        """An event after all that was given so far."""

    def wait(self, event: Event) -> None:
        """What is given from now on runs after that event, of whatever stream."""

    def synchronize(self) -> None:
        """Keep the calling thread until all that was given is done."""


class Memory(Protocol):
    """Bytes on the device, freed by :meth:`close` or with the last reference."""

    @property
    def pointer(self) -> int:
        """The ``CUdeviceptr``."""

    @property
    def nbytes(self) -> int: ...

    def close(self) -> None:
        """Give the bytes back; whoever closes has seen to it that no stream still uses them."""


class Pinned(Protocol):
    """Page-locked bytes on the host: copies from and to them run beside the host."""

    @property
    def bytes(self) -> NDArray[np.uint8]:
        """(N,) uint8, a view."""

    @property
    def pointer(self) -> int:
        """Where they are on the host."""

    def close(self) -> None:
        """Give them back; the view must not be used afterwards."""


class Kernel(Protocol):
    """One ``__global__`` function."""

    def launch(
        self,
        stream: Stream,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        *arguments: np.generic | int,
        shared: int = 0,
    ) -> None:
        """Give it to a stream.

        Args:
            stream: where it runs.
            grid, block: sizes in x, y and z.
            arguments: in the kernel's order; a pointer as ``int``, all else as a NumPy scalar of
                the parameter's type (``np.int32(3)``, ``np.float32(0.5)``).
            shared: bytes of dynamic shared memory.
        """


class Module(Protocol):
    """Compiled CUDA C."""

    def kernel(self, name: str) -> Kernel:
        """The ``extern "C" __global__`` function of that name."""


class Graph(Protocol):
    """What a stream was given between two points, ready to be given again in one call."""

    def launch(self, stream: Stream) -> None: ...

    def close(self) -> None: ...


class Device(Protocol):
    """One CUDA device and its primary context, shared with whoever else uses it."""

    @property
    def library(self) -> str:
        """What stands behind it: ``cuda-bindings``, ``pycuda`` or ``fake``."""

    @property
    def ordinal(self) -> int:
        """Its number among the devices that the driver shows, from 0."""

    @property
    def name(self) -> str:
        """As ``NVIDIA H200``."""

    @property
    def compute_capability(self) -> tuple[int, int]:
        """As (9, 0)."""

    @property
    def driver(self) -> str:
        """The CUDA version that the driver runs, as ``13.0``."""

    @property
    def can_capture(self) -> bool:
        """Whether :meth:`capture` is to be had; pycuda has no graphs."""

    def free_memory(self) -> int:
        """Bytes that could be had now."""

    def current(self) -> AbstractContextManager[object]:
        """Inside, this device's context is the calling thread's: for libraries that take whatever
        is current, as TensorRT does. Calls of this protocol need none of it.
        """

    def stream(self) -> Stream:
        """A new one, that does not wait for the default stream."""

    def foreign_stream(self, handle: int) -> Stream:
        """Somebody else's, by its ``CUstream``; 0 is the default stream."""

    def memory(self, nbytes: int) -> Memory:
        """New bytes, whatever was in them.

        Raises:
            DeviceOutOfMemory: the device has not got them.
        """

    def pinned(self, nbytes: int) -> Pinned:
        """New page-locked bytes.

        Raises:
            DeviceOutOfMemory: the host has not got them.
        """

    def upload(self, pointer: int, source: NDArray[Any] | Pinned, stream: Stream) -> None:
        """Host to device. Of page-locked bytes it returns at once and they must stay as they are
        until the stream has come so far; an ordinary array (C-contiguous) is copied first. An
        array that lies inside a ``Pinned`` of this device, as ``pinned.bytes[:n]``, is page-locked.
        """

    def download(self, target: NDArray[Any] | Pinned, pointer: int, stream: Stream) -> None:
        """Device to host. Into page-locked bytes (as for :meth:`upload`) it returns at once; into
        an ordinary array (C-contiguous) when the bytes are there.
        """

    def copy(self, target: int, source: int, nbytes: int, stream: Stream) -> None:
        """Device to device."""

    def fill(self, pointer: int, value: int, nbytes: int, stream: Stream) -> None:
        """Each byte becomes ``value``."""

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> Module:
        """CUDA C compiled for this device by NVRTC, and kept for the next call with the same.

        Args:
            source: the text, without ``#include`` of files.
            name: for messages.
            options: for the compiler, as ``-DSIDE=256``.

        Raises:
            DeviceError: it does not compile; with the compiler's first line.
        """

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        """What ``work`` gives to ``stream``, recorded instead of run. It must not allocate,
        synchronise, or touch pageable memory. What it launches and where is kept as it is: memory
        of the graph must outlive it.

        Raises:
            DeviceError: not :attr:`can_capture`, or ``work`` did what it must not.
        """

    def close(self) -> None:
        """Leave the primary context; memory and streams of this device must be closed before."""
