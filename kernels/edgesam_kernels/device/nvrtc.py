"""CUDA C to machine code by NVRTC, without a toolkit and without a device. Knows no driver."""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Sequence
from typing import Any

from edgesam_kernels.device.driver import one_line
from edgesam_kernels.device.errors import DeviceError, DeviceUnavailable
from edgesam_kernels.device.wheels import load_libraries

NOT_INSTALLED = 'needs NVRTC (nvidia-cuda-nvrtc): pip install "edgesam[cuda]"'

_lock = threading.Lock()
_compiled: dict[str, bytes] = {}


def compile_source(
    source: str,
    name: str,
    capability: tuple[int, int],
    options: Sequence[str] = (),
    *,
    compiler: Any = None,
) -> bytes:
    """A cubin for one compute capability; PTX of the newest that NVRTC knows for a newer card.

    Compiled once in a process.

    Args:
        source: CUDA C.
        name: for messages.
        capability: as (9, 0).
        options: more of them, as ``-DSIDE=256``.
        compiler: instead of ``cuda.bindings.nvrtc``, for tests.

    Raises:
        DeviceUnavailable: NVRTC is not there.
        DeviceError: it does not compile, or the card is older than what NVRTC compiles for.
    """
    nvrtc = open_nvrtc() if compiler is None else compiler
    key = hashlib.sha256("\0".join([source, name, repr(capability), *options]).encode()).hexdigest()
    with _lock:
        if key not in _compiled:
            _compiled[key] = _compile(nvrtc, source, name, capability, options)
        return _compiled[key]


def open_nvrtc() -> Any:
    """
    Raises:
        DeviceUnavailable: cuda-bindings or NVRTC are not there.
    """
    load_libraries("nvrtc")
    try:
        nvrtc = importlib.import_module("cuda.bindings.nvrtc")
        nvrtc.nvrtcVersion()
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceUnavailable(f"{NOT_INSTALLED} ({one_line(error)})") from None
    return nvrtc


def _compile(
    nvrtc: Any, source: str, name: str, capability: tuple[int, int], options: Sequence[str]
) -> bytes:
    architecture, kind = _architecture(nvrtc, capability)
    words = [f"--gpu-architecture={architecture}", *options]
    program = _call(
        nvrtc, "nvrtcCreateProgram", source.encode(), f"{name}.cu".encode(), 0, None, None
    )
    try:
        given = [word.encode() for word in words]
        code, *_ = nvrtc.nvrtcCompileProgram(program, len(given), given)
        if int(code):
            raise DeviceError(
                f"the kernels of {name} do not compile for {architecture}: "
                f"{_first_error(nvrtc, program) or getattr(code, 'name', code)}"
            )
        image = bytes(_call(nvrtc, f"nvrtcGet{kind}Size", program))
        _call(nvrtc, f"nvrtcGet{kind}", program, image)
        return image
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _architecture(nvrtc: Any, capability: tuple[int, int]) -> tuple[str, str]:
    major, minor = capability
    number = 10 * major + minor
    known = sorted(int(one) for one in _call(nvrtc, "nvrtcGetSupportedArchs"))
    if number in known:
        return f"sm_{number}", "CUBIN"
    older = [one for one in known if one < number]
    if not older:
        raise DeviceError(
            f"a card of compute capability {major}.{minor} is older than what NVRTC "
            f"{'.'.join(map(str, _call(nvrtc, 'nvrtcVersion')))} compiles for "
            f"({known[0] / 10:.1f} and newer)"
        )
    return f"compute_{older[-1]}", "PTX"


def _first_error(nvrtc: Any, program: Any) -> str:
    log = bytes(_call(nvrtc, "nvrtcGetProgramLogSize", program))
    _call(nvrtc, "nvrtcGetProgramLog", program, log)
    lines = [line for line in log.decode("utf-8", "replace").strip("\0\n ").splitlines() if line]
    return next((line for line in lines if "error" in line), lines[0] if lines else "")


def _call(nvrtc: Any, name: str, *arguments: Any) -> Any:
    code, *found = getattr(nvrtc, name)(*arguments)
    if int(code):
        raise DeviceError(f"{name} failed ({getattr(code, 'name', code)})")
    return found[0] if len(found) == 1 else tuple(found) or None
