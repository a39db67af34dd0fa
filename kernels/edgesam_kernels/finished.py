"""Masks as the finish kernel leaves them: bits, and a few numbers of each. Knows no device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of each mask, int32, all 0 before the kernel runs, so that sums and maxima suffice: area, pixels
# above +offset, above -offset, columns - x0, rows - y0, x1 + 1, y1 + 1. An empty mask's last four
# stay 0.
TABLE = 7


@dataclass(frozen=True, eq=False)
class Finished:
    """N masks of one picture.

    Attributes:
        size: rows and columns of the picture.
        bits: (N, rows, ceil(columns / 8)) uint8: ``np.packbits(mask, axis=-1)``, so that each row
            begins with a byte, its first pixel is the highest bit, and bits past its end are 0.
        area: (N,) int32, number of pixels.
        boxes: (N, 4) int32, tight x0, y0, x1, y1, the last pixels included; of an empty mask
            0, 0, -1, -1.
        above: (N,) int32, pixels whose logit is above +offset.
        below: (N,) int32, pixels whose logit is above -offset.
    """

    size: tuple[int, int]
    bits: NDArray[np.uint8]
    area: NDArray[np.int32]
    boxes: NDArray[np.int32]
    above: NDArray[np.int32]
    below: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.bits)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """(rows, columns) bool of one of them."""
        return np.unpackbits(self.bits[index], axis=-1, count=self.size[1]).view(np.bool_)

    def box(self, index: int) -> tuple[int, int, int, int] | None:
        """The tight box x0, y0, x1, y1 of one of them; None for an empty mask."""
        if self.area[index] == 0:
            return None
        x0, y0, x1, y1 = self.boxes[index].tolist()
        return x0, y0, x1, y1

    @property
    def stability(self) -> NDArray[np.float32]:
        """(N,) float32: what segment-anything calls the stability score, ``above / below``."""
        below = np.maximum(self.below, 1).astype(np.float32)
        ratio: NDArray[np.float32] = np.divide(self.above.astype(np.float32), below)
        return ratio


def together(parts: Sequence[Finished]) -> Finished:
    """Masks of one picture that were made in parts, in their order."""
    names = "bits", "area", "boxes", "above", "below"
    return Finished(
        parts[0].size,
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names),
    )


def finished_bytes(count: int, size: tuple[int, int]) -> int:
    """Size of ``count`` masks' answer in memory: their table, then their bits."""
    return count * (TABLE * 4 + size[0] * row_bytes(size[1]))


def row_bytes(columns: int) -> int:
    """Bytes of a row of bits."""
    return (columns + 7) // 8


def read_finished(answer: NDArray[np.uint8], count: int, size: tuple[int, int]) -> Finished:
    """What the kernel wrote, copied out of the memory that it was downloaded to.

    Args:
        answer: (:func:`finished_bytes`,) uint8 or longer.
        count: number of masks.
        size: rows and columns of the picture.
    """
    rows, columns = size
    cut = count * TABLE * 4
    table = answer[:cut].view(np.int32).reshape(count, TABLE).copy()
    bits = answer[cut : finished_bytes(count, size)].reshape(count, rows, row_bytes(columns)).copy()
    boxes = table[:, 3:] * np.array([-1, -1, 1, 1], np.int32)
    boxes += np.array([columns, rows, -1, -1], np.int32)
    boxes[table[:, 0] == 0] = 0, 0, -1, -1
    return Finished(size, bits, table[:, 0], boxes, table[:, 1], table[:, 2])
