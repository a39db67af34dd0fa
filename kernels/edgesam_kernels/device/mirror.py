"""Bytes that are on both sides, page-locked on the host and on the device. Knows no kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.protocol import Device, Memory, Pinned, Stream

_LEAST = 1 << 16  # bytes


class Mirror:
    """They grow and never shrink, so that work of sizes that were there before allocates nothing.

    No work may be under way with them when they grow, are written to on the host, or are closed.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._pinned: Pinned | None = None
        self._memory: Memory | None = None

    def reserve(self, nbytes: int) -> bool:
        """See to it that there are so many; whether they moved.

        Raises:
            DeviceOutOfMemory: there are none on the host or on the device.
        """
        if self._memory is not None and self._memory.nbytes >= nbytes:
            return False
        self.close()
        step = max(_LEAST, 1 << nbytes.bit_length() >> 3)  # what grows a little has room
        size = -(-nbytes // step) * step
        self._pinned = self._device.pinned(size)
        self._memory = self._device.memory(size)
        return True

    @property
    def pointer(self) -> int:
        """Where they begin on the device."""
        assert self._memory is not None, "reserve() comes first"
        return self._memory.pointer

    def host(self, nbytes: int) -> NDArray[np.uint8]:
        """(nbytes,) uint8, the first of them on the host, a view."""
        assert self._pinned is not None, "reserve() comes first"
        return self._pinned.bytes[:nbytes]

    def upload(self, nbytes: int, stream: Stream) -> None:
        """Give the stream a copy of the first of them to the device."""
        self._device.upload(self.pointer, self.host(nbytes), stream)

    def download(self, nbytes: int, stream: Stream) -> None:
        """Give the stream a copy of the first of them to the host."""
        self._device.download(self.host(nbytes), self.pointer, stream)

    def close(self) -> None:
        """Give them back."""
        for held in (self._pinned, self._memory):
            if held is not None:
                held.close()
        self._pinned = self._memory = None
