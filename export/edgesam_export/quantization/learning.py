"""From what reached a product to how it is quantised best. Numbers only: knows no graph.

Weights are rounded per output, inputs per tensor. Tried are shares of the range that was seen and
strengths of smoothing (Xiao et al., "SmoothQuant", 2023); what decides is the error of the
product's own output on rows that were taken at random.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edgesam_export.quantization.probe import Seen
from edgesam_export.quantization.products import Product
from edgesam_export.quantization.recipe import STEPS, Quantized

Floats = NDArray[np.float32]

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2)
STRENGTHS = (0.5, 0.7, 0.9)

_LARGEST = 127
_FARTHEST = 10 * STEPS  # exponents: a factor of 1024
_WORTH_A_MUL = 0.8  # of the error: less is not worth an operation on every value


def learn(product: Product, seen: Seen) -> Quantized:
    """How the product is quantised with the least error of its output."""
    best: tuple[float, Quantized] | None = None
    exact = seen.rows @ product.weight
    for exponents in _smoothings(product, seen):
        factors = _factors(exponents, product.channels)
        spread = np.repeat(factors, product.taps)
        rows, weight = seen.rows / spread, _rounded(product.weight * spread[:, None])
        lowest = min(0.0, float((seen.lowest / factors).min()))
        highest = max(0.0, float((seen.highest / factors).max()))
        for share in SHARES:
            scale, zero = _range(share * lowest, share * highest)
            wrong = _through_bytes(rows, scale, zero) @ weight - exact
            mean = wrong.mean(axis=0) if product.has_bias else np.zeros(len(wrong.T), np.float32)
            error = float(((wrong - mean) ** 2).sum(dtype=np.float64))
            if exponents is not None and product.place is None:
                error /= _WORTH_A_MUL
            if best is None or error < best[0]:
                how = Quantized(
                    scale=scale,
                    zero=zero,
                    smoothing=exponents,
                    fold=product.place is not None,
                    bias=tuple(_short(-m) for m in mean) if product.has_bias else None,
                )
                best = error, how
    assert best is not None
    return best[1]


def _smoothings(product: Product, seen: Seen) -> Iterator[tuple[int, ...] | None]:
    """Exponents of each channel's factor; None for no smoothing."""
    yield None
    inputs = np.maximum(np.abs(seen.lowest), np.abs(seen.highest)).astype(np.float64)
    by_channel = np.abs(product.weight).reshape(product.channels, -1)
    weights = by_channel.max(axis=1).astype(np.float64)
    used = (inputs > 0) & (weights > 0)
    if not used.any():
        return
    for strength in STRENGTHS:
        logs = np.zeros(product.channels)
        logs[used] = strength * np.log2(inputs[used]) - (1 - strength) * np.log2(weights[used])
        logs[used] -= logs[used].mean()
        whole = np.clip(np.rint(STEPS * logs), -_FARTHEST, _FARTHEST).astype(int)
        yield tuple(whole.tolist())


def _factors(exponents: tuple[int, ...] | None, channels: int) -> Floats:
    return Quantized(1.0, 0, exponents).factors(channels).astype(np.float32)


def _rounded(weight: Floats) -> Floats:
    """As int8 would give it back, each output on its own scale."""
    scale = np.abs(weight).max(axis=0) / np.float32(_LARGEST)
    scale = np.where(scale > 0, scale, np.float32(1.0))
    whole = np.clip(np.rint(weight / scale), -_LARGEST, _LARGEST)
    return np.asarray(whole * scale, np.float32)


def _range(lowest: float, highest: float) -> tuple[float, int]:
    """Scale and zero point of bytes that reach from one to the other."""
    scale = float(np.float32((highest - lowest) / 255)) or 1.0
    return scale, int(np.clip(np.rint(-lowest / scale), 0, 255))


def _through_bytes(rows: Floats, scale: float, zero: int) -> Floats:
    step = np.float32(scale)
    whole = np.clip(np.rint(rows / step) + zero, 0, 255) - np.float32(zero)
    return np.asarray(whole * step, np.float32)


def _short(value: float) -> float:
    """Five digits are more than a mean of some hundred errors has."""
    return float(f"{value:.5g}")
