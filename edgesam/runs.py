"""A mask as run lengths, columns first, as COCO counts them. Knows no text code and no model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Runs:
    """A mask in a few kilobytes: what to keep while hundreds of masks wait for a verdict.

    Attributes:
        size: rows and columns of the mask.
        counts: (R,) int32, how many pixels are alike, column after column; even ones are
            background, so that the first is 0 where the top left pixel is in the mask.
    """

    size: tuple[int, int]
    counts: NDArray[np.int32]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Runs:
        """The runs of (H, W) bool, at least one pixel."""
        flat = mask.ravel(order="F")
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        before = [0, 0] if flat[0] else [0]
        bounds = np.concatenate([before, edges, [flat.size]])
        return cls((mask.shape[0], mask.shape[1]), np.diff(bounds).astype(np.int32))

    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, columns contiguous in memory."""
        flat = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return flat.reshape(self.size, order="F")

    @cached_property
    def area(self) -> int:
        """Number of pixels in the mask."""
        return int(self.counts[1::2].sum())

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """The tight x0, y0, x1, y1, its last pixels included; four zeros for an empty mask."""
        if len(self.counts) < 2:
            return 0, 0, 0, 0
        height = self.size[0]
        ends = np.cumsum(self.counts)
        first, last = ends[:-1:2], ends[1::2] - 1  # pixels of each run in the mask
        x0, x1 = int(first[0]) // height, int(last[-1]) // height
        if (first // height != last // height).any():
            # Such a run passes the foot of one column and the head of the next.
            return x0, 0, x1, height - 1
        return x0, int((first % height).min()), x1, int((last % height).max())

    def placed(self, x: int, y: int, size: tuple[int, int]) -> Runs:
        """The same mask in a larger picture of that size, its top left pixel at (x, y)."""
        if self.size == size:
            return self
        picture = np.zeros(size, np.bool_)
        picture[y : y + self.size[0], x : x + self.size[1]] = self.mask()
        return Runs.of(picture)
