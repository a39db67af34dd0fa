"""The element types a checkpoint may hold and how their bytes become numpy; knows no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

ByteOrder = Literal["little", "big"]


@dataclass(frozen=True)
class DType:
    """One element type.

    Attributes:
        name: as torch calls it (``float32``, ``bfloat16``).
        stored: numpy's code of the bytes in the file, without byte order. It differs from the
            type itself where numpy has no such type (bfloat16) or trusts the bytes (bool).
    """

    name: str
    stored: str

    @property
    def itemsize(self) -> int:
        """Bytes per element in the file."""
        return int(self.stored[1:])

    def raw(self, byteorder: ByteOrder) -> np.dtype[Any]:
        """The numpy type that views the file's bytes."""
        return np.dtype(("<" if byteorder == "little" else ">") + self.stored)

    def decode(self, raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A C-contiguous copy in native byte order: bfloat16 as float32 (exact), others as named.

        Args:
            raw: any shape and strides, of the type that :meth:`raw` gave.
        """
        if self.name == "bfloat16":
            # A bfloat16 is the upper half of the float32 with the same value, NaN bits included.
            wide = np.empty(raw.shape, np.uint32)
            np.left_shift(raw, 16, out=wide, dtype=np.uint32)
            floats: npt.NDArray[Any] = wide.view(np.float32)
            return floats
        if self.name == "bool":
            # numpy takes a bool's byte as it is: a 2 in the file would be a True that is not 1.
            truth = np.empty(raw.shape, np.bool_)
            np.not_equal(raw, 0, out=truth)
            return truth
        copy: npt.NDArray[Any] = np.array(raw, dtype=np.dtype(self.stored), order="C")
        return copy


DTYPES: Mapping[str, DType] = MappingProxyType(
    {
        dtype.name: dtype
        for dtype in (
            DType("float64", "f8"),
            DType("float32", "f4"),
            DType("float16", "f2"),
            DType("bfloat16", "u2"),
            DType("int64", "i8"),
            DType("int32", "i4"),
            DType("int16", "i2"),
            DType("int8", "i1"),
            DType("uint64", "u8"),
            DType("uint32", "u4"),
            DType("uint16", "u2"),
            DType("uint8", "u1"),
            DType("bool", "u1"),
        )
    }
)
