"""An array on a CUDA device that work may still be under way for. Knows no engine."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import EngineUnavailable, OutOfMemory
from edgesam_kernels.device import Device, DeviceError, Event, Stream
from edgesam_kernels.device.lender import Loan


class OnDevice:
    """It is handed out before it is computed and must not be changed.

    Who reads it on a stream of its own: :meth:`wait`, the work, :meth:`used`. It may then be let go
    of at once: its memory goes round after that.

    Attributes:
        shape, dtype: of the array, in C's order.
        ready: the event after which it is there.
    """

    def __init__(
        self,
        device: Device,
        loan: Loan,
        shape: Sequence[int],
        ready: Event,
        fetching: Stream,
        dtype: np.dtype[Any] | None = None,
        offset: int = 0,
    ) -> None:
        """
        Args:
            device: where it lies.
            loan: the memory.
            shape: of the array.
            ready: recorded by the stream that computes it.
            fetching: the stream on which it is copied to the host; it need not wait there for what
                is computed next.
            dtype: float32 if nothing is said.
            offset: of its first byte in the memory.
        """
        self._device, self._loan, self._fetching = device, loan, fetching
        self._offset = offset
        self.shape = tuple(shape)
        self.dtype = dtype or np.dtype(np.float32)
        self.ready = ready

    def lies_on(self, device: Device) -> bool:
        """Whether that device reads it: one library's contexts of a card share their memory."""
        own = self._device
        return (own.library, own.ordinal) == (device.library, device.ordinal)

    @property
    def pointer(self) -> int:
        """The ``CUdeviceptr``."""
        return self._loan.pointer + self._offset

    @property
    def nbytes(self) -> int:
        """What it takes there."""
        return prod(self.shape) * self.dtype.itemsize

    def parts(self) -> list[OnDevice]:
        """Each of the first axis, as an array of one; the memory is that of all until the last of
        them is let go of.
        """
        shape, step = (1, *self.shape[1:]), self.nbytes // self.shape[0]
        return [
            OnDevice(
                self._device,
                self._loan,
                shape,
                self.ready,
                self._fetching,
                self.dtype,
                self._offset + number * step,
            )
            for number in range(self.shape[0])
        ]

    def wait(self, stream: Stream) -> None:
        """What that stream is given from now on may read it; the host does not wait."""
        stream.wait(self.ready)

    def used(self, stream: Stream, event: Event) -> None:
        """That stream reads it until that event, which it recorded."""
        self._loan.used(stream, event)

    def finish(self) -> None:
        """Keep the calling thread until it is there.

        Raises:
            EngineUnavailable: the device failed, perhaps in what was to compute it.
        """
        try:
            self.ready.synchronize()
        except DeviceError as error:
            raise EngineUnavailable(f"the device failed: {error}") from None

    def host(self) -> NDArray[Any]:
        """A new copy of it in host memory; the calling thread waits for it.

        Raises:
            OutOfMemory: there is no room for it.
            EngineUnavailable: the device failed, perhaps in what was to compute it.
        """
        try:
            array = np.empty(self.shape, self.dtype)
            if array.nbytes:
                self._fetching.wait(self.ready)
                self._device.download(array, self.pointer, self._fetching)
        except MemoryError:
            raise OutOfMemory(f"not enough memory for a copy of {self.nbytes >> 20} MiB") from None
        except DeviceError as error:
            raise EngineUnavailable(f"the device does not give an array back: {error}") from None
        return array


def hold_until_done(owner: object, stream: Stream) -> None:
    """What the owner has is not freed while the stream is at work, also if nobody closes it."""
    weakref.finalize(owner, _wait_for, stream)


def _wait_for(stream: Stream) -> None:
    with suppress(Exception):  # a device that failed has nothing under way; nobody can be told
        stream.synchronize()
