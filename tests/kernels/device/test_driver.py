"""Errors of the driver in one line: what failed, what was found, what to do."""

from __future__ import annotations

import enum
import types
from typing import Any

import pytest

from edgesam_kernels.device import DeviceError, DeviceOutOfMemory, DeviceUnavailable
from edgesam_kernels.device.driver import Driver, open_driver, version_of


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_NOT_READY = 600
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803


def bindings(**codes: Any) -> Any:
    """A ``cuda.bindings.driver`` whose functions return what is given."""
    functions: dict[str, Any] = {
        "cuInit": (CUresult(0),),
        "cuDriverGetVersion": (CUresult(0), 13050),
        "cuDeviceGetCount": (CUresult(0), 1),
        "cuGetErrorString": (CUresult(0), b"words"),
        **codes,
    }
    module: Any = types.SimpleNamespace(CUresult=CUresult, CUDA_VERSION=13050)
    for name, found in functions.items():
        setattr(module, name, lambda *given, found=found: found)
    return module


def test_what_a_call_gives() -> None:
    driver = Driver(bindings(none=(CUresult(0),), one=(CUresult(0), 5), two=(CUresult(0), 5, 6)))
    assert [driver.call(name) for name in ("none", "one", "two")] == [None, 5, (5, 6)]


def test_an_error_names_the_call() -> None:
    driver = Driver(bindings(cuFoo=(CUresult(1), None), cuBar=(CUresult(2),)))
    with pytest.raises(DeviceError, match=r"cuFoo failed: words \(CUDA_ERROR_INVALID_VALUE\)"):
        driver.call("cuFoo")
    with pytest.raises(DeviceOutOfMemory, match="cuBar failed"):
        driver.call("cuBar")
    assert driver.code("cuFoo") == 1


def test_whether_work_is_done() -> None:
    driver = Driver(bindings(yes=(CUresult(0),), no=(CUresult(600),), bad=(CUresult(1),)))
    assert driver.ready("yes")
    assert not driver.ready("no")
    with pytest.raises(DeviceError, match="bad failed"):
        driver.ready("bad")


def test_a_device_that_broke_says_so_ever_after() -> None:
    driver = Driver(bindings(cuFoo=(CUresult(700),), cuBar=(CUresult(1),)))
    with pytest.raises(DeviceError, match="in this call or in work that was given"):
        driver.call("cuFoo")
    with pytest.raises(DeviceError, match=r"cuBar cannot work.* since cuFoo failed.*process anew"):
        driver.call("cuBar")


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ({"cuInit": (CUresult(100),)}, r"shows no device \(CUDA_ERROR_NO_DEVICE; .* is '7'\)"),
        ({"cuDeviceGetCount": (CUresult(0), 0)}, "shows no device .*counts 0"),
        ({"cuInit": (CUresult(803),)}, "does not start: cuInit failed: words"),
        ({"cuDriverGetVersion": (CUresult(0), 12080)}, r"runs CUDA 12\.8 .* of CUDA 13\.5"),
    ],
)
def test_why_there_is_no_device(
    monkeypatch: pytest.MonkeyPatch, codes: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(DeviceUnavailable, match=words) as told:
        open_driver(bindings(**codes))
    assert "\n" not in str(told.value)


def test_no_library_of_the_driver() -> None:
    def missing(flags: int) -> None:
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    module = bindings()
    module.cuInit = missing
    with pytest.raises(DeviceUnavailable, match=r"no NVIDIA driver was found .*display driver"):
        open_driver(module)


def test_versions() -> None:
    assert [version_of(one) for one in (13000, 12080, 13050)] == ["13.0", "12.8", "13.5"]
