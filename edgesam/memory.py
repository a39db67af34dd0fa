"""How much memory this process may still take; knows operating systems, no model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgesam.errors import OutOfMemory

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")  # of version 2, as containers see their own


def available_memory() -> int | None:
    """Bytes that could be taken without swapping, or None where the system cannot be asked.

    On Linux what the kernel calls available, or what the container's limit leaves if that is
    less; on Windows the free physical memory.
    """
    if sys.platform == "win32":
        return _windows()
    found = [bytes_ for bytes_ in (_meminfo(), _cgroup()) if bytes_ is not None]
    return min(found, default=None)


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Say what there was no memory for: NumPy names a shape, and no one can catch it as ours."""
    try:
        yield
    except OutOfMemory:
        raise
    except MemoryError:
        raise OutOfMemory(f"not enough memory for {what}") from None


def _meminfo() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in _MEMINFO.read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None


def _cgroup() -> int | None:
    """The limit less what is used; pages of files do not count, they can be dropped."""
    with suppress(OSError, ValueError, KeyError):
        limit = int((_CGROUP / "memory.max").read_text("ascii"))  # "max" where there is none
        used = int((_CGROUP / "memory.current").read_text("ascii"))
        lines = (_CGROUP / "memory.stat").read_text("ascii").splitlines()
        kinds = dict(line.split() for line in lines)
        files = int(kinds["active_file"]) + int(kinds["inactive_file"])
        return max(0, limit - used + files)
    return None


def _windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):  # MEMORYSTATUSEX
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *((name, ctypes.c_uint64) for name in ("physical", "available", "page", "free_page")),
            *((name, ctypes.c_uint64) for name in ("virtual", "free_virtual", "extended")),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  unknown to type checkers elsewhere
    return int(status.available) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None
