"""Calls to the CUDA driver through cuda-bindings, and what their errors mean. Knows no context."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import Any

from edgesam_kernels.device.errors import DeviceError, DeviceOutOfMemory, DeviceUnavailable

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

OUT_OF_MEMORY = 2
NO_DEVICE = 100
NOT_READY = 600
# After one of these every call of the process fails with it: only a new process helps.
STICKY = frozenset({214, 700, 702, 710, 714, 715, 716, 717, 718, 719})

NOT_INSTALLED = 'needs the package cuda-bindings (not installed): pip install "edgesam[cuda]"'


def no_driver() -> DeviceUnavailable:
    """There is no libcuda on this machine, or one that does not load."""
    return DeviceUnavailable(
        f"no NVIDIA driver was found ({LIBRARY} could not be loaded): install the display driver "
        "of the NVIDIA card, or use the CPU"
    )


def one_line(text: object) -> str:
    """The first line of a message that may have many."""
    return (str(text).strip().splitlines() or [""])[0].rstrip(".")


class Driver:
    """The functions of ``cuda.bindings.driver``, raising where they return an error."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._broken: str | None = None

    def call(self, name: str, *arguments: Any) -> Any:
        """What the function gives: nothing, one value, or a tuple.

        Raises:
            DeviceOutOfMemory, DeviceError: in one line, with the function's name.
        """
        code, *found = getattr(self._module, name)(*arguments)
        if int(code):
            raise self.error(name, code)
        return found[0] if len(found) == 1 else tuple(found) or None

    def ready(self, name: str, *arguments: Any) -> bool:
        """What a function that asks whether work is done says."""
        code, *_ = getattr(self._module, name)(*arguments)
        if int(code) not in (0, NOT_READY):
            raise self.error(name, code)
        return int(code) == 0

    def code(self, name: str, *arguments: Any) -> int:
        """The code alone, for ends at which nobody could do anything about an error."""
        return int(getattr(self._module, name)(*arguments)[0])

    def constant(self, enumeration: str, member: str) -> Any:
        """As ``constant("CUevent_flags", "CU_EVENT_DEFAULT")``."""
        return getattr(getattr(self._module, enumeration), member)

    def error(self, name: str, code: Any) -> DeviceError:
        """The exception for a code that a function returned."""
        number = int(code)
        _, text = self._module.cuGetErrorString(code)
        said = one_line(text.decode("utf-8", "replace") if text else "unknown")
        message = f"{name} failed: {said} ({getattr(code, 'name', number)})"
        if number == OUT_OF_MEMORY:
            return DeviceOutOfMemory(message)
        if self._broken is not None:
            return DeviceError(
                f"{name} cannot work: the device is unusable since {self._broken}; start the "
                "process anew"
            )
        if number in STICKY:
            self._broken = message
            return DeviceError(
                f"{message}, in this call or in work that was given to the device before it; the "
                "device is unusable until the process is started anew"
            )
        return DeviceError(message)


def open_driver(module: Any = None) -> Driver:
    """The driver, initialised (``cuInit``), seen to have a device. No context is made.

    Args:
        module: instead of ``cuda.bindings.driver``, for tests.

    Raises:
        DeviceUnavailable: no cuda-bindings, no driver, one too old for them, or no device.
    """
    if module is None:
        module = _bindings()
    try:
        code = int(module.cuInit(0)[0])
    except (ImportError, OSError, RuntimeError) as error:
        raise no_driver() from error
    driver = Driver(module)
    if code == NO_DEVICE:
        raise _no_device("CUDA_ERROR_NO_DEVICE")
    if code:
        raise DeviceUnavailable(
            f"the NVIDIA driver does not start: {driver.error('cuInit', module.CUresult(code))}"
        )
    _check_version(driver, module)
    if not driver.call("cuDeviceGetCount"):
        raise _no_device("it counts 0 devices")
    return driver


def version_of(number: int) -> str:
    """13020 -> ``13.2``."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _bindings() -> Any:
    try:
        found = importlib.util.find_spec("cuda.bindings")
    except ModuleNotFoundError:  # no package named cuda at all
        found = None
    if found is None:
        raise DeviceUnavailable(NOT_INSTALLED)
    try:
        return importlib.import_module("cuda.bindings.driver")
    except (ImportError, OSError, RuntimeError) as error:
        raise DeviceUnavailable(f"cuda-bindings cannot be imported: {one_line(error)}") from error


def _check_version(driver: Driver, module: Any) -> None:
    """Bindings of CUDA 13 ask a driver of CUDA 12 for functions that it does not have."""
    has, needs = int(driver.call("cuDriverGetVersion")), int(module.CUDA_VERSION)
    if has // 1000 < needs // 1000:
        raise DeviceUnavailable(
            f"the NVIDIA driver runs CUDA {version_of(has)} and cuda-bindings are of CUDA "
            f"{version_of(needs)}: update the driver to one of CUDA {needs // 1000}"
        )


def _no_device(reason: str) -> DeviceUnavailable:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    limit = "" if visible is None else f"; CUDA_VISIBLE_DEVICES is {visible!r}"
    return DeviceUnavailable(f"the NVIDIA driver shows no device ({reason}{limit})")
