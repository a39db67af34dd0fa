"""One segmented object: pixels, score, logits, size, COCO's run-length code. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesam.measure import Measured, measure
from edgesam.place import Place
from edgesam.provenance import Provenance
from edgesam.runs import Runs


@dataclass(frozen=True, eq=False)
class Mask:
    """The answer to one prompt.

    Attributes:
        array: (H, W) bool, the picture's size.
        score: the model's own prediction of the IoU with what was meant.
        logits: (L, L) float32 in the model's square, L being 256 in every published SAM; a later
            prompt's ``mask_input``.
        place: size of the picture's pixels and where it lies, None if nothing is known.
        provenance: what made it, and from which grey levels; None if that is not known.
    """

    array: NDArray[np.bool_]
    score: float
    logits: NDArray[np.float32]
    place: Place | None = None
    provenance: Provenance | None = None

    @classmethod
    def counted(
        cls,
        array: NDArray[np.bool_],
        score: float,
        logits: NDArray[np.float32],
        place: Place | None = None,
        provenance: Provenance | None = None,
        *,
        area: int,
        box: tuple[int, int, int, int] | None,
    ) -> Mask:
        """One whose area and box are known: they are not looked for again."""
        mask = cls(array, score, logits, place, provenance)
        mask.__dict__.update(area=area, box=box)  # where cached_property keeps them
        return mask

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

    @cached_property
    def measured(self) -> Measured:
        """Area, diameters and their units; ``str`` of it is a line for a person."""
        return measure(self.array, self.place)

    @property
    def area_mm2(self) -> float | None:
        """Square millimetres, None where the pixels' size is unknown."""
        return self.measured.area_mm2

    @property
    def volume_ml(self) -> float | None:
        """Millilitres of this one slice, None where its pixels' size or thickness is unknown."""
        return self.measured.volume_ml

    @property
    def longest_mm(self) -> float | None:
        """The longest diameter (RECIST) in millimetres, None where the pixels' size is unknown."""
        return self.measured.longest_mm

    @property
    def perpendicular_mm(self) -> float | None:
        """The longest diameter at right angles to that one, in millimetres, or None."""
        return self.measured.perpendicular_mm

    def to_rle(self) -> dict[str, Any]:
        """Compressed COCO RLE, ready for JSON: ``{"size": [H, W], "counts": str}``."""
        return encode_rle(self.array)

    def __repr__(self) -> str:
        height, width = self.array.shape
        return f"Mask({width}x{height}, area {self.area}, score {self.score:.4f})"


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run lengths of (H, W) bool, columns first, in COCO's text code (maskApi.c, rleToString)."""
    return encode_runs(Runs.of(mask))


def encode_runs(mask: Runs) -> dict[str, Any]:
    """:func:`encode_rle` of run lengths that are known."""
    runs = mask.counts.tolist()
    text = bytearray()
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            digit = value & 0x1F
            value >>= 5
            more = value != (-1 if digit & 0x10 else 0)
            text.append((digit | 0x20 if more else digit) + 48)
    return {"size": list(mask.size), "counts": text.decode("ascii")}


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
    return Runs((height, width), np.array(runs, np.int32)).mask()
