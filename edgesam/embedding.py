"""What an encoder made of one picture. Immutable; knows which encoder, and how the picture lay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgesam.fit import Fit
from edgesam.place import Place


class Resident(Protocol):
    """A float32 array that lies where an engine computes. It never changes."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[np.float32]: ...

    @property
    def nbytes(self) -> int:
        """What it takes there."""

    def host(self) -> NDArray[np.float32]:
        """A new copy of it in host memory, from any thread.

        Raises:
            OutOfMemory: there is no room for it.
        """


Tensor = NDArray[np.float32] | Resident
ImageSide = tuple[NDArray[np.float32], ...]
"""What all points and boxes on a picture share, in the order of its graph's outputs."""


def on_host(tensor: Tensor) -> NDArray[np.float32]:
    """The array itself, or a new copy of what lies on a device."""
    return tensor if isinstance(tensor, np.ndarray) else tensor.host()


@dataclass(frozen=True, eq=False)
class Embedding:
    """The picture's side of every prompt on it; may be kept, shared between threads and reused.

    Attributes:
        array: (1, 256, G, G) float32, read-only; G is 64 in every published SAM.
        side: what the decoder makes of the picture alone, without a mask prompt; read-only,
            2.5 times as large as ``array``.
        fit: how the picture lay in the model's square.
        encoder: sha256 of the graph that made it: only its own decoder understands it.
        mapping: how pixels became 8-bit grey levels, in words.
        place: size of the picture's pixels and where it lies, None if nothing is known.
    """

    array: NDArray[np.float32]
    side: ImageSide
    fit: Fit
    encoder: str
    mapping: str
    place: Place | None = None

    def __post_init__(self) -> None:
        for array in (self.array, *self.side):
            array.setflags(write=False)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        return self.fit.height, self.fit.width

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.array.nbytes + sum(array.nbytes for array in self.side)

    def __repr__(self) -> str:
        return f"Embedding({self.fit.width}x{self.fit.height}, {self.mapping})"
