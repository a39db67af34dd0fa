"""Every name that is asked of cuda-bindings is there, and takes what it is given."""

from __future__ import annotations

import gc
import inspect
import itertools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgesam_kernels.device import nvrtc
from edgesam_kernels.device.driver import open_driver
from edgesam_kernels.device.over_bindings import BindingsDevice

GIVEN: dict[str, tuple[object, ...]] = {
    "cuDriverGetVersion": (13050,),
    "cuDeviceGetCount": (1,),
    "cuDeviceGetName": (b"Recorder\0\0",),
    "cuDeviceGetAttribute": (9,),
    "cuMemGetInfo": (1 << 29, 1 << 30),
    "cuEventElapsedTime": (1.5,),
    "cuGetErrorString": (b"words",),
}
MAKE = ("Create", "Alloc", "Get", "Retain", "Load", "EndCapture", "Instantiate")


class Recorder:
    """A ``cuda.bindings.driver`` that writes down what it is asked and gives numbers."""

    CUDA_VERSION = 13050

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.constants: list[tuple[str, str]] = []
        self._numbers = itertools.count(0x10000, 0x1000)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("CU"):
            return Constants(self, name)

        def call(*given: object) -> tuple[object, ...]:
            self.calls.append((name, given))
            if name in GIVEN:
                return 0, *GIVEN[name]
            return (0, next(self._numbers)) if any(word in name for word in MAKE) else (0,)

        return call


class Constants:
    """An enumeration of it."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder, self._name = recorder, name

    def __getattr__(self, member: str) -> int:
        self._recorder.constants.append((self._name, member))
        return 1


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """All that the device asks of the driver, from opening to closing."""
    recorder = Recorder()
    monkeypatch.setattr(
        "edgesam_kernels.device.over_bindings.compile_source", lambda *given: b"a cubin"
    )
    device = BindingsDevice(open_driver(recorder))
    stream, other = device.stream(), device.foreign_stream(2)
    memory = device.memory(400)
    device.free_memory()
    device.upload(memory.pointer, np.zeros(100, np.float32), stream)
    device.download(np.zeros(100, np.float32), memory.pointer, stream)
    device.copy(memory.pointer, memory.pointer + 200, 100, stream)
    device.fill(memory.pointer, 1, 4, stream)
    kernel = device.module("text", "name").kernel("add")
    kernel.launch(stream, (1, 1, 1), (1, 1, 1), memory.pointer, np.int32(1), shared=60_000)
    before, after = stream.record(timed=True), stream.record(timed=True)
    other.wait(after)
    after.synchronize()
    after.done()
    after.seconds_since(before)
    collects = []
    graph = device.capture(stream, lambda: collects.append(gc.isenabled()))
    graph.launch(stream)
    graph.close()
    with pytest.raises(KeyError):
        device.capture(stream, lambda: {}["fails"])
    assert [*collects, gc.isenabled()] == [False, True], "it frees nothing while work is captured"
    # Its address must be memory for a view of it.
    block = np.zeros(64, np.uint8)
    monkeypatch.setitem(GIVEN, "cuMemHostAlloc", (block.ctypes.data,))
    pinned = device.pinned(64)
    device.upload(memory.pointer, pinned, stream)
    pinned.close()
    memory.close()
    recorder.cuGetErrorString(1)
    device.close()
    return recorder


def bind(function: Callable[..., Any], given: tuple[object, ...]) -> None:
    inspect.signature(function).bind(*given)


def test_every_call_of_the_driver(recorded: Recorder) -> None:
    real = pytest.importorskip("cuda.bindings.driver")
    assert len({name for name, _ in recorded.calls}) > 35
    for name, given in recorded.calls:
        bind(getattr(real, name), given)
    assert len(recorded.constants) > 4
    for enumeration, member in recorded.constants:
        getattr(getattr(real, enumeration), member)


def test_numbers_that_are_written_out() -> None:
    real = pytest.importorskip("cuda.bindings.driver")
    from edgesam_kernels.device import cuda_stream, driver, over_pycuda

    assert int(real.CUevent_flags.CU_EVENT_DEFAULT) == cuda_stream.TIMED
    assert int(real.CUevent_flags.CU_EVENT_DISABLE_TIMING) == cuda_stream.UNTIMED
    assert int(real.CUstream_flags.CU_STREAM_NON_BLOCKING) == over_pycuda.NON_BLOCKING
    assert int(real.CU_MEMHOSTALLOC_PORTABLE) == 1
    results = real.CUresult
    assert int(results.CUDA_ERROR_OUT_OF_MEMORY) == driver.OUT_OF_MEMORY
    assert int(results.CUDA_ERROR_NO_DEVICE) == driver.NO_DEVICE
    assert int(results.CUDA_ERROR_NOT_READY) == driver.NOT_READY
    assert int(results.CUDA_ERROR_ILLEGAL_ADDRESS) in driver.STICKY
    assert {int(one) for one in results} >= driver.STICKY


def test_the_context_is_taken_and_left(recorded: Recorder) -> None:
    names = [name for name, _ in recorded.calls]
    assert names.count("cuCtxPushCurrent") == names.count("cuCtxPopCurrent") > 20
    depth = 0
    outside = set()
    for name in names:
        depth += (name == "cuCtxPushCurrent") - (name == "cuCtxPopCurrent")
        assert depth in (0, 1)
        if not depth:
            outside.add(name)
    asked = {"cuInit", "cuDriverGetVersion", "cuGetErrorString", "cuCtxPopCurrent"}
    assert outside <= asked | {one for one in outside if one.startswith("cuDevice")}


def test_a_copied_array_is_kept_until_after_its_copy(recorded: Recorder) -> None:
    """The event that lets go of it is recorded behind the copy, not before."""
    order = ("cuMemcpyHtoDAsync", "cuEventRecord", "cuMemcpyDtoHAsync")
    names = [name for name, _ in recorded.calls if name in order]
    assert names[:3] == list(order)


def test_what_was_made_is_given_back(recorded: Recorder) -> None:
    names = [name for name, _ in recorded.calls]
    for made, freed in (
        ("cuMemAlloc", "cuMemFree"),
        ("cuMemHostAlloc", "cuMemFreeHost"),
        ("cuEventCreate", "cuEventDestroy"),
        ("cuStreamCreate", "cuStreamDestroy"),
        ("cuStreamBeginCapture", "cuStreamEndCapture"),
        ("cuStreamEndCapture", "cuGraphDestroy"),
        ("cuGraphInstantiate", "cuGraphExecDestroy"),
        ("cuModuleLoadData", "cuModuleUnload"),
        ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease"),
    ):
        assert names.count(made) == names.count(freed) > 0, made
    assert names[-1] == "cuDevicePrimaryCtxRelease"


def test_every_call_of_the_compiler(monkeypatch: pytest.MonkeyPatch, add_source: str) -> None:
    real = pytest.importorskip("cuda.bindings.nvrtc")
    asked: list[str] = []

    def watch(name: str) -> Callable[..., Any]:
        def call(*given: object) -> Any:
            asked.append(name)
            bind(getattr(real, name), given)
            return getattr(real, name)(*given)

        return call

    compiler = types.SimpleNamespace(
        **{name: watch(name) for name in dir(real) if name.startswith("nvrtc")}
    )
    monkeypatch.setattr(nvrtc, "_compiled", {})
    nvrtc.compile_source(add_source, "adding", (9, 0), compiler=compiler)
    with pytest.raises(nvrtc.DeviceError):
        nvrtc.compile_source("no CUDA C", "adding", (99, 0), compiler=compiler)
    assert asked.count("nvrtcCreateProgram") == asked.count("nvrtcDestroyProgram") == 2
    assert "nvrtcGetProgramLog" in asked
