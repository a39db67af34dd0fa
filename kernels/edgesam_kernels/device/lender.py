"""Memory that goes round in the order of streams: nobody waits on the host. Knows no kernel.

Whoever lets go of memory need not wait until the device has read it: the stream that gets it next
does. Nothing is freed before the end, or before memory is short, so that work of the same sizes
allocates in its first rounds alone.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter, deque
from contextlib import suppress

from edgesam_kernels.device.errors import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.protocol import Device, Event, Memory, Stream

_WASTE = 2  # what is lent is at most so many times as large as it was asked for


class _Block:
    """Memory and who used it last: the newest event of each stream, by its handle."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.uses: dict[int, Event] = {}

    def is_idle(self) -> bool:
        return all(event.done() for event in self.uses.values())

    def wait(self) -> None:
        for event in self.uses.values():
            event.synchronize()

    def close(self) -> None:
        try:
            self.wait()
        finally:
            self.memory.close()


class _Returned(deque[_Block]):
    """What came back, from any thread and at any moment: the garbage collector takes no lock."""

    closed = False


class Loan:
    """Bytes on the device that go round when this is let go of."""

    def __init__(self, block: _Block, returned: _Returned) -> None:
        self._block, self._returned = block, returned

    @property
    def pointer(self) -> int:
        """The ``CUdeviceptr``."""
        return self._block.memory.pointer

    @property
    def nbytes(self) -> int:
        """As many as were asked for, or more."""
        return self._block.memory.nbytes

    def used(self, stream: Stream, event: Event) -> None:
        """Work on that stream reads or writes them until that event, which it recorded."""
        self._block.uses[stream.handle] = event

    def __del__(self) -> None:
        if not self._returned.closed:
            self._returned.append(self._block)
            return
        with suppress(Exception):  # whoever lent it has gone: there is nobody to be told
            self._block.wait()  # and it is freed with this


class Lender:
    """Any thread may borrow, and let go of what it borrowed.

    Args:
        device: whose memory it is.
        spare: how many blocks of a size are made before a stream has to wait for one.
    """

    def __init__(self, device: Device, *, spare: int = 2) -> None:
        self._device, self._spare = device, spare
        self._lock = threading.Lock()
        self._free: list[_Block] = []  # the one that came back first is the first
        self._sizes: Counter[int] = Counter()
        self._returned = _Returned()
        # Others may still read what was lent when nobody closes this.
        weakref.finalize(self, _abandoned, self._returned, self._free).atexit = False

    def lend(self, nbytes: int, stream: Stream) -> Loan:
        """Bytes that ``stream`` may write to from now on, whatever is in them.

        Raises:
            DeviceError: this was closed.
            DeviceOutOfMemory: the device has not got them.
        """
        with self._lock:
            if self._returned.closed:
                raise DeviceError("memory was asked for and what lends it was closed")
            self._take_back()
            block = self._found(nbytes) or self._made(nbytes)
        loan = Loan(block, self._returned)
        for event in block.uses.values():
            stream.wait(event)
        block.uses.clear()
        return loan

    def close(self) -> None:
        """Wait for what is free and free it; what is lent is freed when it is let go of."""
        with self._lock:
            self._returned.closed = True
            self._drop_free()

    def _take_back(self) -> None:
        _move(self._returned, self._free)

    def _found(self, nbytes: int) -> _Block | None:
        sizes = range(nbytes, _WASTE * nbytes + 1)
        fitting = [block for block in self._free if block.memory.nbytes in sizes]
        if not fitting:
            return None
        found = next((block for block in fitting if block.is_idle()), None)
        if found is None:
            if sum(count for size, count in self._sizes.items() if size in sizes) < self._spare:
                return None
            found = fitting[0]
        self._free.remove(found)
        return found

    def _made(self, nbytes: int) -> _Block:
        try:
            memory = self._device.memory(nbytes)
        except DeviceOutOfMemory:
            self._drop_free()
            memory = self._device.memory(nbytes)
        self._sizes[memory.nbytes] += 1
        return _Block(memory)

    def _drop_free(self) -> None:
        self._take_back()
        while self._free:
            block = self._free.pop()
            self._sizes[block.memory.nbytes] -= 1
            block.close()


def _move(returned: _Returned, free: list[_Block]) -> None:
    while returned:
        free.append(returned.popleft())


def _abandoned(returned: _Returned, free: list[_Block]) -> None:
    """Nothing is freed before its last use; what is lent sees to that itself."""
    returned.closed = True
    _move(returned, free)
    for block in free:
        with suppress(Exception):  # a device that failed has nothing under way
            block.wait()
    free.clear()
