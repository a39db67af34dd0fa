"""A device over NVIDIA's own Python bindings (cuda-bindings, NVRTC). Knows no kernel.

All calls are plain functions of the driver API: they take what other libraries give (streams,
pointers), say their errors in codes, and can be held against the real bindings without a device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from numpy.typing import NDArray

from edgesam_kernels.device.context import PrimaryContext
from edgesam_kernels.device.cuda_memory import CudaMemory, CudaPinned
from edgesam_kernels.device.cuda_module import CudaModule
from edgesam_kernels.device.cuda_stream import CudaStream, capture, native
from edgesam_kernels.device.driver import Driver, open_driver, version_of
from edgesam_kernels.device.errors import DeviceUnavailable
from edgesam_kernels.device.host_memory import PageLocked
from edgesam_kernels.device.nvrtc import compile_source
from edgesam_kernels.device.protocol import Graph, Memory, Module, Pinned, Stream

ATTRIBUTE = "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_"


class BindingsDevice:
    """A ``Device``; any thread may use it.

    Args:
        driver: opened.
        ordinal: which of its devices.

    Raises:
        DeviceUnavailable: there is no such device.
        DeviceOutOfMemory: not even its context fits in what is free.
    """

    library = "cuda-bindings"
    can_capture = True

    def __init__(self, driver: Driver, ordinal: int = 0) -> None:
        count = int(driver.call("cuDeviceGetCount"))
        if not 0 <= ordinal < count:
            raise DeviceUnavailable(f"there is no device {ordinal}: the driver shows {count}")
        self.ordinal = ordinal
        self._driver = driver
        self._context = PrimaryContext(driver, ordinal)
        device = driver.call("cuDeviceGet", ordinal)
        name: bytes = driver.call("cuDeviceGetName", 256, device)
        self.name = name.split(b"\0")[0].decode("utf-8", "replace")
        self.compute_capability = (
            self._attribute(device, f"{ATTRIBUTE}MAJOR"),
            self._attribute(device, f"{ATTRIBUTE}MINOR"),
        )
        self.driver = version_of(int(driver.call("cuDriverGetVersion")))
        self._locked = PageLocked()
        self._modules: dict[tuple[str, ...], CudaModule] = {}
        self._lock = threading.Lock()

    def free_memory(self) -> int:
        return int(self._context.call("cuMemGetInfo")[0])

    def current(self) -> AbstractContextManager[object]:
        return self._context

    def stream(self) -> Stream:
        flag = self._driver.constant("CUstream_flags", "CU_STREAM_NON_BLOCKING")
        handle = self._context.call("cuStreamCreate", int(flag))
        return CudaStream(self._context, handle, owned=True)

    def foreign_stream(self, handle: int) -> Stream:
        return CudaStream(self._context, handle, owned=False)

    def memory(self, nbytes: int) -> Memory:
        return CudaMemory(self._context, nbytes, self.name)

    def pinned(self, nbytes: int) -> Pinned:
        return CudaPinned(self._context, nbytes, self._locked)

    def upload(self, pointer: int, source: NDArray[Any] | Pinned, stream: Stream) -> None:
        there, host = native(stream), self._locked.source(source)
        if not host.nbytes:
            return
        array = host.array
        if not host.locked:
            there.check_capturing("upload an array that is not page-locked")
            # The driver may read it later than this call: where the device sees all of the host's
            # memory it does not copy it first.
            array = array.copy()
        start = array.ctypes.data
        self._context.call("cuMemcpyHtoDAsync", pointer, start, host.nbytes, there.native)
        if not host.locked:
            there.keep(array)

    def download(self, target: NDArray[Any] | Pinned, pointer: int, stream: Stream) -> None:
        there, host = native(stream), self._locked.target(target)
        if not host.nbytes:
            return
        if not host.locked:
            there.check_capturing("download to an array that is not page-locked")
        self._context.call("cuMemcpyDtoHAsync", host.pointer, pointer, host.nbytes, there.native)
        if not host.locked:
            there.synchronize()

    def copy(self, target: int, source: int, nbytes: int, stream: Stream) -> None:
        self._context.call("cuMemcpyDtoDAsync", target, source, nbytes, native(stream).native)

    def fill(self, pointer: int, value: int, nbytes: int, stream: Stream) -> None:
        self._context.call("cuMemsetD8Async", pointer, value, nbytes, native(stream).native)

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> Module:
        key = (source, *options)
        with self._lock:
            if key not in self._modules:
                image = compile_source(source, name, self.compute_capability, options)
                self._modules[key] = CudaModule(self._context, image)
            return self._modules[key]

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:
        return capture(self._context, native(stream), work)

    def close(self) -> None:
        self._modules.clear()
        self._context.close()

    def _attribute(self, device: object, name: str) -> int:
        attribute = self._driver.constant("CUdevice_attribute", name)
        return int(self._driver.call("cuDeviceGetAttribute", attribute, device))


def open_over_bindings(ordinal: int = 0) -> BindingsDevice:
    """
    Raises:
        DeviceUnavailable: no cuda-bindings, no driver or no such device.
    """
    return BindingsDevice(open_driver(), ordinal)
