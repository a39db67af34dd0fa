"""Memory of the host as copies see it: page-locked or not, contiguous or not. Knows no library."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.device.protocol import Pinned


class _Bytes:
    """Bytes somewhere, that keep what they belong to; NumPy's way to look at foreign memory."""

    def __init__(self, pointer: int, nbytes: int, owner: object) -> None:
        self._owner = owner
        self.__array_interface__ = {
            "data": (pointer, False),
            "shape": (nbytes,),
            "typestr": "|u1",
            "version": 3,
        }


def view(pointer: int, nbytes: int, owner: object) -> NDArray[np.uint8]:
    """(N,) uint8 over foreign memory; it and what is sliced from it keep ``owner`` alive."""
    return np.asarray(_Bytes(pointer, nbytes, owner))


class HostBytes(NamedTuple):
    """One end of a copy."""

    array: NDArray[Any]
    pointer: int
    nbytes: int
    locked: bool


class PageLocked:
    """Which parts of the host's memory are page-locked by one device."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[int, int] = {}

    def add(self, pointer: int, nbytes: int) -> None:
        with self._lock:
            self._ends[pointer] = pointer + nbytes

    def remove(self, pointer: int) -> None:
        with self._lock:
            self._ends.pop(pointer, None)

    def holds(self, pointer: int, nbytes: int) -> bool:
        with self._lock:
            spans = list(self._ends.items())
        return any(start <= pointer and pointer + nbytes <= end for start, end in spans)

    def source(self, given: NDArray[Any] | Pinned) -> HostBytes:
        """What an upload reads; raises as :func:`source_of`."""
        array = given if isinstance(given, np.ndarray) else given.bytes
        pointer, nbytes = source_of(array)
        return HostBytes(array, pointer, nbytes, self.holds(pointer, nbytes))

    def target(self, given: NDArray[Any] | Pinned) -> HostBytes:
        """What a download writes; raises as :func:`target_of`."""
        array = given if isinstance(given, np.ndarray) else given.bytes
        pointer, nbytes = target_of(array)
        return HostBytes(array, pointer, nbytes, self.holds(pointer, nbytes))


def source_of(array: NDArray[Any]) -> tuple[int, int]:
    """Where an array begins and how many bytes it has.

    Raises:
        ValueError: it is not C-contiguous.
    """
    if not array.flags.c_contiguous:
        raise ValueError(
            f"an array of shape {array.shape} and strides {array.strides} is not C-contiguous: "
            "copy it first (np.ascontiguousarray)"
        )
    return array.ctypes.data, array.nbytes


def target_of(array: NDArray[Any]) -> tuple[int, int]:
    """As :func:`source_of`, of an array that is written to.

    Raises:
        ValueError: it is not C-contiguous, or read-only.
    """
    if not array.flags.writeable:
        raise ValueError(f"an array of shape {array.shape} is read-only: it cannot take a download")
    return source_of(array)


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """(N,) uint8 over a C-contiguous array of any type."""
    pointer, nbytes = source_of(array)
    return view(pointer, nbytes, array) if nbytes else np.empty(0, np.uint8)
