"""The primary context of a device, and what lives in it. Knows the driver, not what lives there."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from edgesam_kernels.device.driver import Driver
from edgesam_kernels.device.errors import DeviceError


class Context(Protocol):
    """Something to be made current on the calling thread for as long as a call takes."""

    @property
    def closed(self) -> bool: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def adopt(self, resource: Resource) -> None:
        """Remember to free it before the context is left."""


class Resource:
    """What the driver made and must be given back, once, with its context current."""

    def __init__(self, context: Context, free: Callable[[], object]) -> None:
        self._context = context
        self._free: Callable[[], object] | None = free
        context.adopt(self)

    @property
    def closed(self) -> bool:
        return self._free is None

    def close(self) -> None:
        """Give it back; a second time does nothing."""
        free, self._free = self._free, None
        if free is not None and not self._context.closed:
            with self._context:
                free()

    def check_open(self, what: str) -> None:
        """
        Raises:
            DeviceError: it was closed.
        """
        if self._free is None:
            raise DeviceError(f"{what} was closed and is used again")

    def __del__(self) -> None:
        # At the end of a process the driver may be gone: there is nobody left to tell.
        with contextlib.suppress(Exception):
            self.close()


class PrimaryContext:
    """Retained, not made: it is the one that the runtime API and so PyTorch, ONNX Runtime and
    TensorRT use, and the memory of one is the memory of all.

    It is pushed for each call and popped after it, on whatever thread that is: a thread of the
    application keeps the context that it had.
    """

    def __init__(self, driver: Driver, ordinal: int) -> None:
        self.driver = driver
        self.closed = False
        self._device = driver.call("cuDeviceGet", ordinal)
        self._handle = driver.call("cuDevicePrimaryCtxRetain", self._device)
        self._resources: weakref.WeakSet[Resource] = weakref.WeakSet()

    def __enter__(self) -> PrimaryContext:
        if self.closed:
            raise DeviceError("the device was closed and is used again")
        self.driver.call("cuCtxPushCurrent", self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A broken device fails here too, after the call that said so.
        self.driver.code("cuCtxPopCurrent")

    def call(self, name: str, *arguments: Any) -> Any:
        """As ``Driver.call``, with this context current."""
        with self:
            return self.driver.call(name, *arguments)

    def ready(self, name: str, *arguments: Any) -> bool:
        """As ``Driver.ready``, with this context current."""
        with self:
            return self.driver.ready(name, *arguments)

    def adopt(self, resource: Resource) -> None:
        self._resources.add(resource)

    def close(self) -> None:
        """Free what was not freed, and let go of the context."""
        if self.closed:
            return
        for resource in list(self._resources):
            resource.close()
        self.closed = True
        self.driver.code("cuDevicePrimaryCtxRelease", self._device)
