"""What this machine is and how much of it is ours. Knows package versions, no measurement."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from functools import cache
from pathlib import Path
from typing import Literal

PACKAGES = (
    "edgesam",
    "numpy",
    "pillow",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
)

Family = Literal["x86", "arm"]

_CPUINFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container (cgroup v2): microseconds of each period
# Those that decide which kernels an engine takes, as Linux names them.
_INSTRUCTION_SETS = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "amx_fp16",
    "asimd",
    "asimddp",
    "fphp",
    "sve",
    "i8mm",
    "bf16",
)
# Products of bytes that are summed in 32 bits. Without them kernels sum in 16, which overflow, and
# wrong masks come out.
_BYTE_PRODUCTS: dict[Family, set[str]] = {
    "x86": {"avx_vnni", "avx512_vnni", "amx_int8"},
    "arm": {"asimddp", "i8mm"},
}


def versions() -> dict[str, str]:
    """Of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name as its maker gives it, and the number of cores this process may use."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def cores() -> int:
    """How many cores this process may use: its affinity counts, and a container's quota."""
    ours = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        ours = min(ours, len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError, ValueError):  # no container, or "max": no quota
        quota, period = map(int, _QUOTA.read_text("ascii").split())
        ours = min(ours, -(-quota // period))
    return max(1, ours)


def is_shared() -> bool:
    """Whether some of the machine's cores are kept from this process."""
    return cores() < (os.cpu_count() or 1)


def instruction_sets() -> tuple[str, ...]:
    """What the processor offers of what engines choose by; empty where the system cannot be asked.

    A virtual machine may hide what its processor has.
    """
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return tuple(name for name in _INSTRUCTION_SETS if name in flags)


def byte_products() -> Family | None:
    """Whose instructions multiply bytes exactly here, None if there are none or nobody can tell."""
    here = set(instruction_sets())
    return next((family for family, sets in _BYTE_PRODUCTS.items() if sets & here), None)


@cache
def _cpuinfo(wanted: str) -> str:
    """The first line of that name in Linux's list of processors."""
    if _CPUINFO.is_file():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == wanted:
                return value.strip()
    return ""
