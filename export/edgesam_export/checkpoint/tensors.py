"""Tensors as views of storages, checked before anything is read; knows no file format.

torch keeps numbers in flat storages and tensors as (offset, shape, strides) windows on them, all
counted in elements. Every window that is built here lies inside its storage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgesam_export.checkpoint.dtypes import ByteOrder, DType
from edgesam_export.checkpoint.mapped_file import Extent, MappedFile
from edgesam_export.checkpoint.unreadable import UnreadableError, shown

MAX_DIMENSIONS = 32  # numpy 1's limit
MAX_COUNT = 1 << 48  # elements: keeps every product of a size and an item size inside 64 bits
MAX_REPEATED = 1 << 30  # bytes that a tensor with stride 0 may grow to beyond its storage


@dataclass(frozen=True)
class Storage:
    """A flat run of elements that tensors look into.

    Attributes:
        key: names the bytes in the file; the format's reader knows where they are.
        dtype: of the elements.
        nbytes: length in bytes.
        start: first byte, from where the key's bytes begin.
    """

    key: str
    dtype: DType
    nbytes: int
    start: int = 0


@dataclass(frozen=True)
class Tensor:
    """A window on a storage, known to lie inside it. Offset and strides count elements."""

    storage: Storage
    dtype: DType
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, file: MappedFile, extent: Extent, byteorder: ByteOrder) -> npt.NDArray[Any]:
        """The tensor's values as an array of its own, C-contiguous.

        Args:
            file: what the checkpoint was opened as.
            extent: where the storage's key lies in it.
            byteorder: of the bytes in the file.
        """
        raw = self.dtype.raw(byteorder)
        if 0 in self.shape:
            return self.dtype.decode(np.empty(self.shape, raw))
        buffer, base = file.buffer(extent)
        size = self.dtype.itemsize
        view = np.ndarray(
            self.shape,
            raw,
            buffer=buffer,
            offset=base + self.storage.start + self.offset * size,
            strides=tuple(stride * size for stride in self.strides),
        )
        try:
            return self.dtype.decode(view)
        finally:
            # Even a failed copy must not hold the mapping through its traceback's frame.
            del view, buffer


@dataclass(frozen=True)
class Contents:
    """What a format's reader found: the saved object, and where its storages lie.

    Attributes:
        format: of the file.
        root: the saved object: containers, plain values and :class:`Tensor`.
        extents: storage key -> its bytes in the file.
        byteorder: of those bytes.
    """

    format: Literal["zip", "legacy", "safetensors"]
    root: object
    extents: Mapping[str, Extent]
    byteorder: ByteOrder


def make_tensor(
    storage: Storage, dtype: DType, offset: object, shape: object, strides: object
) -> Tensor:
    """A tensor from untrusted numbers, or a fault that says why there can be none.

    Args:
        storage: what it looks into.
        dtype: of its elements; the storage's own, except for untyped storages.
        offset: a count of elements.
        shape: counts of elements, outermost first.
        strides: elements to skip per step, one for each of ``shape``.
    """
    where = f"has a tensor (storage {shown(storage.key)!r})"
    sizes, steps = _counts(shape), _counts(strides)
    start = _counts((offset,))
    if sizes is None or steps is None or start is None:
        raise UnreadableError(f"{where} whose offset, shape or strides are not sane counts")
    if len(sizes) != len(steps) or len(sizes) > MAX_DIMENSIONS:
        raise UnreadableError(f"{where} with {len(sizes)} dimensions and {len(steps)} strides")
    # Without the zeros: numpy refuses an empty array whose other sizes multiply to too much.
    if math.prod(size for size in sizes if size) > MAX_COUNT:
        raise UnreadableError(f"{where} of impossible shape {sizes}")
    if 0 not in sizes:
        last = start[0] + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
        if (last + 1) * dtype.itemsize > storage.nbytes:
            raise UnreadableError(
                f"{where} that reaches element {last}, past the {storage.nbytes} bytes of its data"
            )
        grown = math.prod(sizes) * dtype.itemsize
        if grown > max(storage.nbytes, MAX_REPEATED):
            raise UnreadableError(
                f"{where} that repeats {storage.nbytes} bytes until they are {grown}"
            )
    return Tensor(storage, dtype, start[0], sizes, steps)


def _counts(values: object) -> tuple[int, ...] | None:
    """The values where they are whole numbers that can count elements, else None."""
    if not isinstance(values, (tuple, list)):
        return None
    if all(type(value) is int and 0 <= value <= MAX_COUNT for value in values):
        return tuple(values)
    return None
