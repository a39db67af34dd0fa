"""What computed a variant, in words. Knows which engines there are."""

from __future__ import annotations

from edgesam.engines import ENGINES
from edgesam.sam import Sam


def runs_natively(precision: str, engine: str) -> bool:
    """Whether an engine, as a Sam describes it (``onnxruntime:cpu``), computes in a precision."""
    name, _, device = engine.partition(":")
    return name in ENGINES and precision in ENGINES[name].precisions(device)


def multiplies_bytes(engine: str) -> bool:
    """Whether an engine, as a Sam describes it, computes int8 in bytes."""
    return runs_natively("int8", engine)


def what_ran(sam: Sam) -> str:
    """Engine and device, and what was done with products that the processor does not have."""
    if sam.variant == "int8" and not multiplies_bytes(sam.engine):
        return f"{sam.engine}, products of bytes in float32"
    if sam.variant == "fp16" and not runs_natively("fp16", sam.engine):
        return f"{sam.engine}, products of float16 in float32"
    return sam.engine
