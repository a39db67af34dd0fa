"""Weights of the official shapes from a seed: the same bits everywhere. Knows no network.

They let exported graphs be checked against the official code with no checkpoint at hand. Only
PCG64's raw stream is used, which numpy guarantees (``Generator``'s distributions may change), and
arithmetic that IEEE 754 rounds one way.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A uniform variable on -1..1 times this has variance 1.
_UNIT = math.sqrt(3)

_ENCODER = "image_encoder."
_BRANCH_ENDS = ("attn.proj.weight", "mlp.lin2.weight")  # what a ViT's block adds to the stream
_GAIN = 1.4
_DECODER_ATTENTION_GAIN = 1.2


@dataclass(frozen=True)
class Recipe:
    """How large an image encoder's weights are; the decoder's do not depend on it.

    Attributes:
        gain: of linear layers and convolutions; 1 keeps the variance from layer to layer.
        attention: of the layers that make queries, keys and values.
        rel_pos: standard deviation of a ViT's relative positions.
        pos_embed: standard deviation of a ViT's absolute positions.
    """

    gain: float
    attention: float
    rel_pos: float = 0.0
    pos_embed: float = 0.0


# Untrained attention is nearly uniform and hides mistakes in what it attends to; too sharp, it
# amplifies rounding. With these gains its entropy is half to four fifths of the uniform one's, an
# embedding's relative error is about 3 times its picture's, and without the attention biases it
# is 4 % off.
TINY_VIT = Recipe(gain=_GAIN, attention=3.0)

# For SAM's ViTs, as bench/reference/attention.py measures them on ViT-B. PEAKED leaves no mistake
# hidden: its attention's entropy is a fifth of the uniform one's. It amplifies rounding: PyTorch's
# own float32 is 4e-5 from its float64. GENTLE, with two thirds and 1e-6, allows for a tight
# tolerance. Deeper networks amplify more, until PyTorch no longer agrees with itself (ViT-H's
# float32 is 6e-3 from its float64): their blocks add less, by ViT-B's depth over theirs.
_DEPTH = 12  # of ViT-B
_UNTRAINED = 1 / math.sqrt(3)  # the gain of PyTorch's own first weights
PEAKED = Recipe(gain=_UNTRAINED, attention=3 * _UNTRAINED, rel_pos=0.6, pos_embed=0.5)
GENTLE = Recipe(gain=_UNTRAINED, attention=2 * _UNTRAINED, rel_pos=0.2, pos_embed=0.5)
VIT_RECIPES = {"peaked": PEAKED, "gentle": GENTLE}

_EMBEDDINGS = (
    *(f"point_embeddings.{i}.weight" for i in range(4)),
    "not_a_point_embed.weight",
    "no_mask_embed.weight",
    "iou_token.weight",
    "mask_tokens.weight",
)


def random_state_dict(
    shapes: Mapping[str, tuple[int, ...]], seed: int, recipe: Recipe = TINY_VIT
) -> dict[str, NDArray[Any]]:
    """A value for every key of a state dict.

    Each key has a stream of its own, so that a change of one shape leaves the others alone.

    Args:
        shapes: key -> shape, in PyTorch's naming and layout.
        seed: at least 0.
        recipe: of the image encoder.

    Returns:
        key -> float32 array; int64 zero for BatchNorm's counters.
    """
    depth = sum(key.endswith("mlp.lin2.weight") for key in shapes if key.startswith(_ENCODER))
    branch = min(1.0, _DEPTH / max(1, depth))
    return {key: _values(key, tuple(shape), seed, recipe, branch) for key, shape in shapes.items()}


def uniform(shape: tuple[int, ...], *stream: int) -> NDArray[np.float64]:
    """Numbers in -1..1 from the stream of that name."""
    raw = np.random.PCG64(list(stream)).random_raw(math.prod(shape))
    bits = np.asarray(raw, dtype=np.uint64) >> np.uint64(11)
    numbers: NDArray[np.float64] = bits.astype(np.float64) * 2.0**-52 - 1
    return numbers.reshape(shape)


def _values(
    key: str, shape: tuple[int, ...], seed: int, recipe: Recipe, branch: float
) -> NDArray[Any]:
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    centre, spread = _range(key, shape, recipe)
    if key.startswith(_ENCODER) and key.endswith(_BRANCH_ENDS):
        spread *= branch
    values = centre + spread * uniform(shape, seed, zlib.crc32(key.encode()))
    return values.astype(np.float32)


def _range(key: str, shape: tuple[int, ...], recipe: Recipe) -> tuple[float, float]:
    """Middle and half width of the values."""
    last = key.rsplit(".", 1)[-1]
    named = {
        "running_var": (1.0, 0.5),
        "attention_biases": (0.0, 2.0),
        "positional_encoding_gaussian_matrix": (0.0, _UNIT),
        "rel_pos_h": (0.0, recipe.rel_pos * _UNIT),
        "rel_pos_w": (0.0, recipe.rel_pos * _UNIT),
        "pos_embed": (0.0, recipe.pos_embed * _UNIT),
    }
    if last in named:
        return named[last]
    if len(shape) == 1:
        # Scales of normalisations stay near 1; biases and running means near 0.
        return (1.0, 0.3) if last == "weight" else (0.0, 0.1)
    if key.endswith(_EMBEDDINGS):
        return 0.0, _UNIT
    # Variance is kept from layer to layer; a transposed convolution has its inputs first.
    fan_in = shape[0] if "output_upscaling" in key else math.prod(shape[1:])
    return 0.0, _gain(key, recipe) * _UNIT / math.sqrt(fan_in)


def _gain(key: str, recipe: Recipe) -> float:
    if key.endswith("qkv.weight"):
        return recipe.attention
    if key.endswith(("q_proj.weight", "k_proj.weight")):
        return _DECODER_ATTENTION_GAIN
    return recipe.gain if key.startswith(_ENCODER) else _GAIN
