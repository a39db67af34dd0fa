"""What is measured, by name; where it comes from and in which unit. Knows no figure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """One thing that is measured.

    Attributes:
        name: in results and in ``--budget``.
        title: for people.
        unit: ``s`` or ``MiB``.
    """

    name: str
    title: str
    unit: str = "s"


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("start", "process start to first mask"),
        Measure("first_start", "the same, caches empty"),
        Measure("encode", "encode"),
        Measure("first_click", "first click, encode included"),
        Measure("click", "click"),
        Measure("batch_16", "16 boxes at once"),
        Measure("batch_64", "64 boxes at once"),
        Measure("everything", "everything mode"),
        Measure("memory", "peak memory", "MiB"),
    )
}
STAGES: dict[str, tuple[str, ...]] = {
    "embed": ("levels", "resize", "normalise", "prepare", "encode", "image_side"),
    "click": ("prompt", "decode", "mask"),
}
"""What edgesam's own work is made of, in order. A GPU has ``prepare`` in the place of those before
it, and ``decode`` makes its masks, too."""


def parts_of(whole: str, stages: Collection[str]) -> list[str]:
    """Which parts of ``embed`` or ``click`` there were, in order."""
    return [part for part in STAGES[whole] if part in stages]


STATISTICS = ("p50", "p95", "p99", "min", "max")
