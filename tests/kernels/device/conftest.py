"""Devices to try: the fake one, pycuda over a fake pycuda, and what is really there."""

from __future__ import annotations

import ctypes
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edgesam_kernels.device import Device
from edgesam_kernels.device.fake import FakeDevice
from edgesam_kernels.device.opening import LIBRARIES, open_device, why_not

ADD = """
extern "C" __global__ void add(float *values, int n, float amount) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) values[i] += amount;
}
extern "C" __global__ void crash() { *(volatile int *)0 = 1; }
"""


@pytest.fixture(scope="session")
def add_source() -> str:
    """CUDA C of ``add(float *, int, float)`` and of ``crash()``."""
    return ADD


def add_on_fake(device: FakeDevice, grid: object, block: object, given: tuple[Any, ...]) -> None:
    pointer, n, amount = given
    device.view(pointer, 4 * int(n)).view(np.float32)[:] += amount


REAL = [library for library in LIBRARIES if why_not(library) is None]


@pytest.fixture(params=["fake", "fake pycuda", *REAL])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    """Each device there is, with nothing on it."""
    found: Device
    if request.param == "fake":
        found = FakeDevice()
        found.register("add", add_on_fake, writes=[0])
    elif request.param == "fake pycuda":
        request.getfixturevalue("fake_pycuda")
        found = open_device("pycuda")
    else:
        found = open_device(request.param)
    yield found
    found.close()


# A pycuda that is none: memory is the host's and streams run at once, but contexts are on a stack
# for each thread, and whatever is freed without its context on top is written down as leaked.


class FakePycuda(types.ModuleType):
    """``pycuda.driver``: records (name, positional arguments, names of keywords)."""

    class Error(Exception):
        pass

    class MemoryError(Error):
        pass

    class CompileError(Error):
        pass

    event_flags = types.SimpleNamespace(DEFAULT=0, DISABLE_TIMING=2)
    host_alloc_flags = types.SimpleNamespace(PORTABLE=1)
    function_attribute = types.SimpleNamespace(MAX_DYNAMIC_SHARED_SIZE_BYTES=8)

    def __init__(self) -> None:
        super().__init__("pycuda.driver")
        self.recorded: list[tuple[str, int, tuple[str, ...]]] = []
        self.leaked: list[str] = []
        self.devices = 1
        self.total = 1 << 30
        self.stacks = threading.local()
        self.primary = Context(self, "primary")
        self.primaries = 0
        self.images: list[bytes] = []
        self.Device = types.new_class("Device", (Device_,), {}, lambda space: None)
        self.Device.pycuda = self
        self.Device.count = staticmethod(lambda: self.say("Device.count") or self.devices)
        self.Context = types.SimpleNamespace(
            get_current=lambda: self.say("Context.get_current") or self.top(),
            get_device=lambda: self.say("Context.get_device") or self.Device(0),
            pop=lambda: self.say("Context.pop") or self.stack().pop(),
            synchronize=lambda: self.say("Context.synchronize"),
        )

    def say(self, name: str, *given: object, **words: object) -> None:
        self.recorded.append((name, len(given), tuple(words)))

    def stack(self) -> list[Context]:
        if not hasattr(self.stacks, "stack"):
            self.stacks.stack = []
        found: list[Context] = self.stacks.stack
        return found

    def top(self) -> Context | None:
        return self.stack()[-1] if self.stack() else None

    def need(self, what: str) -> None:
        if self.top() is None:
            raise self.Error(
                f"{what} failed: invalid device context - no currently active context?"
            )

    def init(self, flags: int = 0) -> None:
        self.say("init")

    def get_driver_version(self) -> int:
        self.say("get_driver_version")
        return 13020

    def mem_get_info(self) -> tuple[int, int]:
        self.say("mem_get_info")
        self.need("cuMemGetInfo")
        return self.total // 2, self.total

    def mem_alloc(self, nbytes: int) -> Thing:
        self.say("mem_alloc", nbytes)
        self.need("cuMemAlloc")
        if nbytes > self.total:
            raise self.MemoryError("cuMemAlloc failed: out of memory")
        return Thing(self, "DeviceAllocation", ctypes.create_string_buffer(nbytes))

    def pagelocked_empty(self, shape: int, dtype: Any, order: str = "C", mem_flags: int = 0) -> Any:
        self.say("pagelocked_empty", shape, dtype, mem_flags=mem_flags)
        self.need("cuMemHostAlloc")
        if shape > self.total:
            raise self.MemoryError("cuMemHostAlloc failed: out of memory")
        return np.zeros(shape, dtype)

    def memcpy_htod_async(self, dest: int, src: Any, stream: Thing | None = None) -> None:
        self.say("memcpy_htod_async", dest, src, stream)
        self.need("cuMemcpyHtoDAsync")
        ctypes.memmove(dest, src.ctypes.data, memoryview(src).nbytes)

    def memcpy_dtoh_async(self, dest: Any, src: int, stream: Thing | None = None) -> None:
        self.say("memcpy_dtoh_async", dest, src, stream)
        self.need("cuMemcpyDtoHAsync")
        ctypes.memmove(dest.ctypes.data, src, memoryview(dest).nbytes)

    def memcpy_dtod_async(
        self, dest: int, src: int, size: int, stream: Thing | None = None
    ) -> None:
        self.say("memcpy_dtod_async", dest, src, size, stream)
        ctypes.memmove(dest, src, size)

    def memset_d8_async(self, dest: int, data: int, size: int, stream: Thing | None = None) -> None:
        self.say("memset_d8_async", dest, data, size, stream)
        ctypes.memset(dest, data, size)

    def module_from_buffer(self, buffer: bytes) -> Thing:
        self.say("module_from_buffer", buffer)
        self.need("cuModuleLoadDataEx")
        self.images.append(buffer)
        return Thing(self, "Module")

    def Stream(self, flags: int = 0) -> Thing:  # noqa: N802
        self.say("Stream", flags)
        self.need("cuStreamCreate")
        return Thing(self, "Stream")

    def Event(self, flags: int = 0) -> Thing:  # noqa: N802
        self.say("Event", flags)
        self.need("cuEventCreate")
        return Thing(self, "Event")


class Device_:  # noqa: N801
    pycuda: FakePycuda
    count: Callable[[], int]

    def __init__(self, ordinal: int) -> None:
        self.pycuda.say("Device", ordinal)
        self.ordinal = ordinal

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device_) and other.ordinal == self.ordinal

    def __hash__(self) -> int:
        return self.ordinal

    def name(self) -> str:
        self.pycuda.say("Device.name")
        return "Fake pycuda"

    def compute_capability(self) -> tuple[int, int]:
        self.pycuda.say("Device.compute_capability")
        return 9, 0

    def retain_primary_context(self) -> Context:
        self.pycuda.say("Device.retain_primary_context")
        self.pycuda.primaries += 1
        return self.pycuda.primary


class Context:
    def __init__(self, pycuda: FakePycuda, name: str) -> None:
        self.pycuda = pycuda
        self.name = name

    def push(self) -> None:
        self.pycuda.say("Context.push")
        self.pycuda.stack().append(self)


class Thing:
    """What pycuda makes: bound to the context that was current."""

    def __init__(self, pycuda: FakePycuda, kind: str, buffer: Any = None) -> None:
        self.pycuda = pycuda
        self.kind = kind
        self.buffer = buffer
        self.context = pycuda.top()
        self.handle = id(self)

    def __int__(self) -> int:
        return ctypes.addressof(self.buffer)

    def say(self, name: str, *given: object, **words: object) -> None:
        self.pycuda.say(f"{self.kind}.{name}", *given, **words)
        self.pycuda.need(f"{self.kind}.{name}")

    def synchronize(self) -> None:
        self.say("synchronize")

    def wait_for_event(self, event: Thing) -> None:
        self.say("wait_for_event", event)

    def record(self, stream: Thing | None = None) -> None:
        self.say("record", stream)

    def query(self) -> bool:
        self.say("query")
        return True

    def time_since(self, event: Thing) -> float:
        self.say("time_since", event)
        return 1.5

    def get_function(self, name: str) -> Thing:
        self.say("get_function", name)
        if name not in ("add", "crash"):
            raise self.pycuda.Error("cuModuleGetFunction failed: named symbol not found")
        return Thing(self.pycuda, "Function", name)

    def set_attribute(self, attribute: int, value: int) -> None:
        self.say("set_attribute", attribute, value)

    def __call__(self, *given: Any, **words: Any) -> None:
        self.say("__call__", *given, **words)
        assert all(isinstance(value, np.number) for value in given), "pycuda packs nothing else"
        if self.buffer == "crash":
            raise self.pycuda.Error("cuLaunchKernel failed: an illegal memory access")
        pointer, n, amount = given
        (ctypes.c_float * int(n)).from_address(int(pointer))
        at = np.ctypeslib.as_array((ctypes.c_float * int(n)).from_address(int(pointer)))
        at += amount

    def __del__(self) -> None:
        if self.pycuda.top() is not self.context:
            self.pycuda.leaked.append(self.kind)


@pytest.fixture
def fake_pycuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePycuda]:
    """Stands in for ``pycuda.driver``; what leaks fails the test."""
    driver = FakePycuda()
    package = types.ModuleType("pycuda")
    package.__spec__ = types.SimpleNamespace(name="pycuda")  # type: ignore[assignment]
    package.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    yield driver
    assert driver.leaked == []
