"""Which library is taken, and why none can be; asking makes no context."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from edgesam_kernels.device import DeviceUnavailable, opening
from edgesam_kernels.device.opening import open_device, why_not


def names(pycuda: Any) -> list[str]:
    return [name for name, *_ in pycuda.recorded]


@pytest.fixture
def no_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DeviceUnavailable("needs the package cuda-bindings (not installed): pip install it")

    monkeypatch.setattr(opening, "open_driver", missing)


@pytest.fixture
def no_pycuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pycuda.driver", raising=False)

    def missing() -> None:
        raise DeviceUnavailable("needs the package pycuda (not installed): pip install pycuda")

    monkeypatch.setattr(opening, "open_pycuda", missing)


def test_the_applications_pycuda_comes_first(
    monkeypatch: pytest.MonkeyPatch, fake_pycuda: Any
) -> None:
    monkeypatch.setattr(opening, "open_driver", lambda: None)  # cuda-bindings would work, too
    chosen: list[str] = []
    monkeypatch.setattr(
        opening, "open_over_bindings", lambda ordinal: chosen.append("cuda-bindings")
    )
    open_device()
    assert chosen == ["cuda-bindings"]  # pycuda is imported, and nobody uses it
    fake_pycuda.primary.push()
    device = open_device()
    assert device.library == "pycuda"
    assert fake_pycuda.primaries == 0  # the context is the application's
    device.close()
    fake_pycuda.stack().clear()


def test_pycuda_where_there_is_nothing_else(no_bindings: None, fake_pycuda: Any) -> None:
    device = open_device()
    assert device.library == "pycuda"
    assert fake_pycuda.primaries == 1
    device.close()


def test_a_context_of_another_device_is_not_taken(fake_pycuda: Any) -> None:
    fake_pycuda.devices = 2
    fake_pycuda.primary.push()
    device = open_device("pycuda", 1)
    assert fake_pycuda.primaries == 1
    device.close()
    fake_pycuda.stack().clear()
    with pytest.raises(DeviceUnavailable, match="no device 2: the driver shows 2"):
        open_device("pycuda", 2)


def test_asking_makes_no_context(fake_pycuda: Any) -> None:
    assert why_not("pycuda") is None
    assert names(fake_pycuda) == ["init", "Device.count"]


def test_nothing_is_installed(no_bindings: None, no_pycuda: None) -> None:
    with pytest.raises(DeviceUnavailable, match="an NVIDIA card needs the package cuda-bindings"):
        open_device()
    assert why_not() == (
        "an NVIDIA card needs the package cuda-bindings (not installed): pip install it"
    )


def test_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert why_not("cuda-bindings") == (
        'needs the package cuda-bindings (not installed): pip install "edgesam[cuda]"'
    )
    assert why_not("pycuda") == "needs the package pycuda (not installed): pip install pycuda"
    assert 'pip install "edgesam[cuda]"' in (why_not() or "")


def test_pycuda_without_a_driver(monkeypatch: pytest.MonkeyPatch, fake_pycuda: Any) -> None:
    class Broken:
        def find_spec(self, name: str, *rest: object) -> None:
            if name == "pycuda.driver":
                raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "pycuda.driver")
    monkeypatch.setattr(sys.modules["pycuda"], "__path__", [], raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert "no NVIDIA driver was found" in (why_not("pycuda") or "")


def test_pycuda_without_a_device(fake_pycuda: Any) -> None:
    fake_pycuda.devices = 0
    assert "shows 0" in (why_not("pycuda") or "")


def test_pycuda_without_a_compiler(monkeypatch: pytest.MonkeyPatch, fake_pycuda: Any) -> None:
    monkeypatch.setattr(opening, "_installed", lambda name: False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "neither NVRTC nor nvcc was found" in (why_not("pycuda") or "")


@pytest.mark.parametrize("call", [open_device, why_not])
def test_no_such_library(call: Any) -> None:
    with pytest.raises(ValueError, match="no device library 'cupy': auto, cuda-bindings or pycuda"):
        call("cupy")
