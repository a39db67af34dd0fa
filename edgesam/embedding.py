"""What an encoder made of one picture. Immutable; knows which encoder, and how the picture lay."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesam.fit import Fit
from edgesam.place import Place


class Resident(Protocol):
    """A float32 array that lies where an engine computes, and may still be in the making there.

    Whoever reads it waits for it, if need be on the device. It never changes.
    """

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

    def finish(self) -> None:
        """Keep the calling thread until it is there.

        Raises:
            EngineUnavailable: the device failed.
        """


Tensor = NDArray[np.float32] | Resident
ImageSide = tuple[Tensor, ...]
"""What all points and boxes on a picture share, in the order of its graph's outputs."""


def on_host(tensor: Tensor) -> NDArray[np.float32]:
    """The array itself, or a new copy of what lies on a device."""
    return tensor if isinstance(tensor, np.ndarray) else tensor.host()


def finished(tensor: Tensor) -> Tensor:
    """The same, when it is there: for those who want to know how long it takes."""
    if not isinstance(tensor, np.ndarray):
        tensor.finish()
    return tensor


@dataclass(frozen=True, eq=False)
class Embedding:
    """The picture's side of every prompt on it; may be kept, shared between threads and reused.

    Attributes:
        held: (1, 256, G, G) float32 as the engine gave it: a read-only array, or what lies on its
            device; G is 64 in every published SAM.
        side: what the decoder makes of the picture alone, without a mask prompt; read-only,
            2.5 times as large as ``held``, and where the engine computes.
        fit: how the picture lay in the model's square.
        encoder: sha256 of the graph that made it: only its own decoder understands it.
        mapping: how pixels became 8-bit grey levels, in words.
        place: size of the picture's pixels and where it lies, None if nothing is known.
    """

    held: Tensor
    side: ImageSide
    fit: Fit
    encoder: str
    mapping: str
    place: Place | None = None
    _copy: _HostCopy | None = field(default=None, repr=False)  # shared by what replace() makes

    def __post_init__(self) -> None:
        for array in (self.held, *self.side):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        if self._copy is None or self._copy.of is not self.held:
            object.__setattr__(self, "_copy", _HostCopy(self.held))

    @property
    def array(self) -> NDArray[np.float32]:
        """``held`` in host memory, read-only. From a device it is copied once, when first asked
        for, and kept for as long as this embedding.

        Raises:
            OutOfMemory: there is no room for the copy.
        """
        assert self._copy is not None
        return self._copy.array()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, in pixels."""
        return self.fit.height, self.fit.width

    @property
    def nbytes(self) -> int:
        """What it takes in memory, the host's or a device's; without the copy of :attr:`array`."""
        return self.held.nbytes + sum(array.nbytes for array in self.side)

    def wait(self) -> None:
        """Keep the calling thread until it is there: an engine on a GPU hands it out before that.

        Nobody needs this but who takes the time: what uses an embedding waits for it itself.

        Raises:
            EngineUnavailable: the device failed.
        """
        for tensor in (self.held, *self.side):
            finished(tensor)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and sent elsewhere as arrays in host memory: a device's are this process's."""
        side = tuple(on_host(array) for array in self.side)
        return Embedding, (self.array, side, self.fit, self.encoder, self.mapping, self.place)

    def __repr__(self) -> str:
        return f"Embedding({self.fit.width}x{self.fit.height}, {self.mapping})"


class _HostCopy:
    """A tensor in host memory, fetched by whoever asks first."""

    def __init__(self, of: Tensor) -> None:
        self.of = of
        self._lock = threading.Lock()
        self._array = of if isinstance(of, np.ndarray) else None

    def array(self) -> NDArray[np.float32]:
        with self._lock:
            if self._array is None:
                self._array = on_host(self.of)
                self._array.setflags(write=False)
            return self._array
