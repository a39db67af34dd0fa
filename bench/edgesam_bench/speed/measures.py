"""What is measured, by name; where it comes from and in which unit. Knows no figure."""

from __future__ import annotations

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
    "embed": ("levels", "resize", "normalise", "encode", "image_side"),
    "click": ("prompt", "decode", "mask"),
}
"""What edgesam's own work is made of, in order."""

STATISTICS = ("p50", "p95", "p99", "min", "max")
