"""Tables and scratch memory of a plan in one allocation on a device. Knows no kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.protocol import Device, Memory, Stream

_ALIGNMENT = 256  # bytes, as of an allocation of its own


class Block:
    """Pieces by name: all are named first, then allocated at once."""

    def __init__(self) -> None:
        self._memory: Memory | None = None
        self._offsets: dict[str, int] = {}
        self._tables: dict[str, NDArray[Any]] = {}
        self.nbytes = 0

    def place(self, name: str, table: NDArray[Any]) -> None:
        """A piece that holds a table; an empty one has the pointer 0."""
        if table.size:
            self.reserve(name, table.nbytes)
            self._tables[name] = np.ascontiguousarray(table)

    def reserve(self, name: str, nbytes: int) -> None:
        """A piece that holds anything."""
        self._offsets[name] = self.nbytes
        self.nbytes += -(-nbytes // _ALIGNMENT) * _ALIGNMENT

    def allocate(self, device: Device, stream: Stream) -> None:
        """Take the memory, and upload the tables in that stream.

        Raises:
            DeviceOutOfMemory: the device has not got it.
        """
        self._memory = device.memory(self.nbytes)
        for name, table in self._tables.items():
            device.upload(self.pointer(name), table, stream)
        self._tables.clear()

    def pointer(self, name: str) -> int:
        """Where a piece begins; 0 for a table that was empty."""
        assert self._memory is not None, "allocate() comes first"
        offset = self._offsets.get(name)
        return 0 if offset is None else self._memory.pointer + offset

    def close(self) -> None:
        """Give the memory back."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None
