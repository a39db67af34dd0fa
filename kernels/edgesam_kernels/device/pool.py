"""Memory for a pipeline, allocated once: slots that go round. Knows no kernel and no frames."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from types import TracebackType

from edgesam_kernels.device.errors import DeviceError
from edgesam_kernels.device.protocol import Device, Event, Memory, Pinned


class Slot:
    """The memory of one frame on its way through.

    Attributes:
        memory: on the device, by name.
        pinned: page-locked on the host, by name.
    """

    def __init__(self, memory: Mapping[str, Memory], pinned: Mapping[str, Pinned]) -> None:
        self.memory = memory
        self.pinned = pinned

    def close(self) -> None:
        """Give the memory back; the pool does that."""
        for there in self.memory.values():
            there.close()
        for here in self.pinned.values():
            here.close()


class Pool:
    """``depth`` slots; any thread may acquire and release. Nothing is allocated later.

    Args:
        device: whose memory it is.
        depth: how many frames may be under way at once, 1 or more.
        memory: bytes on the device, by name.
        pinned: page-locked bytes on the host, by name.

    Raises:
        DeviceOutOfMemory: they do not fit; what was had is given back.
        ValueError: no slots.
    """

    def __init__(
        self,
        device: Device,
        depth: int,
        memory: Mapping[str, int],
        pinned: Mapping[str, int] | None = None,
    ) -> None:
        if depth < 1:
            raise ValueError(f"a pool of {depth} slots: at least 1 is needed")
        # Entered as a lock, not as a condition: tests/test_architecture.py says why.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._free: deque[tuple[Slot, Event | None]] = deque()
        self._out: set[Slot] = set()
        self._closed = False
        self.depth = depth
        for _ in range(depth):
            try:
                self._free.append((_slot(device, memory, pinned or {}), None))
            except BaseException:
                self.close()
                raise

    def acquire(self, *, wait: bool = True) -> Slot | None:
        """The slot that was released first, once the work on it is done.

        Args:
            wait: keep the calling thread until there is one; without it, ``None`` if there is not.

        Raises:
            DeviceError: the pool was closed, perhaps while this waited.
        """
        with self._lock:
            while not self._free and wait and not self._closed:
                self._changed.wait()
            self._check_open()
            if not self._free:
                return None
            slot, after = self._free[0]
            if after is not None and not wait and not after.done():
                return None
            self._free.popleft()
            self._out.add(slot)
        if after is not None:
            try:
                after.synchronize()
            except BaseException:
                self.release(slot, after)
                raise
        return slot

    def release(self, slot: Slot, after: Event | None = None) -> None:
        """Give it back. It is handed out again when the event has come, if there is one.

        Raises:
            ValueError: it was not acquired from here, or was released before.
        """
        with self._lock:
            if slot not in self._out:
                raise ValueError("a slot that is not out was released")
            self._out.remove(slot)
            if not self._closed:
                self._free.append((slot, after))
                self._changed.notify()
                return
        _close(slot, after)

    def close(self) -> None:
        """Wait for the work on what was released and free it; what is out is freed when it is
        released.
        """
        with self._lock:
            self._closed = True
            free = list(self._free)
            self._free.clear()
            self._changed.notify_all()
        for slot, after in free:
            _close(slot, after)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceError("the pool was closed")


def _slot(device: Device, memory: Mapping[str, int], pinned: Mapping[str, int]) -> Slot:
    there: dict[str, Memory] = {}
    here: dict[str, Pinned] = {}
    slot = Slot(there, here)
    try:
        for name, nbytes in memory.items():
            there[name] = device.memory(nbytes)
        for name, nbytes in pinned.items():
            here[name] = device.pinned(nbytes)
    except BaseException:
        slot.close()
        raise
    return slot


def _close(slot: Slot, after: Event | None) -> None:
    try:
        if after is not None:
            after.synchronize()
    finally:
        slot.close()
