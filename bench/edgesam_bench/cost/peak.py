"""The most memory a process ever held; knows operating systems."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_mib() -> float | None:
    """Of this process, in MiB, pages of mapped files included; None on Windows."""
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        # Not getrusage, whose peak of a new process begins with that of the one that started it.
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
