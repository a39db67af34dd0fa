"""Weights of the official shapes from a seed: the same bits everywhere. Knows no network.

They let exported graphs be checked against the official code with no checkpoint at hand. Only
PCG64's raw stream is used, which numpy guarantees (``Generator``'s distributions may change), and
arithmetic that IEEE 754 rounds one way.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A uniform variable on -1..1 times this has variance 1.
_UNIT = math.sqrt(3)

# Untrained attention is nearly uniform and hides mistakes in what it attends to; too sharp, it
# amplifies rounding. With these gains its entropy is half to four fifths of the uniform one's, an
# embedding's relative error is about 3 times its picture's, and without the attention biases it
# is 4 % off.
_GAIN = 1.4
_ENCODER_ATTENTION_GAIN = 3.0
_DECODER_ATTENTION_GAIN = 1.2

_EMBEDDINGS = (
    *(f"point_embeddings.{i}.weight" for i in range(4)),
    "not_a_point_embed.weight",
    "no_mask_embed.weight",
    "iou_token.weight",
    "mask_tokens.weight",
)


def random_state_dict(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, NDArray[Any]]:
    """A value for every key of a state dict.

    Each key has a stream of its own, so that a change of one shape leaves the others alone.

    Args:
        shapes: key -> shape, in PyTorch's naming and layout.
        seed: at least 0.

    Returns:
        key -> float32 array; int64 zero for BatchNorm's counters.
    """
    return {key: _values(key, tuple(shape), seed) for key, shape in shapes.items()}


def uniform(shape: tuple[int, ...], *stream: int) -> NDArray[np.float64]:
    """Numbers in -1..1 from the stream of that name."""
    raw = np.random.PCG64(list(stream)).random_raw(math.prod(shape))
    bits = np.asarray(raw, dtype=np.uint64) >> np.uint64(11)
    numbers: NDArray[np.float64] = bits.astype(np.float64) * 2.0**-52 - 1
    return numbers.reshape(shape)


def _values(key: str, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    centre, spread = _range(key, shape)
    values = centre + spread * uniform(shape, seed, zlib.crc32(key.encode()))
    return values.astype(np.float32)


def _range(key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Middle and half width of the values."""
    last = key.rsplit(".", 1)[-1]
    if last == "running_var":
        return 1.0, 0.5
    if last == "attention_biases":
        return 0.0, 2.0
    if last == "positional_encoding_gaussian_matrix":
        return 0.0, _UNIT
    if len(shape) == 1:
        # Scales of normalisations stay near 1; biases and running means near 0.
        return (1.0, 0.3) if last == "weight" else (0.0, 0.1)
    if key.endswith(_EMBEDDINGS):
        return 0.0, _UNIT
    # Variance is kept from layer to layer; a transposed convolution has its inputs first.
    fan_in = shape[0] if "output_upscaling" in key else math.prod(shape[1:])
    return 0.0, _gain(key) * _UNIT / math.sqrt(fan_in)


def _gain(key: str) -> float:
    if key.endswith("qkv.weight"):
        return _ENCODER_ATTENTION_GAIN
    if key.endswith(("q_proj.weight", "k_proj.weight")):
        return _DECODER_ATTENTION_GAIN
    return _GAIN
