"""What computed a variant, in words. Knows which engines there are."""

from __future__ import annotations

from edgesam.engines import ENGINES
from edgesam.sam import Sam


def multiplies_bytes(engine: str) -> bool:
    """Whether an engine, as a Sam describes it (``onnxruntime:cpu``), computes int8 in bytes."""
    name, _, device = engine.partition(":")
    return name in ENGINES and "int8" in ENGINES[name].precisions(device)


def what_ran(sam: Sam) -> str:
    """Engine and device, and what was done with bytes that the processor does not multiply."""
    if sam.variant == "int8" and not multiplies_bytes(sam.engine):
        return f"{sam.engine}, products of bytes in float32"
    return sam.engine
