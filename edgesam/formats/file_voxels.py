"""Voxels that stay in their file until they are touched; knows no header and no geometry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import EdgeSamError, ImageError, OutOfMemory
from edgesam.image import LookupTable
from edgesam.memory import available_memory
from edgesam.window import Window

Change = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Stored:
    """Where a file keeps an array: the first axis runs fastest, nothing is compressed.

    Attributes:
        path: of the file.
        shape: of the array.
        dtype: of the values, in the file's byte order.
        offset: of the first value, in bytes.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int

    @property
    def nbytes(self) -> int:
        """Of all values."""
        first, second, third = self.shape
        return first * second * third * self.dtype.itemsize

    def mapped(self) -> NDArray[Any]:
        """(I, J, K), read from the disk where it is touched. Opened anew, so threads may share."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order="F")

    def check_size(self, packed: float = 1) -> None:
        """Refuses a file that is too short, before memory is taken for what its header promises.

        Args:
            packed: the most bytes that one byte of the file can stand for.

        Raises:
            ImageError: the file is shorter, or cannot be opened.
        """
        try:
            size = self.path.stat().st_size
        except OSError as error:
            raise ImageError(f"{self.path}: cannot be opened: {error.strerror}") from None
        if size * packed < self.offset + self.nbytes:
            raise ImageError(
                f"{self.path}: cut short: {self.shape} voxels of {self.dtype.itemsize} bytes "
                f"cannot be in its {size} bytes; get a fresh copy"
            )


@dataclass(eq=False)
class FileVoxels:
    """Voxels of one file (:class:`edgesam.volume.Voxels`); threads may share them.

    Attributes:
        path: named in errors.
        shape: of the array.
        dtype: of the values as they are handed out.
        read: all stored values (I, J, K).
        in_parts: the same, read from the disk where it is touched; None where only all of it can
            be read, which the first touch then does.
        change: what turns stored values, of any shape, into values of ``dtype``.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    read: Callable[[], NDArray[Any]]
    in_parts: Callable[[], NDArray[Any]] | None
    change: Change
    _kept: NDArray[Any] | None = field(default=None, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def plane(self, axis: int, index: int) -> NDArray[Any]:
        """(A, B): the plane across that axis, its own axes in the array's order.

        Raises:
            ImageError: the file is gone, damaged or cut short.
        """
        at = (slice(None),) * axis + (index,)
        if self._kept is None and self.in_parts is not None:
            try:
                # A copy: a mapping would keep the file open, which Windows then cannot replace.
                return self.change(np.array(self.in_parts()[at]))
            except Exception as error:
                raise unreadable(self.path, error) from None
        plane: NDArray[Any] = self.array()[at]
        return plane

    def voi(self, axis: int, index: int) -> Window | LookupTable | None:  # noqa: ARG002
        """None: such files have no window of their own."""
        return None

    def array(self) -> NDArray[Any]:
        """All of it, read-only: read at the first touch, then kept.

        Raises:
            ImageError: the file is gone, damaged or cut short. OutOfMemory: it is too large.
        """
        with self._lock:
            if self._kept is None:
                self._kept = self._load()
            return self._kept

    def _load(self) -> NDArray[Any]:
        first, second, third = self.shape
        need, free = first * second * third * self.dtype.itemsize, available_memory()
        if free is not None and need > free:
            raise OutOfMemory(
                f"{self.path}: needs {need >> 20} MB of memory, {free >> 20} MB are free; cut it"
            )
        try:
            stored = self.read()
            if stored.dtype == self.dtype and not isinstance(stored, np.memmap):
                whole = self.change(stored)
            else:
                # Slice by slice: what is needed on the way may be several times as large.
                whole = np.empty(self.shape, self.dtype, order="F")
                for index in range(third):
                    whole[:, :, index] = self.change(stored[:, :, index])
        except Exception as error:
            raise unreadable(self.path, error) from None
        whole.setflags(write=False)
        return whole


def unreadable(path: Path, error: Exception) -> EdgeSamError:
    """What to raise for what a decoder or the operating system raised; ours as they are."""
    if isinstance(error, EdgeSamError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(f"{path}: does not fit into memory; cut it")
    if isinstance(error, OSError) and error.strerror:  # gzip's errors have no such words
        return ImageError(f"{path}: cannot be opened: {error.strerror}")
    kind = type(error).__name__  # libraries' own words may quote what a header holds
    return ImageError(f"{path}: damaged or cut short ({kind} while decoding); get a fresh copy")


def native(values: NDArray[Any]) -> NDArray[Any]:
    """The same values in the machine's byte order."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)
