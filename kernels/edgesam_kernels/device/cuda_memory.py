"""Memory of the device and page-locked memory of the host over cuda-bindings. Knows no copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.context import PrimaryContext, Resource
from edgesam_kernels.device.errors import DeviceOutOfMemory
from edgesam_kernels.device.host_memory import PageLocked, view

MIB = 1 << 20


def check_size(nbytes: int) -> None:
    """
    Raises:
        ValueError: no bytes, or less.
    """
    if nbytes < 1:
        raise ValueError(f"memory of {nbytes} bytes: at least 1 is needed")


def no_memory(device: str, nbytes: int, free: int, total: int) -> DeviceOutOfMemory:
    """In words, with what a device has."""
    return DeviceOutOfMemory(
        f"{device} has not got {nbytes / MIB:.1f} MiB: {free / MIB:.1f} of its "
        f"{total / MIB:.1f} MiB are free"
    )


def no_pinned(nbytes: int) -> DeviceOutOfMemory:
    """In words."""
    return DeviceOutOfMemory(f"the host has not got {nbytes / MIB:.1f} MiB of page-locked memory")


class CudaMemory(Resource):
    """A ``CUdeviceptr``."""

    def __init__(self, context: PrimaryContext, nbytes: int, device: str) -> None:
        check_size(nbytes)
        driver = context.driver
        try:
            handle = context.call("cuMemAlloc", nbytes)
        except DeviceOutOfMemory:
            raise no_memory(device, nbytes, *context.call("cuMemGetInfo")) from None
        self.pointer = int(handle)
        self.nbytes = nbytes
        super().__init__(context, lambda: driver.code("cuMemFree", handle))


class CudaPinned(Resource):
    """Bytes of ``cuMemHostAlloc``, page-locked for all contexts."""

    def __init__(self, context: PrimaryContext, nbytes: int, locked: PageLocked) -> None:
        check_size(nbytes)
        driver = context.driver
        try:
            self.pointer = int(context.call("cuMemHostAlloc", nbytes, 1))  # 1: portable
        except DeviceOutOfMemory:
            raise no_pinned(nbytes) from None
        self.nbytes = nbytes
        pointer = self.pointer
        locked.add(pointer, nbytes)

        def free() -> None:
            locked.remove(pointer)
            driver.code("cuMemFreeHost", pointer)

        super().__init__(context, free)

    @property
    def bytes(self) -> NDArray[np.uint8]:
        self.check_open("page-locked memory")
        return view(self.pointer, self.nbytes, self)
