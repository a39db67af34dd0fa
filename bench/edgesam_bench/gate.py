"""How close is close enough: the gates and their verdict; knows no model and no file.

The thresholds come from measured mistakes: a wrong resize filter, a box off by one pixel or a
missing resize step all keep the mean IoU above 0.96, and most keep it above 0.99.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgesam_bench.comparison import Comparison
from edgesam_bench.figures import summarise


@dataclass(frozen=True)
class Gate:
    """What the figures must keep.

    Attributes:
        embedding_error: highest relative L2 of any picture.
        mean: lowest mean IoU of ordinary masks.
        p5: lowest 5th percentile of their IoU.
        worst: lowest IoU of any of them.
        tiny_pixels: most pixels by which a tiny or empty mask may differ.
        pictures: fewest that say anything.
        prompts: fewest, likewise.
        modalities: fewest, likewise.
    """

    embedding_error: float = 1e-4
    mean: float = 0.9999
    p5: float = 0.9995
    worst: float = 0.995
    tiny_pixels: int = 16
    pictures: int = 1
    prompts: int = 1
    modalities: int = 1

    def failures(self, comparison: Comparison) -> list[str]:
        """One line for each threshold that does not hold; a figure that is no number holds none."""
        if not comparison.pictures or not comparison.masks:
            return ["nothing was compared"]
        return [*self.too_few(comparison), *self.apart(comparison)]

    def too_few(self, comparison: Comparison) -> list[str]:
        """One line for each count that is too low for the figures to vouch for anything."""
        counts = {
            "pictures": len(comparison.pictures),
            "prompts": len({mask.case for mask in comparison.masks}),
            "modalities": len({picture.modality for picture in comparison.pictures}),
        }
        return [
            f"too few {name}: {count} < {getattr(self, name)}"
            for name, count in counts.items()
            if count < getattr(self, name)
        ]

    def apart(self, comparison: Comparison) -> list[str]:
        """One line for each figure that is not close enough, of however many."""
        found: list[str] = []
        error = max(comparison.pictures, key=lambda p: _badness(p.embedding_error))
        if not error.embedding_error <= self.embedding_error:
            found.append(
                f"embedding of {error.picture}: relative L2 {error.embedding_error:.2e}"
                f" > {self.embedding_error:.0e}"
            )
        ordinary = comparison.of_size("ordinary")
        figures = summarise(mask.iou for mask in ordinary)
        if figures is not None:
            for name in ("mean", "p5", "worst"):
                value, least = getattr(figures, name), getattr(self, name)
                if not value >= least:
                    found.append(f"mask IoU, {name} of {figures.n}: {value:.6f} < {least}")
        for mask in (*comparison.of_size("tiny"), *comparison.of_size("empty")):
            if mask.differing > self.tiny_pixels:
                found.append(
                    f"{mask.case}, output {mask.output}: {mask.reference_area} pixels in the"
                    f" reference, {mask.differing} differ > {self.tiny_pixels}"
                )
        return found


# Of a variant whose numbers are meant to differ. Tiny masks and single ones may, too: what counts
# is that a person who corrects masks has hardly more to correct.
LOW_PRECISION = Gate(
    embedding_error=1.0,
    mean=0.98,
    p5=0.93,
    worst=0.0,
    tiny_pixels=1 << 20,
    pictures=30,
    prompts=60,
    modalities=4,
)


def _badness(error: float) -> float:
    """Not a number is the worst of all."""
    return float("inf") if math.isnan(error) else error
