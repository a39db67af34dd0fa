"""Every CUDA source: there, readable, and taken by NVIDIA's own compiler for every card we name."""

from __future__ import annotations

import re

import pytest

from edgesam_kernels.cuda import names, source

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)


def variants(name: str) -> list[str]:
    """The options that a source names for this test, a line each; none at all first."""
    return ["", *re.findall(r"// .*Tests compile also: (.+)", source(name))]


def compile_cuda(text: str, architecture: str, variant: str = "") -> bytes:
    """A cubin for ``sm_90``, PTX for ``compute_90``: by NVRTC, which needs no driver."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="needs the extra cuda")
    error, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
        options += variant.encode().split()
        (error,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        failed = error != nvrtc.nvrtcResult.NVRTC_SUCCESS
        what = "ProgramLog" if failed else "CUBIN" if architecture.startswith("sm") else "PTX"
        _, size = getattr(nvrtc, f"nvrtcGet{what}Size")(program)
        result = b" " * size
        getattr(nvrtc, f"nvrtcGet{what}")(program, result)
    finally:
        nvrtc.nvrtcDestroyProgram(program)
    if failed:
        raise ValueError(result.decode())
    return result


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


VARIANTS = [(name, variant) for name in names() for variant in variants(name)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_nvrtc_compiles_it(name: str, variant: str, architecture: int) -> None:
    cubin = compile_cuda(source(name), f"sm_{architecture}", variant)
    assert cubin.startswith(b"\x7fELF")


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_a_card_rounds_as_the_host_does(name: str, variant: str) -> None:
    """NVRTC makes one rounding of a product and a sum that stand side by side; g++ was told not
    to. So what is equal on the host is equal on a card only where no source leaves it the choice,
    unless it says that it does not mind.
    """
    meant = re.search(r"__fmaf?_rn|\bfmaf?\(|may be fused", source(name))
    assert meant or b"fma.rn" not in compile_cuda(source(name), "compute_90", variant)


def test_that_rounding_would_be_seen() -> None:
    text = 'extern "C" __global__ void f(float a, float b, float* c) { *c = a * b + *c; }'
    assert b"fma.rn" in compile_cuda(text, "compute_90")


def test_nvrtc_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"kernel.cu\(1\): error: .*nonsense"):
        compile_cuda('extern "C" __global__ void f() { nonsense; }', "sm_90")
