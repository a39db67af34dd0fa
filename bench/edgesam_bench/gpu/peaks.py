"""The most arithmetic and the most traffic that this card was seen to do. Knows no model.

By PyTorch, else by CuPy: large square matrix products in each type, and a copy on the device. With
neither, the copy alone, by our own device layer.
"""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Callable
from typing import Any

from edgesam.errors import ParityError
from edgesam_bench.gpu.clock import Clock, Deadline
from edgesam_bench.gpu.findings import Findings
from edgesam_bench.gpu.tools import Tools
from edgesam_kernels.device import Device, DeviceError

SIDES = (4096, 8192)
COPIED = 1 << 30  # bytes; a copy reads and writes them
_SAMPLES, _WARM = 7, 2
_CALLS = 8  # of a sample: waiting for the device takes microseconds, too


def measure(tools: Tools, findings: Findings, deadline: Deadline, clock: Clock) -> None:
    """Fill ``peaks``: ``matmul``, precision -> ``tflops``; and ``copy``, ``gb_per_s``.

    Each is the median of some runs, of the better side; bytes of a copy count twice.
    """
    library = _library(tools)
    if library is None:
        why = f"torch: {tools.why_no_torch or 'on the CPU'}; nor can cupy or our device layer"
        findings.missing("peaks of matrix products and of copies", why)
        return
    if not library.precisions:
        findings.missing("peaks of matrix products", "needs torch or cupy")
    found: dict[str, Any] = {"by": library.name, "matmul": {}}
    timed = _Timed(library.wait, clock)

    def product(precision: str, side: int) -> None:
        seconds = timed.median(library.product(precision, side))
        tflops = 2.0 * side**3 / seconds / 1e12
        best = found["matmul"].get(precision)
        if best is None or best["tflops"] < tflops:
            found["matmul"][precision] = {"tflops": tflops, "side": side}

    def copy() -> None:
        found["copy"] = {"gb_per_s": 2.0 * COPIED / timed.median(library.copy(COPIED)) / 1e9}

    works: list[tuple[str, Callable[[], None]]] = [("peak of copies", copy)]
    for precision in library.precisions:
        for side in SIDES:
            told = f"peak of products, {precision}, side {side}"
            works.append((told, lambda p=precision, s=side: product(p, s)))  # type: ignore[misc]
    for told, work in works:
        if deadline.passed():
            findings.missing(told, "time ran out")
        else:
            findings.attempt(told, work)
    if found["matmul"] or "copy" in found:
        findings.content["peaks"] = found


class _Timed:
    """Seconds of a call: of several in a row, then waited for."""

    def __init__(self, wait: Callable[[], object], clock: Clock) -> None:
        self._wait, self._clock = wait, clock

    def median(self, call: Callable[[], object]) -> float:
        samples = []
        for number in range(_WARM + _SAMPLES):
            self._wait()
            started = self._clock()
            for _ in range(_CALLS):
                call()
            self._wait()
            if number >= _WARM:
                samples.append((self._clock() - started) / _CALLS)
        return statistics.median(samples)


class _Torch:
    name = "torch"
    precisions = ("fp16", "bf16", "fp32")

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.wait: Callable[[], object] = torch.cuda.synchronize

    def product(self, precision: str, side: int) -> Callable[[], object]:
        torch = self._torch
        types = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
        one, other = (torch.randn(side, side, device="cuda", dtype=types[precision]) for _ in "ab")
        out = torch.empty_like(one)
        return lambda: torch.matmul(one, other, out=out)

    def copy(self, nbytes: int) -> Callable[[], object]:
        torch = self._torch
        source = torch.zeros(nbytes, device="cuda", dtype=torch.uint8)
        target = torch.empty_like(source)
        return lambda: target.copy_(source)


class _CuPy:
    name = "cupy"
    precisions = ("fp16", "fp32")  # it has no bfloat16

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self.wait: Callable[[], object] = cupy.cuda.runtime.deviceSynchronize

    def product(self, precision: str, side: int) -> Callable[[], object]:
        cupy = self._cupy
        kind = {"fp16": cupy.float16, "fp32": cupy.float32}[precision]
        one, other = (cupy.random.random((side, side)).astype(kind) for _ in "ab")
        out = cupy.empty_like(one)
        return lambda: cupy.matmul(one, other, out=out)

    def copy(self, nbytes: int) -> Callable[[], object]:
        source = self._cupy.zeros(nbytes, self._cupy.uint8)
        target = self._cupy.empty_like(source)
        return lambda: self._cupy.copyto(target, source)


class _Layer:
    name = "edgesam_kernels"
    precisions = ()  # it multiplies no matrices

    def __init__(self, device: Device) -> None:
        self._device, self._stream = device, device.stream()
        self.wait: Callable[[], object] = self._stream.synchronize

    def product(self, precision: str, side: int) -> Callable[[], object]:
        raise ParityError(f"no products of {side} in {precision}")

    def copy(self, nbytes: int) -> Callable[[], object]:
        device, stream = self._device, self._stream
        source, target = device.memory(nbytes), device.memory(nbytes)
        return lambda: device.copy(target.pointer, source.pointer, nbytes, stream)


def _library(tools: Tools) -> _Torch | _CuPy | _Layer | None:
    if tools.torch is not None and tools.waits_by == "torch":
        return _Torch(tools.torch)
    if tools.waits_by == "cupy":
        return _CuPy(importlib.import_module("cupy"))
    if tools.waits_by != "cuda-bindings":
        return None  # no device can be reached
    try:
        return _Layer(importlib.import_module("edgesam_kernels.device.opening").open_device())
    except (ImportError, DeviceError):
        return None


def shares(
    peaks: dict[str, Any], precision: str, macs: int | None, traffic: int, seconds: float
) -> dict[str, float]:
    """What part of the peaks a call had, where both are known.

    Args:
        peaks: what :func:`measure` found.
        precision: of the products.
        macs: multiply-accumulates of the call.
        traffic: bytes that have to be read or written at the least.
        seconds: of device time.

    Raises:
        ParityError: the time is none.
    """
    if seconds <= 0:
        raise ParityError("no share of a peak in no time")
    told: dict[str, float] = {}
    matmul = peaks.get("matmul", {}).get(precision)
    if matmul is not None and macs is not None:
        told["matmul"] = 2 * macs / seconds / 1e12 / matmul["tflops"]
    if "copy" in peaks:
        told["copy"] = traffic / seconds / 1e9 / peaks["copy"]["gb_per_s"]
    return told
