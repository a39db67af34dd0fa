"""Which variants of a checkpoint are written unasked. Knows names, no graph."""

from __future__ import annotations

from edgesam_bench.passports import shipped_variants

# Not fp16: 30 MB that no CPU computes faster.
_UNASKED = ("fp32", "bf16", "int8")


def unasked(checkpoint: str) -> list[str]:
    """Those whose passports ship, of the checkpoint with that sha256."""
    return [name for name in shipped_variants(checkpoint) if name in _UNASKED]
