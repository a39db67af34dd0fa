"""A checkpoint's tensors as graphs ask for them: promised at once, read when a graph is saved.

Knows shapes and names, no layer. So a network can be laid out, and everything that is wrong with
its checkpoint be said together, before a byte is read; and one larger than memory can be written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.errors import ExportError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Promise:
    """An array to come, float32 unless it was halved.

    Attributes:
        shape: it will have.
        read: makes it.
        dtype: it will have.
    """

    shape: Shape
    read: Callable[[], NDArray[Any]]
    dtype: type[np.floating[Any]] = np.float32

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def map(
        self, change: Callable[[NDArray[np.float32]], NDArray[np.float32]], *shape: int
    ) -> Promise:
        """The array after a change, which gives it that shape."""
        return Promise(shape, lambda: change(self.read()))

    @property
    def T(self) -> Promise:  # noqa: N802  as numpy calls it
        """Transposed."""
        return self.map(np.transpose, *reversed(self.shape))

    def halved(self, name: str) -> Promise:
        """The array rounded to float16; ``name`` is said where a value is too large for it."""

        def read() -> NDArray[np.float16]:
            with np.errstate(over="ignore"):
                half = self.read().astype(np.float16)
            if not np.isfinite(half).all():
                raise ExportError(f"{name} has values beyond float16's 65504: leave fp16 out")
            return half

        return Promise(self.shape, read, np.float16)


class Weights:
    """The tensors of one checkpoint, and what has been asked of it.

    Args:
        tensors: by key.
        shapes: of the same keys, where knowing them takes no reading.

    Attributes:
        taken: keys that a layer took.
        missing: keys that a layer asked for in vain.
        misshapen: what to say of keys whose tensors have another shape than their layer.
    """

    def __init__(
        self, tensors: Mapping[str, NDArray[Any]], shapes: Mapping[str, Shape] | None = None
    ) -> None:
        self.taken: set[str] = set()
        self.missing: list[str] = []
        self.misshapen: list[str] = []
        self._tensors = tensors
        self._shapes = {k: np.shape(v) for k, v in tensors.items()} if shapes is None else shapes

    def take(self, key: str, shape: Shape) -> Promise:
        """The tensor of that key. A wrong one is noted and stands in as zeros."""
        first = key not in self.taken
        self.taken.add(key)
        found = self._shapes.get(key)
        if found == shape:
            return Promise(shape, lambda: self._read(key))
        if first and found is None:
            self.missing.append(key)
        elif first:
            self.misshapen.append(f"{key} {found} instead of {shape}")
        return Promise(shape, lambda: np.zeros(shape, np.float32))

    def _read(self, key: str) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            weight = np.asarray(self._tensors[key]).astype(np.float32, copy=False)
        if not np.isfinite(weight).all():
            raise ExportError(
                f"the tensor {key} has values that are not finite: the checkpoint is damaged"
            )
        return weight
