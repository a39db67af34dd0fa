"""What on this machine can wait for a device and time its work. Knows no model.

Device time is the time in which at least one kernel or copy ran, as CUPTI saw it through PyTorch's
profiler: CUDA events stand in one stream, and an engine's streams are its own. So one ruler serves
all contenders, PyTorch included.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from edgesam.errors import ParityError
from edgesam_bench.gpu.findings import told

Span = tuple[float, float]


def wait_for_nothing() -> None:
    """Where all calls return when they are done."""


@dataclass(frozen=True)
class Tools:
    """Attributes:
    torch: the module where it can use the device, else None.
    why_no_torch: in one line, or None.
    synchronize: returns when the device has nothing left to do.
    waits_by: what ``synchronize`` is made of; None: nothing does.
    device_seconds: of one call; None where nothing can tell.
    """

    torch: Any | None
    why_no_torch: str | None
    synchronize: Callable[[], object]
    waits_by: str | None
    device_seconds: Callable[[Callable[[], object]], float] | None


def find_tools(device: str) -> Tools:
    """Those of this machine: PyTorch's, else somebody's who can wait, else none.

    Args:
        device: ``cuda``, or ``cpu`` where calls return when they are done and no device is timed.
    """
    torch, why = _torch(device)
    if device != "cuda":
        return Tools(torch, why, wait_for_nothing, device, None)
    if torch is not None:
        wait = torch.cuda.synchronize
        return Tools(torch, None, wait, "torch", lambda function: profiled(torch, function))
    for name, find in (("cupy", _cupy), ("cuda-bindings", _bindings)):
        try:
            wait = find()
            wait()
        except Exception:  # not installed, or without a driver: the next one
            continue
        return Tools(None, why, wait, name, None)
    return Tools(None, why, wait_for_nothing, None, None)


def profiled(torch: Any, function: Callable[[], object]) -> float:
    """Seconds in which the device was busy with one call.

    Raises:
        ParityError: the profiler saw nothing there.
    """
    profiler = torch.profiler
    torch.cuda.synchronize()
    with profiler.profile(activities=[profiler.ProfilerActivity.CUDA]) as found:
        function()
        torch.cuda.synchronize()
    cuda = torch.autograd.DeviceType.CUDA
    spans = [
        (event.time_range.start, event.time_range.end)
        for event in found.events()
        if event.device_type == cuda and not getattr(event, "is_user_annotation", False)
    ]
    if not spans:
        raise ParityError("the profiler saw no work on the device")
    return busy(spans) * 1e-6


def busy(spans: Iterable[Span]) -> float:
    """Length of the union: work that ran side by side counts once."""
    whole, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        whole += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return whole


def _torch(device: str) -> tuple[Any | None, str | None]:
    try:
        torch: Any = importlib.import_module("torch")
    except (ImportError, OSError) as error:  # the latter of a library that does not load
        missing = isinstance(error, ModuleNotFoundError) and error.name == "torch"
        return None, "needs the package torch (not installed)" if missing else told(error)
    if device == "cuda" and not torch.cuda.is_available():
        return None, f"torch {torch.__version__} finds no CUDA device"
    # Peers are asked for the precision that they are named after.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch, None


def _cupy() -> Callable[[], object]:
    wait: Callable[[], object] = importlib.import_module("cupy").cuda.runtime.deviceSynchronize
    return wait


def _bindings() -> Callable[[], object]:
    runtime = importlib.import_module("cuda.bindings.runtime")

    def wait() -> None:
        (code,) = runtime.cudaDeviceSynchronize()
        if int(code):
            raise ParityError(f"the device cannot be waited for: CUDA error {int(code)}")

    return wait
