"""pycuda as it is used: with its context current, by calls that it has, freed where it wants."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesam_kernels.device import Device, DeviceError, DeviceUnavailable
from edgesam_kernels.device.opening import open_device

# Read from pycuda's source at the version that the file names: how many positional arguments a
# call takes, and which keywords.
KNOWN = json.loads((Path(__file__).parent / "pycuda.json").read_text("utf-8"))


@pytest.fixture
def nvcc(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """No NVRTC, and a pycuda.compiler that compiles anything."""
    calls: list[dict[str, Any]] = []

    def compile_(source: str, **words: Any) -> bytes:
        calls.append({"source": source, **words})
        return b"by nvcc"

    compiler = types.ModuleType("pycuda.compiler")
    compiler.compile = compile_  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda.compiler", compiler)
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    return calls


def use_all(device: Device, source: str) -> None:
    """Every call of the protocol."""
    stream, other = device.stream(), device.stream()
    memory, second, pinned = device.memory(400), device.memory(400), device.pinned(400)
    pinned.bytes[:] = 0
    device.free_memory()
    device.upload(memory.pointer, pinned, stream)
    device.upload(memory.pointer, np.zeros(100, np.float32), stream)
    device.upload(memory.pointer, np.zeros(100, np.float32), stream)
    kernel = device.module(source, "adding").kernel("add")
    for shared in (0, 60_000):
        kernel.launch(
            stream,
            *((1, 1, 1), (128, 1, 1)),
            *(memory.pointer, np.int32(100), np.float32(1)),
            shared=shared,
        )
    before, after = stream.record(timed=True), stream.record(timed=True)
    other.wait(after)
    after.synchronize()
    assert after.done()
    assert after.seconds_since(before) > 0
    device.copy(second.pointer, memory.pointer, 400, other)
    device.fill(second.pointer + 4, 0, 4, other)
    found = np.empty(100, np.float32)
    device.download(pinned, second.pointer, other)
    device.download(found, second.pointer, other)
    assert list(found[:3]) == [2, 0, 2]
    for foreign in (device.foreign_stream(0), device.foreign_stream(0xABC0)):
        stream.wait(foreign.record())
        foreign.wait(after)
        foreign.synchronize()
    for part in (memory, second):
        part.close()
    pinned.close()


def test_every_call_is_one_that_pycuda_has(
    fake_pycuda: Any, nvcc: list[dict[str, Any]], add_source: str
) -> None:
    device = open_device("pycuda")
    use_all(device, add_source)
    device.close()
    assert len({name for name, *_ in fake_pycuda.recorded}) > 25
    for name, positional, keywords in fake_pycuda.recorded:
        least, most, words = KNOWN["calls"][name]
        assert positional <= (most if most is not None else positional), name
        assert positional + len(keywords) >= least, name
        assert set(keywords) <= set(words), name
    assert set(nvcc[0]) - {"source"} <= set(KNOWN["calls"]["compiler.compile"][2])


def test_the_list_is_of_the_real_package() -> None:
    if importlib.util.find_spec("pycuda") is None:
        pytest.skip("pycuda is not installed")
    driver = pytest.importorskip("pycuda.driver", exc_type=ImportError)
    for name in [*KNOWN["calls"], *KNOWN["names"]]:
        if name.startswith("compiler."):
            continue  # it needs nothing that a machine may lack, but imports nvcc's tools
        at = driver
        for part in name.split("."):
            at = getattr(at, part)


def test_the_fake_has_nothing_that_pycuda_has_not(fake_pycuda: Any) -> None:
    for name in KNOWN["names"]:
        at = fake_pycuda
        for part in name.split("."):
            at = getattr(at, part)


def test_the_application_keeps_its_context(fake_pycuda: Any, add_source: str) -> None:
    theirs = type(fake_pycuda.primary)(fake_pycuda, "theirs")
    fake_pycuda.devices = 2
    theirs.push()
    device = open_device("pycuda", 1)  # of another device than theirs
    stream = device.stream()
    memory = device.memory(4)
    device.fill(memory.pointer, 1, 4, stream)
    assert fake_pycuda.stack() == [theirs]
    memory.close()
    del stream, memory
    gc.collect()
    device.close()
    assert fake_pycuda.stack() == [theirs]
    fake_pycuda.stack().clear()


def test_things_are_freed_from_any_thread(fake_pycuda: Any) -> None:
    device = open_device("pycuda")
    things = [[device.memory(4), device.pinned(4), device.stream(), device.stream().record()]]
    thread = threading.Thread(target=things.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert fake_pycuda.leaked == []
    device.close()


def test_what_was_not_closed_goes_with_the_device(fake_pycuda: Any) -> None:
    device = open_device("pycuda")
    memory, stream = device.memory(4), device.stream()
    device.close()
    assert fake_pycuda.leaked == []
    memory.close()
    with pytest.raises(DeviceError, match="closed"):
        stream.synchronize()


def test_errors_are_ours(fake_pycuda: Any, nvcc: object, add_source: str) -> None:
    device = open_device("pycuda")
    kernel = device.module(add_source, "adding").kernel("crash")
    with pytest.raises(DeviceError, match="cuLaunchKernel failed: an illegal memory access"):
        kernel.launch(device.stream(), (1, 1, 1), (1, 1, 1))
    del kernel
    device.close()


def test_nothing_is_given_to_somebody_elses_stream(fake_pycuda: Any) -> None:
    device = open_device("pycuda")
    memory = device.memory(4)
    with pytest.raises(DeviceError, match="pycuda cannot give work to the stream 0xabc0"):
        device.fill(memory.pointer, 0, 4, device.foreign_stream(0xABC0))
    device.fill(memory.pointer, 0, 4, device.foreign_stream(0))
    memory.close()
    device.close()


def test_nvrtc_where_there_is_one(fake_pycuda: Any, add_source: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc")
    device = open_device("pycuda")
    device.module(add_source, "adding")
    device.module(add_source, "adding")
    assert [image[:4] for image in fake_pycuda.images] == [b"\x7fELF"]
    device.close()


def test_nvcc_where_there_is_no_nvrtc(
    fake_pycuda: Any, nvcc: list[dict[str, Any]], add_source: str
) -> None:
    device = open_device("pycuda")
    device.module(add_source, "adding", ["-DA=1"])
    assert fake_pycuda.images == [b"by nvcc"]
    assert nvcc == [
        {"source": add_source, "options": ["-DA=1"], "no_extern_c": True, "arch": "sm_90"}
    ]
    device.close()


@pytest.mark.parametrize("missing", [True, False])
def test_nvcc_does_not_work(
    fake_pycuda: Any,
    nvcc: object,
    add_source: str,
    monkeypatch: pytest.MonkeyPatch,
    missing: bool,
) -> None:
    def fail(source: str, **words: Any) -> bytes:
        if missing:
            raise OSError("error invoking 'nvcc --version': No such file")
        raise fake_pycuda.CompileError("nvcc failed\nkernel.cu(3): error: expected a ';'")

    monkeypatch.setattr(sys.modules["pycuda.compiler"], "compile", fail)
    device = open_device("pycuda")
    if missing:
        with pytest.raises(DeviceUnavailable, match="neither NVRTC nor nvcc was found"):
            device.module(add_source, "adding")
    else:
        with pytest.raises(DeviceError, match=r"do not compile for sm_90: kernel.cu\(3\): error"):
            device.module(add_source, "adding")
    device.close()


def test_types_that_pycuda_cannot_pack() -> None:
    from edgesam_kernels.device.pycuda_module import _packable

    half = _packable(np.float16(0.5))
    assert half.dtype == np.uint16
    assert half.tobytes() == np.float16(0.5).tobytes()
    assert _packable(np.bool_(True)) == np.uint8(1)
    assert _packable(np.float32(1)).dtype == np.float32
