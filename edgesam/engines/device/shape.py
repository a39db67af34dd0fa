"""What a decoder call has how many of, and where its tensors lie in two blocks. Knows no device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam_kernels.finish import MaskFrame
from edgesam_kernels.finished import finished_bytes

ALIGNMENT = 256  # bytes, which TensorRT asks of each tensor


@dataclass(frozen=True)
class Shape:
    """What a graph is recorded for.

    Attributes:
        prompts, points, tokens: how many.
        low: side of the logits.
        frame: what becomes of them, None if nothing does.
        offset: of the logits' threshold, up and down, for the counts.
    """

    prompts: int
    points: int
    tokens: int
    low: int
    frame: MaskFrame | None
    offset: float

    @cached_property
    def masks(self) -> int:
        return self.prompts * self.tokens

    @cached_property
    def up(self) -> Layout:
        """Mask tokens, points, labels."""
        points = self.prompts * self.points
        return Layout.of(self.tokens * 8, points * 8, points * 4)

    @cached_property
    def down(self) -> Layout:
        """Predicted IoU, logits, finished masks."""
        finished = 0 if self.frame is None else finished_bytes(self.masks, self.frame.size)
        return Layout.of(self.prompts * 16, self.masks * self.low**2 * 4, finished)


@dataclass(frozen=True)
class Layout:
    """Pieces of one block."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    nbytes: int

    @classmethod
    def of(cls, *sizes: int) -> Layout:
        starts = [0]
        for size in sizes:  # what is empty has an address, too
            starts.append(starts[-1] + max(1, -(-size // ALIGNMENT)) * ALIGNMENT)
        return cls(tuple(starts[:-1]), sizes, starts[-2] + max(4, sizes[-1]))

    def piece(self, block: NDArray[np.uint8], index: int, dtype: type[Any]) -> NDArray[Any]:
        start, size = self.starts[index], self.sizes[index]
        return block[start : start + size].view(dtype)
