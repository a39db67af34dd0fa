"""Every CUDA source: there, readable, and taken by NVIDIA's own compiler for every card we name."""

from __future__ import annotations

import re

import pytest

from edgesam_kernels.cuda import names, source

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


def compile_cubin(text: str, architecture: int, *more: str) -> bytes:
    """By NVRTC, which needs no driver."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra cuda")
    error, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
    flags = (f"--gpu-architecture=sm_{architecture}", "--std=c++17", *more)
    options = [flag.encode() for flag in flags]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        raise ValueError(log.decode())
    _, size = nvrtc.nvrtcGetCUBINSize(program)
    cubin = b" " * size
    nvrtc.nvrtcGetCUBIN(program, cubin)
    nvrtc.nvrtcDestroyProgram(program)
    return cubin


def test_there_are_sources() -> None:
    assert "finish" in names()
    with pytest.raises(FileNotFoundError):
        source("none")


@pytest.mark.parametrize("name", names())
def test_a_source_is_whole_and_for_readers(name: str) -> None:
    text = source(name)
    assert text.startswith("// "), "the first line says what the kernel does"
    assert "#include" not in text, "NVRTC has no files"
    assert re.search(r'extern "C" __global__ void', text)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", names())
def test_nvrtc_compiles_it(name: str, architecture: int) -> None:
    assert compile_cubin(source(name), architecture).startswith(b"\x7fELF")


def test_nvrtc_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"kernel.cu\(1\): error: .*nonsense"):
        compile_cubin('extern "C" __global__ void f() { nonsense; }', 90)
