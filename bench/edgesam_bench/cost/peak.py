"""The most memory a process ever held; knows operating systems."""

from __future__ import annotations

import sys


def peak_mib() -> float | None:
    """Of this process, in MiB, pages of mapped files included; None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
