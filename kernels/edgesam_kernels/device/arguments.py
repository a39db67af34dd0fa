"""Arguments of a kernel, from Python numbers to what a launch takes. Knows no library."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

# Each value gets a slot of its own: the driver reads as many bytes as the parameter's type has.
SLOT = 8


def scalars(arguments: Sequence[np.generic | int]) -> list[np.generic]:
    """The arguments with their types: a pointer, given as ``int``, becomes ``np.uint64``.

    Raises:
        TypeError: an argument is neither an ``int`` nor a NumPy number of at most 8 bytes.
    """
    found: list[np.generic] = []
    for index, value in enumerate(arguments):
        if isinstance(value, np.generic) and value.dtype.kind in "biuf" and value.itemsize <= SLOT:
            found.append(value)
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
            found.append(np.uint64(value))
        else:
            raise TypeError(
                f"argument {index} of a kernel is {value!r}: give a pointer as int and all else "
                "as a NumPy number of the parameter's type, as np.int32(3)"
            )
    return found


class Packed:
    """Arguments in memory, and where each of them is: what ``cuLaunchKernel`` wants to see."""

    def __init__(self, arguments: Sequence[np.generic | int]) -> None:
        parts = [value.tobytes().ljust(SLOT, b"\0") for value in scalars(arguments)]
        self._values = ctypes.create_string_buffer(b"".join(parts), max(1, SLOT * len(parts)))
        start = ctypes.addressof(self._values)
        self._places = (ctypes.c_void_p * max(1, len(parts)))(
            *(start + SLOT * index for index in range(len(parts)))
        )

    @property
    def pointer(self) -> int:
        """The ``void **``; good as long as this object lives."""
        return ctypes.addressof(self._places)
