"""Pictures made into a network's input on a CUDA device. Knows no model and no engine.

Everything is given to one stream of its own, beside which others compute. The host waits only where
it is some pictures ahead of the device: for memory that an earlier picture still lies in.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgesam.engines.device.tensor import OnDevice, hold_until_done
from edgesam.errors import EngineUnavailable, ImageError, OutOfMemory
from edgesam_kernels.cpu import Preparation
from edgesam_kernels.device import Device, DeviceError, DeviceOutOfMemory, Event, Stream
from edgesam_kernels.device.arrays import DeviceArray, adopt
from edgesam_kernels.device.lender import Lender
from edgesam_kernels.device.pool import Pool, Slot
from edgesam_kernels.device.prepare import Prepare
from edgesam_kernels.grey import GreyTable, as_stored

_DEPTH = 2  # pictures on their way to the network's input: one is copied, one prepared
_PLANS = 4  # sizes of pictures for which tables stay on the device
_STORED = as_stored()


class Pictures:
    """Any thread may prepare; their pictures are given to the device one after another."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stream, self._fetching = device.stream(), device.stream()
        hold_until_done(self, self._stream)
        self._lock = threading.Lock()
        self._networks = Lender(device)
        self._plans: OrderedDict[_Kind, _Plan] = OrderedDict()
        self._read: deque[tuple[Event, DeviceArray]] = deque()  # kept until they were read
        self._closed = False

    def adopt(self, array: Any) -> DeviceArray:
        """Somebody's picture on this device, which is then read where it lies.

        Raises:
            ImageError: it lies elsewhere, or its numbers are of no plain type.
            EngineUnavailable: the device failed.
        """
        try:
            return adopt(array, self._device, self._stream)
        except (TypeError, ValueError) as error:
            raise ImageError(f"this picture cannot be read on the GPU: {error}") from None
        except DeviceError as error:
            raise EngineUnavailable(f"the device failed with a picture: {error}") from None

    def prepare(
        self, pixels: NDArray[Any] | DeviceArray, grey: GreyTable | None, rule: Preparation
    ) -> OnDevice:
        """As :func:`edgesam_kernels.cpu.prepare`, to the bit; given to the device, not waited for.

        Pixels in host memory may change as soon as this returns, those of :meth:`adopt` only after
        the network's input is there.

        Raises:
            ImageError: rows or pixels of a picture on the device do not lie side by side.
            EngineUnavailable: the device failed.
            OutOfMemory: there is no memory for it.
        """
        grey = grey or _STORED
        try:
            with self._lock:
                if self._closed:
                    raise ValueError("this session is closed")
                plan = self._plan(_Kind.of(pixels, grey, rule), grey)
                if isinstance(pixels, DeviceArray):
                    return self._of_device(plan, pixels, grey)
                return self._of_host(plan, pixels, grey)
        except DeviceOutOfMemory as error:
            raise OutOfMemory(f"the GPU has not got the memory for a picture: {error}") from None
        except DeviceError as error:
            raise EngineUnavailable(f"the device failed with a picture: {error}") from None

    def close(self) -> None:
        """Free all, after what was given to the stream."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with suppress(DeviceError):  # one that failed before has nothing under way
                self._stream.synchronize()
            for plan in self._plans.values():
                plan.close()
            self._plans.clear()
            self._read.clear()
            self._networks.close()

    def _plan(self, kind: _Kind, grey: GreyTable) -> _Plan:
        if (plan := self._plans.get(kind)) is not None:
            self._plans.move_to_end(kind)
            return plan
        while len(self._plans) >= _PLANS:
            self._stream.synchronize()
            self._plans.popitem(last=False)[1].close()
        plan = self._plans[kind] = _Plan(self._device, kind, grey, self._stream)
        return plan

    def _of_host(self, plan: _Plan, pixels: NDArray[Any], grey: GreyTable) -> OnDevice:
        slots = plan.slots()
        slot = slots.acquire()  # waits while all are on their way
        assert slot is not None
        try:
            there, here = slot.memory["pixels"].pointer, slot.pinned["pixels"].bytes
            here = here[: pixels.nbytes]
            np.copyto(here.view(pixels.dtype).reshape(pixels.shape), pixels)
            self._device.upload(there, here, self._stream)
            plan.show(grey, self._stream, slot)
            return self._given(plan, there, pixels.nbytes // len(pixels))
        finally:
            slots.release(slot, self._stream.record())

    def _of_device(self, plan: _Plan, pixels: DeviceArray, grey: GreyTable) -> OnDevice:
        pitch = _pitch(pixels)
        while self._read and (len(self._read) >= _DEPTH or self._read[0][0].done()):
            self._read[0][0].synchronize()
            self._read.popleft()
        plan.show(grey, self._stream, None)
        network = self._given(plan, pixels.pointer, pitch)
        self._read.append((network.ready, pixels))
        return network

    def _given(self, plan: _Plan, pixels: int, pitch: int) -> OnDevice:
        """Last, so that pixels are copied while the memory for the answer is still read."""
        rule = plan.kind.rule
        dtype, shape = np.dtype(rule.dtype), (1, 3, rule.square, rule.square)
        loan = self._networks.lend(3 * rule.square**2 * dtype.itemsize, self._stream)
        plan.prepare(self._stream, pixels, pitch, loan.pointer)
        ready = self._stream.record()
        loan.used(self._stream, ready)
        return OnDevice(self._device, loan, shape, ready, self._fetching, dtype)


class _Kind(NamedTuple):
    """Pictures that one plan is for."""

    shape: tuple[int, ...]
    dtype: str
    tables: int
    rule: Preparation

    @classmethod
    def of(cls, pixels: NDArray[Any] | DeviceArray, grey: GreyTable, rule: Preparation) -> _Kind:
        return cls(tuple(pixels.shape), pixels.dtype.str, len(grey.entries), rule)


class _Plan:
    """Tables and scratch memory for pictures of a kind, and memory for some on their way."""

    def __init__(self, device: Device, kind: _Kind, grey: GreyTable, stream: Stream) -> None:
        self.kind = kind
        self.prepare = Prepare(device, kind.shape, grey, kind.rule, stream)
        self._device, self._shown = device, grey
        self._slots: Pool | None = None

    def slots(self) -> Pool:
        """Made for the first picture that lies in host memory."""
        if self._slots is None:
            nbytes = int(np.prod(self.kind.shape)) * np.dtype(self.kind.dtype).itemsize
            pinned = {"pixels": nbytes, "grey": self._shown.entries.nbytes}
            self._slots = Pool(self._device, _DEPTH, {"pixels": nbytes}, pinned)
        return self._slots

    def show(self, grey: GreyTable, stream: Stream, slot: Slot | None) -> None:
        """These levels from now on; of a slot's page-locked memory the host does not wait."""
        if grey is self._shown or np.array_equal(grey.entries, self._shown.entries):
            return
        if slot is None:
            self.prepare.show(grey, stream)
        else:
            entries = slot.pinned["grey"].bytes.view(grey.entries.dtype)
            entries = entries.reshape(grey.entries.shape)
            np.copyto(entries, grey.entries)
            self.prepare.show(GreyTable(grey.dtype, entries), stream)
        self._shown = grey

    def close(self) -> None:
        if self._slots is not None:
            self._slots.close()
        self.prepare.close()


def _pitch(pixels: DeviceArray) -> int:
    """Bytes from row to row.

    Raises:
        ImageError: the pixels of a row do not lie side by side.
    """
    row, size = pixels.shape[1:], pixels.dtype.itemsize
    wanted = (size,) if len(row) == 1 else (size * row[1], size)
    dense = all(
        side == 1 or step == least
        for side, step, least in zip(row, pixels.strides[1:], wanted, strict=True)
    )
    least = int(np.prod(row)) * size
    pitch = least if pixels.shape[0] == 1 else pixels.strides[0]
    if not dense or pitch < least or pitch % size:
        raise ImageError(
            f"a picture of shape {pixels.shape} and strides {pixels.strides} cannot be read where "
            "it lies: its pixels must be side by side in each row, colours last; copy it first"
        )
    return pitch
