"""The context of an application that uses pycuda, and pycuda's errors. Knows no memory."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from edgesam_kernels.device.context import Resource
from edgesam_kernels.device.driver import no_driver, one_line
from edgesam_kernels.device.errors import DeviceError, DeviceOutOfMemory, DeviceUnavailable

NOT_INSTALLED = "needs the package pycuda (not installed): pip install pycuda"

T = TypeVar("T")


def open_pycuda() -> Any:
    """``pycuda.driver``, initialised (``cuInit``), seen to have a device. No context is made.

    Raises:
        DeviceUnavailable: no pycuda, no driver or no device.
    """
    if importlib.util.find_spec("pycuda") is None:
        raise DeviceUnavailable(NOT_INSTALLED)
    try:
        pycuda = importlib.import_module("pycuda.driver")
    except ImportError as error:
        if "libcuda" in str(error) or "nvcuda" in str(error) or "cuda driver" in str(error).lower():
            raise no_driver() from error
        raise DeviceUnavailable(f"pycuda cannot be imported: {one_line(error)}") from error
    try:
        pycuda.init()
        count = pycuda.Device.count()
    except pycuda.Error as error:
        raise DeviceUnavailable(f"pycuda finds no device: {one_line(error)}") from None
    if not count:
        raise DeviceUnavailable("pycuda finds no device: the NVIDIA driver shows 0")
    return pycuda


def current_context(pycuda: Any) -> Any | None:
    """The context that the calling thread of the application made current, through pycuda."""
    return pycuda.Context.get_current()


class PycudaContext:
    """The application's current context if it is of this device, else the device's primary one.

    pycuda keeps a stack of contexts for each thread and frees nothing whose context is not on
    the top of the calling thread's: so it is pushed and popped around each call.
    """

    def __init__(self, pycuda: Any, ordinal: int) -> None:
        count = pycuda.Device.count()
        if not 0 <= ordinal < count:
            raise DeviceUnavailable(f"there is no device {ordinal}: the driver shows {count}")
        self.pycuda = pycuda
        self.closed = False
        self.device = pycuda.Device(ordinal)
        current = current_context(pycuda)
        if current is not None and pycuda.Context.get_device() == self.device:
            self._native = current
        else:
            self._native = self._guard(self.device.retain_primary_context)
        self._resources: weakref.WeakSet[Resource] = weakref.WeakSet()
        self._pushed = threading.local()

    def __enter__(self) -> PycudaContext:
        if self.closed:
            raise DeviceError("the device was closed and is used again")
        pushed = self.pycuda.Context.get_current() != self._native
        if pushed:
            self._guard(self._native.push)
        self._stack().append(pushed)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stack().pop():
            self.pycuda.Context.pop()

    def call(self, function: Callable[..., T], *arguments: Any, **words: Any) -> T:
        """What the function gives, with this context current.

        Raises:
            DeviceOutOfMemory, DeviceError: in one line; pycuda names the driver's function.
        """
        with self:
            return self._guard(function, *arguments, **words)

    def adopt(self, resource: Resource) -> None:
        self._resources.add(resource)

    def close(self) -> None:
        """Free what was not freed, and let go of the context; it is not popped or detached."""
        if self.closed:
            return
        for resource in list(self._resources):
            resource.close()
        self.closed = True
        self._native = None

    def _guard(self, function: Callable[..., T], *arguments: Any, **words: Any) -> T:
        try:
            return function(*arguments, **words)
        except self.pycuda.MemoryError as error:
            raise DeviceOutOfMemory(one_line(error)) from None
        except self.pycuda.Error as error:
            raise DeviceError(one_line(error)) from None

    def _stack(self) -> list[bool]:
        if not hasattr(self._pushed, "stack"):
            self._pushed.stack = []
        stack: list[bool] = self._pushed.stack
        return stack
