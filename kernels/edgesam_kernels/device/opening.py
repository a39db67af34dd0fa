"""Which library stands behind the device, chosen by name or by what is there."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import Any

from edgesam_kernels.device.driver import open_driver
from edgesam_kernels.device.errors import DeviceUnavailable
from edgesam_kernels.device.over_bindings import open_over_bindings
from edgesam_kernels.device.over_pycuda import open_over_pycuda
from edgesam_kernels.device.protocol import Device
from edgesam_kernels.device.pycuda_context import current_context, open_pycuda

LIBRARIES = ("cuda-bindings", "pycuda")


def open_device(library: str = "auto", ordinal: int = 0) -> Device:
    """A device, with its context.

    Args:
        library: ``cuda-bindings``, ``pycuda``, or ``auto``: pycuda where the application has a
            current context of it, else the first of the two that works.
        ordinal: which device, as the driver counts them.

    Raises:
        DeviceUnavailable: it cannot be had; in one line why and what to do.
        ValueError: no such library.
    """
    _check(library)
    if library == "auto":
        library = _choose()
    if library == "cuda-bindings":
        return open_over_bindings(ordinal)
    return open_over_pycuda(ordinal)


def why_not(library: str = "auto") -> str | None:
    """Why a device cannot be opened, in one line; ``None`` if it can. Makes no context.

    Args:
        library: ``cuda-bindings``, ``pycuda``, or ``auto``: either.

    Raises:
        ValueError: no such library.
    """
    _check(library)
    if library == "auto":
        reasons = [why_not(name) for name in LIBRARIES]
        return None if None in reasons else _told(reasons[0] or "")
    try:
        if library == "cuda-bindings":
            open_driver()
        else:
            open_pycuda()
            return _no_compiler()
    except DeviceUnavailable as error:
        return str(error)
    return None


def _choose() -> str:
    if "pycuda.driver" in sys.modules:
        pycuda: Any = sys.modules["pycuda.driver"]
        if current_context(pycuda) is not None:
            return "pycuda"
    for library in LIBRARIES:
        if why_not(library) is None:
            return library
    raise DeviceUnavailable(why_not("auto") or "")


def _told(reason: str) -> str:
    """What is missing for cuda-bindings, which is what one would install."""
    return reason if "not installed" not in reason else f"an NVIDIA card {reason}"


def _no_compiler() -> str | None:
    """pycuda's own compiler is nvcc, of a toolkit that few machines have."""
    if _installed("cuda.bindings") or shutil.which("nvcc"):
        return None
    return (
        "pycuda's kernels need a compiler, and neither NVRTC nor nvcc was found: "
        'pip install "edgesam[cuda]"'
    )


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _check(library: str) -> None:
    if library not in ("auto", *LIBRARIES):
        raise ValueError(f"no device library {library!r}: auto, {' or '.join(LIBRARIES)}")
