"""CUDA C compiles without a card, once, and says in one line why it does not."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from edgesam_kernels.device import DeviceError, DeviceUnavailable
from edgesam_kernels.device.nvrtc import compile_source, open_nvrtc


@pytest.fixture
def nvrtc() -> Any:
    pytest.importorskip("cuda.bindings.nvrtc")
    return open_nvrtc()


def test_a_cubin(nvrtc: Any, add_source: str) -> None:
    image = compile_source(add_source, "adding", (9, 0))
    assert image[:4] == b"\x7fELF"
    assert b"add" in image
    assert compile_source(add_source, "adding", (9, 0)) is image
    assert compile_source(add_source, "adding", (8, 6)) != image


def test_one_on_pythons_path_comes_first(nvrtc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("edgesam_kernels.device.nvrtc.load_libraries", asked.append)
    open_nvrtc()
    assert asked == ["nvrtc"]


def test_options(nvrtc: Any) -> None:
    source = 'extern "C" __global__ void kernel_of(int *x) { *x = SIDE; }'
    one = compile_source(source, "sides", (9, 0), ["-DSIDE=256"])
    other = compile_source(source, "sides", (9, 0), ["-DSIDE=512"])
    assert one != other
    with pytest.raises(DeviceError, match=r"sides do not compile for sm_90: .*SIDE") as told:
        compile_source(source, "sides", (9, 0))
    assert "\n" not in str(told.value)


def test_a_card_newer_than_the_compiler(nvrtc: Any, add_source: str) -> None:
    """The driver compiles the rest."""
    image = compile_source(add_source, "adding", (99, 0))
    assert image.lstrip().startswith(b"//")
    assert b".target" in image
    assert image.endswith(b"\0")


def test_a_card_older_than_the_compiler(nvrtc: Any, add_source: str) -> None:
    with pytest.raises(DeviceError, match=r"capability 3\.5 is older than what NVRTC"):
        compile_source(add_source, "adding", (3, 5))


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, add_source: str) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    with pytest.raises(DeviceUnavailable, match=r"pip install \"edgesam\[cuda\]\""):
        compile_source(add_source, "adding", (9, 0))
