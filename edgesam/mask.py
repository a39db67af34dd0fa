"""One segmented object: pixels, score, logits, and COCO's run-length code. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Mask:
    """The answer to one prompt.

    Attributes:
        array: (H, W) bool, the picture's size.
        score: the model's own prediction of the IoU with what was meant.
        logits: (256, 256) float32 in the model's square; a later prompt's ``mask_input``.
    """

    array: NDArray[np.bool_]
    score: float
    logits: NDArray[np.float32]

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.array))

    @cached_property
    def box(self) -> tuple[int, int, int, int] | None:
        """The tight box x0, y0, x1, y1, its last pixels included; None for an empty mask."""
        rows = np.flatnonzero(self.array.any(axis=1))
        if len(rows) == 0:
            return None
        columns = np.flatnonzero(self.array.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])

    def to_rle(self) -> dict[str, Any]:
        """Compressed COCO RLE, ready for JSON: ``{"size": [H, W], "counts": str}``."""
        return encode_rle(self.array)

    def __repr__(self) -> str:
        height, width = self.array.shape
        return f"Mask({width}x{height}, area {self.area}, score {self.score:.4f})"


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run lengths of (H, W) bool, columns first, in COCO's text code (maskApi.c, rleToString)."""
    height, width = mask.shape
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(bounds).tolist()
    if flat.size and flat[0]:
        runs.insert(0, 0)  # the first run counts background, even when there is none
    text = bytearray()
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            digit = value & 0x1F
            value >>= 5
            more = value != (-1 if digit & 0x10 else 0)
            text.append((digit | 0x20 if more else digit) + 48)
    return {"size": [height, width], "counts": text.decode("ascii")}


def decode_rle(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """The (H, W) bool mask of a compressed COCO RLE."""
    height, width = rle["size"]
    runs: list[int] = []
    value = shift = 0
    for character in rle["counts"].encode("ascii"):
        digit = character - 48
        value |= (digit & 0x1F) << shift
        shift += 5
        if not digit & 0x20:
            if digit & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape((height, width), order="F")
