"""A device over the pycuda that an application already uses. Knows no kernel.

What it makes lives in the application's own context, so that its arrays can be handed in. pycuda
(2026.1) knows neither graphs nor streams of others: ``can_capture`` is false.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.cuda_memory import check_size, no_memory, no_pinned
from edgesam_kernels.device.driver import version_of
from edgesam_kernels.device.errors import DeviceError, DeviceOutOfMemory
from edgesam_kernels.device.host_memory import PageLocked, as_bytes, view
from edgesam_kernels.device.protocol import Graph, Memory, Module, Pinned, Stream
from edgesam_kernels.device.pycuda_context import PycudaContext, open_pycuda
from edgesam_kernels.device.pycuda_module import PycudaModule, compile_for
from edgesam_kernels.device.pycuda_stream import ForeignStream, Held, PycudaStream, native

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, for which pycuda has no name


class PycudaMemory(Held):
    """A ``pycuda.driver.DeviceAllocation``."""

    def __init__(self, context: PycudaContext, nbytes: int, device: str) -> None:
        check_size(nbytes)
        try:
            allocation = context.call(context.pycuda.mem_alloc, nbytes)
        except DeviceOutOfMemory:
            known = context.call(context.pycuda.mem_get_info)
            raise no_memory(device, nbytes, *known) from None
        super().__init__(context, allocation)
        self.pointer = int(allocation)
        self.nbytes = nbytes


class PycudaPinned(Held):
    """What ``pycuda.driver.pagelocked_empty`` gives."""

    def __init__(self, context: PycudaContext, nbytes: int, locked: PageLocked) -> None:
        check_size(nbytes)
        flags = context.pycuda.host_alloc_flags.PORTABLE
        try:
            array = context.call(context.pycuda.pagelocked_empty, nbytes, np.uint8, mem_flags=flags)
        except DeviceOutOfMemory:
            raise no_pinned(nbytes) from None
        super().__init__(context, array)
        self.pointer = int(array.ctypes.data)
        self.nbytes = nbytes
        self._locked = locked
        locked.add(self.pointer, nbytes)

    @property
    def bytes(self) -> NDArray[np.uint8]:
        self.check_open("page-locked memory")
        return view(self.pointer, self.nbytes, self)

    def close(self) -> None:
        if not self.closed:
            self._locked.remove(self.pointer)
        super().close()


class PycudaDevice:
    """A ``Device``; any thread may use it.

    Args:
        pycuda: ``pycuda.driver``, initialised.
        ordinal: which device.

    Raises:
        DeviceUnavailable: there is no such device.
    """

    library = "pycuda"
    can_capture = False

    def __init__(self, pycuda: Any, ordinal: int = 0) -> None:
        self.ordinal = ordinal
        self._pycuda = pycuda
        self._context = PycudaContext(pycuda, ordinal)
        self.name = str(self._context.device.name())
        major, minor = self._context.device.compute_capability()
        self.compute_capability = (int(major), int(minor))
        self.driver = version_of(int(pycuda.get_driver_version()))
        self._locked = PageLocked()
        self._modules: dict[tuple[str, ...], PycudaModule] = {}
        self._lock = threading.Lock()

    def free_memory(self) -> int:
        return int(self._context.call(self._pycuda.mem_get_info)[0])

    def current(self) -> AbstractContextManager[object]:
        return self._context

    def stream(self) -> Stream:
        return PycudaStream(self._context, self._context.call(self._pycuda.Stream, NON_BLOCKING))

    def foreign_stream(self, handle: int) -> Stream:
        if handle in (0, 1):  # both name the default stream
            return PycudaStream(self._context, None)
        return ForeignStream(self._context, handle)

    def memory(self, nbytes: int) -> Memory:
        return PycudaMemory(self._context, nbytes, self.name)

    def pinned(self, nbytes: int) -> Pinned:
        return PycudaPinned(self._context, nbytes, self._locked)

    def upload(self, pointer: int, source: NDArray[Any] | Pinned, stream: Stream) -> None:
        there, host = native(stream), self._locked.source(source)
        if not host.nbytes:
            return
        array = as_bytes(host.array if host.locked else host.array.copy())
        self._context.call(self._pycuda.memcpy_htod_async, pointer, array, there.native)
        if not host.locked:
            there.keep(array)

    def download(self, target: NDArray[Any] | Pinned, pointer: int, stream: Stream) -> None:
        there, host = native(stream), self._locked.target(target)
        if not host.nbytes:
            return
        array = as_bytes(host.array)
        self._context.call(self._pycuda.memcpy_dtoh_async, array, pointer, there.native)
        if not host.locked:
            there.synchronize()

    def copy(self, target: int, source: int, nbytes: int, stream: Stream) -> None:
        self._context.call(
            self._pycuda.memcpy_dtod_async, target, source, nbytes, native(stream).native
        )

    def fill(self, pointer: int, value: int, nbytes: int, stream: Stream) -> None:
        self._context.call(
            self._pycuda.memset_d8_async, pointer, value, nbytes, native(stream).native
        )

    def module(self, source: str, name: str, options: Sequence[str] = ()) -> Module:
        key = (source, *options)
        with self._lock:
            if key not in self._modules:
                image = compile_for(source, name, self.compute_capability, options)
                self._modules[key] = PycudaModule(self._context, image)
            return self._modules[key]

    def capture(self, stream: Stream, work: Callable[[], None]) -> Graph:  # noqa: ARG002
        raise DeviceError(
            "pycuda has no CUDA graphs: give the work to the stream each time, or use the library "
            "cuda-bindings"
        )

    def close(self) -> None:
        self._modules.clear()
        self._context.close()


def open_over_pycuda(ordinal: int = 0) -> PycudaDevice:
    """
    Raises:
        DeviceUnavailable: no pycuda, no driver or no such device.
    """
    return PycudaDevice(open_pycuda(), ordinal)
