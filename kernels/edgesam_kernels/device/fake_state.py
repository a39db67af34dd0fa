"""What a device that is none knows of itself: its calls, clock, memory. Knows no streams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.fake_clock import Clock, Costs, Misuse
from edgesam_kernels.device.fake_memory import Space, Vector
from edgesam_kernels.device.host_memory import PageLocked


@dataclass(frozen=True)
class Call:
    """What was called, on which stream (``None``: on none), and with what."""

    name: str
    stream: int | None
    detail: object = None


class Inside(threading.local):
    """Whether the device's context is the calling thread's."""

    depth = 0

    def __enter__(self) -> Inside:
        self.depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


@dataclass(frozen=True)
class Registered:
    """What a kernel does, which of its arguments it writes to, and what it takes."""

    function: Callable[..., None] | None
    writes: tuple[int, ...]
    seconds: float


class FakeState:
    """Under all parts of one fake device."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.clock = Clock()
        self.calls: list[Call] = []
        self.lock = threading.RLock()
        self.space = Space()
        self.locked = PageLocked()
        self.inside = Inside()
        self.known: Vector = {}
        self.kernels: dict[str, Registered] = {}
        self.capturing = False
        self.closed = False
        self._failures: dict[str, list[tuple[int, Exception]]] = {}

    def register(
        self,
        name: str,
        function: Callable[..., None] | None = None,
        *,
        writes: Sequence[int] = (),
        seconds: float | None = None,
    ) -> None:
        """Say what a kernel does.

        Args:
            name: of the kernel.
            function: called with (device, grid, block, arguments) when it runs; the arguments are
                NumPy numbers, pointers are looked up with :meth:`view`.
            writes: which of its arguments, from 0, point to memory that it writes; the other
                pointers are read. Each reaches to the end of its allocation.
            seconds: what it takes; ``None`` for what kernels take.
        """
        took = self.costs.kernel if seconds is None else seconds
        self.kernels[name] = Registered(function, tuple(writes), took)

    def fail(self, call: str, error: Exception, *, after: int = 0) -> None:
        """Let a call of that name raise, once, after so many that do not."""
        self._failures.setdefault(call, []).append((after, error))

    def view(self, pointer: int, nbytes: int) -> NDArray[np.uint8]:
        """(N,) uint8, what lies at an address: for kernels and for tests."""
        return self.space.slice(int(pointer), nbytes)

    def lend(self, array: NDArray[Any]) -> int:
        """Take a C-contiguous array as somebody else's memory on the device; its address."""
        return self.space.add(array.reshape(-1).view(np.uint8), "foreign").pointer

    def leaks(self) -> list[str]:
        """What was allocated, not closed, and is still referred to."""
        return [
            f"{one.data.size} bytes of {one.kind} memory at {one.pointer:#x}"
            for one in self.space.open("device", "page-locked")
        ]

    def names(self) -> list[str]:
        """Of all calls, in order."""
        return [call.name for call in self.calls]

    def note(self, name: str, stream: int | None, detail: object = None) -> None:
        """Write a call down; raise what :meth:`fail` was told.

        Raises:
            Misuse: the device was closed.
        """
        if self.closed:
            raise Misuse(f"{name}: the device was closed and is used again")
        self.calls.append(Call(name, stream, detail))
        waiting = self._failures.get(name, [])
        if waiting:
            after, error = waiting[0]
            if not after:
                waiting.pop(0)
                raise error
            waiting[0] = (after - 1, error)

    def check_not_capturing(self, what: str) -> None:
        """
        Raises:
            Misuse: a graph is being captured.
        """
        if self.capturing:
            raise Misuse(f"work that is captured in a graph {what}")

    def learn(self, vector: Vector) -> None:
        """The host knows that all in ``vector`` is done."""
        for stream, count in vector.items():
            self.known[stream] = max(self.known.get(stream, 0), count)
